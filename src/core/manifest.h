/* manifest.h - reading the documents that people apply: all that is wrong is found in one go.
 *
 * base/json.h stops at the first error, which suits a request; a manifest of fifty lines deserves the whole list. Problems are
 * worded as a Kubernetes API server words them, so that the causes of its Status objects and plain error texts can be made of them.
 *
 *     struct fields f;
 *     fields_begin(&f, spec, "spec", &problems);
 *     const char *policy = fields_string(&f, "concurrencyPolicy");
 *     if (policy == NULL && !fields_has(&f, "concurrencyPolicy")) fields_fail(&f, CAUSE_REQUIRED, "concurrencyPolicy", "Required value: ...");
 *     fields_end(&f);                         the names nobody asked for are CAUSE_UNKNOWN, and pruned if that was asked for
 */
#ifndef CORE_MANIFEST_H
#define CORE_MANIFEST_H
#include "base/json.h"
#include "base/vec.h"
#include <stdbool.h>

#define PROBLEMS_MAX 32 /* further ones are not listed */

enum cause {
    CAUSE_REQUIRED,
    CAUSE_INVALID,
    CAUSE_NOT_SUPPORTED, /* not one of a few values */
    CAUSE_DUPLICATE,
    CAUSE_WRONG_TYPE,
    CAUSE_TOO_MANY,
    CAUSE_UNKNOWN, /* a field that there is none of; the spec is right nevertheless */
};
const char *cause_reason(enum cause c); /* "FieldValueRequired", ...; static memory */

struct problem {
    enum cause cause;
    char *field;   /* "spec.targets[0].team" */
    char *message; /* "Required value: ..."; of CAUSE_UNKNOWN: unknown field "spec.bogus" */
};

/* {0} is an empty list. */
struct problems {
    VEC(struct problem) list;
    bool fatal;  /* there is one beside CAUSE_UNKNOWN, listed or not */
    bool prunes; /* set by the caller: unknown fields are taken out of what is read */
};

/* Adds one; the field is copied. */
void problem_add(struct problems *p, enum cause c, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds all of `from` to p; `from` is empty afterwards. */
void problems_move(struct problems *p, struct problems *from);
void problems_release(struct problems *p);

/* ---- the fields of an object, taken one by one ---- */

#define FIELD_PATH_MAX 128
#define FIELDS_MAX 32

struct fields {
    json_t *object; /* borrowed; NULL: there is none, and every field is missing */
    char path[FIELD_PATH_MAX];
    const char *known[FIELDS_MAX];
    unsigned known_count;
    struct problems *problems;
};

/* Begins with an object; NULL, and anything else with a problem, is one without fields. */
void fields_begin(struct fields *f, json_t *v, const char *path, struct problems *p);

/* The value of a field if it is of that type (JSON_TRUE stands for both booleans). NULL when it is missing or null, and with a
 * problem when it is of another type. Borrowed. */
json_t *fields_take(struct fields *f, const char *name, json_type type);
const char *fields_string(struct fields *f, const char *name);

void fields_ignore(struct fields *f, const char *name); /* accepted and not looked at */

/* Whether the field is there, of whatever type: then what is wrong with it has been said. */
bool fields_has(const struct fields *f, const char *name);

/* Refuses a field; the first two with the message as it is, the third with the value in front of the reason. */
void fields_fail(struct fields *f, enum cause c, const char *name, const char *message);
void fields_wrong_type(struct fields *f, const char *name, const json_t *v, const char *want);
void fields_refuse(struct fields *f, enum cause c, const char *name, const char *value, const char *why);

/* "path.name", or the name alone at the top, where the path is "" */
void fields_path(const struct fields *f, const char *name, char ret[FIELD_PATH_MAX]);

void fields_end(struct fields *f);

#endif
