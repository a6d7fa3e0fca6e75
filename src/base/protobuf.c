#include "base/protobuf.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* Takes n bytes from the front. */
static bool skip(struct slice *s, uint64_t n)
{
    if (n > s->len)
        return false;
    *s = (struct slice){s->p + n, s->len - (size_t)n};
    return true;
}

static bool take_varint(struct slice *s, uint64_t *ret)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64 && s->len > 0; shift += 7) {
        const uint8_t byte = (uint8_t)s->p[0];
        skip(s, 1);
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = n;
            return true;
        }
    }
    return false;
}

/* What a field of other types than bytes holds is not looked at. */
static bool skip_value(struct slice *s, enum wire type)
{
    uint64_t n;
    switch (type) {
    case WIRE_VARINT:
        return take_varint(s, &n);
    case WIRE_64:
        return skip(s, 8);
    case WIRE_32:
        return skip(s, 4);
    default:
        return false;
    }
}

bool protobuf_field(struct slice message, uint64_t number, struct slice *ret)
{
    uint64_t tag, len;
    while (take_varint(&message, &tag)) {
        if ((tag & 7) != WIRE_BYTES) {
            if (!skip_value(&message, (enum wire)(tag & 7)))
                return false;
            continue;
        }
        if (!take_varint(&message, &len) || len > message.len)
            return false;
        *ret = (struct slice){message.p, (size_t)len};
        if (tag >> 3 == number)
            return true;
        skip(&message, len);
    }
    return false;
}
