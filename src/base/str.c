#include "base/str.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "base/mem.h"

#define STR_BYTES_MIN 32

struct slice slice_of(const char *cstr)
{
    return cstr ? (struct slice){cstr, strlen(cstr)} : SLICE_NONE;
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool slice_is(struct slice a, const char *cstr)
{
    return slice_eq(a, slice_of(cstr));
}

bool slice_is_nocase(struct slice a, const char *cstr)
{
    return a.len == strlen(cstr) && (a.len == 0 || strncasecmp(a.p, cstr, a.len) == 0);
}

bool slice_starts(struct slice a, const char *prefix)
{
    size_t n = strlen(prefix);

    return a.len >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice a)
{
    while (a.len > 0 && is_blank(a.p[0])) {
        a.p++;
        a.len--;
    }
    while (a.len > 0 && is_blank(a.p[a.len - 1]))
        a.len--;
    return a;
}

bool slice_u64(struct slice a, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (a.len == 0 || a.len > 19)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (a.p[i] < '0' || a.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(a.p[i] - '0');
    }
    if (n > max)
        return false;
    *ret = n;
    return true;
}

void str_release(struct str *s)
{
    free(s->p);
    *s = (struct str){0};
}

void str_reset(struct str *s)
{
    s->len = 0;
    if (s->p != NULL)
        s->p[0] = '\0';
}

void str_reserve(struct str *s, size_t more)
{
    CHECK(more < SIZE_MAX / 4 && s->len < SIZE_MAX / 4);
    size_t need = s->len + more + 1;

    if (need <= s->cap)
        return;
    size_t cap = s->cap ? s->cap * 2 : STR_BYTES_MIN;

    if (cap < need)
        cap = need;
    s->p = mem_realloc(s->p, cap);
    s->cap = cap;
    s->p[s->len] = '\0';
}

void str_add(struct str *s, const char *p, size_t len)
{
    str_reserve(s, len);
    if (len > 0)
        memcpy(s->p + s->len, p, len);
    s->len += len;
    s->p[s->len] = '\0';
}

void str_add_slice(struct str *s, struct slice a)
{
    str_add(s, a.p, a.len);
}

void str_add_cstr(struct str *s, const char *c)
{
    str_add(s, c, strlen(c));
}

void str_add_char(struct str *s, char c)
{
    str_reserve(s, 1);
    s->p[s->len++] = c;
    s->p[s->len] = '\0';
}

void str_add_u64(struct str *s, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    str_add(s, digits + at, sizeof(digits) - at);
}

void str_add_i64(struct str *s, int64_t n)
{
    if (n < 0)
        str_add_char(s, '-');
    str_add_u64(s, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

void str_printf(struct str *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    str_reserve(s, (size_t)n);
    va_start(ap, fmt);
    CHECK(vsnprintf(s->p + s->len, s->cap - s->len, fmt, ap) == n);
    va_end(ap);
    s->len += (size_t)n;
}

struct slice str_slice(const struct str *s)
{
    return s->p ? (struct slice){s->p, s->len} : SLICE("");
}

char *str_detach(struct str *s)
{
    char *p = s->p ? s->p : mem_zalloc(1);

    *s = (struct str){0};
    return p;
}

/* What stands in a JSON string as it is: printable ASCII but for the quote and the backslash. */
static const uint8_t json_plain[256] = {
    [0x20 ... 0x21] = 1,
    [0x23 ... 0x5b] = 1,
    [0x5d ... 0x7e] = 1,
};

/* The letter of a two-character escape, or 0. */
static const char json_letters[128] = {
    ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
    ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
};

static void add_json_escape(struct str *s, unsigned c)
{
    static const char digits[] = "0123456789abcdef";
    const char letter = c < sizeof(json_letters) ? json_letters[c] : 0;

    if (letter != 0)
        str_add(s, (char[]){'\\', letter}, 2);
    else
        str_add(s, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

/* Appends the character that begins text, which is not a plain one, and returns its length. */
static size_t add_json_char(struct str *s, struct slice text)
{
    const uint8_t *p = (const uint8_t *)text.p;
    size_t len = utf8_char(text);

    if (len == 0) {
        str_add(s, "\xef\xbf\xbd", 3);
        return 1;
    }
    if (len == 1)
        add_json_escape(s, p[0]);
    else if (p[0] == 0xc2 && p[1] < 0xa0) /* C1 controls, which terminals obey */
        add_json_escape(s, p[1]);
    else
        str_add(s, text.p, len);
    return len;
}

void str_add_json(struct str *s, struct slice text)
{
    size_t at = 0;

    str_add_char(s, '"');
    while (at < text.len) {
        str_reserve(s, text.len - at);
        char *out = s->p + s->len;

        while (at < text.len && json_plain[(uint8_t)text.p[at]])
            *out++ = text.p[at++];
        s->len = (size_t)(out - s->p);
        if (at < text.len)
            at += add_json_char(s, (struct slice){text.p + at, text.len - at});
    }
    str_add_char(s, '"');
}

void str_add_json_or_null(struct str *s, struct slice text)
{
    if (text.p != NULL)
        str_add_json(s, text);
    else
        str_add_cstr(s, "null");
}
