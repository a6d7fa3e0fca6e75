/* duration.h - spans of time as people write them: 120s, 2m, 1m30s, 500ms, 1.5h (the notation of
 * Go).
 *
 * Units: ns, us (or µs), ms, s, m, h. A unit is required; there is no sign, no blank and no bare
 * number.
 */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define DURATION_MS_MAX (UINT64_C(365) * 24 * 3600 * 1000) /* longer texts are refused */

/* Reads a duration; what is finer than a millisecond is rounded up. False, and *ret_ms untouched,
 * when the text is not a duration or is longer than a year. */
bool duration_parse(struct slice text, uint64_t *ret_ms);

/* Seconds as a JSON number gives them, not negative and checked against a limit; rounded, but what is more than nothing stays so: 0
 * often means that there is no limit. */
uint64_t duration_ms_of(double seconds);

/* Writes the shortest usual form: 30s, 1m30s, 500ms, 1.5s, 2m0s, 0s. */
#define DURATION_TEXT_MAX 32
void duration_format(uint64_t ms, char ret[DURATION_TEXT_MAX]);

#endif
