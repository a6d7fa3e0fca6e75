/* test_cron_oracle.c - cron_next() against somebody slow who knows nothing of its tricks.
 *
 * The oracle makes an expression from lists of values, so it needs no parser; it reads clocks
 * through the C library's localtime_r(), so it needs no zone file; and it looks at one second (or,
 * for expressions without seconds, one minute) after the other. Most of the places it looks at are
 * around changes of the clocks. Expressions that are seldom due are looked for day by day first.
 *
 *     test_cron_oracle [SEED]
 */
#include "base/check.h"
#include "base/prng.h"
#include "core/cron.h"
#include "libc_zone.h"
#include "zones_fixture.h"
#include <stdbool.h>
#include <string.h>

#define TRIPLES_NEAR 100000 /* the next due time is within the stretch that is looked at */
#define TRIPLES_FAR 4000    /* due up to decades away */
#define EXPRESSIONS_PER_STRETCH 40
#define INSTANTS_PER_EXPRESSION 6
#define SLOTS_MAX 12000
#define DAY_S 86400

static uint64_t seed = 20260213;
static struct prng dice;

static unsigned roll(unsigned bound)
{
    return (unsigned)prng_below(&dice, bound);
}

/* ---- expressions: the text, and what it means ---- */

struct spec {
    char text[512];
    bool has_seconds;
    bool second[60], minute[60], hour[24], mday[32], month[13], wday[7];
    bool hour_star, mday_star, wday_star;
};

/* Writes one item and marks what it means. Values wrap at `wrap`, so that day 7 is day 0. */
static void add_item(char *text, bool *set, unsigned min, unsigned max, unsigned wrap)
{
    char *end = text + strlen(text);
    unsigned low = min + roll(max - min + 1), high = low, step = 1;
    switch (roll(4)) {
    case 0:
        sprintf(end, "%u", low);
        break;
    case 1:
        high = low + roll(max - low + 1);
        sprintf(end, "%u-%u", low, high);
        break;
    case 2:
        high = low + roll(max - low + 1);
        step = 1 + roll(5);
        sprintf(end, "%u-%u/%u", low, high, step);
        break;
    default:
        step = 1 + roll(max - min);
        sprintf(end, "%u", low);
    }
    for (unsigned v = low; v <= high; v += step)
        set[v % wrap] = true;
}

/* A field: starred (then returns true), with or without a step, or a list. Marks are added to
 * the text after a blank. */
static bool add_field(char *text, bool *set, unsigned min, unsigned max, unsigned wrap,
                      unsigned star_percent)
{
    if (*text != '\0')
        strcat(text, " ");
    if (roll(100) < star_percent) {
        strcat(text, "*");
        unsigned step = 1;
        if (roll(3) == 0) {
            step = 1 + roll(max - min + 1);
            sprintf(text + strlen(text), "/%u", step);
        }
        for (unsigned v = min; v <= max && v < wrap; v += step)
            set[v] = true;
        return true;
    }
    for (unsigned items = 1 + roll(3) * roll(2); items > 0; items--) {
        add_item(text, set, min, max, wrap);
        if (items > 1)
            strcat(text, ",");
    }
    return false;
}

/* Steps of wday are at most 7, and its values 0..7 mean 7 days. */
static void make_spec(struct spec *s, bool has_seconds, bool seldom)
{
    memset(s, 0, sizeof(*s));
    s->has_seconds = has_seconds;
    if (has_seconds)
        add_field(s->text, s->second, 0, 59, 60, 40);
    else
        s->second[0] = true;
    add_field(s->text, s->minute, 0, 59, 60, 40);
    s->hour_star = add_field(s->text, s->hour, 0, 23, 24, 40);
    s->mday_star = add_field(s->text, s->mday, 1, 31, 32, seldom ? 20 : 80);
    add_field(s->text, s->month, 1, 12, 13, seldom ? 10 : 90);
    strcat(s->text, " ");
    char wday[64] = "";
    s->wday_star = roll(100) < 70;
    if (!s->wday_star) {
        add_item(wday, s->wday, 0, 7, 7);
    } else {
        const unsigned step = roll(4) == 0 ? 1 + roll(7) : 1;
        strcpy(wday, "*");
        if (step > 1)
            sprintf(wday + 1, "/%u", step);
        for (unsigned v = 0; v <= 6; v += step)
            s->wday[v] = true;
    }
    strcat(s->text, wday);
}

