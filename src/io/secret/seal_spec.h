/* seal_spec.h - the secrets in a pipeline's spec (core/redact.h), sealed as they are kept: {"sealed": "BASE64"} in the place of each.
 *
 * They are sealed when a spec has been checked, before it gets into the catalog and the database, and unsealed where they are used: for
 * a request, and to tell whether a spec that is sent differs. Any thread.
 */
#ifndef IO_SECRET_SEAL_SPEC_H
#define IO_SECRET_SEAL_SPEC_H
#include "base/json.h"
#include "io/secret/seal.h"

void seal_spec(const struct seal *s, json_t *spec);

/* Those that were sealed with another key stay as they are: redact_is_sealed(). */
void unseal_spec(const struct seal *s, json_t *spec);
void unseal_executor(const struct seal *s, json_t *executor);

#endif
