#include "base/check.h"
#include "base/civil.h"
#include "base/prng.h"
#include "core/tz_rule.h"
#include "libc_zone.h"
#include "zones_fixture.h"
#include <errno.h>
#include <string.h>

#define HOUR 3600
#define AT(y, mo, d, h, mi, s)                                                                     \
    (civil_to_days((struct civil){y, mo, d}) * 86400 + (h)*3600 + (mi)*60 + (s))

/* ---- what real places did ---- */

static void offsets_of_real_places(void **state)
{
    static const struct {
        const char *zone;
        int y, mo, d, h;
        int32_t offset;
    } rows[] = {
        {"UTC", 2026, 7, 1, 0, 0},
        {"Europe/Berlin", 2026, 1, 1, 0, HOUR},
        {"Europe/Berlin", 2026, 7, 1, 0, 2 * HOUR},
        {"Europe/Berlin", 1880, 1, 1, 0, 3208},
        {"Europe/Berlin", 2300, 7, 1, 0, 2 * HOUR},
        {"America/New_York", 2026, 3, 8, 6, -5 * HOUR},
        {"America/New_York", 2026, 3, 8, 7, -4 * HOUR},
        {"Australia/Lord_Howe", 2026, 1, 1, 0, 11 * HOUR},
        {"Australia/Lord_Howe", 2026, 7, 1, 0, 10 * HOUR + 1800},
        {"Asia/Kathmandu", 2026, 1, 1, 0, 5 * HOUR + 45 * 60},
        {"America/Caracas", 2016, 1, 1, 0, -4 * HOUR - 1800},
        {"America/Caracas", 2017, 1, 1, 0, -4 * HOUR},
        {"Pacific/Apia", 2011, 12, 30, 9, -10 * HOUR},
        {"Pacific/Apia", 2011, 12, 30, 10, 14 * HOUR},
        {"Pacific/Kiritimati", 2026, 1, 1, 0, 14 * HOUR},
        {"Africa/Casablanca", 2026, 1, 1, 0, HOUR},
        {"Africa/Casablanca", 2026, 3, 1, 0, 0},
        {"Africa/Casablanca", 2200, 3, 1, 0, HOUR},
        {"Africa/Monrovia", 1971, 1, 1, 0, -2670},
        {"America/Nuuk", 2040, 1, 1, 0, -2 * HOUR},
        {"America/Nuuk", 2040, 7, 1, 0, -HOUR},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const int64_t t = AT(rows[i].y, rows[i].mo, rows[i].d, rows[i].h, 0, 0);
        const int32_t offset = tz_at(zone(rows[i].zone), t).offset;
        if (offset != rows[i].offset)
            fail_msg("row %zu, %s: %d", i, rows[i].zone, offset);
    }
}