/* Due once in 4 to 40 years: 29 February, or only when it is a Sunday. */
static void make_rare_spec(struct spec *s)
{
    memset(s, 0, sizeof(*s));
    s->second[0] = s->minute[30] = s->hour[2] = s->mday[29] = s->month[2] = true;
    s->wday_star = true;
    const bool any_day = roll(2);
    for (int d = 0; d < 7; d++)
        s->wday[d] = any_day || d == 0;
    strcpy(s->text, any_day ? "30 2 29 2 *" : "30 2 29 2 */7");
}

static bool date_matches(const struct spec *s, int mday, int month, int wday)
{
    const bool by_mday = s->mday[mday], by_wday = s->wday[wday];
    if (!s->month[month])
        return false;
    return s->mday_star || s->wday_star ? by_mday && by_wday : by_mday || by_wday;
}

static bool matches(const struct spec *s, const struct tm *tm)
{
    return s->second[tm->tm_sec] && s->minute[tm->tm_min] && s->hour[tm->tm_hour] &&
           date_matches(s, tm->tm_mday, tm->tm_mon + 1, tm->tm_wday);
}

/* Days from 1970 of the first local date not before `day` that matches, within a lifetime; -1
 * when there is none. */
static int64_t next_date(const struct spec *s, int64_t day)
{
    for (int64_t end = day + 45 * 366; day < end; day++) {
        const time_t t = (time_t)(day * DAY_S);
        struct tm tm;
        gmtime_r(&t, &tm);
        if (date_matches(s, tm.tm_mday, tm.tm_mon + 1, tm.tm_wday))
            return day;
    }
    return -1;
}

/* The same for a local time that no clock shows. */
static bool local_matches(const struct spec *s, int64_t local)
{
    const time_t t = (time_t)local;
    struct tm tm;
    gmtime_r(&t, &tm);
    return matches(s, &tm);
}

/* ---- a stretch of time in a zone, slot by slot ---- */

struct stretch {
    const char *zone;
    int64_t from;
    int64_t step; /* 1, or 60 */
    int count;
    struct tm local[SLOTS_MAX];
    int64_t shown[SLOTS_MAX];  /* local time */
    int64_t latest[SLOTS_MAX]; /* the latest that was shown before the slot */
};

/* Since 1973 no clock was set back by more than three hours. */
static void look(struct stretch *st, const char *zone, int64_t from, int64_t step, int count)
{
    st->zone = zone;
    st->from = from;
    st->step = step;
    st->count = count;
    int64_t latest = INT64_MIN;
    for (int64_t t = from - 3 * 3600; t < from; t += 60) {
        if (t + libc_offset(t) > latest)
            latest = t + libc_offset(t);
    }
    latest += 60 - step; /* the minutes' last slot */
    for (int i = 0; i < count; i++) {
        st->local[i] = libc_local(from + i * step);
        st->shown[i] = from + i * step + st->local[i].tm_gmtoff;
        st->latest[i] = latest;
        if (st->shown[i] > latest)
            latest = st->shown[i];
    }
}

/* Whether something is due at the slot. */
static bool is_due(const struct spec *s, const struct stretch *st, int i)
{
    if (s->hour_star)
        return matches(s, &st->local[i]);
    if (st->shown[i] <= st->latest[i])
        return false; /* seen before */
    for (int64_t skipped = st->latest[i] + st->step; skipped < st->shown[i]; skipped += st->step) {
        if (local_matches(s, skipped))
            return true;
    }
    return matches(s, &st->local[i]);
}

static void disagree(const struct spec *s, const char *zone, int64_t after_ms, const char *expected)
{
    fail_msg("seed %llu: '%s' in %s after %lld ms: expected %s", (unsigned long long)seed, s->text,
             zone, (long long)after_ms, expected);
}

/* What was compared. */
static struct {
    int none;   /* nothing is due until the end of the stretch, said both */
    int found;  /* the same due time was found by both */
    int across; /* of those: with a change of the clocks on the way to it */
} tally;

