/* tz.h - time zones: what the clocks of a place show at an instant, and when they showed something.
 *
 * Pure: a zone is made from the bytes of a TZif file (RFC 9636, versions 1 to 4); io/tzdata finds
 * and shares them. A zone never changes once it is made, so any number of schedules may borrow it.
 *
 * Instants are seconds since 1970 UTC. A local time is what the clocks of a place show, read as if
 * it were UTC: 1970-01-01 02:00 on the wall is 7200, wherever the wall is. A NULL zone is UTC.
 * Times beyond TZ_TIME_MAX are bugs of the caller (CHECKed).
 *
 *     struct tz *berlin = tz_create(bytes, &why);               NULL: why.msg says why
 *     tz_at(berlin, 1767225600).offset                          3600: local time minus UTC
 *     switch (tz_from_local(berlin, local, &first, &last)) ...  shown once, twice or not
 */
#ifndef CORE_TZ_H
#define CORE_TZ_H
#include "base/str.h"
#include "pawl/err.h"
#include <stdint.h>

#define TZ_BYTES_MAX (64 * 1024) /* of a file; the largest real one has under 4 KiB */

/* All offsets are between these, as RFC 9636 has it. */
#define TZ_OFFSET_MIN (-25 * 3600 + 1)
#define TZ_OFFSET_MAX (26 * 3600 - 1)

#define TZ_TIME_MAX INT64_C(1000000000000) /* seconds before and after 1970: some 31,000 years */

struct tz;

/* Makes a zone from a whole file. Every byte that matters is checked; files that count leap
 * seconds are refused. NULL, with *reterr saying why, when the file is not valid. The bytes are
 * not needed afterwards. */
struct tz *tz_create(struct slice file, struct diag *reterr);
void tz_destroy(struct tz *tz); /* NULL is fine */

/* The offset that holds for from <= t < until. The spans of a zone follow each other without
 * gaps; two neighbours may have the same offset. */
struct tz_span {
    int64_t from, until; /* INT64_MIN, INT64_MAX: without end */
    int32_t offset;
};

/* The span that an instant is in. */
struct tz_span tz_at(const struct tz *tz, int64_t t);

enum tz_fit {
    TZ_ONCE,     /* the clocks show it at one instant: *ret_first == *ret_last */
    TZ_SKIPPED,  /* a jump passes over it: both are the jump, the first instant of a later time */
    TZ_REPEATED, /* the clocks are set back and show it again: the first and the last instant */
};

/* When the clocks show a local time. *ret_first is always the first instant at which they show
 * this time or a later one. */
enum tz_fit tz_from_local(const struct tz *tz, int64_t local, int64_t *ret_first,
                          int64_t *ret_last);

#endif
