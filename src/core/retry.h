/* retry.h - how long a run waits after a failed attempt.
 *
 * After attempt n it waits backoff_ms * backoff_factor^(n-1), at most backoff_ms_max. With jitter up to that part of the
 * wait is taken off it by chance, so that many runs that failed together do not all come back together: with 0.25 a wait of 8 s is one
 * from 6 to 8 s, with 1 one from 0 to 8 s, each as likely as any other.
 */
#ifndef CORE_RETRY_H
#define CORE_RETRY_H
#include "core/catalog.h" /* struct retry_policy */

struct prng;

/* The wait after that attempt, 1 being the first. Takes a number from the dice only when there is jitter. */
uint64_t retry_wait_ms(const struct retry_policy *r, uint32_t attempt, struct prng *dice);

#endif
