/* cron.c - when a schedule is due.
 *
 * Fields are matched against local seconds: what the clocks show, read as if it were UTC
 * (core/tz.h). next_local() finds the next match there by looking for set bits; the two ways of
 * getting from there to an instant are next_fixed() and next_star().
 */
#include "core/cron.h"
#include "base/check.h"
#include "base/civil.h"
#include "core/tz.h"

#define DAY_S 86400
#define YEAR_MIN 1
#define YEAR_MAX 9999
#define YEARS_SEARCHED 40 /* 29 February on a given day of the week, around a year such as 2100 */
#define TIME_MIN INT64_C(-62135596800) /* of the year 1 */
#define TIME_MAX INT64_C(253402300799) /* of the year 9999 */

/* How far two offsets can be apart. */
#define OFFSET_SPREAD (TZ_OFFSET_MAX - TZ_OFFSET_MIN)

/* Rounds down, also below zero. b > 0. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The lowest bit that is set and not below n, or -1. n may be 64. */
static int bit_from(uint64_t bits, int n)
{
    bits = n < 64 ? bits & ~UINT64_C(0) << n : 0;
    return bits != 0 ? __builtin_ctzll(bits) : -1;
}

/* ---- days ---- */

/* The days of a month that match: bit 1 is the first. */
static uint64_t matching_days(const struct cron *c, int64_t first_day, int day_count)
{
    const uint64_t in_month = (UINT64_C(2) << day_count) - 2;
    const int w = civil_weekday(first_day);
    const uint64_t week = (c->wday >> w | c->wday << (7 - w)) & 0x7f; /* bit 0: as the first */
    const uint64_t by_wday = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
    const uint64_t by_mday = c->mday;
    const bool either = (c->flags & CRON_DAY_EITHER) != 0;
    return in_month & (either ? by_mday | by_wday : by_mday & by_wday);
}

/* The first matching day that is not before `day`. */
static bool next_day(const struct cron *c, int64_t day, int64_t *ret)
{
    struct civil d = civil_from_days(day);
    const int year_max = d.year + YEARS_SEARCHED < YEAR_MAX ? d.year + YEARS_SEARCHED : YEAR_MAX;
    while (d.year <= year_max) {
        const int month = bit_from(c->month, d.month);
        if (month != d.month)
            d.day = 1;
        if (month > 0) {
            const int64_t first = civil_to_days((struct civil){d.year, month, 1});
            const int day_count = civil_month_days(d.year, month);
            const int match = bit_from(matching_days(c, first, day_count), d.day);
            if (match > 0) {
                *ret = first + match - 1;
                return true;
            }
        }
        d = month > 0 ? (struct civil){d.year, month + 1, 1} : (struct civil){d.year + 1, 1, 1};
    }
    return false;
}

/* ---- times of day ---- */

/* The first matching second of a day that is not before `from`, or -1. */
static int next_second(const struct cron *c, int from)
{
    int h = from / 3600, m = from / 60 % 60;
    const int s = bit_from(c->second, from % 60);
    if ((c->hour >> h & 1) != 0 && (c->minute >> m & 1) != 0 && s >= 0)
        return h * 3600 + m * 60 + s;
    m = (c->hour >> h & 1) != 0 ? bit_from(c->minute, m + 1) : -1;
    if (m < 0) {
        h = bit_from(c->hour, h + 1);
        m = bit_from(c->minute, 0);
    }
    return h < 0 ? -1 : h * 3600 + m * 60 + bit_from(c->second, 0);
}

/* The first matching local second that is not before `from`. */
static bool next_local(const struct cron *c, int64_t from, int64_t *ret)
{
    int64_t match, day = floor_div(from, DAY_S);
    if (!next_day(c, day, &match))
        return false;
    int second = next_second(c, match == day ? (int)(from - day * DAY_S) : 0);
    if (second < 0) { /* today's have passed */
        if (!next_day(c, day + 1, &match))
            return false;
        second = next_second(c, 0);
    }
    *ret = match * DAY_S + second;
    return true;
}

/* ---- instants ---- */

/* The latest local time that the clocks have shown up to t. It is the present one, unless they were
 * set back not long ago. */
static int64_t latest_shown(const struct tz *tz, struct tz_span span, int64_t t)
{
    int64_t latest = t + span.offset;
    while (span.from > t - OFFSET_SPREAD) {
        const int64_t before = span.from - 1;
        span = tz_at(tz, before);
        if (before + span.offset > latest)
            latest = before + span.offset;
    }
    return latest;
}

