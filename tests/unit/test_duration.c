#include "base/check.h"
#include "base/duration.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void parses(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"120s", 120000},  {"2m", 120000}, {"1m30s", 90000},
        {"500ms", 500},    {"1.5s", 1500}, {"0s", 0},
        {"1h", 3600000},   {"1ns", 1},     {"999999ns", 1},
        {"1000001ns", 2},  {"1us", 1},     {"5\xc2\xb5s", 1},
        {".5s", 500},      {"1.s", 1000},  {"1h1m1s1ms", 3661001},
        {"30s30s", 60000}, {"0.0001s", 1}, {"8760h", DURATION_MS_MAX},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t ms = 0;
        assert_true(duration_parse(slice_of(rows[i].text), &ms));
        assert_int_equal(ms, rows[i].ms);
    }
}

static void takes_seconds(void **state)
{
    static const struct {
        double seconds;
        uint64_t ms;
    } rows[] = {{0, 0},      {1, 1000},   {1.5, 1500},           {1.1, 1100}, {0.0004, 1},
                {0.0015, 2}, {1e-300, 1}, {2592000, 2592000000}, {0.0014, 1}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(duration_ms_of(rows[i].seconds), rows[i].ms);
}

static void refuses(void **state)
{
    static const char *const rows[] = {
        "",
        "30",
        "s",
        "-5s",
        "+5s",
        " 5s",
        "5s ",
        "5 s",
        "1d",
        ".s",
        "1..5s",
        "1.5",
        "5sx",
        "x5s",
        "5S",
        "m",
        "1m30",
        "\xc2\xb5s",
        "8761h",
        "99999999999999999999s",
        "18446744073709551616ms",
        "8760h1ms",
        "1e3s",
        "NaNs",
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t ms = 77;
        if (duration_parse(slice_of(rows[i]), &ms))
            fail_msg("'%s' was taken as %llu ms", rows[i], (unsigned long long)ms);
        assert_int_equal(ms, 77);
    }
    /* Not NUL-terminated: nothing behind the slice may be looked at. */
    uint64_t ms = 0;
    assert_true(duration_parse((struct slice){"5ms", 2}, &ms));
    assert_int_equal(ms, 300000);
}

static void formats(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {1, "1ms"},
        {999, "999ms"},
        {1000, "1s"},
        {1500, "1.5s"},
        {1010, "1.01s"},
        {30000, "30s"},
        {60000, "1m0s"},
        {90000, "1m30s"},
        {120000, "2m0s"},
        {90250, "1m30.25s"},
        {3600000, "1h0m0s"},
        {3661001, "1h1m1.001s"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[DURATION_TEXT_MAX];
        uint64_t back = 1;
        duration_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
        assert_true(duration_parse(slice_of(text), &back));
        assert_int_equal(back, rows[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(takes_seconds),
        cmocka_unit_test(refuses),
        cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