static void local_times_of_real_places(void **state)
{
    static const struct {
        const char *zone;
        int y, mo, d, h, mi, s;
        enum tz_fit fit;
        int first_after, last_after; /* seconds from the local time, read as UTC, to the instant */
    } rows[] = {
        {"UTC", 2026, 3, 29, 2, 30, 0, TZ_ONCE, 0, 0},
        {"Europe/Berlin", 2026, 1, 1, 0, 0, 0, TZ_ONCE, -HOUR, -HOUR},
        {"Europe/Berlin", 2026, 3, 29, 1, 59, 59, TZ_ONCE, -HOUR, -HOUR},
        {"Europe/Berlin", 2026, 3, 29, 2, 0, 0, TZ_SKIPPED, -HOUR, -HOUR},
        {"Europe/Berlin", 2026, 3, 29, 2, 30, 0, TZ_SKIPPED, -HOUR - 1800, -HOUR - 1800},
        {"Europe/Berlin", 2026, 3, 29, 2, 59, 59, TZ_SKIPPED, -2 * HOUR + 1, -2 * HOUR + 1},
        {"Europe/Berlin", 2026, 3, 29, 3, 0, 0, TZ_ONCE, -2 * HOUR, -2 * HOUR},
        {"Europe/Berlin", 2026, 10, 25, 1, 59, 59, TZ_ONCE, -2 * HOUR, -2 * HOUR},
        {"Europe/Berlin", 2026, 10, 25, 2, 0, 0, TZ_REPEATED, -2 * HOUR, -HOUR},
        {"Europe/Berlin", 2026, 10, 25, 2, 59, 59, TZ_REPEATED, -2 * HOUR, -HOUR},
        {"Europe/Berlin", 2026, 10, 25, 3, 0, 0, TZ_ONCE, -HOUR, -HOUR},
        {"Europe/Berlin", 2400, 3, 26, 2, 30, 0, TZ_SKIPPED, -HOUR - 1800, -HOUR - 1800},
        {"Australia/Lord_Howe", 2026, 10, 4, 2, 15, 0, TZ_SKIPPED, -37800 - 900, -37800 - 900},
        {"Australia/Lord_Howe", 2026, 4, 5, 1, 45, 0, TZ_REPEATED, -11 * HOUR, -37800},
        {"Pacific/Apia", 2011, 12, 30, 12, 0, 0, TZ_SKIPPED, -2 * HOUR, -2 * HOUR},
        {"Pacific/Apia", 2011, 12, 31, 0, 0, 0, TZ_ONCE, -14 * HOUR, -14 * HOUR},
        {"Pacific/Kwajalein", 1969, 9, 30, 12, 0, 0, TZ_REPEATED, -11 * HOUR, 12 * HOUR},
        {"America/Sao_Paulo", 2018, 11, 4, 0, 0, 0, TZ_SKIPPED, 3 * HOUR, 3 * HOUR},
        {"Asia/Pyongyang", 2018, 5, 4, 23, 45, 0, TZ_SKIPPED, -32400 + 900, -32400 + 900},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const int64_t local =
            AT(rows[i].y, rows[i].mo, rows[i].d, rows[i].h, rows[i].mi, rows[i].s);
        int64_t first, last;
        const enum tz_fit fit = tz_from_local(zone(rows[i].zone), local, &first, &last);
        if (fit != rows[i].fit || first != local + rows[i].first_after ||
            last != local + rows[i].last_after)
            fail_msg("row %zu, %s: %d, %lld, %lld", i, rows[i].zone, fit,
                     (long long)(first - local), (long long)(last - local));
    }
}

/* ---- every place, against the C library ---- */

static void same(const struct tz *tz, const char *name, int64_t t)
{
    const struct tz_span span = tz_at(tz, t);
    if (span.offset != libc_offset(t))
        fail_msg("%s at %lld: offset %d, libc says %d", name, (long long)t, span.offset,
                 libc_offset(t));
    if (t < span.from || t >= span.until)
        fail_msg("%s at %lld: not in its own span", name, (long long)t);
}

static void agrees_with_libc(void **state)
{
    struct prng dice;
    prng_init(&dice, 20260213);
    for (size_t i = 0; i < ARRAY_SIZE(test_zones); i++) {
        const char *name = test_zones[i];
        const struct tz *tz = zone(name);
        libc_use(name);
        const int64_t begin = AT(1850, 1, 1, 0, 0, 0), end = AT(2500, 1, 1, 0, 0, 0);
        for (int n = 0; n < 2000; n++)
            same(tz, name, begin + (int64_t)prng_below(&dice, (uint64_t)(end - begin)));
        for (int64_t t = begin; t < end; t = tz_at(tz, t).until) {
            for (int64_t near = t - 2; near <= t + 2; near++)
                same(tz, name, near);
            if (tz_at(tz, t).until == INT64_MAX)
                break;
            assert_true(tz_at(tz, tz_at(tz, t).until).from == tz_at(tz, t).until);
        }
        /* And the other way round: what libc sees change is seen here. */
        for (int64_t t = begin; (t = libc_change(t, AT(2050, 1, 1, 0, 0, 0))) != 0;)
            assert_true(tz_at(tz, t).from == t);
    }
}

