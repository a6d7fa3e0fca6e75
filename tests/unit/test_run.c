#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "pawl/run.h"

static const struct {
    enum run_status status;
    const char *name;
    bool final;
} cases[] = {
    {RUN_PENDING, "pending", false},    {RUN_RUNNING, "running", false},
    {RUN_SUCCESS, "success", true},     {RUN_FAILED, "failed", true},
    {RUN_CANCELLED, "cancelled", true},
};

static void test_names(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum run_status got = RUN_PENDING;

        assert_int_equal(cases[i].status, i); /* stored: never renumbered */
        assert_string_equal(run_status_name(cases[i].status), cases[i].name);
        assert_true(run_status_parse(slice_of(cases[i].name), &got));
        assert_int_equal(got, cases[i].status);
        assert_int_equal(run_status_is_final(cases[i].status), cases[i].final);
    }
}

static void test_other_names_are_refused(void **state)
{
    static const char *const others[] = {"", "Pending", "pendin", "pending ", "done"};

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        enum run_status got = RUN_FAILED;

        assert_false(run_status_parse(slice_of(others[i]), &got));
        assert_int_equal(got, RUN_FAILED);
    }
    assert_false(run_status_parse(SLICE_NONE, &(enum run_status){RUN_PENDING}));
}

/* The table in docs/executors.md: every pair that is not here is a bug. */
static void test_moves(void **state)
{
    static const char *const allowed[] = {
        "pending running", "pending pending",   "pending success",
        "pending failed",  "pending cancelled", "running pending",
        "running success", "running failed",    "running cancelled",
    };
    size_t found = 0;
    for (size_t from = 0; from < ARRAY_SIZE(cases); from++) {
        for (size_t to = 0; to < ARRAY_SIZE(cases); to++) {
            char pair[32];
            bool want = false;
            snprintf(pair, sizeof(pair), "%s %s", cases[from].name, cases[to].name);
            for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
                want = want || strcmp(pair, allowed[i]) == 0;
            found += want;
            if (run_may_move(cases[from].status, cases[to].status) != want)
                fail_msg("%s", pair);
        }
    }
    assert_int_equal(found, ARRAY_SIZE(allowed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_other_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