/* A local time is due at the first instant at which the clocks show it or a later one. So what they
 * have shown up to now was due, and nothing else. */
static bool next_fixed(const struct cron *c, const struct tz *tz, int64_t after, int64_t *ret)
{
    const struct tz_span span = tz_at(tz, after);
    int64_t local, last;
    if (!next_local(c, latest_shown(tz, span, after) + 1, &local))
        return false;
    if (local - span.offset < span.until)
        *ret = local - span.offset;
    else
        tz_from_local(tz, local, ret, &last);
    return true;
}

/* Every instant at which the clocks show a match is due. The match after one span's first local
 * time may be beyond the span; then the next one has its turn. No clock shows anything that matches
 * between `local` here and the match, so all spans that lie between them can be passed over, except
 * close to here, where an earlier time than `local` may be shown once more. */
static bool next_star(const struct cron *c, const struct tz *tz, int64_t after, int64_t *ret)
{
    int64_t t = after + 1, local;
    for (;;) {
        const struct tz_span span = tz_at(tz, t);
        if (!next_local(c, t + span.offset, &local))
            return false;
        if (local - span.offset < span.until) {
            *ret = local - span.offset;
            return true;
        }
        const int64_t settled = t + OFFSET_SPREAD, close = local - TZ_OFFSET_MAX;
        t = span.until;
        if (t >= settled && t < close)
            t = close;
    }
}

static int64_t next_every(const struct cron *c, int64_t after_ms)
{
    return c->phase_ms + (floor_div(after_ms - c->phase_ms, c->every_ms) + 1) * c->every_ms;
}

/* ---- what is asked ---- */

void cron_anchor(struct cron *c, struct wall anchor)
{
    if ((c->flags & CRON_EVERY) != 0)
        c->phase_ms = anchor.ms - floor_div(anchor.ms, c->every_ms) * c->every_ms;
}

bool cron_next(const struct cron *c, const struct tz *tz, struct wall after, struct wall *ret)
{
    int64_t t, due_ms;
    if (after.ms < TIME_MIN * 1000)
        after.ms = TIME_MIN * 1000 - 1;
    if (after.ms >= TIME_MAX * 1000)
        return false;
    if ((c->flags & CRON_EVERY) != 0) {
        due_ms = next_every(c, after.ms);
    } else {
        const int64_t after_s = floor_div(after.ms, 1000);
        if (!((c->flags & CRON_HOUR_STAR) != 0 ? next_star(c, tz, after_s, &t)
                                               : next_fixed(c, tz, after_s, &t)))
            return false;
        due_ms = t * 1000;
    }
    CHECK(due_ms > after.ms);
    if (due_ms > TIME_MAX * 1000)
        return false;
    ret->ms = due_ms;
    return true;
}

/* Nothing is due in (high, until]; low is due. Where something is due in the upper half, it is the
 * new low, and else the middle is the new high. */
bool cron_latest(const struct cron *c, const struct tz *tz, struct wall after, struct wall until,
                 struct wall *ret)
{
    struct wall low, due, high = {until.ms < TIME_MAX * 1000 ? until.ms : TIME_MAX * 1000};
    if (after.ms >= until.ms || !cron_next(c, tz, after, &low) || low.ms > until.ms)
        return false;
    while (high.ms - low.ms > 1) {
        const struct wall middle = {low.ms + (high.ms - low.ms) / 2};
        if (cron_next(c, tz, middle, &due) && due.ms <= until.ms)
            low = due;
        else
            high = middle;
    }
    *ret = low;
    return true;
}

void cron_missed(const struct cron *c, const struct tz *tz, struct wall last, struct wall now,
                 uint64_t window_ms, uint64_t count_max, struct cron_missed *ret)
{
    CHECK(count_max > 0);
    *ret = (struct cron_missed){0, WALL_UNSET, WALL_UNSET};
    if (last.ms >= now.ms)
        return;
    struct wall due = last;
    if ((uint64_t)now.ms - (uint64_t)last.ms > window_ms)
        due.ms = now.ms - (int64_t)window_ms - 1;
    if (!cron_latest(c, tz, due, now, &ret->latest))
        return;
    while (ret->count < count_max && cron_next(c, tz, due, &due) && due.ms <= now.ms) {
        if (ret->count++ == 0)
            ret->first = due;
    }
}
