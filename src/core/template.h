/* template.h - texts with look-ups in them: what an ArkEvent gives its targets as input.
 *
 *     "report on {{ .trigger.body.topic }}"      -> "report on quantum computing"
 *
 * Between braces stands one look-up and nothing else: nothing is computed, called or repeated.
 *
 *     .trigger.name         of the ArkEvent
 *     .trigger.firedAt      when it fired, RFC 3339
 *     .trigger.output       of the run whose end fired it
 *     .trigger.body         of the webhook call, if that is JSON
 *     .trigger.body.a.b     a member of it
 *
 * What is not there, or is null, gives an empty text. A JSON string stands as it is, any other value as compact JSON with the digits
 * it was written with. A text is looked through once: what was put in is not looked at again.
 */
#ifndef CORE_TEMPLATE_H
#define CORE_TEMPLATE_H
#include "base/str.h"
#include "pawl/err.h"
#include "base/json_members.h"

/* What the look-ups find. Borrowed. */
struct template_values {
    struct slice name, fired_at, output; /* SLICE_NONE: not there */
    const struct json_members *body;     /* NULL: not there, or no JSON */
};

/* 0, or -EINVAL with *reterr saying what stands between which braces and what may stand there; its column is the byte, from 1. */
int template_check(struct slice text, struct diag *reterr);

/* Appends the text with its look-ups replaced. It must have passed template_check(). False when *ret has become longer than that: it
 * is not whole then, and longer by one value at most. */
bool template_render(struct slice text, const struct template_values *v, size_t bytes_max,
                     struct str *ret);

/* Appends a JSON value as look-ups are replaced by it; it is one (json_compact.h). */
void template_add_json(struct slice value, struct str *ret);

#endif
