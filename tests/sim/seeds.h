/* seeds.h - what all simulations have in common: they are run with seeds, and the same seed does the same.
 *
 *     sim_NAME [SEED [STEPS]]       without a seed: a few of them, from 1 on; each is printed before it is used
 */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All that is put in, in its order, as one number. */
struct digest {
    uint64_t value;
};
void digest_add(struct digest *d, const void *p, size_t len);

/* A simulation's main(). simulate() does it from one seed, says how it went when it is `loud`, and returns a digest of what it did; it
 * is called twice for each seed. The numbers are for when none are given. */
int seeds_main(int argc, char **argv, uint64_t (*simulate)(uint64_t seed, unsigned steps, bool loud),
               unsigned seeds, unsigned steps);

#endif
