#include "core/manifest.h"
#include "base/check.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- problems ---- */

const char *cause_reason(enum cause c)
{
    static const char *const reasons[] = {
        [CAUSE_REQUIRED] = "FieldValueRequired",          [CAUSE_INVALID] = "FieldValueInvalid",
        [CAUSE_NOT_SUPPORTED] = "FieldValueNotSupported", [CAUSE_DUPLICATE] = "FieldValueDuplicate",
        [CAUSE_WRONG_TYPE] = "FieldValueTypeInvalid",     [CAUSE_TOO_MANY] = "FieldValueTooMany",
        [CAUSE_UNKNOWN] = "FieldValueForbidden",
    };
    return reasons[c];
}

void problem_add(struct problems *p, enum cause c, const char *field, const char *fmt, ...)
{
    p->fatal = p->fatal || c != CAUSE_UNKNOWN;
    if (p->list.len == PROBLEMS_MAX)
        return;
    char message[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    vec_push(&p->list, ((struct problem){c, mem_strdup(field), mem_strdup(message)}));
}

void problems_move(struct problems *p, struct problems *from)
{
    p->fatal = p->fatal || from->fatal;
    for (size_t i = 0; i < from->list.len; i++) {
        const struct problem *x = &from->list.items[i];
        problem_add(p, x->cause, x->field, "%s", x->message);
    }
    problems_release(from);
}

void problems_release(struct problems *p)
{
    for (size_t i = 0; i < p->list.len; i++) {
        free(p->list.items[i].field);
        free(p->list.items[i].message);
    }
    vec_release(&p->list);
    p->fatal = false;
}

/* ---- fields of an object ---- */

#define SHOWN_MAX 80 /* bytes of a value that a message repeats */

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_NULL:
        return "null";
    default:
        return "boolean";
    }
}

static void wrong_type(struct problems *p, const char *field, const json_t *v, const char *want)
{
    problem_add(p, CAUSE_WRONG_TYPE, field,
                "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
                type_name(json_typeof(v)), field, want, type_name(json_typeof(v)));
}

void fields_begin(struct fields *f, json_t *v, const char *path, struct problems *p)
{
    *f = (struct fields){.problems = p};
    snprintf(f->path, sizeof(f->path), "%s", path);
    if (json_is_object(v))
        f->object = v;
    else if (v != NULL && !json_is_null(v))
        wrong_type(p, path, v, "object");
}

void fields_path(const struct fields *f, const char *name, char ret[FIELD_PATH_MAX])
{
    snprintf(ret, FIELD_PATH_MAX, "%.60s%s%s", f->path, f->path[0] != '\0' ? "." : "", name);
}

json_t *fields_take(struct fields *f, const char *name, json_type type)
{
    CHECK(f->known_count < FIELDS_MAX);
    f->known[f->known_count++] = name;
    json_t *v = json_object_get(f->object, name);
    if (v == NULL || json_is_null(v))
        return NULL;
    if (json_typeof(v) == type || (type == JSON_TRUE && json_is_boolean(v)))
        return v;
    fields_wrong_type(f, name, v, type_name(type));
    return NULL;
}

const char *fields_string(struct fields *f, const char *name)
{
    return json_string_value(fields_take(f, name, JSON_STRING));
}

void fields_ignore(struct fields *f, const char *name)
{
    CHECK(f->known_count < FIELDS_MAX);
    f->known[f->known_count++] = name;
}

bool fields_has(const struct fields *f, const char *name)
{
    const json_t *v = json_object_get(f->object, name);
    return v != NULL && !json_is_null(v);
}

static bool is_known(const struct fields *f, const char *name)
{
    for (unsigned i = 0; i < f->known_count; i++)
        if (strcmp(f->known[i], name) == 0)
            return true;
    return false;
}

void fields_end(struct fields *f)
{
    const char *name;
    json_t *v;
    void *next;
    json_object_foreach_safe(f->object, next, name, v)
    {
        if (is_known(f, name))
            continue;
        char field[FIELD_PATH_MAX];
        fields_path(f, name, field);
        problem_add(f->problems, CAUSE_UNKNOWN, field, "unknown field \"%s\"", field);
        if (f->problems->prunes)
            json_object_del(f->object, name);
    }
}

void fields_fail(struct fields *f, enum cause c, const char *name, const char *message)
{
    char field[FIELD_PATH_MAX];
    fields_path(f, name, field);
    problem_add(f->problems, c, field, "%s", message);
}

void fields_refuse(struct fields *f, enum cause c, const char *name, const char *value,
                   const char *why)
{
    char message[400];
    snprintf(message, sizeof(message), "%s value: \"%.*s\": %s",
             c == CAUSE_NOT_SUPPORTED ? "Unsupported" : "Invalid", SHOWN_MAX, value, why);
    fields_fail(f, c, name, message);
}

void fields_wrong_type(struct fields *f, const char *name, const json_t *v, const char *want)
{
    char field[FIELD_PATH_MAX];
    fields_path(f, name, field);
    wrong_type(f->problems, field, v, want);
}
