#include "source/zone_name.h"
#include "base/rfc3339.h"
#include <string.h>

/* The part behind the last slash of either kind: browsers have sent whole paths. */
static struct slice base_name(struct slice given)
{
    size_t at = given.len;
    while (at > 0 && given.p[at - 1] != '/' && given.p[at - 1] != '\\')
        at--;
    return (struct slice){given.p + at, given.len - at};
}

/* Controls, C1 ones (two bytes, C2 80 to C2 9F) included. */
static bool is_control(struct slice c)
{
    const unsigned char first = (unsigned char)c.p[0];
    return first < ' ' || first == 0x7f ||
           (c.len == 2 && first == 0xc2 && (unsigned char)c.p[1] < 0xa0);
}

static void add_safe(struct slice text, struct str *ret)
{
    while (text.len > 0) {
        const size_t n = utf8_char(text);
        const struct slice c = {text.p, n > 0 ? n : 1};
        if (n == 0 || is_control(c))
            str_add_char(ret, '_');
        else
            str_add_slice(ret, c);
        text.p += c.len;
        text.len -= c.len;
    }
}

/* Cuts before the extension, which says what it is, and between characters. */
static void shorten(struct str *s, size_t from)
{
    const size_t len = s->len - from;
    if (len <= ZONE_NAME_LEN_MAX)
        return;
    const char *dot = memrchr(s->p + from, '.', len);
    size_t ext = dot != NULL ? (size_t)(s->p + s->len - dot) : 0;
    if (ext > 32)
        ext = 0;
    size_t keep = ZONE_NAME_LEN_MAX - ext;
    while (keep > 0 && (s->p[from + keep] & 0xc0) == 0x80)
        keep--;
    memmove(s->p + from + keep, s->p + s->len - ext, ext);
    s->len = from + keep + ext;
    s->p[s->len] = '\0';
}

void zone_name_make_safe(struct slice given, struct str *ret)
{
    const size_t from = ret->len;
    add_safe(base_name(given), ret);
    shorten(ret, from);
    const struct slice made = {ret->p != NULL ? ret->p + from : "", ret->len - from};
    if (made.len == 0 || slice_is(made, ".") || slice_is(made, "..")) {
        ret->len = from;
        str_add_cstr(ret, "file");
    }
}

void zone_name_store(struct slice safe, struct wall now, uint32_t random, struct str *ret)
{
    char t[RFC3339_LEN + 1];
    rfc3339_format((struct wall){now.ms - now.ms % 1000}, t); /* 2026-02-13T10:05:00Z */
    str_printf(ret, "%.4s%.2s%.2sT%.2s%.2s%.2s%03dZ-%06x_", t, t + 5, t + 8, t + 11, t + 14, t + 17,
               (int)(now.ms % 1000), random & 0xffffff);
    str_add_slice(ret, safe);
}

static bool has_prefix(struct slice name)
{
    static const char form[] = "00000000T000000000Z-xxxxxx_";
    if (name.len <= sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        const char c = name.p[i];
        const bool digit = c >= '0' && c <= '9';
        if (form[i] == '0'   ? !digit
            : form[i] == 'x' ? !digit && (c < 'a' || c > 'f')
                             : c != form[i])
            return false;
    }
    return true;
}

struct slice zone_name_of(struct slice path)
{
    const char *slash = memrchr(path.p, '/', path.len);
    const size_t at = slash != NULL ? (size_t)(slash + 1 - path.p) : 0;
    struct slice name = {path.p + at, path.len - at};
    if (has_prefix(name)) {
        name.p += ZONE_PREFIX_LEN;
        name.len -= ZONE_PREFIX_LEN;
    }
    return name;
}
