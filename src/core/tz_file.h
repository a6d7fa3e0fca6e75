/* tz_file.h - reads a TZif file (RFC 9636), versions 1 to 4.
 *
 * Internal to tz. Only what schedules need is kept: when the offset from UTC changes, and the rule
 * for later times. What the clocks are called, and whether a time is daylight saving time, is
 * checked and dropped.
 */
#ifndef CORE_TZ_FILE_H
#define CORE_TZ_FILE_H
#include "base/vec.h"
#include "core/tz_rule.h"

struct tz_file {
    int32_t first_offset;         /* before the first change */
    VEC(struct tz_event) changes; /* ascending; each has another offset than the one before */
    bool has_rule;
    struct tz_rule rule; /* for what is after the table */
    int64_t rule_from;   /* the last entry of the table; INT64_MIN when it is empty */
};

/* 0, and the caller releases ret->changes; or -EINVAL with *reterr, and *ret is untouched. */
int tz_file_parse(struct slice bytes, struct tz_file *ret, struct diag *reterr);

/* Appends a change, unless nothing changes by it. */
void tz_file_add(struct tz_file *f, struct tz_event change);

#endif
