#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_other_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
