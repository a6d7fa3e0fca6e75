/* prng.h - a seeded generator for ids and jitter: xoshiro256** by Blackman and Vigna, seeded through splitmix64.
 *
 * Not for secrets (io/secret makes those). The same seed gives the same numbers, on which the simulator relies.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_u64(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t bound); /* uniform in [0, bound); bound > 0 */

#endif
