#include "core/retry.h"
#include "base/prng.h"

static uint64_t backoff_ms(const struct retry_policy *r, uint32_t attempt)
{
    double ms = (double)r->backoff_ms;
    for (uint32_t i = 1; i < attempt && ms < (double)r->backoff_ms_max; i++)
        ms *= r->backoff_factor;
    return ms < (double)r->backoff_ms_max ? (uint64_t)ms : r->backoff_ms_max;
}

uint64_t retry_wait_ms(const struct retry_policy *r, uint32_t attempt, struct prng *dice)
{
    const uint64_t ms = backoff_ms(r, attempt);
    const uint64_t off_max = (uint64_t)((double)ms * r->jitter);
    if (off_max == 0)
        return ms;
    return ms - prng_below(dice, off_max + 1);
}
