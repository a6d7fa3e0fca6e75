/* pipeline_def.h - from what a client says about a pipeline to its definition: the REST API's and the manifests' way. */
#ifndef API_PIPELINE_DEF_H
#define API_PIPELINE_DEF_H
#include "base/json.h"
#include "core/catalog.h"

struct seal;

/* The definition that a spec (core/pipeline_spec.h) makes, executors checked and secrets sealed; NULL with *reterr. Takes fields that are
 * null out of the spec. */
struct pipeline_def *pipeline_def_of(const struct seal *s, json_t *spec, struct diag *reterr);

/* The spec of a definition, its secrets in the clear as far as they can be read. */
json_t *pipeline_def_spec(const struct seal *s, const struct pipeline_def *def);

#endif
