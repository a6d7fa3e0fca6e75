#include "base/json.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mem.h"

#define JSON_DEPTH_MAX 64
#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
#define NAME_CHARS_MAX 100 /* of a client's field name, in a message */

/* ---- parsing ---- */

/* Finds what jansson must not see: a bracket that opens one level too many (it recurses), or a NUL (it takes that for the end).
 * Brackets in strings do not count. Returns what is wrong, or NULL. */
static const char *find_offence(struct slice text, size_t *ret_at)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];

        *ret_at = i;
        if (c == '\0')
            return "a NUL byte";
        if (in_string) {
            if (c == '\\' && text.len - i >= 6 && memcmp(text.p + i + 1, "u0000", 5) == 0)
                return "a NUL character";
            if (c == '\\' && i + 1 < text.len && text.p[i + 1] != '\0')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX) {
            return "more than " STRINGIFY(JSON_DEPTH_MAX) " levels of nesting";
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return NULL;
}

static void fail_at(struct diag *d, int line, int column, const char *text)
{
    diag_set(d, DIAG_INVALID_ARGUMENT, "not valid JSON at line %d, column %d: %s", line, column,
             text);
    if (d != NULL) {
        d->line = line;
        d->column = column;
    }
}

static void fail_at_byte(struct diag *d, struct slice text, size_t at, const char *why)
{
    int line = 1, column = 1;

    for (size_t i = 0; i < at; i++) {
        bool newline = text.p[i] == '\n';

        line += newline;
        column = newline ? 1 : column + 1;
    }
    fail_at(d, line, column, why);
}

json_t *json_parse(struct slice text, struct diag *reterr)
{
    json_error_t err;
    size_t at;
    const char *offence = find_offence(text, &at);

    if (offence != NULL) {
        fail_at_byte(reterr, text, at, offence);
        return NULL;
    }
    json_t *v =
        json_loadb(text.p ? text.p : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &err);

    if (v == NULL)
        fail_at(reterr, err.line > 0 ? err.line : 1, err.column > 0 ? err.column : 1, err.text);
    return v;
}

static bool is_empty(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (memchr(" \t\r\n", text.p[i], 4) == NULL)
            return false;
    return true;
}

json_t *json_parse_object(struct slice text, struct diag *reterr)
{
    if (is_empty(text)) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "a JSON object is expected, got nothing");
        return NULL;
    }
    json_t *v = json_parse(text, reterr);

    if (v != NULL && !json_is_object(v)) {
        json_decref(v);
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "a JSON object is expected, got another value");
        return NULL;
    }
    return v;
}

/* ---- writing ---- */

/* The shortest text that reads back as the same number and still looks like a real one. */
static void add_real(struct str *s, double d)
{
    char text[40];

    if (!isfinite(d)) {
        str_add_cstr(s, "null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, d);
        if (strtod(text, NULL) == d)
            break;
    }
    str_add_cstr(s, text);
    if (strpbrk(text, ".e") == NULL)
        str_add_cstr(s, ".0");
}

static void add_object(struct str *s, const json_t *v)
{
    const char *key;
    json_t *member;
    bool first = true;

    str_add_char(s, '{');
    json_object_foreach((json_t *)v, key, member)
    {
        if (!first)
            str_add_char(s, ',');
        first = false;
        str_add_json(s, slice_of(key));
        str_add_char(s, ':');
        str_add_json_value(s, member);
    }
    str_add_char(s, '}');
}

static void add_array(struct str *s, const json_t *v)
{
    str_add_char(s, '[');
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i > 0)
            str_add_char(s, ',');
        str_add_json_value(s, json_array_get(v, i));
    }
    str_add_char(s, ']');
}

void str_add_json_value(struct str *s, const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT:
        add_object(s, v);
        break;
    case JSON_ARRAY:
        add_array(s, v);
        break;
    case JSON_STRING:
        str_add_json(s, (struct slice){json_string_value(v), json_string_length(v)});
        break;
    case JSON_INTEGER:
        str_add_i64(s, json_integer_value(v));
        break;
    case JSON_REAL:
        add_real(s, json_real_value(v));
        break;
    case JSON_TRUE:
        str_add_cstr(s, "true");
        break;
    case JSON_FALSE:
        str_add_cstr(s, "false");
        break;
    case JSON_NULL:
        str_add_cstr(s, "null");
        break;
    }
}

/* ---- taking fields ---- */

void json_fields_fail(struct json_fields *f, const char *name, const char *fmt, ...)
{
    char text[sizeof(f->why->msg)];
    va_list ap;

    if (f->failed)
        return;
    f->failed = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const char *dot = *f->path && *name ? "." : "", *colon = *f->path || *name ? ": " : "";

    diag_set(f->why, DIAG_INVALID_ARGUMENT, "%s%s%s%s%s", f->path, dot, name, colon, text);
}

