#include "base/prng.h"
#include "base/check.h"

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void prng_init(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        p->s[i] = splitmix64(&seed);
}

uint64_t prng_u64(struct prng *p)
{
    uint64_t *s = p->s;
    const uint64_t result = rotl(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Lemire's multiplication: the high half of a 128-bit product is the answer; the few low halves
 * that would favour some answers are drawn again. */
uint64_t prng_below(struct prng *p, uint64_t bound)
{
    CHECK(bound > 0);
    const uint64_t biased = -bound % bound;
    unsigned __int128 product;

    do {
        product = (unsigned __int128)prng_u64(p) * bound;
    } while ((uint64_t)product < biased);
    return (uint64_t)(product >> 64);
}
