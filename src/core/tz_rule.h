/* tz_rule.h - the rule at the end of a TZif file, for all times after its table: a POSIX TZ string
 * such as "CET-1CEST,M3.5.0,M10.5.0/3" (RFC 9636, section 3.3.2, with the hours -167 to 167 of
 * version 3).
 *
 * Internal to tz.
 */
#ifndef CORE_TZ_RULE_H
#define CORE_TZ_RULE_H
#include "base/str.h"
#include "core/tz.h"
#include <stdbool.h>
#include <stdint.h>

/* A moment of every year, by the clocks that are shown until then. */
struct tz_rule_date {
    enum { TZ_DAY_NO_LEAP, TZ_DAY_ZERO_BASED, TZ_DAY_OF_WEEK } kind; /* J60, 59, M3.5.0 */
    int day;               /* 1..365 without 29 February, or 0..365 */
    int month, week, wday; /* the week-th (5: the last) wday of the month */
    int32_t time_s;        /* after midnight; may be negative or beyond the day */
};

struct tz_rule {
    int32_t offset, dst_offset; /* seconds east of UTC */
    bool has_dst;               /* and then: */
    struct tz_rule_date start, end;
};

/* From `at` on, this offset. */
struct tz_event {
    int64_t at;
    int32_t offset;
};

/* Reads a rule; false, *ret untouched, when it is not one. */
bool tz_rule_parse(struct slice text, struct tz_rule *ret);

/* The two changes of a year, in order of time. Only for rules with daylight saving time. */
void tz_rule_year(const struct tz_rule *r, int year, struct tz_event ret[2]);

/* The span that an instant is in, as if the rule had always held. */
struct tz_span tz_rule_at(const struct tz_rule *r, int64_t t);

#endif
