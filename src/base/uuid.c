#include "base/uuid.h"
#include <string.h>
#include "base/hex.h"

/* Version 7, RFC 9562, section 5.7, as it is filled in here:
 *
 *     bytes 0-5     milliseconds since 1970
 *     byte  6       version (4 bits), counter bits 20..17
 *     byte  7       counter bits 16..9
 *     byte  8       variant (2 bits), counter bits 8..3
 *     byte  9       counter bits 2..0, 5 bits random
 *     bytes 10-15   random
 *
 * Milliseconds (42 bits, until the year 2109) and counter make 63 bits together: the store keys its
 * rows by them.
 */
#define UUID_MS_MAX (((int64_t)1 << 42) - 1)
#define COUNTER_BITS 21

/* Where the dashes are not: text offset and length in bytes of each group. */
static const struct {
    uint8_t text_at, byte_at, bytes;
} groups[] = {{0, 0, 4}, {9, 4, 2}, {14, 6, 2}, {19, 8, 2}, {24, 10, 6}};

bool uuid_is_nil(struct uuid id)
{
    uint64_t half[2];

    memcpy(half, id.b, sizeof(half));
    return (half[0] | half[1]) == 0;
}

int uuid_cmp(struct uuid a, struct uuid b)
{
    return memcmp(a.b, b.b, sizeof(a.b));
}

bool uuid_parse(struct slice text, struct uuid *ret)
{
    struct uuid id;

    if (text.len != UUID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        struct slice digits = {text.p + groups[i].text_at, 2u * groups[i].bytes};

        if (i > 0 && digits.p[-1] != '-')
            return false;
        if (!hex_decode(digits, id.b + groups[i].byte_at, groups[i].bytes))
            return false;
    }
    *ret = id;
    return true;
}

void uuid_format(struct uuid id, char ret[UUID_TEXT_LEN + 1])
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        hex_encode(id.b + groups[i].byte_at, groups[i].bytes, ret + groups[i].text_at);
        if (i + 1 < sizeof(groups) / sizeof(groups[0]))
            ret[groups[i + 1].text_at - 1] = '-';
    }
}

void str_add_uuid(struct str *s, struct uuid id)
{
    str_reserve(s, UUID_TEXT_LEN);
    uuid_format(id, s->p + s->len);
    s->len += UUID_TEXT_LEN;
}

void str_add_json_uuid(struct str *s, struct uuid id)
{
    if (uuid_is_nil(id)) {
        str_add_cstr(s, "null");
        return;
    }
    str_add_char(s, '"');
    str_add_uuid(s, id);
    str_add_char(s, '"');
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t n = 0;

    for (int i = 0; i < 8; i++)
        n = n << 8 | p[i];
    return n;
}

static void store64(uint8_t *p, uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8)
        p[i] = (uint8_t)n;
}

uint64_t uuid_high(struct uuid id)
{
    return load64(id.b);
}

uint64_t uuid_low(struct uuid id)
{
    return load64(id.b + 8);
}

struct uuid uuid_join(uint64_t high, uint64_t low)
{
    struct uuid id;

    store64(id.b, high);
    store64(id.b + 8, low);
    return id;
}

struct wall uuid_time(struct uuid id)
{
    return (struct wall){(int64_t)(uuid_high(id) >> 16)};
}

static void put_random(struct uuid *id, size_t from, struct prng *p)
{
    for (size_t at = from; at < sizeof(id->b); at += 8) {
        uint64_t r = prng_u64(p);
        size_t room = sizeof(id->b) - at;

        memcpy(id->b + at, &r, room < 8 ? room : 8);
    }
}

struct uuid uuid_random(struct prng *p)
{
    struct uuid id;

    put_random(&id, 0, p);
    id.b[6] = (uint8_t)(0x40 | (id.b[6] & 0x0f));
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

/* The counter of a fresh millisecond starts at random in its lower half, so that at least 2^20 ids
 * fit. */
static void start_millisecond(struct uuid_gen *g, int64_t ms, struct prng *p)
{
    g->ms = ms;
    g->counter = (uint32_t)(prng_u64(p) >> (64 - (COUNTER_BITS - 1)));
}

struct uuid uuid_next(struct uuid_gen *g, struct wall now, struct prng *p)
{
    if (now.ms > g->ms && now.ms <= UUID_MS_MAX)
        start_millisecond(g, now.ms, p);
    else if (++g->counter >> COUNTER_BITS != 0)
        start_millisecond(g, g->ms + 1, p);

    struct uuid id;
    uint64_t ms = (uint64_t)g->ms;
    uint32_t counter = g->counter;

    for (int i = 5; i >= 0; i--, ms >>= 8)
        id.b[i] = (uint8_t)ms;
    put_random(&id, 9, p);
    id.b[6] = (uint8_t)(0x70 | counter >> 17);
    id.b[7] = (uint8_t)(counter >> 9);
    id.b[8] = (uint8_t)(0x80 | (counter >> 3 & 0x3f));
    id.b[9] = (uint8_t)(counter << 5 | (id.b[9] & 0x1f));
    return id;
}
