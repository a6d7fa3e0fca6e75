#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/prng.h"
#include "base/rfc3339.h"

#define MS_MIN ((int64_t)-62167219200000)
#define MS_MAX ((int64_t)253402300799999)

/* Both ways. */
static const struct {
    const char *text;
    int64_t ms;
} both[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"1969-12-31T23:59:59.999Z", -1},
    {"2026-02-13T10:05:00.123Z", 1770977100123},
    {"2026-02-13T10:05:00.120Z", 1770977100120},
    {"2000-02-29T00:00:00Z", 951782400000},
    {"2000-03-01T00:00:00Z", 951868800000},
    {"1900-03-01T00:00:00Z", -2203891200000},
    {"2024-02-29T23:59:59.999Z", 1709251199999},
    {"2100-02-28T23:59:59Z", 4107542399000},
    {"2100-03-01T00:00:00Z", 4107542400000},
    {"0000-01-01T00:00:00Z", MS_MIN},
    {"0000-02-29T00:00:00Z", MS_MIN + 59 * (int64_t)86400000},
    {"0000-03-01T00:00:00Z", MS_MIN + 60 * (int64_t)86400000},
    {"9999-12-31T23:59:59.999Z", MS_MAX},
};

static void test_both_ways(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        char text[RFC3339_LEN + 1];
        struct wall t = {77};

        rfc3339_format((struct wall){both[i].ms}, text);
        assert_string_equal(text, both[i].text);
        assert_true(rfc3339_parse(slice_of(both[i].text), &t));
        assert_true(t.ms == both[i].ms);
    }
}

/* Other ways to write a time. */
static const struct {
    const char *text;
    int64_t ms;
} read_only[] = {
    {"1970-01-01t00:00:00z", 0},
    {"1970-01-01T00:00:00.0Z", 0},
    {"1970-01-01T00:00:00.5Z", 500},
    {"1970-01-01T00:00:00.0019999999999999999999999999Z", 1},
    {"1970-01-01T00:00:00+00:00", 0},
    {"1970-01-01T00:00:00-00:00", 0},
    {"1970-01-01T02:00:00+02:00", 0},
    {"1969-12-31T18:30:00-05:30", 0},
    {"1970-01-01T23:59:00+23:59", 0},
    {"1990-12-31T23:59:60Z", 662688000000}, /* RFC 3339's example of a leap second */
    {"1990-12-31T15:59:60-08:00", 662688000000},
    {"9999-12-31T23:59:59.999999Z", MS_MAX},
};

static void test_reading(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
        struct wall t = {77};

        assert_true(rfc3339_parse(slice_of(read_only[i].text), &t));
        assert_true(t.ms == read_only[i].ms);
    }
}

static const char *const refused[] = {
    "",
    "1970-01-01",
    "1970-01-01T00:00:00",
    "1970-01-01 00:00:00Z",
    "1970-01-01T00:00Z",
    "1970-01-01T00:00:00.Z",
    "1970-01-01T00:00:00,5Z",
    "1970-01-01T00:00:00Z ",
    " 1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00ZZ",
    "970-01-01T00:00:00Z",
    "01970-01-01T00:00:00Z",
    "-970-01-01T00:00:00Z",
    "1970-1-01T00:00:00Z",
    "1970-00-01T00:00:00Z",
    "1970-13-01T00:00:00Z",
    "1970-01-00T00:00:00Z",
    "1970-01-32T00:00:00Z",
    "1970-04-31T00:00:00Z",
    "1970-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2024-02-30T00:00:00Z",
    "1970-01-01T24:00:00Z",
    "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:61Z",
    "1970-01-01T00:00:00+0000",
    "1970-01-01T00:00:00+00",
    "1970-01-01T00:00:00+24:00",
    "1970-01-01T00:00:00+00:60",
    "1970-01-01T00:00:00 00:00", /* a + that became a blank in a query */
    "1970-01-01T00:00:+1Z",
    "0000-01-01T00:00:00+00:01", /* before year 0 */
    "9999-12-31T23:59:59-00:01", /* after year 9999 */
    "9999-12-31T23:59:60Z",
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct wall t = {77};

        if (rfc3339_parse(slice_of(refused[i]), &t))
            fail_msg("accepted: %s", refused[i]);
        assert_true(t.ms == 77);
    }
}

static void test_beyond_the_years_is_clamped(void **state)
{
    char text[RFC3339_LEN + 1];

    rfc3339_format((struct wall){MS_MIN - 1}, text);
    assert_string_equal(text, "0000-01-01T00:00:00Z");
    rfc3339_format((struct wall){INT64_MAX}, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

/* Against the C library's calendar, at random times and around every end of a February. */
static void check_against_libc(int64_t ms)
{
    char text[RFC3339_LEN + 1], expected[64];
    int64_t in_second = (ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((ms - in_second) / 1000);
    struct tm tm;
    struct wall back;

    assert_non_null(gmtime_r(&seconds, &tm));
    snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    rfc3339_format((struct wall){ms}, text);
    assert_memory_equal(text, expected, 19);
    assert_true(rfc3339_parse(slice_of(text), &back));
    assert_true(back.ms == ms);
}

static void test_against_libc(void **state)
{
    struct prng p;

    prng_init(&p, 1);
    for (int i = 0; i < 100000; i++)
        check_against_libc(MS_MIN + (int64_t)prng_below(&p, (uint64_t)(MS_MAX - MS_MIN + 1)));
    for (int year = 0; year < 10000; year++) {
        struct tm tm = {.tm_year = year - 1900, .tm_mon = 2, .tm_mday = 1};
        int64_t march = (int64_t)timegm(&tm) * 1000;

        check_against_libc(march);
        check_against_libc(march - 1);
    }
}

static void test_as_json(void **state)
{
    struct str s = {0};

    str_add_time(&s, (struct wall){1});
    str_add_time(&s, WALL_UNSET);
    assert_string_equal(s.p, "\"1970-01-01T00:00:00.001Z\"null");
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),    cmocka_unit_test(test_reading),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_beyond_the_years_is_clamped),
        cmocka_unit_test(test_against_libc), cmocka_unit_test(test_as_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
