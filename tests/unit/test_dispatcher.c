#include "executor_fixture.h"

struct row {
    const char *spec;
    enum run_status status;
    const char *output, *error;
};

static const struct row rows[] = {
    {"{'executor':{'type':'command','argv':['echo','a']}}", RUN_SUCCESS, "a\n", ""},
    {"{'steps':[{'name':'one','argv':['echo','b']}]}", RUN_SUCCESS, "b\n", ""},
    {"{'steps':[{'name':'one','executor':{'type':'command','argv':['echo','c']}}],'options':{}}",
     RUN_SUCCESS, "c\n", ""},
    {"{'executor':{'type':'carrier-pigeon'}}", RUN_FAILED, "",
     "executor.type: 'carrier-pigeon' is not one of: command, pull"},
    {"{'executor':{'type':'command','argv':[]}}", RUN_FAILED, "",
     "executor.argv: must name a program"},
    {"{'executor':{'type':'pull'}}", RUN_FAILED, "",
     "executor.type: pull runs are taken by workers"},
    {"{}", RUN_FAILED, "", "executor: exactly one of executor and steps is required"},
};

static void test_rows(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        world_start(w, world_next(w), rows[i].spec);
        world_await(w, i + 1);
        expect_end(world_last(w), rows[i].status, rows[i].output, rows[i].error);
        assert_int_equal(dispatcher_running(w->dispatcher), 0);
    }
}

static void test_unparsable_spec(void **state)
{
    struct world *w = *state;
    world_start(w, world_next(w), "{");
    world_start(w, world_next(w), "");
    world_await(w, 2);
    assert_int_equal(w->ends.items[0].status, RUN_FAILED);
    assert_int_equal(w->ends.items[1].status, RUN_FAILED);
    assert_true(strlen(w->ends.items[0].error) > 0);
    assert_true(strlen(w->ends.items[1].error) > 0);
}

static void test_cancel_finds_runs(void **state)
{
    struct world *w = *state;
    struct uuid refused = world_start(w, world_next(w), "{}");
    struct uuid run =
        world_start(w, world_next(w), "{'executor':{'type':'command','argv':['cat']}}");
    assert_false(dispatcher_cancel(w->dispatcher, run_id(999)));
    assert_true(dispatcher_cancel(w->dispatcher, refused));
    assert_true(dispatcher_cancel(w->dispatcher, run));
    world_await(w, 2);
    assert_false(dispatcher_cancel(w->dispatcher, run));
}

static void test_interrupt_ends_everything(void **state)
{
    struct world *w = *state;
    world_start(w, world_next(w), "{'executor':{'type':'command','argv':['sleep','1000']}}");
    world_start_script(w, world_next(w), "echo r >$0/ready; exec sleep 1000", "");
    world_await_ready(w, 2);
    dispatcher_interrupt(w->dispatcher);
    world_await(w, 2);
    for (size_t i = 0; i < 2; i++) {
        expect_end(&w->ends.items[i], RUN_FAILED, "", "interrupted");
        assert_true(w->ends.items[i].interrupted);
    }
}

/* A daemon that exits leaves nothing behind and reports nothing: at its next start the runs are found in flight. */
static void test_kill_is_silent(void **state)
{
    struct world *w = *state;
    world_start_script(w, world_next(w),
                       "trap \"\" TERM; exec 3>$0/ready; echo r >&3; sleep 1000 & sleep 1000", "");
    world_await_ready(w, 2);
    world_start(w, world_next(w), "{'executor':{'type':'command','argv':['sleep','1000']}}");
    dispatcher_kill(w->dispatcher);
    assert_true(world_ready_is_let_go(w, 10000));
    while (dispatcher_running(w->dispatcher) > 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->ends.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows),
        TEST(test_unparsable_spec),
        TEST(test_cancel_finds_runs),
        TEST(test_interrupt_ends_everything),
        TEST(test_kill_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
