/* The service executor: pools of worker processes that are given many runs, behave well, or in every way badly. */
#include "executor/pool.h"
#include "executor_fixture.h"

/* A worker in shell: $id is set for each line; the body says what is done. */
#define EACH(body) "while read -r line; do id=${line#*:\\\"}; id=${id%%\\\"*}; " body "; done"
#define ANSWER(rest) "echo \"{\\\"id\\\":\\\"$id\\\"," rest "}\""
#define OK ANSWER("\\\"status\\\":\\\"success\\\"")
#define PID ANSWER("\\\"status\\\":\\\"success\\\",\\\"output\\\":\\\"$$\\\"")

/* The version of the pipeline says which pool a run goes to; what its spec says now matters no more. */
#define SAME "exit 99"

static struct run_start next(struct world *w)
{
    struct run_start s = world_next(w);
    s.pipeline_key = 1;
    return s;
}

/* Starts a run of a worker made of a script; extra is more JSON for the executor, beginning with a comma, or "". */
static struct uuid start(struct world *w, struct run_start s, const char *script, const char *extra)
{
    struct str spec = {0};
    str_add_cstr(&spec, "{'executor':{'type':'service','argv':['sh','-c',");
    str_add_json(&spec, slice_of(script));
    str_printf(&spec, ",'%s']%s}}", w->dir, extra);
    struct uuid run = world_start(w, s, spec.p);
    str_release(&spec);
    return run;
}

static void run_many(struct world *w, size_t n, const char *script, const char *extra)
{
    const size_t ends = w->ends.len;
    for (size_t i = 0; i < n; i++)
        start(w, next(w), script, extra);
    world_await(w, ends + n);
}

static size_t distinct_outputs(struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->ends.len; i++) {
        size_t k = 0;
        while (k < i && strcmp(w->ends.items[k].output, w->ends.items[i].output) != 0)
            k++;
        n += k == i;
    }
    return n;
}

/* ---- what works ---- */

static void test_one_worker_serves_many(void **state)
{
    struct world *w = *state;
    run_many(w, 50, EACH(PID), ",'max_instances':1");
    for (size_t i = 0; i < 50; i++)
        expect_end(&w->ends.items[i], RUN_SUCCESS, NULL, "");
    assert_int_equal(distinct_outputs(w), 1);
    run_many(w, 50, EACH(PID), ",'max_instances':1"); /* it is still there */
    assert_int_equal(distinct_outputs(w), 1);
}

static void test_growth_ends_at_the_maximum(void **state)
{
    struct world *w = *state;
    char gate[48];
    snprintf(gate, sizeof(gate), "%s/gate", w->dir);
    assert_int_equal(mkfifo(gate, 0600), 0);
    int fd = open(gate, O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 8; i++)
        start(w, next(w), EACH("printf r >$0/ready; read -r x <$0/gate; " PID),
              ",'max_instances':3");
    world_await_ready(w, 3);
    assert_int_equal(write(fd, "\n\n\n\n\n\n\n\n", 8), 8);
    world_await(w, 8);
    assert_in_range(distinct_outputs(w), 1, 3);
    close(fd);
    unlink(gate);
}

static void test_several_events_in_one_worker(void **state)
{
    struct world *w = *state;
    /* Answers the last of three first. */
    run_many(w, 3,
             "read -r a; read -r b; read -r c; for line in \"$c\" \"$a\" \"$b\"; do "
             "id=${line#*:\\\"}; id=${id%%\\\"*}; " OK "; done; read -r x",
             ",'max_instances':1,'per_instance':3");
    assert_int_equal(uuid_cmp(w->ends.items[0].run, run_id(3)), 0);
    assert_int_equal(uuid_cmp(w->ends.items[2].run, run_id(2)), 0);
}