/* Compares for one instant in a slot: the due slots after it are known. */
static void compare(const struct spec *s, const struct cron *c, const struct tz *tz,
                    const struct stretch *st, const bool *due, int slot)
{
    const int64_t after_ms =
        (st->from + slot * st->step) * 1000 + (int64_t)roll((unsigned)(st->step * 1000));
    int next = slot + 1;
    while (next < st->count && !due[next])
        next++;
    struct wall got;
    const bool found = cron_next(c, tz, (struct wall){after_ms}, &got);
    char expected[64] = "some time";
    if (next < st->count)
        sprintf(expected, "%lld", (long long)(st->from + next * st->step) * 1000);
    if (!found)
        disagree(s, st->zone, after_ms, expected);
    const int64_t end_ms = (st->from + (st->count - 1) * st->step) * 1000;
    if (next < st->count ? got.ms != (st->from + next * st->step) * 1000 : got.ms <= end_ms)
        disagree(s, st->zone, after_ms, expected);
    tally.none += next == st->count;
    tally.found += next < st->count;
    tally.across +=
        next < st->count && st->shown[next] - st->shown[slot] != (next - slot) * st->step;
}

/* One instant anywhere, the others before the last due time there is. */
static void compare_some(const struct spec *s, const struct cron *c, const struct tz *tz,
                         const struct stretch *st)
{
    static bool due[SLOTS_MAX];
    int last = 0;
    for (int i = 0; i < st->count; i++) {
        due[i] = is_due(s, st, i);
        last = due[i] ? i : last;
    }
    compare(s, c, tz, st, due, (int)roll((unsigned)st->count - 1));
    for (int n = 1; last > 0 && n < INSTANTS_PER_EXPRESSION; n++)
        compare(s, c, tz, st, due, (int)roll((unsigned)last));
}

/* ---- where to look ---- */

#define YEARS_FROM INT64_C(94694400)    /* 1973: since then offsets are whole minutes */
#define YEARS_UNTIL INT64_C(2524608000) /* 2050 */

/* The changes of each zone, found through the C library. */
static struct {
    int64_t at[512];
    int count;
} changes[ARRAY_SIZE(test_zones)];

static void find_changes(size_t z)
{
    libc_use(test_zones[z]);
    changes[z].count = 0;
    for (int64_t t = YEARS_FROM; (t = libc_change(t, YEARS_UNTIL)) != 0;) {
        CHECK(changes[z].count < (int)ARRAY_SIZE(changes[z].at));
        changes[z].at[changes[z].count++] = t;
    }
}

/* Three of four stretches lie around a change, the others anywhere. Begins well before the
 * change, so that what is shown twice was seen the first time. */
static void choose_stretch(struct stretch *st, size_t z, bool by_seconds)
{
    const int count = by_seconds ? SLOTS_MAX : 4 * 1440;
    const int64_t step = by_seconds ? 1 : 60;
    int64_t middle = YEARS_FROM + (int64_t)prng_below(&dice, YEARS_UNTIL - YEARS_FROM);
    if (changes[z].count > 0 && roll(4) > 0)
        middle = changes[z].at[roll((unsigned)changes[z].count)];
    int64_t from = middle - step * count / 2;
    from -= from % 60;
    look(st, test_zones[z], from, step, count);
}

static void agrees_near(void **state)
{
    static struct stretch st;
    while (tally.found < TRIPLES_NEAR) {
        const size_t z = roll(ARRAY_SIZE(test_zones));
        const bool by_seconds = roll(3) == 0;
        const struct tz *tz = zone(test_zones[z]);
        struct diag why;
        libc_use(test_zones[z]);
        choose_stretch(&st, z, by_seconds);
        for (int e = 0; e < EXPRESSIONS_PER_STRETCH; e++) {
            struct spec s;
            struct cron c;
            make_spec(&s, by_seconds && roll(4) > 0, false);
            if (cron_parse(s.text, &c, &why) == 0)
                compare_some(&s, &c, tz, &st);
            else if (next_date(&s, 0) >= 0)
                fail_msg("seed %llu: '%s': %s", (unsigned long long)seed, s.text, why.msg);
        }
    }
    print_message(
        "# seed %llu: %d due times found by both, %d of them behind a change of the clocks; "
        "%d times there was none\n",
        (unsigned long long)seed, tally.found, tally.across, tally.none);
    assert_true(tally.across > TRIPLES_NEAR / 50);
}

