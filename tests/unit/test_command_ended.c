/* Commands that are ended: by a timeout, by a cancellation, and what they leave behind. */
#include "executor_fixture.h"
#include "io/process/process.h"

/* ---- background children ---- */

static uint64_t loop_ms(struct world *w)
{
    uv_update_time(&w->loop);
    return uv_now(&w->loop);
}

static void test_background_child_does_not_hold_the_run(void **state)
{
    struct world *w = *state;
    world_start_script(w, world_next(w),
                       "(exec 3>$0/ready; echo r >&3; exec sleep 1000) & echo $!; read r <$0/ready",
                       "");
    uint64_t before = loop_ms(w);
    world_await(w, 1);
    struct end *e = world_last(w);
    assert_int_equal(e->status, RUN_SUCCESS);
    assert_true(loop_ms(w) - before >= PROCESS_DRAIN_MS - 20);
    pid_t child = atoi(e->output);
    assert_true(child > 1);
    assert_false(world_ready_is_let_go(w, 0)); /* it lives: its own end is its own business */
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_true(world_ready_is_let_go(w, 100000));
}

/* Does something as soon as the leader is gone and reaped. */
#define AFTER_THE_EXIT(what) "(while kill -0 $$; do :; done 2>/dev/null; " what ") & echo first"

static void test_late_output_is_kept(void **state)
{
    struct world *w = *state;
    bool late = false;
    for (size_t i = 0; i < 100 && !late;
         i++) { /* on a busy machine it may be too late now and then */
        world_start_script(w, world_next(w), AFTER_THE_EXIT("echo late"), "");
        world_await(w, i + 1);
        expect_end(world_last(w), RUN_SUCCESS, NULL, "");
        late = strcmp(world_last(w)->output, "first\nlate\n") == 0;
    }
    assert_true(late);
}

/* Cutting the wait short does not turn a success into something else. */
static void test_cancel_after_the_exit(void **state)
{
    struct world *w = *state;
    struct uuid run = world_start_script(
        w, world_next(w),
        AFTER_THE_EXIT("exec 3>$0/ready; echo r >&3; exec sleep 1000") "; echo $!", "");
    world_await_ready(w, 2);
    dispatcher_cancel(w->dispatcher, run);
    world_await(w, 1);
    expect_end(world_last(w), RUN_SUCCESS, NULL, "");
    pid_t child = atoi(world_last(w)->output + strlen("first\n"));
    assert_true(child > 1);
    assert_int_equal(kill(child, SIGKILL), 0);
}

/* ---- being ended ---- */

#define STUBBORN                                                                                   \
    "trap \"\" TERM; exec 3>$0/ready; echo r >&3; sleep 1000 & sleep 1000 & while :; do wait; "    \
    "done"
#define OBEDIENT "exec 3>$0/ready; echo r >&3; sleep 1000 & sleep 1000"

static void test_timeout(void **state)
{
    struct world *w = *state;
    char error[40];
    uint64_t seconds = 1, before = loop_ms(w);
    for (bool said = false; !said;
         seconds *= 4) { /* in a second a busy machine may not even have begun */
        struct run_start s = world_next(w);
        s.timeout_ms = seconds * 1000;
        before = loop_ms(w);
        world_start_script(w, s, "echo before; echo r >$0/ready; exec sleep 1000",
                           ",'kill_grace_seconds':3600"); /* SIGTERM is enough */
        said = world_gets_ready(w, 2);
        world_await(w, w->started);
    }
    snprintf(error, sizeof(error), "timed out after %ds", (int)seconds / 4);
    expect_end(world_last(w), RUN_FAILED, "before\n", error);
    assert_true(loop_ms(w) - before >= seconds / 4 * 1000);
}

static void test_timeout_of_a_group_that_ignores_sigterm(void **state)
{
    struct world *w = *state;
    char error[40];
    uint64_t seconds = 1, before = loop_ms(w);
    for (bool deaf = false; !deaf; seconds *= 4) { /* see above */
        struct run_start s = world_next(w);
        s.timeout_ms = seconds * 1000;
        before = loop_ms(w);
        world_start_script(w, s, STUBBORN, ",'kill_grace_seconds':0.3");
        deaf = world_gets_ready(w, 2);
        world_await(w, w->started);
    }
    snprintf(error, sizeof(error), "timed out after %ds", (int)seconds / 4);
    expect_end(world_last(w), RUN_FAILED, "", error);
    assert_true(loop_ms(w) - before >= seconds / 4 * 1000 + 300);
    assert_true(world_ready_is_let_go(w, 100000)); /* the grandchildren died, too */
}

