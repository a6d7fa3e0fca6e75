/* decision.h - an event's decisions as the few bytes that stand in its row.
 *
 * Per decision: trigger id (16 bytes), verdict (1), number of runs (4, little endian), the runs'
 * ids (16 each), length of the detail (2), the detail. A decision that fired one run takes 39
 * bytes; as JSON it would take 120.
 */
#ifndef CORE_DECISION_H
#define CORE_DECISION_H
#include "base/arena.h"
#include "pawl/event.h"

const char *verdict_name(enum verdict v); /* "fired", "cooldown", ...; static memory */

/* Encodes n decisions into memory of the arena. A detail longer than 64 KiB is cut. */
struct slice decision_encode(struct arena *a, const struct decision *d, size_t n);

/* Reads the decision at *at and moves *at behind it. False at the end, and on bytes that are not an
 * encoding: then *at and *ret are untouched. The result's detail points into the encoding, its runs
 * into the arena. */
bool decision_decode(struct slice *at, struct arena *a, struct decision *ret);

#endif
