#include "executor_fixture.h"
#include "io/process/run_log.h"

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
     "executor.type: 'carrier-pigeon' is not one of: command, http, pull, service"},
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

/* ---- several steps ---- */

#define SAY(name, text) "{'name':'" name "','argv':['echo','" text "']}"
#define SCRIPT(name, text) "{'name':'" name "','argv':['sh','-c','" text "']}"

struct steps_row {
    const char *steps;
    enum run_status status;
    const char *output, *error;
    const char *states; /* of the steps, by their first letters; S is skipped */
};

static const struct steps_row steps_rows[] = {
    {SAY("a", "1") "," SAY("b", "2"), RUN_SUCCESS, "2\n", "", "ss"},
    {SAY("a", "1") "," SCRIPT("b", "true"), RUN_SUCCESS, "", "", "ss"},
    {SCRIPT("a", "echo 1; exit 3") "," SAY("b", "2"), RUN_FAILED, "1\n", "step 'a': exit status 3",
     "fS"},
    {SAY("a", "1") "," SCRIPT("b", "exit 9") "," SAY("c", "3"), RUN_FAILED, "",
     "step 'b': exit status 9", "sfS"},
    {SAY("a", "1") ",{'name':'b','argv':['sleep','1000'],'timeout_seconds':0.05}", RUN_FAILED, "",
     "step 'b': timed out after 50ms", "sf"},
    {SCRIPT("a", "kill -9 $$") "," SAY("b", "2"), RUN_FAILED, "",
     "step 'a': killed by signal 9 (SIGKILL)", "fS"},
};

static void expect_states(const struct end *e, const char *states)
{
    json_t *steps = json_loads(e->steps, 0, NULL);
    assert_int_equal(json_array_size(steps), strlen(states));
    for (size_t i = 0; i < strlen(states); i++) {
        const char *status = json_string_value(json_object_get(json_array_get(steps, i), "status"));
        const char letter = strcmp(status, "skipped") == 0 ? 'S' : status[0];
        if (letter != states[i])
            fail_msg("step %zu is %s in %s", i, status, e->steps);
    }
    json_decref(steps);
}

static struct uuid start_steps(struct world *w, struct run_start s, const char *steps)
{
    struct str spec = {0};
    str_printf(&spec, "{'steps':[%s]}", steps);
    struct uuid run = world_start(w, s, spec.p);
    str_release(&spec);
    return run;
}

static void test_steps(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(steps_rows); i++) {
        const struct steps_row *row = &steps_rows[i];
        start_steps(w, world_next(w), row->steps);
        world_await(w, i + 1);
        expect_end(world_last(w), row->status, row->output, row->error);
        expect_states(world_last(w), row->states);
        assert_int_equal(world_last(w)->attempt, 1);
        assert_int_equal(dispatcher_running(w->dispatcher), 0);
    }
}

static void test_lines_name_their_step(void **state)
{
    struct world *w = *state;
    start_steps(w, world_next(w), SCRIPT("a", "printf 1") "," SAY("b", "2"));
    start_steps(w, world_next(w), SAY("a", "1"));
    world_await(w, 2);
    const struct end *several = &w->ends.items[0], *one = &w->ends.items[1];
    if (strstr(several->log, "step") == NULL) {
        several = one;
        one = &w->ends.items[0];
    }
    assert_non_null(
        strstr(several->log, "\"stream\":\"stdout\",\"step\":\"a\",\"message\":\"1\"}\n"));
    assert_non_null(
        strstr(several->log, "\"stream\":\"stdout\",\"step\":\"b\",\"message\":\"2\"}\n"));
    assert_non_null(strstr(one->log, "\"stream\":\"stdout\",\"message\":\"1\"}\n"));
}

/* A run's own limit counts for all of its steps, also when each of them is quick. */
static void test_time_limit_of_a_run(void **state)
{
    struct world *w = *state;
    char error[64];
    uint64_t seconds = 1;
    for (bool there = false; !there;
         seconds *= 4) { /* in a second a busy machine may not have come to the third */
        struct run_start s = world_next(w);
        s.timeout_ms = seconds * 1000;
        start_steps(w, s, SAY("a", "1") "," SAY("b", "2") "," SCRIPT("c", "exec sleep 1000"));
        world_await(w, w->started);
        there = strncmp(world_last(w)->error, "step 'c'", 8) == 0;
    }
    snprintf(error, sizeof(error), "step 'c': timed out after %ds", (int)seconds / 4);
    expect_end(world_last(w), RUN_FAILED, "", error);
    expect_states(world_last(w), "ssf");
}

