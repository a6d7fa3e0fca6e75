#include "io/yaml/scalar.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mem.h"

#define DECIMAL "0123456789"

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (slice_is(text, *words))
            return true;
    return false;
}

static bool is_null(struct slice text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    return is_one_of(text, words);
}

static bool is_true(struct slice text)
{
    static const char *const words[] = {"true", "True", "TRUE", NULL};

    return is_one_of(text, words);
}

static bool is_false(struct slice text)
{
    static const char *const words[] = {"false", "False", "FALSE", NULL};

    return is_one_of(text, words);
}

static struct slice behind(struct slice text, size_t n)
{
    return (struct slice){text.p + n, text.len - n};
}

static bool eat(struct slice *text, const char *any_of)
{
    if (text->len == 0 || text->p[0] == '\0' || strchr(any_of, text->p[0]) == NULL)
        return false;
    *text = behind(*text, 1);
    return true;
}

static size_t eat_all(struct slice *text, const char *any_of)
{
    size_t n = 0;

    while (eat(text, any_of))
        n++;
    return n;
}

static bool is_digits(struct slice text, const char *digits)
{
    return eat_all(&text, digits) > 0 && text.len == 0;
}

static bool is_int(struct slice text)
{
    if (slice_starts(text, "0o"))
        return is_digits(behind(text, 2), "01234567");
    if (slice_starts(text, "0x"))
        return is_digits(behind(text, 2), "0123456789abcdefABCDEF");
    eat(&text, "+-");
    return is_digits(text, DECIMAL);
}

static bool is_infinite(struct slice text)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", NULL};

    eat(&text, "+-");
    return is_one_of(text, words);
}

static bool is_nan(struct slice text)
{
    static const char *const words[] = {".nan", ".NaN", ".NAN", NULL};

    return is_one_of(text, words);
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_decimal(struct slice text)
{
    eat(&text, "+-");
    size_t whole = eat_all(&text, DECIMAL), fraction = 0;

    if (eat(&text, "."))
        fraction = eat_all(&text, DECIMAL);
    if (whole + fraction == 0)
        return false;
    if (!eat(&text, "eE"))
        return text.len == 0;
    eat(&text, "+-");
    return is_digits(text, DECIMAL);
}

static bool is_float(struct slice text)
{
    return is_decimal(text) || is_infinite(text) || is_nan(text);
}

enum scalar_kind scalar_kind(struct slice text)
{
    if (is_null(text))
        return SCALAR_NULL;
    if (is_true(text) || is_false(text))
        return SCALAR_BOOL;
    if (is_int(text))
        return SCALAR_INT;
    if (is_float(text))
        return SCALAR_FLOAT;
    return SCALAR_STRING;
}

static json_t *int_value(struct slice text, const char **ret_why)
{
    const int base = slice_starts(text, "0o") ? 8 : slice_starts(text, "0x") ? 16 : 10;
    char *copy = mem_dup(text.p, text.len), *digits = base == 10 ? copy : copy + 2;

    errno = 0;
    const intmax_t n = strtoimax(digits, NULL, base);
    const bool too_big = errno == ERANGE;

    free(copy);
    if (too_big) {
        *ret_why = "the integer does not fit into 64 bits";
        return NULL;
    }
    return json_integer(n);
}

static json_t *float_value(struct slice text, const char **ret_why)
{
    if (!is_decimal(text)) {
        *ret_why = "infinity and NaN are not supported";
        return NULL;
    }
    char *copy = mem_dup(text.p, text.len);
    const double d = strtod(copy, NULL);

    free(copy);
    if (!isfinite(d)) {
        *ret_why = "the number is too big";
        return NULL;
    }
    return json_real(d);
}

static json_t *string_value(struct slice text, const char **ret_why)
{
    if (memchr(text.p, '\0', text.len) != NULL) {
        *ret_why = "a string must not contain NUL";
        return NULL;
    }
    json_t *v = json_stringn(text.p, text.len);

    if (v == NULL)
        *ret_why = "a string must be valid UTF-8";
    return v;
}

json_t *scalar_value(struct slice text, enum scalar_kind kind, const char **ret_why)
{
    CHECK(text.p != NULL);
    *ret_why = "the value does not fit its tag";
    switch (kind) {
    case SCALAR_NULL:
        return is_null(text) ? json_null() : NULL;
    case SCALAR_BOOL:
        return is_true(text) ? json_true() : is_false(text) ? json_false() : NULL;
    case SCALAR_INT:
        return is_int(text) ? int_value(text, ret_why) : NULL;
    case SCALAR_FLOAT:
        return is_float(text) ? float_value(text, ret_why) : NULL;
    case SCALAR_STRING:
        return string_value(text, ret_why);
    }
    return NULL;
}
