#include "core/decision.h"
#include <string.h>
#include "base/check.h"

#define HEAD_BYTES 21 /* trigger, verdict, number of runs */
#define DETAIL_LEN_BYTES 2
#define DETAIL_BYTES_MAX 65535

_Static_assert(sizeof(struct uuid) == 16, "ids are copied as they are");

static const char *const names[VERDICT_COUNT] = {
    [VERDICT_FIRED] = "fired",           [VERDICT_COOLDOWN] = "cooldown",
    [VERDICT_DISABLED] = "disabled",     [VERDICT_NO_MATCH] = "no_match",
    [VERDICT_DEPS_UNMET] = "deps_unmet", [VERDICT_CONCURRENCY] = "concurrency",
    [VERDICT_DUPLICATE] = "duplicate",   [VERDICT_DEPTH] = "depth",
};

const char *verdict_name(enum verdict v)
{
    CHECK(v < VERDICT_COUNT);
    return names[v];
}

/* ---- writing ---- */

/* The detail's length when cut, at a character, to what the encoding can hold. */
static size_t detail_len(struct slice detail)
{
    size_t len = detail.len;

    if (len <= DETAIL_BYTES_MAX)
        return len;
    len = DETAIL_BYTES_MAX;
    while (len > DETAIL_BYTES_MAX - 3 && ((uint8_t)detail.p[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static size_t encoded_size(const struct decision *d)
{
    return HEAD_BYTES + d->run_count * sizeof(struct uuid) + DETAIL_LEN_BYTES +
           detail_len(d->detail);
}

static char *put_bytes(char *at, const void *p, size_t len)
{
    if (len > 0)
        memcpy(at, p, len);
    return at + len;
}

static char *put_number(char *at, size_t n, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++, n >>= 8)
        at[i] = (char)(n & 0xff);
    return at + bytes;
}

static char *put_decision(char *at, const struct decision *d)
{
    size_t detail = detail_len(d->detail);

    CHECK(d->verdict < VERDICT_COUNT && d->run_count <= UINT32_MAX);
    at = put_bytes(at, d->trigger.b, sizeof(d->trigger.b));
    at = put_number(at, d->verdict, 1);
    at = put_number(at, d->run_count, 4);
    at = put_bytes(at, d->runs, d->run_count * sizeof(struct uuid));
    at = put_number(at, detail, DETAIL_LEN_BYTES);
    return put_bytes(at, d->detail.p, detail);
}

struct slice decision_encode(struct arena *a, const struct decision *d, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += encoded_size(&d[i]);
    char *text = arena_alloc(a, size), *at = text;

    for (size_t i = 0; i < n; i++)
        at = put_decision(at, &d[i]);
    CHECK(at == text + size);
    return (struct slice){text, size};
}

/* ---- reading ---- */

static bool take_bytes(struct slice *at, size_t len, const char **ret)
{
    if (at->len < len)
        return false;
    *ret = at->p;
    at->p += len;
    at->len -= len;
    return true;
}

static bool take_number(struct slice *at, unsigned bytes, size_t *ret)
{
    const char *p;

    if (!take_bytes(at, bytes, &p))
        return false;
    *ret = 0;
    for (unsigned i = bytes; i-- > 0;)
        *ret = *ret << 8 | (uint8_t)p[i];
    return true;
}

bool decision_decode(struct slice *at, struct arena *a, struct decision *ret)
{
    struct slice rest = *at;
    const char *trigger, *runs, *detail;
    size_t verdict, run_count, detail_size;

    if (!take_bytes(&rest, sizeof(struct uuid), &trigger) || !take_number(&rest, 1, &verdict) ||
        verdict >= VERDICT_COUNT || !take_number(&rest, 4, &run_count) ||
        run_count > rest.len / sizeof(struct uuid) ||
        !take_bytes(&rest, run_count * sizeof(struct uuid), &runs) ||
        !take_number(&rest, DETAIL_LEN_BYTES, &detail_size) ||
        !take_bytes(&rest, detail_size, &detail))
        return false;

    *ret = (struct decision){.verdict = (enum verdict)verdict, .run_count = run_count};
    memcpy(ret->trigger.b, trigger, sizeof(ret->trigger.b));
    if (run_count > 0) {
        struct uuid *copy = arena_alloc(a, run_count * sizeof(*copy));

        memcpy(copy, runs, run_count * sizeof(*copy));
        ret->runs = copy;
    }
    if (detail_size > 0)
        ret->detail = (struct slice){detail, detail_size};
    *at = rest;
    return true;
}
