#include "io/store/row_key.h"

#define MS_BITS 42
#define COUNTER_BITS 21
#define RAND_A_BITS 12
#define REST_BITS 53
#define LOW(bits) (((uint64_t)1 << (bits)) - 1)

bool row_key_of(struct uuid id, struct row_key *ret)
{
    const uint64_t high = uuid_high(id), low = uuid_low(id);
    const uint64_t ms = high >> 16, version = high >> 12 & 15, variant = low >> 62;
    if (ms > LOW(MS_BITS) || version != 7 || variant != 2)
        return false;
    const int counter_low_bits = COUNTER_BITS - RAND_A_BITS;
    ret->key = (int64_t)(ms << COUNTER_BITS | (high & LOW(RAND_A_BITS)) << counter_low_bits |
                         (low >> REST_BITS & LOW(counter_low_bits)));
    ret->rest = (int64_t)(low & LOW(REST_BITS));
    return true;
}

struct uuid row_key_uuid(struct row_key k)
{
    const int counter_low_bits = COUNTER_BITS - RAND_A_BITS;
    const uint64_t key = (uint64_t)k.key;
    const uint64_t high = key >> COUNTER_BITS << 16 | (uint64_t)7 << 12 |
                          (key >> counter_low_bits & LOW(RAND_A_BITS));
    const uint64_t low =
        (uint64_t)2 << 62 | (key & LOW(counter_low_bits)) << REST_BITS | (uint64_t)k.rest;
    return uuid_join(high, low);
}

int64_t row_key_at(struct wall t)
{
    if (t.ms < 0)
        return 0;
    if ((uint64_t)t.ms > LOW(MS_BITS))
        return INT64_MAX;
    return (int64_t)((uint64_t)t.ms << COUNTER_BITS);
}

struct wall row_key_time(int64_t key)
{
    return (struct wall){key >> COUNTER_BITS};
}
