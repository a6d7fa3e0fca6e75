/* uuid.h - 128-bit ids (RFC 9562) in binary, their text form, and a monotonic version 7 generator.
 *
 * Version 7 ids begin with the millisecond of their making, so rows keyed by them are appended, never scattered.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H
#include "base/prng.h"
#include "base/str.h"
#include "pawl/time.h"
#include <stdbool.h>
#include <stdint.h>

#define UUID_TEXT_LEN 36

struct uuid {
    uint8_t b[16];
};

#define UUID_NIL ((struct uuid){{0}})

bool uuid_is_nil(struct uuid id);
int uuid_cmp(struct uuid a, struct uuid b); /* as memcmp */
bool uuid_parse(struct slice text, struct uuid *ret); /* 8-4-4-4-12 hexadecimal, either case; *ret untouched on failure */
void uuid_format(struct uuid id, char ret[UUID_TEXT_LEN + 1]); /* lower case, NUL-terminated */
void str_add_uuid(struct str *s, struct uuid id);
void str_add_json_uuid(struct str *s, struct uuid id); /* with quotes; null when it is nil */
/* The two halves as numbers, the first byte being the highest. */
uint64_t uuid_high(struct uuid id);
uint64_t uuid_low(struct uuid id);
struct uuid uuid_join(uint64_t high, uint64_t low);

struct wall uuid_time(struct uuid id); /* the millisecond a version 7 id was made in */
struct uuid uuid_random(struct prng *p); /* version 4 */

/* Makes ids that always increase, also when the clock does not (RFC 9562, section 6.2, method 1 with a 12+9 bit counter
 * in rand_a and the top of rand_b; when the counter is used up, the timestamp runs ahead by a millisecond). */
struct uuid_gen {
    int64_t ms;
    uint32_t counter;
};
struct uuid uuid_next(struct uuid_gen *g, struct wall now, struct prng *p);

#endif
