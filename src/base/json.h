/* json.h - reading JSON that people send, with errors that name the field.
 *
 * A thin layer over jansson: parse with bounds, take fields out of an object one by one with their types checked, and at the
 * end refuse whatever was not asked for. The first error sticks; the takes after it return their defaults.
 *
 *     struct json_fields f;
 *     json_fields_begin(&f, root, "config", &why);          "" for the top level; the path prefixes messages
 *     const char *expr = json_take_string(&f, "cron_expr", JSON_REQUIRED);
 *     int64_t every = json_take_int(&f, "cooldown_seconds", 0, 0, 86400);
 *     if (json_fields_end(&f) < 0) return -EINVAL;          -> why.msg: `config.cron_expr: is required`
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include "base/str.h"
#include "pawl/err.h"
#include <jansson.h>
#include <stdbool.h>

/* Parses one JSON value (any type) that makes up the whole text. Refuses invalid UTF-8, duplicate keys, more than 64 levels
 * of nesting, and NUL in strings. NULL with *reterr (line and column set) on failure. The caller owns the reference. */
json_t *json_parse(struct slice text, struct diag *reterr);

/* As json_parse, and the value must be an object. An empty text is an error that says a JSON object is expected. */
json_t *json_parse_object(struct slice text, struct diag *reterr);

/* Appends the value as compact JSON. */
void str_add_json_value(struct str *s, const json_t *v);

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

struct json_fields {
    json_t *object;       /* borrowed */
    const char *path;     /* borrowed; "" at the top */
    struct diag *why;     /* where the first error goes */
    bool failed;
    uint64_t taken;       /* bit i: the i-th name asked for was present */
    const char *names[64];
    unsigned name_count;
};

void json_fields_begin(struct json_fields *f, json_t *object, const char *path, struct diag *reterr);
bool json_has(struct json_fields *f, const char *name); /* present and not null; counts as asked for */
const char *json_take_string(struct json_fields *f, const char *name, enum json_need need); /* NULL when absent; borrowed */
bool json_take_bool(struct json_fields *f, const char *name, bool dflt);
int64_t json_take_int(struct json_fields *f, const char *name, int64_t dflt, int64_t min, int64_t max);
double json_take_number(struct json_fields *f, const char *name, double dflt, double min, double max);
json_t *json_take_object(struct json_fields *f, const char *name, enum json_need need); /* borrowed; NULL when absent */
json_t *json_take_array(struct json_fields *f, const char *name, enum json_need need);  /* borrowed; NULL when absent */
json_t *json_take_any(struct json_fields *f, const char *name);                         /* borrowed; NULL when absent */
void json_ignore(struct json_fields *f, const char *name); /* accepted and not looked at (read-only fields) */

/* Reports a problem with a field that the caller found: `path.name: text`. */
void json_fields_fail(struct json_fields *f, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Refuses names nobody asked for: `config.bogus: is not a known field`, with the known ones listed. 0, or -EINVAL. */
int json_fields_end(struct json_fields *f);

#endif
