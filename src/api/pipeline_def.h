/* pipeline_def.h - from what a client says about a pipeline to its definition: the REST API's and the manifests' way. */
#ifndef API_PIPELINE_DEF_H
#define API_PIPELINE_DEF_H
#include "base/json.h"
#include "core/catalog.h"

/* The definition that a spec (core/pipeline_spec.h) makes, executors checked; NULL with *reterr. Takes fields that are null out of the spec. */
struct pipeline_def *pipeline_def_of(json_t *spec, struct diag *reterr);

#endif