/* ---- far away ---- */

/* The first due time after `after`, minute by minute on the days that matter; no clock is more
 * than 14 hours ahead. -1 when no date ever matches. */
static int64_t next_due(const struct spec *s, struct stretch *st, const char *zone, int64_t after)
{
    /* The day before is looked at as well: at its end, clocks may be set back into it. */
    int64_t day = (after + libc_offset(after)) / DAY_S - 1;
    while ((day = next_date(s, day)) >= 0) {
        int64_t from = day * DAY_S - 26 * 3600;
        look(st, zone, from, 60, 76 * 60);
        for (int i = 11 * 60; i < st->count; i++) {
            if (from + i * 60 > after && is_due(s, st, i))
                return from + i * 60;
        }
        day++;
    }
    return -1;
}

static void agrees_far(void **state)
{
    static struct stretch st;
    int never = 0;
    for (int n = 0; n < TRIPLES_FAR; n++) {
        const char *name = test_zones[roll(ARRAY_SIZE(test_zones))];
        struct spec s;
        struct cron c;
        struct diag why;
        struct wall got;
        const struct tz *tz = zone(name);
        libc_use(name);
        make_spec(&s, false, true);
        if (n % 8 == 0)
            make_rare_spec(&s);
        const int64_t after =
            YEARS_FROM + (int64_t)prng_below(&dice, 2 * (YEARS_UNTIL - YEARS_FROM));
        const int64_t expected = next_due(&s, &st, name, after);
        const bool parsed = cron_parse(s.text, &c, &why) == 0;
        if (parsed != (expected >= 0))
            fail_msg("seed %llu: '%s': %s", (unsigned long long)seed, s.text,
                     parsed ? "can never match" : why.msg);
        never += !parsed;
        if (parsed &&
            (!cron_next(&c, tz, (struct wall){after * 1000}, &got) || got.ms != expected * 1000))
            fail_msg("seed %llu: '%s' in %s after %lld: expected %lld, got %lld",
                     (unsigned long long)seed, s.text, name, (long long)after, (long long)expected,
                     (long long)got.ms / 1000);
    }
    print_message("# seed %llu: %d triples, %d of them never due\n", (unsigned long long)seed,
                  TRIPLES_FAR, never);
}

/* What was missed, against asking for one due time after the other. */
static void latest_agrees_with_next(void **state)
{
    for (int n = 0; n < 3000; n++) {
        struct spec s;
        struct cron c;
        struct diag why;
        const size_t z = roll(ARRAY_SIZE(test_zones));
        const struct tz *tz = zone(test_zones[z]);
        make_spec(&s, roll(2), false);
        if (cron_parse(s.text, &c, &why) < 0)
            continue;
        int64_t begin = YEARS_FROM + (int64_t)prng_below(&dice, YEARS_UNTIL - YEARS_FROM);
        if (changes[z].count > 0 && roll(2) == 0)
            begin = changes[z].at[roll((unsigned)changes[z].count)] - 3600;
        const struct wall last = {begin * 1000}, now = {last.ms + 1 + roll(7200 * 1000)};
        uint64_t count = 0;
        struct wall t = last, first = WALL_UNSET, latest = WALL_UNSET;
        while (cron_next(&c, tz, t, &t) && t.ms <= now.ms) {
            latest = t;
            if (count++ == 0)
                first = t;
        }
        struct cron_missed m;
        cron_missed(&c, tz, last, now, UINT64_MAX, UINT64_MAX, &m);
        if (m.count != count || m.first.ms != first.ms || m.latest.ms != latest.ms)
            fail_msg("seed %llu: '%s' in %s from %lld to %lld", (unsigned long long)seed, s.text,
                     test_zones[z], (long long)last.ms, (long long)now.ms);
    }
}

static int setup(void **state)
{
    zones_setup(state);
    for (size_t z = 0; z < ARRAY_SIZE(test_zones); z++)
        find_changes(z);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_near),
        cmocka_unit_test(agrees_far),
        cmocka_unit_test(latest_agrees_with_next),
    };
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    prng_init(&dice, seed);
    return cmocka_run_group_tests(tests, setup, zones_teardown);
}
