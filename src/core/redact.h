/* redact.h - secrets in a pipeline's spec: not shown to those who read it, kept for those who write back what they have read.
 *
 * A secret is, in an `executor` object (that of the pipeline or of a step), the `secret` and the value of each of the `headers` whose
 * name says that it carries credentials. In answers REDACTED stands in its place. Where REDACTED is written back the old value stays, if
 * the URL still leads to the same server: otherwise whoever may write could have it sent to himself.
 */
#ifndef CORE_REDACT_H
#define CORE_REDACT_H
#include "base/json.h"
#include "base/str.h"
#include <stdbool.h>

#define REDACTED "********"

/* Appends a spec's JSON without its secrets; as it is when there are none. */
void redact_add(struct str *out, struct slice spec);

/* Puts the secrets of the old spec back into the new one. */
void redact_undo(json_t *spec, const json_t *old);

#endif
