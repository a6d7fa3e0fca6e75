#include "base/check.h"
#include "base/civil.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
    struct civil date;
    int64_t days;
    int weekday;
} rows[] = {
    {{1970, 1, 1}, 0, 4},       {{1969, 12, 31}, -1, 3},      {{2000, 2, 29}, 11016, 2},
    {{2000, 3, 1}, 11017, 3},   {{1900, 2, 28}, -25509, 3},   {{1900, 3, 1}, -25508, 4},
    {{2026, 2, 13}, 20497, 5},  {{0, 1, 1}, -719528, 6},      {{0, 3, 1}, -719468, 3},
    {{-1, 12, 31}, -719529, 5}, {{9999, 12, 31}, 2932896, 5},
};

static void known_dates(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct civil d = civil_from_days(rows[i].days);
        assert_int_equal(civil_to_days(rows[i].date), rows[i].days);
        assert_int_equal(d.year, rows[i].date.year);
        assert_int_equal(d.month, rows[i].date.month);
        assert_int_equal(d.day, rows[i].date.day);
        assert_int_equal(civil_weekday(rows[i].days), rows[i].weekday);
    }
}

/* One day after the other through a full cycle of the calendar and both of its ends. */
static void every_day_follows_its_day_before(void **state)
{
    struct civil before = civil_from_days(-800 * 366);
    for (int64_t n = -800 * 366 + 1; n < 500 * 366; n++) {
        const struct civil d = civil_from_days(n);
        const bool month_end = before.day == civil_month_days(before.year, before.month);
        assert_int_equal(d.day, month_end ? 1 : before.day + 1);
        assert_int_equal(d.month, month_end ? before.month % 12 + 1 : before.month);
        assert_int_equal(d.year, before.year + (month_end && before.month == 12));
        assert_int_equal(civil_to_days(d), n);
        assert_int_equal(civil_weekday(n), (civil_weekday(n - 1) + 1) % 7);
        before = d;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),
        cmocka_unit_test(every_day_follows_its_day_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
