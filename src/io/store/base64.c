#include "io/store/base64.h"

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
