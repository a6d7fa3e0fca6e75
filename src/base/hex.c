#include "base/hex.h"

void hex_encode(const uint8_t *p, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[p[i] >> 4];
        ret[2 * i + 1] = digits[p[i] & 15];
    }
    ret[2 * len] = '\0';
}

bool hex_decode(struct slice text, uint8_t *ret, size_t len)
{
    /* one more than the digit's value; 0: not a digit */
    static const uint8_t values[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    };
    const uint8_t *p = (const uint8_t *)text.p;

    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned high = values[p[2 * i]], low = values[p[2 * i + 1]];

        if (high == 0 || low == 0)
            return false;
        ret[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}
