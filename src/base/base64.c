#include "base/base64.h"

/* The value of a digit, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct slice text, struct str *ret)
{
    const size_t start = ret->len;
    uint32_t bits = 0;
    unsigned count = 0;
    size_t len = text.len;
    if (len > 0 && len % 4 == 0 && text.p[len - 1] == '=')
        len -= text.p[len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < len; i++) {
        const int d = digit(text.p[i]);
        if (d < 0)
            goto fail;
        bits = bits << 6 | (uint32_t)d;
        count += 6;
        if (count >= 8) {
            count -= 8;
            str_add_char(ret, (char)(bits >> count & 0xff));
        }
    }
    if (count < 6 && (bits & ((1u << count) - 1)) == 0)
        return true;
fail:
    ret->len = start;
    if (ret->p != NULL)
        ret->p[start] = '\0';
    return false;
}
