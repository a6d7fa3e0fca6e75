/* redact.h - secrets in a pipeline's spec: not shown to those who read it, kept for those who write back what they have read.
 *
 * A secret is, in an `executor` object (that of the pipeline or of a step), the `secret` and the value of each of the `headers` whose
 * name says that it carries credentials. In answers REDACTED stands in its place. Where REDACTED is written back the old value stays, if
 * the URL still leads to the same server: otherwise whoever may write could have it sent to himself.
 *
 * What is kept of a secret, in memory and on disk, is {"sealed": "BASE64"} (io/secret/seal_spec.h). Nobody can send one: what is sent is
 * a string, and redact_refuse_sealed_in() refuses anything else.
 */
#ifndef CORE_REDACT_H
#define CORE_REDACT_H
#include "base/json.h"
#include "base/str.h"
#include "pawl/err.h"
#include <stdbool.h>

#define REDACTED "********"

/* Appends a spec's JSON without its secrets; as it is when there are none. */
void redact_add(struct str *out, struct slice spec);

/* Puts the secrets of the old spec back into the new one. */
void redact_undo(json_t *spec, const json_t *old);

bool redact_is_secret_header(const char *name);
bool redact_is_sealed(const json_t *v);

/* A secret is object[name], a string or sealed. May put something else there. */
typedef void redact_visit(void *arg, json_t *object, const char *name);

void redact_each_of_executor(json_t *executor, redact_visit *visit, void *arg);
void redact_each(json_t *spec, redact_visit *visit, void *arg);

/* 0, or -EINVAL with *reterr naming a secret that is sealed, as `path.secret: ...`. */
int redact_refuse_sealed(json_t *executor, const char *path, struct diag *reterr);
int redact_refuse_sealed_in(json_t *spec, struct diag *reterr);

#endif
