#include <string.h>
#include "base/str.h"

static bool is_tail(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* RFC 3629, section 4: the first byte decides the length and the range of the second, the rest
 * are 80..BF. */
size_t utf8_char(struct slice text)
{
    const uint8_t *p = (const uint8_t *)text.p;

    if (text.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    size_t len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (text.len < len)
        return 0;
    uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (!is_tail(p[i]))
            return 0;
    return len;
}

bool utf8_valid(struct slice text)
{
    const uint64_t high_bits = 0x8080808080808080u;

    while (text.len > 0) {
        uint64_t eight;

        if (text.len >= sizeof(eight)) {
            memcpy(&eight, text.p, sizeof(eight));
            if ((eight & high_bits) == 0) {
                text.p += sizeof(eight);
                text.len -= sizeof(eight);
                continue;
            }
        }
        size_t n = utf8_char(text);

        if (n == 0)
            return false;
        text.p += n;
        text.len -= n;
    }
    return true;
}

size_t utf8_cut(struct slice text, size_t max)
{
    if (text.len <= max)
        return text.len;
    for (size_t back = 0; back < 4 && back <= max; back++)
        if (!is_tail((uint8_t)text.p[max - back]))
            return max - back;
    return max;
}
