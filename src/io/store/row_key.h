/* row_key.h - a version 7 UUID as the integer key of its row and what that does not hold.
 *
 *     UUID    milliseconds (48)            ver (4)  rand_a (12)  var (2)  rand_b (62)
 *     key     0 | milliseconds (42)               | rand_a (12) |         9 |
 *     rest                                                                  | 53
 *
 * base/uuid.h makes ids whose milliseconds and counter are unique within these 63 bits, and grow.
 */
#ifndef IO_STORE_ROW_KEY_H
#define IO_STORE_ROW_KEY_H
#include "base/uuid.h"
#include "pawl/time.h"
#include <stdbool.h>

struct row_key {
    int64_t key;  /* >= 0, in the order of the ids */
    int64_t rest; /* 0 .. 2^53-1 */
};

/* False when the id is not one that uuid_next() makes: there is no row for it then. */
bool row_key_of(struct uuid id, struct row_key *ret);

/* The id that row_key_of() split. */
struct uuid row_key_uuid(struct row_key k);

/* The first key of that millisecond; clamped to what keys can hold. */
int64_t row_key_at(struct wall t);

/* The millisecond a row was made in. */
struct wall row_key_time(int64_t key);

#endif
