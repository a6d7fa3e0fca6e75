#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/check.h"
#include "base/str.h"
#include "pawl/err.h"

static const struct {
    const char *name;
    int status;
} codes[] = {
    [DIAG_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400},
    [DIAG_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401},
    [DIAG_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403},
    [DIAG_NOT_FOUND] = {"NOT_FOUND", 404},
    [DIAG_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409},
    [DIAG_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 409},
    [DIAG_PAYLOAD_TOO_LARGE] = {"PAYLOAD_TOO_LARGE", 413},
    [DIAG_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429},
    [DIAG_INTERNAL] = {"INTERNAL", 500},
    [DIAG_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [DIAG_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", 504},
};

const char *diag_code_name(enum diag_code code)
{
    CHECK(code < ARRAY_SIZE(codes));
    return codes[code].name;
}

int diag_code_status(enum diag_code code)
{
    CHECK(code < ARRAY_SIZE(codes));
    return codes[code].status;
}

/* The number of bytes of the printable character that text begins with, or 0. */
static size_t printable(struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t len = utf8_char(text);
    bool control =
        (len == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (len == 2 && p[0] == 0xc2 && p[1] < 0xa0);

    return control ? 0 : len;
}

static void copy_clean(struct diag *d, struct slice text)
{
    size_t len = 0;

    while (text.len > 0) {
        size_t n = printable(text), step = n;

        if (n == 0) {
            step = utf8_char(text);
            step = step ? step : 1;
        }
        if (len + (n ? n : 1) >= sizeof(d->msg))
            break;
        for (size_t i = 0; i < n; i++)
            d->msg[len++] = text.p[i];
        if (n == 0)
            d->msg[len++] = '?';
        text.p += step;
        text.len -= step;
    }
    d->msg[len] = '\0';
}

int diag_set(struct diag *d, enum diag_code code, const char *fmt, ...)
{
    char text[2 * sizeof(d->msg)];
    va_list ap;

    if (d == NULL)
        return -EINVAL;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

    d->code = code;
    d->line = d->column = 0;
    copy_clean(d, (struct slice){text, len});
    return -EINVAL;
}
