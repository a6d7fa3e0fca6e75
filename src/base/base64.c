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

void str_add_base64(struct str *s, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    str_reserve(s, (bytes.len + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.len; i += 3) {
        const size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (uint8_t)bytes.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            str_add_char(s, k <= n ? digits[v >> (18 - 6 * k) & 63] : '=');
    }
}
