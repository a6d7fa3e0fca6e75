/* json_members.h - a JSON text whose members are found by name, and taken as they were written.
 *
 *     struct json_members m;
 *     if (json_members_open(&m, text)) {
 *         const json_t *v = json_members_get(m.root, SLICE("topic"));
 *         if (v != NULL) ...                            -> json_members_text(&m, v)
 *         json_members_close(&m);
 *     }
 *
 * Parsed and printed again a number might have other digits, or be none: {"id": 12345678901234567890} is JSON, but nothing that fits a
 * C type. One pass finds where each value stands; arrays are not looked into.
 */
#ifndef BASE_JSON_MEMBERS_H
#define BASE_JSON_MEMBERS_H
#include "base/json.h"
#include "base/str.h"
#include <stdbool.h>

struct json_members {
    struct slice text; /* borrowed */
    json_t *root;      /* of the outermost value */
};

/* False, and nothing to close, when the text is not one JSON value (json_compact.h), or an object in it has two members of one name. */
bool json_members_open(struct json_members *m, struct slice text);
void json_members_close(struct json_members *m); /* {0} is fine */

/* The member of `value`; NULL when there is none, or `value` is no object. The name is not empty. */
const json_t *json_members_get(const json_t *value, struct slice name);

/* The value as it stands in the text. */
struct slice json_members_text(const struct json_members *m, const json_t *value);

#endif
