/* cron.h - calendar schedules: parse a cron line, ask when it is due next, and what was missed.
 *
 * Pure: no clock, no environment, no allocation. A struct cron is a plain value of 32 bytes; copy
 * it freely, nothing to release. Times are wall-clock milliseconds since 1970 UTC. Zones come from
 * the caller (core/tz.h, io/tzdata) and are only borrowed; NULL is UTC. docs/cron.md is the manual
 * for people.
 *
 *     struct cron c;
 *     struct diag why;
 *     if (cron_parse("30 2 * * MON-FRI", &c, &why) < 0) ...     -> why.msg, why.column
 *     cron_anchor(&c, created_at);                              only @every cares
 *     if (cron_next(&c, tz, now, &due)) ...                     -> due.ms > now.ms
 *
 * A message reads `field 2 (hour): 25 is out of range 0-23`.
 *
 * What a schedule means when the clocks change:
 *
 * - In general it names local times. Each is due at the first instant at which the clocks of the
 *   zone show it or a later time. So one that a jump skips is due once, at the jump (together with
 *   others of the same schedule: an instant is due once), and one that is shown twice is due the
 *   first time.
 * - When its hour field begins with `*`, it names what the clocks show: it is due whenever they
 *   show a time that matches, also when they show it again. So `0 * * * *` comes every hour that
 *   really passes.
 */
#ifndef CORE_CRON_H
#define CORE_CRON_H
#include "pawl/err.h"
#include "pawl/time.h"
#include <stdbool.h>
#include <stdint.h>

struct tz;

#define CRON_TEXT_MAX 1024     /* bytes of an expression */
#define CRON_EVERY_MS_MIN 1000 /* the shortest @every */

enum cron_flags {
    CRON_EVERY = 1 << 0,      /* @every: a period instead of fields */
    CRON_HOUR_STAR = 1 << 1,  /* the hour field begins with '*' */
    CRON_DAY_EITHER = 1 << 2, /* neither day field begins with '*': one that matches is enough */
};

struct cron {
    union {
        struct {
            uint64_t second, minute; /* bit n set: value n matches */
        };
        struct {
            int64_t every_ms, phase_ms; /* due at phase_ms + n * every_ms */
        };
    };
    uint32_t hour, mday; /* mday bits 1..31 */
    uint16_t month;      /* bits 1..12 */
    uint8_t wday;        /* bit 0 = Sunday */
    uint8_t flags;
};

/* Parses five fields (minute, hour, day of month, month, day of week), six with the second
 * first, or an @macro. Returns 0, or -EINVAL with *reterr (its column too) filled: the text is
 * malformed, or no date can ever match; *ret is untouched then. */
int cron_parse(const char *text, struct cron *ret, struct diag *reterr);

/* Makes an @every schedule due at anchor + n periods instead of 1970 + n periods; does nothing
 * to others. Whoever owns the schedule anchors it to something that it remembers, such as its
 * creation, lest it shift with every restart. */
void cron_anchor(struct cron *c, struct wall anchor);

/* Finds the first due time strictly after `after`. False, and *ret untouched, when there is none
 * before the year 10000. (What cron_parse accepts is due at least once in 40 years, the longest
 * being 29 February on a given day of the week.) A time before the year 1, WALL_UNSET too,
 * counts as the beginning of that year. */
bool cron_next(const struct cron *c, const struct tz *tz, struct wall after, struct wall *ret);

/* Finds the last due time in (after, until]; false, and *ret untouched, when there is none. A
 * few dozen times the cost of cron_next, however many are due in between. */
bool cron_latest(const struct cron *c, const struct tz *tz, struct wall after, struct wall until,
                 struct wall *ret);

/* What was missed while nobody looked. */
struct cron_missed {
    uint64_t count;            /* due times, or the limit that was given: then there may be more */
    struct wall first, latest; /* of all there are, counted or not; WALL_UNSET when count is 0 */
};

/* Finds the due times in (last, now] that are at most window_ms old. Counts no further than
 * count_max (at least 1). None when now is not after last, as when the clock was set back. By
 * policy:
 *
 *     skip         nothing to do: the next one is cron_next(now)
 *     fire_once    if (m.count > 0) fire(m.latest)
 *     fire_all     for (due = m.first; m.count-- > 0; cron_next(c, tz, due, &due)) fire(due)
 */
void cron_missed(const struct cron *c, const struct tz *tz, struct wall last, struct wall now,
                 uint64_t window_ms, uint64_t count_max, struct cron_missed *ret);

#endif