/* From a local time to instants and back, by looking at all offsets there are near it. */
static void local_times_agree_with_offsets(void **state)
{
    struct prng dice;
    prng_init(&dice, 7);
    for (int n = 0; n < 20000; n++) {
        const struct tz *tz = zone(test_zones[prng_below(&dice, ARRAY_SIZE(test_zones))]);
        int64_t t = AT(1975, 1, 1, 0, 0, 0) + (int64_t)prng_below(&dice, 4000000000);
        if (n % 2 == 0 && tz_at(tz, t).until != INT64_MAX)
            t = tz_at(tz, t).until;
        const int64_t local = t + tz_at(tz, t).offset + (int64_t)prng_below(&dice, 10000) - 5000;
        int64_t first, last, f = 0, l = 0;
        const enum tz_fit fit = tz_from_local(tz, local, &first, &last);
        /* Since 1975 all offsets are multiples of five minutes. */
        for (int32_t offset = -15 * HOUR; offset <= 15 * HOUR; offset += 300) {
            if (tz_at(tz, local - offset).offset == offset) {
                f = f == 0 || local - offset < f ? local - offset : f;
                l = l == 0 || local - offset > l ? local - offset : l;
            }
        }
        assert_int_equal(fit, f == 0 ? TZ_SKIPPED : f == l ? TZ_ONCE : TZ_REPEATED);
        if (f != 0) {
            assert_true(first == f && last == l);
        } else {
            assert_true(first == last && tz_at(tz, first).from == first);
            assert_true(first + tz_at(tz, first).offset > local);
            assert_true(first - 1 + tz_at(tz, first - 1).offset < local);
        }
    }
}

/* ---- rules for later times ---- */

static void rules(void **state)
{
    const struct {
        const char *text;
        int year;
        int64_t first, second; /* the year's changes */
        int32_t before;        /* the offset just before the first */
    } rows[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", 2026, AT(2026, 3, 29, 1, 0, 0), AT(2026, 10, 25, 1, 0, 0),
         HOUR},
        {"EST5EDT,M3.2.0,M11.1.0", 2026, AT(2026, 3, 8, 7, 0, 0), AT(2026, 11, 1, 6, 0, 0),
         -5 * HOUR},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 2026, AT(2026, 4, 4, 15, 0, 0),
         AT(2026, 10, 3, 15, 30, 0), 11 * HOUR},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 2026, AT(2026, 3, 29, 1, 0, 0), AT(2026, 10, 25, 1, 0, 0),
         0},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 2026, AT(2026, 3, 29, 1, 0, 0),
         AT(2026, 10, 25, 1, 0, 0), -2 * HOUR},
        {"IST-2IDT,M3.4.4/26,M10.5.0", 2026, AT(2026, 3, 27, 0, 0, 0), AT(2026, 10, 24, 23, 0, 0),
         2 * HOUR},
        {"AAA0BBB,J59/0,J60/0", 2024, AT(2024, 2, 28, 0, 0, 0), AT(2024, 2, 29, 23, 0, 0), 0},
        {"AAA0BBB,59/0,60/0", 2024, AT(2024, 2, 29, 0, 0, 0), AT(2024, 2, 29, 23, 0, 0), 0},
        {"AAA0BBB-2:30:15,M1.1.1/0:0:1,M12.5.1/167", 2026, AT(2026, 1, 5, 0, 0, 1),
         AT(2027, 1, 3, 20, 29, 45), 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct tz_rule r;
        struct tz_event change[2];
        assert_true(tz_rule_parse(slice_of(rows[i].text), &r));
        tz_rule_year(&r, rows[i].year, change);
        if (change[0].at != rows[i].first || change[1].at != rows[i].second)
            fail_msg("%s: %lld %lld", rows[i].text, (long long)change[0].at,
                     (long long)change[1].at);
        const struct tz_span span = tz_rule_at(&r, change[0].at - 1);
        assert_int_equal(span.offset, rows[i].before);
        assert_true(span.until == change[0].at);
        assert_true(tz_rule_at(&r, change[0].at).until == change[1].at);
    }
}

static void rules_without_daylight_saving(void **state)
{
    struct tz_rule r;
    assert_true(tz_rule_parse(SLICE("<+0545>-5:45"), &r));
    const struct tz_span span = tz_rule_at(&r, 0);
    assert_int_equal(span.offset, 5 * HOUR + 45 * 60);
    assert_true(span.from == INT64_MIN && span.until == INT64_MAX);
    /* Daylight saving time all year round: each year's end is the next one's beginning. */
    assert_true(tz_rule_parse(SLICE("EST5EDT,0/0,J365/25"), &r));
    for (int64_t t = AT(2026, 1, 1, 0, 0, 0); t < AT(2030, 1, 1, 0, 0, 0); t += 1799)
        assert_int_equal(tz_rule_at(&r, t).offset, -4 * HOUR);
}