/* Whether a run is told to end within a step or between two, it ends once, as told. */
static void test_cancel_at_any_moment(void **state)
{
    struct world *w = *state;
    for (size_t turns = 0; turns < 40; turns++) {
        struct uuid run =
            start_steps(w, world_next(w), SAY("a", "1") "," SAY("b", "2") "," SAY("c", "3"));
        for (size_t i = 0; i < turns && dispatcher_running(w->dispatcher) > 0; i++)
            uv_run(&w->loop, UV_RUN_ONCE);
        const bool found = dispatcher_cancel(w->dispatcher, run);
        dispatcher_cancel(w->dispatcher, run);
        world_await(w, turns + 1);
        const struct end *e = world_last(w);
        assert_true(e->status == RUN_CANCELLED || e->status == RUN_SUCCESS);
        assert_true(found || e->status == RUN_SUCCESS);
        json_t *steps = json_loads(e->steps, 0, NULL);
        assert_int_equal(json_array_size(steps), 3);
        assert_null(strstr(e->steps, "pending"));
        assert_null(strstr(e->steps, "running"));
        json_decref(steps);
    }
}

static void test_interrupt_between_steps(void **state)
{
    struct world *w = *state;
    start_steps(w, world_next(w), SCRIPT("a", "exec sleep 1000") "," SAY("b", "2"));
    dispatcher_interrupt(w->dispatcher);
    world_await(w, 1);
    expect_end(world_last(w), RUN_FAILED, "", "interrupted");
    assert_true(world_last(w)->interrupted);
    expect_states(world_last(w), "fS");
}

/* What the steps are at this moment. */
static void test_progress_can_be_seen(void **state)
{
    struct world *w = *state;
    struct str steps = {0}, now = {0};
    str_printf(
        &steps,
        SAY("a", "1") ",{'name':'b','argv':['sh','-c','echo r >$0/ready; exec sleep 1000','%s']}",
        w->dir);
    struct uuid run = start_steps(w, world_next(w), steps.p);
    world_await_ready(w, 2);
    assert_true(dispatcher_steps(w->dispatcher, run, &now));
    assert_non_null(strstr(now.p, "{\"name\":\"a\",\"status\":\"success\""));
    assert_non_null(strstr(now.p, "{\"name\":\"b\",\"status\":\"running\""));
    assert_non_null(dispatcher_log(w->dispatcher, run));
    assert_false(dispatcher_steps(w->dispatcher, run_id(999), &now));
    assert_null(dispatcher_log(w->dispatcher, run_id(999)));
    dispatcher_cancel(w->dispatcher, run);
    world_await(w, 1);
    assert_false(dispatcher_steps(w->dispatcher, run, &now));
    str_release(&steps);
    str_release(&now);
}

/* Whoever follows is told when the run begins and when there are whole lines. */
static void test_news(void **state)
{
    struct world *w = *state;
    world_start(w, world_next(w), "{'executor':{'type':'command','argv':['true']}}");
    assert_int_equal(w->news, 1);
    world_await(w, 1);
    assert_int_equal(w->news, 1);
    world_start(w, world_next(w), "{'executor':{'type':'command','argv':['printf','x']}}");
    world_await(w, 2);
    assert_int_equal(w->news, 3); /* the line that no newline ended, when the run did */
}

/* ---- wrong and early ends ---- */

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
    assert_true(world_ready_is_let_go(w, 100000));
    while (dispatcher_running(w->dispatcher) > 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->ends.len, 0);
}

/* A line that the end of its step completes is told between that step and the next. */
static void kill_at_news(struct host *h, struct uuid run, struct run_log *log)
{
    struct world *w = container_of(h, struct world, host);
    if (log->text.len > 0)
        dispatcher_kill(w->dispatcher);
}

static void test_kill_between_steps_begins_no_other(void **state)
{
    struct world *w = *state;
    struct str steps = {0}, mark = {0};
    str_printf(&steps, SCRIPT("a", "printf x") ",{'name':'b','argv':['touch','%s/mark']}", w->dir);
    str_printf(&mark, "%s/mark", w->dir);
    w->host.run_news = kill_at_news;
    start_steps(w, world_next(w), steps.p);
    while (dispatcher_running(w->dispatcher) > 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->ends.len, 0);
    assert_int_equal(access(mark.p, F_OK), -1);
    str_release(&steps);
    str_release(&mark);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows),
        TEST(test_steps),
        TEST(test_lines_name_their_step),
        TEST(test_time_limit_of_a_run),
        TEST(test_cancel_at_any_moment),
        TEST(test_interrupt_between_steps),
        TEST(test_progress_can_be_seen),
        TEST(test_news),
        TEST(test_unparsable_spec),
        TEST(test_cancel_finds_runs),
        TEST(test_interrupt_ends_everything),
        TEST(test_kill_is_silent),
        TEST(test_kill_between_steps_begins_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