static void test_what_a_worker_gets(void **state)
{
    struct world *w = *state;
    struct run_start s = next(w);
    start(w, s, EACH("echo \"$line\" >&2; echo \"$PAWL_PIPELINE $PAWL_WORKER_ID $A\"; " OK),
          ",'env':{'A':'b'}");
    world_await(w, 1);
    const char *log = world_last(w)->log;
    assert_non_null(strstr(log, "\"message\":\"shop.silver.orders 1 b\""));
    assert_non_null(strstr(log, "\\\"event_id\\\":\\\""));
    assert_non_null(strstr(log, "\\\"payload\\\":{\\\"n\\\":1}"));
    assert_non_null(strstr(log, "\"stream\":\"stderr\""));
}

/* What is written to stderr before the answer belongs to the run. */
static void test_each_run_has_its_own_log(void **state)
{
    struct world *w = *state;
    run_many(w, 30, EACH("echo \"log of $id\" >&2; " OK), ",'max_instances':1");
    for (size_t i = 0; i < 30; i++) {
        char id[UUID_TEXT_LEN + 1], expected[80];
        uuid_format(w->ends.items[i].run, id);
        snprintf(expected, sizeof(expected), "\"message\":\"log of %s\"", id);
        const char *found = strstr(w->ends.items[i].log, expected);
        assert_non_null(found);
        if (strstr(found + strlen(expected), "log of") != NULL)
            fail_msg("%s", w->ends.items[i].log);
    }
}

static void test_failed_by_the_worker(void **state)
{
    struct world *w = *state;
    run_many(w, 1, EACH(ANSWER("\\\"status\\\":\\\"failed\\\",\\\"error\\\":\\\"no\\\"")), "");
    expect_end(world_last(w), RUN_FAILED, "", "no");
    run_many(w, 1, EACH(ANSWER("\\\"status\\\":\\\"failed\\\"")), ",'max_instances':2");
    /* the pool is the same one: it is the pipeline's version that tells them apart */
    expect_end(world_last(w), RUN_FAILED, "", "no");
}

static void test_versions_have_their_own_workers(void **state)
{
    struct world *w = *state;
    struct run_start s = next(w);
    start(w, s, EACH(PID), "");
    world_await(w, 1);
    s = next(w);
    s.version = 2;
    start(w, s, EACH(PID), "");
    world_await(w, 2);
    assert_int_equal(distinct_outputs(w), 2);
}

/* ---- idle workers end ---- */

