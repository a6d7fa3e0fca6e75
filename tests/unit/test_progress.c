#include "executor/progress.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const struct wall NOON = {INT64_C(1770977100123)}; /* 2026-02-13T10:05:00.123Z */

static struct wall after(int64_t ms)
{
    return (struct wall){NOON.ms + ms};
}

static struct step steps[] = {{.name = SLICE("a")}, {.name = SLICE("b")}, {.name = SLICE("c")}};
static const struct step_list list = {steps, ARRAY_SIZE(steps)};

static void expect(const struct progress *p, bool over, const char *json)
{
    struct str s = {0};
    progress_add(p, &list, over, &s);
    assert_string_equal(s.p, json);
    str_release(&s);
}

#define NOT_BEGUN(name, status)                                                                    \
    "{\"name\":\"" name "\",\"status\":\"" status "\",\"started_at\":null,\"finished_at\":null,"   \
    "\"duration_ms\":null,\"error\":null}"

static void test_from_step_to_step(void **state)
{
    struct progress p;
    progress_init(&p, list.count);
    expect(&p, false,
           "[" NOT_BEGUN("a", "pending") "," NOT_BEGUN("b", "pending") "," NOT_BEGUN(
               "c", "pending") "]");
    progress_begin(&p, 0, NOON);
    progress_end(&p, 0, &(struct run_result){.status = RUN_SUCCESS, .exited = true}, after(877));
    progress_begin(&p, 1, after(900));
    const char *first =
        "[{\"name\":\"a\",\"status\":\"success\",\"started_at\":\"2026-02-13T10:05:00.123Z\","
        "\"finished_at\":\"2026-02-13T10:05:01Z\",\"duration_ms\":877,\"exit_status\":0,"
        "\"error\":null},";
    struct str s = {0};
    str_printf(
        &s,
        "%s{\"name\":\"b\",\"status\":\"running\",\"started_at\":\"2026-02-13T10:05:01.023Z\","
        "\"finished_at\":null,\"duration_ms\":null,\"error\":null}," NOT_BEGUN("c", "pending") "]",
        first);
    expect(&p, false, s.p);
    /* The clock was set back meanwhile. */
    progress_end(
        &p, 1,
        &(struct run_result){
            .status = RUN_FAILED, .exited = true, .exit_status = 3, .error = SLICE("said \"no\"")},
        NOON);
    str_reset(&s);
    str_printf(
        &s,
        "%s{\"name\":\"b\",\"status\":\"failed\",\"started_at\":\"2026-02-13T10:05:01.023Z\","
        "\"finished_at\":\"2026-02-13T10:05:00.123Z\",\"duration_ms\":0,\"exit_status\":3,"
        "\"error\":\"said \\\"no\\\"\"}," NOT_BEGUN("c", "skipped") "]",
        first);
    expect(&p, true, s.p);
    str_release(&s);
    progress_release(&p);
    progress_release(&p); /* empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_step_to_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