static void test_timeout_during_the_start(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 20; i++) {
        struct run_start s = world_next(w);
        s.timeout_ms = 1;
        world_start(w, s, "{'executor':{'type':'command','argv':['sleep','1000']}}");
    }
    world_await(w, 20);
    for (size_t i = 0; i < 20; i++)
        expect_end(&w->ends.items[i], RUN_FAILED, "", "timed out after 1ms");
}

static void test_timeout_that_does_not_come(void **state)
{
    struct world *w = *state;
    struct run_start s = world_next(w);
    s.timeout_ms = 3600 * 1000;
    world_start(w, s, "{'executor':{'type':'command','argv':['true']}}");
    world_await(w, 1);
    expect_end(world_last(w), RUN_SUCCESS, "", "");
}

static void test_cancel_at_once(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < 50; i++) {
        struct uuid run = world_start(w, world_next(w),
                                      "{'executor':{'type':'command','argv':['sleep','1000']}}");
        if (i % 2 == 0)
            uv_run(&w->loop, UV_RUN_NOWAIT); /* the start is under way, or done */
        assert_true(dispatcher_cancel(w->dispatcher, run));
        assert_true(dispatcher_cancel(w->dispatcher, run)); /* twice is once */
    }
    world_await(w, 50);
    for (size_t i = 0; i < 50; i++)
        expect_end(&w->ends.items[i], RUN_CANCELLED, "", "cancelled");
}

static void test_cancel_kills_the_group(void **state)
{
    struct world *w = *state;
    static const char *const scripts[] = {OBEDIENT, STUBBORN};
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        struct uuid run =
            world_start_script(w, world_next(w), scripts[i], ",'kill_grace_seconds':0.2");
        world_await_ready(w, 2);
        assert_true(dispatcher_cancel(w->dispatcher, run));
        world_await(w, i + 1);
        expect_end(world_last(w), RUN_CANCELLED, "", "cancelled");
        assert_true(world_ready_is_let_go(w, 100000));
        assert_false(dispatcher_cancel(w->dispatcher, run));
    }
}

/* The leader obeys and is gone; a grandchild that ignores SIGTERM is killed without waiting for the grace. */
static void test_cancel_kills_what_the_leader_leaves(void **state)
{
    struct world *w = *state;
    struct uuid run = world_start_script(w, world_next(w),
                                         "(trap \"\" TERM; exec 3>$0/ready; echo r >&3; while :; "
                                         "do sleep 1; done) & exec sleep 1000",
                                         ",'kill_grace_seconds':3600");
    world_await_ready(w, 2);
    assert_true(dispatcher_cancel(w->dispatcher, run));
    world_await(w, 1);
    expect_end(world_last(w), RUN_CANCELLED, "", "cancelled");
    assert_true(world_ready_is_let_go(w, 100000));
}

static void test_cancel_of_a_stopped_process(void **state)
{
    struct world *w = *state;
    struct uuid run =
        world_start_script(w, world_next(w), "exec 3>$0/ready; echo r >&3; kill -STOP $$",
                           ",'kill_grace_seconds':3600");
    world_await_ready(w, 2);
    assert_true(dispatcher_cancel(w->dispatcher, run));
    world_await(w, 1);
    expect_end(world_last(w), RUN_CANCELLED, "", "cancelled");
}

static void test_cancel_wins_over_interrupt_when_first(void **state)
{
    struct world *w = *state;
    struct uuid run = world_start_script(w, world_next(w), OBEDIENT, "");
    world_await_ready(w, 2);
    dispatcher_cancel(w->dispatcher, run);
    dispatcher_interrupt(w->dispatcher);
    world_await(w, 1);
    expect_end(world_last(w), RUN_CANCELLED, "", "cancelled");
    assert_false(world_last(w)->interrupted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_background_child_does_not_hold_the_run),
        TEST(test_late_output_is_kept),
        TEST(test_cancel_after_the_exit),
        TEST(test_timeout),
        TEST(test_timeout_of_a_group_that_ignores_sigterm),
        TEST(test_timeout_during_the_start),
        TEST(test_timeout_that_does_not_come),
        TEST(test_cancel_at_once),
        TEST(test_cancel_kills_the_group),
        TEST(test_cancel_kills_what_the_leader_leaves),
        TEST(test_cancel_of_a_stopped_process),
        TEST(test_cancel_wins_over_interrupt_when_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