void json_fields_begin(struct json_fields *f, json_t *object, const char *path, struct diag *reterr)
{
    *f = (struct json_fields){.object = object, .path = path, .why = reterr};
    if (object != NULL && !json_is_object(object))
        json_fields_fail(f, "", "must be an object");
}

/* Notes that `name` is known; its value, or NULL when it is absent, null, or a field before it was
 * wrong. */
static json_t *take(struct json_fields *f, const char *name)
{
    if (f->failed)
        return NULL;
    unsigned i = 0;
    json_t *v = json_object_get(f->object, name);

    while (i < f->name_count && strcmp(f->names[i], name) != 0)
        i++;
    if (i == f->name_count) {
        CHECK(i < ARRAY_SIZE(f->names));
        f->names[f->name_count++] = name;
    }
    if (v != NULL)
        f->taken |= (uint64_t)1 << i;
    return json_is_null(v) ? NULL : v;
}

static json_t *take_typed(struct json_fields *f, const char *name, enum json_need need,
                          json_type type, const char *expected)
{
    json_t *v = take(f, name);

    if (v == NULL) {
        if (need == JSON_REQUIRED)
            json_fields_fail(f, name, "is required");
        return NULL;
    }
    if (json_typeof(v) != type) {
        json_fields_fail(f, name, "must be %s", expected);
        return NULL;
    }
    return v;
}

bool json_has(struct json_fields *f, const char *name)
{
    return take(f, name) != NULL;
}

const char *json_take_string(struct json_fields *f, const char *name, enum json_need need)
{
    return json_string_value(take_typed(f, name, need, JSON_STRING, "a string"));
}

bool json_take_bool(struct json_fields *f, const char *name, bool dflt)
{
    json_t *v = take(f, name);

    if (v == NULL)
        return dflt;
    if (!json_is_boolean(v)) {
        json_fields_fail(f, name, "must be true or false");
        return dflt;
    }
    return json_is_true(v);
}

int64_t json_take_int(struct json_fields *f, const char *name, int64_t dflt, int64_t min,
                      int64_t max)
{
    json_t *v = take_typed(f, name, JSON_OPTIONAL, JSON_INTEGER, "an integer");

    if (v == NULL)
        return dflt;
    int64_t n = json_integer_value(v);

    if (n < min || n > max) {
        json_fields_fail(f, name, "%lld is out of range %lld-%lld", (long long)n, (long long)min,
                         (long long)max);
        return dflt;
    }
    return n;
}

double json_take_number(struct json_fields *f, const char *name, double dflt, double min,
                        double max)
{
    json_t *v = take(f, name);

    if (v == NULL)
        return dflt;
    if (!json_is_number(v)) {
        json_fields_fail(f, name, "must be a number");
        return dflt;
    }
    double n = json_number_value(v);

    if (n < min || n > max) {
        json_fields_fail(f, name, "%.15g is out of range %.15g-%.15g", n, min, max);
        return dflt;
    }
    return n;
}

json_t *json_take_object(struct json_fields *f, const char *name, enum json_need need)
{
    return take_typed(f, name, need, JSON_OBJECT, "an object");
}

json_t *json_take_array(struct json_fields *f, const char *name, enum json_need need)
{
    return take_typed(f, name, need, JSON_ARRAY, "an array");
}

json_t *json_take_any(struct json_fields *f, const char *name)
{
    return take(f, name);
}

void json_ignore(struct json_fields *f, const char *name)
{
    take(f, name);
}

/* ---- the end ---- */

static bool is_known(const struct json_fields *f, const char *name)
{
    for (unsigned i = 0; i < f->name_count; i++)
        if (strcmp(f->names[i], name) == 0)
            return true;
    return false;
}

static void refuse_unknown(struct json_fields *f, const char *name)
{
    struct str known = {0};

    for (unsigned i = 0; i < f->name_count; i++)
        str_printf(&known, "%s%s", i > 0 ? ", " : "", f->names[i]);
    char *shown = mem_printf("%.*s", NAME_CHARS_MAX, name);

    json_fields_fail(f, shown, "is not a known field (known: %s)", known.p ? known.p : "none");
    free(shown);
    str_release(&known);
}

int json_fields_end(struct json_fields *f)
{
    const char *name;
    json_t *v;

    if (f->failed)
        return -EINVAL;
    if ((size_t)__builtin_popcountll(f->taken) == json_object_size(f->object))
        return 0;
    json_object_foreach(f->object, name, v)
    {
        if (!is_known(f, name)) {
            refuse_unknown(f, name);
            return -EINVAL;
        }
    }
    CHECK(!"a field is neither taken nor unknown");
    return -EINVAL;
}