static void bad_rules(void **state)
{
    static const char *const rows[] = {
        "",
        "CET",
        "CE-1",
        "CET-25",
        "CET-1:60",
        "CET-1CEST",
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3 ",
        "CET-1CEST,J0,J1",
        "CET-1CEST,J1,J366",
        "CET-1CEST,0,366",
        "<CET-1",
        "<CE>-1",
        "C3T-1",
        "CET-1CEST,M3.5,M10.5.0",
        "CET--1",
        "CET-0001",
        "CET-1CEST,M3.5.0,M10.5.0,M11.1.0",
        "+01-1",
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct tz_rule r = {.offset = 42};
        if (tz_rule_parse(slice_of(rows[i]), &r))
            fail_msg("'%s' was taken for a rule", rows[i]);
        assert_int_equal(r.offset, 42);
    }
}

/* ---- files ---- */

static void put32(struct str *s, uint32_t n)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        str_add_char(s, (char)(n >> shift));
}

static void put64(struct str *s, int64_t n)
{
    put32(s, (uint32_t)((uint64_t)n >> 32));
    put32(s, (uint32_t)(uint64_t)n);
}

static void put_header(struct str *s, char version, uint32_t times, uint32_t types, uint32_t chars)
{
    str_add_cstr(s, "TZif");
    str_add_char(s, version);
    str_add(s, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
    put32(s, 0);
    put32(s, 0);
    put32(s, 0);
    put32(s, times);
    put32(s, types);
    put32(s, chars);
}

static void put_types(struct str *s, int32_t a, int32_t b)
{
    put32(s, (uint32_t)a);
    str_add(s, "\0\0", 2);
    put32(s, (uint32_t)b);
    str_add(s, "\1\0", 2);
    str_add(s, "AAA", 4);
}

/* A file of version 3 with two types, whose transitions at `times` go back and forth between
 * them. */
static void make_file(struct str *s, int32_t a, int32_t b, const int64_t *times, uint32_t count,
                      const char *rule)
{
    put_header(s, '3', 0, 0, 0);
    put_header(s, '3', count, 2, 4);
    for (uint32_t i = 0; i < count; i++)
        put64(s, times[i]);
    for (uint32_t i = 0; i < count; i++)
        str_add_char(s, i % 2 == 0);
    put_types(s, a, b);
    str_printf(s, "\n%s\n", rule);
}

static struct tz *made(int32_t a, int32_t b, const int64_t *times, uint32_t count, const char *rule)
{
    struct str s = {0};
    struct diag why;
    make_file(&s, a, b, times, count, rule);
    struct tz *tz = tz_create(str_slice(&s), &why);
    if (tz == NULL)
        fail_msg("%s", why.msg);
    str_release(&s);
    return tz;
}

static void version_1(void **state)
{
    struct str s = {0};
    struct diag why;
    put_header(&s, '\0', 1, 2, 4);
    put32(&s, (uint32_t)-100);
    str_add_char(&s, 1);
    put_types(&s, HOUR, 2 * HOUR);
    struct tz *tz = tz_create(str_slice(&s), &why);
    assert_non_null(tz);
    assert_int_equal(tz_at(tz, -101).offset, HOUR);
    assert_int_equal(tz_at(tz, -100).offset, 2 * HOUR);
    assert_true(tz_at(tz, 0).until == INT64_MAX);
    tz_destroy(tz);
    str_add_char(&s, '\n');
    assert_null(tz_create(str_slice(&s), &why));
    str_release(&s);
}

static void rules_take_over_after_the_table(void **state)
{
    static const int64_t times[] = {0, 1000};
    /* None: what was last holds. */
    struct tz *tz = made(0, HOUR, times, 1, "");
    assert_int_equal(tz_at(tz, TZ_TIME_MAX).offset, HOUR);
    assert_true(tz_at(tz, 0).until == INT64_MAX);
    tz_destroy(tz);
    /* One for all times, as the table is empty. */
    tz = made(0, HOUR, NULL, 0, "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_int_equal(tz_at(tz, AT(1900, 7, 1, 0, 0, 0)).offset, 2 * HOUR);
    assert_int_equal(tz_at(tz, AT(2900, 1, 1, 0, 0, 0)).offset, HOUR);
    tz_destroy(tz);
    /* The table's last offset holds until the rule has something to say. */
    tz = made(HOUR, 2 * HOUR, times, 2, "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_int_equal(tz_at(tz, 999).offset, 2 * HOUR);
    assert_int_equal(tz_at(tz, 1000).offset, HOUR);
    assert_true(tz_at(tz, 1000).until == AT(1970, 3, 29, 1, 0, 0));
    tz_destroy(tz);
    /* Also when the table ends later than what is kept of the rule. */
    const int64_t late[] = {0, AT(2200, 6, 1, 0, 0, 0)};
    tz = made(HOUR, 3 * HOUR, late, 2, "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_int_equal(tz_at(tz, AT(2150, 6, 1, 0, 0, 0)).offset, 3 * HOUR);
    assert_int_equal(tz_at(tz, AT(2200, 7, 1, 0, 0, 0)).offset, HOUR);
    assert_int_equal(tz_at(tz, AT(2201, 7, 1, 0, 0, 0)).offset, 2 * HOUR);
    tz_destroy(tz);
    /* Daylight saving time all year round, in the table's years and after them. */
    tz = made(-5 * HOUR, -4 * HOUR, times, 1, "EST5EDT,0/0,J365/25");
    for (int64_t t = 0; t < AT(2110, 1, 1, 0, 0, 0); t += 40 * 86400 - 77)
        assert_int_equal(tz_at(tz, t).offset, -4 * HOUR);
    tz_destroy(tz);
}

static void refused(const struct str *s, const char *why_part)
{
    struct diag why = {0};
    struct tz *tz = tz_create(str_slice(s), &why);
    if (tz != NULL || strstr(why.msg, why_part) == NULL)
        fail_msg("expected '%s', got '%s'", why_part, tz != NULL ? "a zone" : why.msg);
}

/* Each row spoils one byte of a good file. The second header begins at 44, its data at 88: 2
 * times of 8 bytes, 2 indexes, 2 types of 6 bytes, 4 characters; the footer is at 122. */
static void spoiled_files(void **state)
{
    static const struct {
        size_t at;
        char byte;
        const char *why;
    } rows[] = {
        {0, 't', "does not begin like one"},
        {4, '1', "does not begin like one"},
        {20, 1, "cut short"},
        {44, 't', "cut short"},
        {44 + 20, 0x7f, "cut short"},
        {44 + 39, 0, "no types"},
        {44 + 38, 2, "cut short"},
        {44 + 43, 0, "names do not end"},
        {44 + 27, 1, "indicators for some"},
        {44 + 31, 1, "leap seconds"},
        {88, 1, "not in order"},
        {104, 2, "transition's type"},
        {106, 0x40, "offset from UTC"},
        {110, 2, "neither standard"},
        {111, 4, "type's name"},
        {121, 'A', "names do not end"},
        {122, 'x', "a line for later times"},
        {125, '1', "rule"},
    };
    static const int64_t times[] = {0, 1000};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str s = {0};
        make_file(&s, 0, HOUR, times, 2, "CET-1CEST,M3.5.0,M10.5.0/3");
        s.p[rows[i].at] = rows[i].byte;
        refused(&s, rows[i].why);
        str_release(&s);
    }
}

static void short_and_long_files(void **state)
{
    static const int64_t times[] = {0, 1000};
    struct str s = {0};
    make_file(&s, 0, HOUR, times, 2, "");
    const size_t whole = s.len;
    for (size_t len = 0; len < whole; len++) {
        struct str part = {0};
        str_add(&part, s.p, len);
        refused(&part, "not a valid time zone file");
        str_release(&part);
    }
    str_add_char(&s, 'x');
    refused(&s, "a line for later times");
    while (s.len <= TZ_BYTES_MAX)
        str_add_char(&s, '\n');
    refused(&s, "too long");
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_of_real_places),
        cmocka_unit_test(local_times_of_real_places),
        cmocka_unit_test(agrees_with_libc),
        cmocka_unit_test(local_times_agree_with_offsets),
        cmocka_unit_test(rules),
        cmocka_unit_test(rules_without_daylight_saving),
        cmocka_unit_test(bad_rules),
        cmocka_unit_test(version_1),
        cmocka_unit_test(rules_take_over_after_the_table),
        cmocka_unit_test(spoiled_files),
        cmocka_unit_test(short_and_long_files),
    };
    return cmocka_run_group_tests(tests, zones_setup, zones_teardown);
}