static void await_let_go(struct world *w)
{
    while (!world_ready_is_let_go(w, 1))
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void test_idle_workers_end(void **state)
{
    static const char *const scripts[] = {
        "exec 3>$0/ready; echo r >&3; " EACH(OK),
        "trap \"\" TERM; exec 3>$0/ready; echo r >&3; " EACH(OK) "; while :; do sleep 1; done",
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        struct run_start s = next(w);
        s.pipeline_key = 1 + (int64_t)i;
        start(w, s, scripts[i], ",'idle_seconds':0.1,'kill_grace_seconds':0.1");
        world_await(w, i + 1);
        world_await_ready(w, 2);
        await_let_go(w);
    }
}

static void test_withdrawn_workers_end(void **state)
{
    struct world *w = *state;
    start(w, next(w), "exec 3>$0/ready; echo r >&3; " EACH("sleep 0.1; " PID),
          ",'max_instances':1");
    start(w, next(w), SAME, ",'max_instances':1");
    dispatcher_withdraw(w->dispatcher, 1);
    world_await(w, 2); /* it still does what it was given */
    for (size_t i = 0; i < 2; i++)
        expect_end(&w->ends.items[i], RUN_SUCCESS, NULL, "");
    assert_int_equal(distinct_outputs(w), 1);
    await_let_go(w);
}

static void test_the_minimum_is_kept(void **state)
{
    struct world *w = *state;
    struct str spec = {0};
    str_printf(&spec,
               "{\"executor\":{\"type\":\"service\",\"argv\":[\"sh\",\"-c\",\"exec 3>%s/ready; "
               "echo r >&3; read -r x\"],\"min_instances\":2,\"idle_seconds\":0}}",
               w->dir);
    dispatcher_provide(w->dispatcher, 1, SLICE("a.b.c"), 1, str_slice(&spec));
    world_await_ready(w, 4);
    for (int i = 0; i < 10; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_false(world_ready_is_let_go(w, 50));
    dispatcher_provide(w->dispatcher, 1, SLICE("a.b.c"), 2, SLICE("{}"));
    await_let_go(w);
    str_release(&spec);
}

/* ---- workers that misbehave ---- */

struct bad {
    const char *script, *extra, *error;
};

static const struct bad bads[] = {
    {"exit 127", "", "worker exited with status 127 before answering"},
    {EACH("exit 3"), "", "worker exited with status 3 before answering"},
    {EACH("kill -9 $$"), "", "worker was killed by signal 9 (SIGKILL) before answering"},
    {EACH("printf \"{%065d\\n\" 0 | tr 0 \"[\""), "",
     "its worker wrote a wrong answer: not valid JSON at line 1, column 65: more than 64 levels of "
     "nesting"},
    {EACH("echo \"{\\\"id\\\":\\\"0190a000-0000-7000-8000-000000000000\\\",\\\"status\\\":"
          "\\\"success\\\"}\""),
     "",
     "its worker wrote a wrong answer: its id is not that of an event which waits for an answer"},
    {EACH("yes | tr -d \"\\n\""), "", "its worker wrote a line of more than 1048576 bytes"},
    {EACH("exec >&-; sleep 1000"), "", "its worker closed its stdout"},
    {"read -r line; exec <&-; exec sleep 1000", "", "its worker closed its stdin"},
    {"exec >&-; exit 4", "", "worker exited with status 4 before answering"},
};

static void test_bad_workers(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
        struct run_start s = next(w);
        s.pipeline_key = 100 + (int64_t)i;
        start(w, s, bads[i].script, bads[i].extra);
        world_await(w, i + 1);
        expect_end(world_last(w), RUN_FAILED, "", bads[i].error);
    }
}

static void test_program_that_is_not_there(void **state)
{
    struct world *w = *state;
    struct run_start s = next(w);
    world_start(w, s, "{'executor':{'type':'service','argv':['/no/such'],'max_instances':1}}");
    world_await(w, 1);
    expect_end(world_last(w), RUN_FAILED, "",
               "cannot start \"/no/such\": No such file or directory");
}

static uint64_t loop_ms(struct world *w)
{
    uv_update_time(&w->loop);
    return uv_now(&w->loop);
}

/* Each failure takes one run, and they become rarer. */
static void test_crash_loop_does_not_spin(void **state)
{
    struct world *w = *state;
    const uint64_t before = loop_ms(w);
    run_many(w, 4, "exit 1", ",'max_instances':1");
    assert_true(loop_ms(w) - before >= 100 + 200 + 400);
    for (size_t i = 0; i < 4; i++)
        expect_end(&w->ends.items[i], RUN_FAILED, "",
                   "worker exited with status 1 before answering");
}

/* Many that fail at the same time do not make the wait for the next ones long. */
static void test_a_crash_of_all_is_one_failure(void **state)
{
    struct world *w = *state;
    run_many(w, 16, "exit 1", ",'max_instances':16");
    const struct pools *ps = dispatcher_kept(w->dispatcher, executor_type_find("service"));
    assert_in_range(ps->table->failures, 1, 15); /* on a slow machine they may be some groups */
}

static void test_death_hits_only_what_was_held(void **state)
{
    struct world *w = *state;
    run_many(w, 20, "n=0; " EACH("n=$((n+1)); if [ $n = 3 ]; then kill -9 $$; fi; " OK),
             ",'max_instances':1");
    size_t failed = 0;
    for (size_t i = 0; i < 20; i++)
        failed += w->ends.items[i].status == RUN_FAILED;
    assert_int_equal(failed, 6); /* every third */
}

static void test_floods_are_bounded(void **state)
{
    struct world *w = *state;
    run_many(w, 1, EACH("yes | head -c 5000000; yes err | head -c 5000000 >&2; " OK), "");
    expect_end(world_last(w), RUN_SUCCESS, "", "");
    assert_in_range(world_last(w)->log_len, 1 << 19, (1 << 20) + 300);
}

static void test_worker_that_reads_nothing(void **state)
{
    struct world *w = *state;
    struct str payload = {0};
    str_add_cstr(&payload, "[0");
    while (payload.len < (1 << 20))
        str_add_cstr(&payload, ",123456789");
    str_add_char(&payload, ']');
    for (int i = 0; i < 8; i++) {
        struct run_start s = next(w);
        s.payload = str_slice(&payload);
        s.timeout_ms = 300;
        start(w, s, "exec sleep 1000", ",'max_instances':1,'per_instance':100");
    }
    str_release(&payload);
    world_await(w, 8);
    for (size_t i = 0; i < 8; i++)
        expect_end(&w->ends.items[i], RUN_FAILED, "", "timed out after 300ms");
}

/* ---- time-outs, cancellation, the end ---- */

static void test_timeout_takes_the_worker(void **state)
{
    struct world *w = *state;
    char error[40];
    uint64_t seconds = 1;
    for (bool busy = false; !busy;
         seconds *= 4) { /* in a second a slow machine may not even have begun */
        struct run_start s = next(w);
        s.timeout_ms = seconds * 1000;
        start(w, s, EACH("sleep 1000 & exec 3>$0/ready; echo r >&3; sleep 1000"),
              ",'max_instances':1");
        busy = world_gets_ready(w, 2);
        world_await(w, w->started);
    }
    snprintf(error, sizeof(error), "timed out after %ds", (int)seconds / 4);
    expect_end(world_last(w), RUN_FAILED, "", error);
    assert_true(world_ready_is_let_go(w, 100000)); /* with everything it had started */
}

static void test_timeout_and_the_others_in_the_worker(void **state)
{
    struct world *w = *state;
    struct run_start s = next(w);
    s.timeout_ms = 300;
    start(w, s, "read -r a; read -r b; sleep 1000", ",'max_instances':1,'per_instance':2");
    start(w, next(w), SAME, ",'max_instances':1,'per_instance':2");
    world_await(w, 2);
    for (size_t i = 0; i < 2; i++)
        expect_end(&w->ends.items[i], RUN_FAILED, "",
                   uuid_cmp(w->ends.items[i].run, s.run) == 0
                       ? "timed out after 300ms"
                       : "its worker was ended because another run in it timed out");
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    struct uuid held =
        start(w, next(w), EACH("echo r >$0/ready; exec sleep 1000"), ",'max_instances':1");
    struct uuid waits = start(w, next(w), SAME, ",'max_instances':1");
    world_await_ready(w, 2);
    assert_true(dispatcher_cancel(w->dispatcher, waits));
    world_await(w, 1);
    assert_int_equal(uuid_cmp(world_last(w)->run, waits), 0);
    assert_true(dispatcher_cancel(w->dispatcher, held));
    assert_true(dispatcher_cancel(w->dispatcher, held));
    world_await(w, 2);
    for (size_t i = 0; i < 2; i++)
        expect_end(&w->ends.items[i], RUN_CANCELLED, "", "cancelled");
}

/* What it was asked first counts, also when its time is over before the worker is gone. */
static void test_cancel_before_the_timeout(void **state)
{
    struct world *w = *state;
    struct run_start s;
    for (uint64_t ms = 1000;; ms *= 4) { /* in a second a slow machine may not even have begun */
        char extra[48];
        s = next(w);
        s.timeout_ms = ms;
        s.pipeline_key = (int64_t)ms; /* workers of its own */
        snprintf(extra, sizeof(extra), ",'kill_grace_seconds':%.1f", (double)ms * 1.5 / 1000);
        start(w, s, "trap \"\" TERM; read -r a; echo r >$0/ready; while :; do sleep 1000; done",
              extra);
        if (world_gets_ready(w, 2))
            break;
        world_await(w, w->started);
    }
    assert_true(dispatcher_cancel(w->dispatcher, s.run));
    world_await(w, w->started);
    expect_end(world_last(w), RUN_CANCELLED, "", "cancelled");
}

/* The worker has another run: it goes on, and its answer for the cancelled one is ignored. */
static void test_cancel_beside_others(void **state)
{
    struct world *w = *state;
    static const char extra[] = ",'max_instances':1,'per_instance':2";
    struct uuid first =
        start(w, next(w),
              "read -r a; read -r b; echo r >$0/ready; read -r x <$0/gate; "
              "for line in \"$a\" \"$b\"; do id=${line#*:\\\"}; id=${id%%\\\"*}; " PID
              "; done; read -r line; id=${line#*:\\\"}; id=${id%%\\\"*}; " PID "; read -r x",
              extra);
    char gate[48];
    snprintf(gate, sizeof(gate), "%s/gate", w->dir);
    assert_int_equal(mkfifo(gate, 0600), 0);
    int fd = open(gate, O_RDWR | O_CLOEXEC);
    start(w, next(w), SAME, extra);
    world_await_ready(w, 2);
    dispatcher_cancel(w->dispatcher, first);
    world_await(w, 1);
    expect_end(world_last(w), RUN_CANCELLED, "", "cancelled");
    start(w, next(w), SAME, extra);
    assert_int_equal(write(fd, "\n", 1), 1);
    world_await(w, 3);
    for (size_t i = 1; i < 3; i++)
        expect_end(&w->ends.items[i], RUN_SUCCESS, w->ends.items[1].output, "");
    close(fd);
    unlink(gate);
}

static void test_interrupt(void **state)
{
    struct world *w = *state;
    static const char extra[] = ",'max_instances':2,'per_instance':2";
    for (int i = 0; i < 7; i++)
        start(w, next(w), EACH("echo r >$0/ready; exec sleep 1000"), extra);
    world_await_ready(w, 4);
    dispatcher_withdraw(w->dispatcher, 0);
    dispatcher_interrupt(w->dispatcher);
    world_await(w, 7);
    for (size_t i = 0; i < 7; i++) {
        expect_end(&w->ends.items[i], RUN_FAILED, "", "interrupted");
        assert_true(w->ends.items[i].interrupted);
    }
}

static void test_close_ends_idle_workers(void **state)
{
    struct world *w = *state;
    start(w, next(w), "exec 3>$0/ready; echo r >&3; " EACH(OK), "");
    world_await(w, 1);
    world_await_ready(w, 2);
    /* teardown closes: it would wait for ever */
}

static void test_kill(void **state)
{
    struct world *w = *state;
    start(w, next(w), "exec 3>$0/ready; echo r >&3; " EACH("sleep 1000"), "");
    world_await_ready(w, 2);
    dispatcher_kill(w->dispatcher);
    assert_true(world_ready_is_let_go(w, 100000));
    while (dispatcher_running(w->dispatcher) > 0)
        uv_run(&w->loop, UV_RUN_ONCE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_worker_serves_many),
        TEST(test_growth_ends_at_the_maximum),
        TEST(test_several_events_in_one_worker),
        TEST(test_what_a_worker_gets),
        TEST(test_each_run_has_its_own_log),
        TEST(test_failed_by_the_worker),
        TEST(test_versions_have_their_own_workers),
        TEST(test_idle_workers_end),
        TEST(test_withdrawn_workers_end),
        TEST(test_the_minimum_is_kept),
        TEST(test_bad_workers),
        TEST(test_program_that_is_not_there),
        TEST(test_crash_loop_does_not_spin),
        TEST(test_a_crash_of_all_is_one_failure),
        TEST(test_death_hits_only_what_was_held),
        TEST(test_floods_are_bounded),
        TEST(test_worker_that_reads_nothing),
        TEST(test_timeout_takes_the_worker),
        TEST(test_timeout_and_the_others_in_the_worker),
        TEST(test_cancel),
        TEST(test_cancel_before_the_timeout),
        TEST(test_cancel_beside_others),
        TEST(test_interrupt),
        TEST(test_close_ends_idle_workers),
        TEST(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
