/* Interactive processes: written to while they run. */
#include "base/check.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/process/process.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct talk {
    uv_loop_t loop;
    struct timers timers;
    struct spawner *spawner;
    struct process process;
    struct process_end end;
    struct str out[3];
    bool closed[3], begun, started, ended; /* begun: and not ended */
};

static char *const env[] = {"PATH=/usr/bin:/bin", NULL};

static void note_output(struct process *p, int fd, struct slice bytes)
{
    str_add_slice(&container_of(p, struct talk, process)->out[fd], bytes);
}

static void note_closed(struct process *p, int fd)
{
    struct talk *t = container_of(p, struct talk, process);
    assert_true(t->started && !t->ended && !t->closed[fd]);
    t->closed[fd] = true;
}

static void note_started(struct process *p)
{
    container_of(p, struct talk, process)->started = true;
}

static void note_ended(struct process *p, const struct process_end *e)
{
    struct talk *t = container_of(p, struct talk, process);
    t->ended = true;
    t->begun = false;
    t->end = *e;
}

static int setup(void **state)
{
    struct talk *t = mem_zalloc(sizeof(*t));
    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&t->loop) == 0);
    timers_init(&t->timers, &t->loop);
    t->spawner = spawner_create(&t->loop, &t->timers);
    *state = t;
    return 0;
}

static void spawner_closed(void *arg)
{
    timers_close(&((struct talk *)arg)->timers, NULL);
}

static int teardown(void **state)
{
    struct talk *t = *state;
    if (t->begun)
        process_stop(&t->process); /* the test has failed in between: nobody else would */
    while (t->begun)
        uv_run(&t->loop, UV_RUN_ONCE);
    spawner_close(t->spawner, spawner_closed, t);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&t->loop) == 0);
    for (int i = 0; i < 3; i++)
        str_release(&t->out[i]);
    free(t);
    return 0;
}

static void begin(struct talk *t, char *script)
{
    static char *argv[] = {"sh", "-c", NULL, NULL};
    argv[2] = script;
    t->begun = true;
    process_start(&t->process, t->spawner,
                  &(struct process_options){.argv = argv,
                                            .env = env,
                                            .kill_grace_ms = 200,
                                            .interactive = true,
                                            .started = note_started,
                                            .closed = note_closed,
                                            .output = note_output,
                                            .ended = note_ended});
}

static void say(struct talk *t, const char *text)
{
    process_write(&t->process, slice_of(text));
}

#define AWAIT(t, condition)                                                                        \
    do {                                                                                           \
        while (!(condition))                                                                       \
            assert_true(uv_run(&(t)->loop, UV_RUN_ONCE) != 0 || (condition));                      \
    } while (0)

static void await_end(struct talk *t)
{
    AWAIT(t, t->ended);
}

static void test_conversation(void **state)
{
    struct talk *t = *state;
    begin(t, "while read -r line; do echo \"<$line>\"; done; echo over");
    say(t, "before "); /* it is not even started yet */
    say(t, "the start\n");
    assert_false(t->started);
    AWAIT(t, t->out[1].len == strlen("<before the start>\n"));
    assert_true(t->started);
    say(t, "one\n");
    AWAIT(t, t->out[1].len == strlen("<before the start>\n<one>\n"));
    assert_int_equal(process_unsent(&t->process), 0);
    say(t, "two\n");
    process_close_input(&t->process);
    say(t, "too late\n");
    await_end(t);
    assert_string_equal(t->out[1].p, "<before the start>\n<one>\n<two>\nover\n");
    assert_int_equal(t->end.exit_status, 0);
    assert_int_equal(t->end.cause, PROCESS_BY_ITSELF);
    assert_int_equal(t->process.input_taken, strlen("before the start\none\ntwo\n"));
}

/* A shell reads byte by byte: what it leaves in the pipe nobody has seen, unless somebody else has the pipe's end as well. */
static void test_what_nobody_read_was_not_taken(void **state)
{
    struct talk *t = *state;
    begin(t, "read -r line; echo $line; kill -STOP $$");
    say(t, "one\n");
    AWAIT(t, t->out[1].len == strlen("one\n"));
    say(t, "two\nthree\n");
    while (process_unsent(&t->process) > 0)
        uv_run(&t->loop, UV_RUN_NOWAIT);
    assert_int_equal(t->process.input_taken, strlen("one\ntwo\nthree\n"));
    process_stop(&t->process);
    await_end(t);
    assert_int_equal(t->process.input_taken, strlen("one\n"));
}

static void test_what_others_may_read_was_taken(void **state)
{
    struct talk *t = *state;
    begin(t,
          "exec 3<&0; setsid sh -c 'echo $$; exec sleep 600 >/dev/null 2>&1' <&3 & kill -STOP $$");
    AWAIT(t, t->out[1].len > 0);
    say(t, "one\n");
    while (process_unsent(&t->process) > 0)
        uv_run(&t->loop, UV_RUN_NOWAIT);
    process_stop(&t->process);
    await_end(t);
    assert_int_equal(t->process.input_taken, strlen("one\n"));
    assert_int_equal(kill(atoi(t->out[1].p), SIGKILL), 0);
}

/* What is written in one turn of the loop is one write(2). */
static void test_writes_of_a_turn_are_one(void **state)
{
    struct talk *t = *state;
    begin(t, "while x=$(dd bs=64k count=1 2>/dev/null; echo .) && [ \"$x\" != . ]; do echo "
             "\"${#x}\"; done");
    AWAIT(t, t->started);
    for (int i = 0; i < 100; i++)
        say(t, "12345\n");
    AWAIT(t, t->out[1].len > 0);
    process_close_input(&t->process);
    await_end(t);
    assert_string_equal(t->out[1].p, "601\n"); /* and the '.' */
}

static void test_back_pressure(void **state)
{
    struct talk *t = *state;
    struct str much = {0};
    while (much.len < (3 << 20))
        str_add_cstr(&much, "0123456789abcde\n");
    begin(t, "kill -STOP $$; exec wc -c");
    AWAIT(t, t->started);
    for (int i = 0; i < 2; i++) { /* the second time into what the first one has left */
        process_write(&t->process, str_slice(&much));
        for (int n = 0; n < 10; n++)
            uv_run(&t->loop, UV_RUN_NOWAIT);
    }
    assert_true(process_unsent(&t->process) > 0);
    process_close_input(&t->process);
    siginfo_t stopped;
    assert_int_equal(waitid(P_PID, (id_t)t->process.child.pid, &stopped, WSTOPPED | WNOWAIT), 0);
    assert_int_equal(kill(t->process.child.pid, SIGCONT), 0);
    await_end(t);
    assert_string_equal(t->out[1].p, "6291456\n");
    str_release(&much);
}

static void test_closed_by_the_other_side(void **state)
{
    static char *const scripts[] = {"exec <&-; exec sleep 1000", "exec >&-; read x",
                                    "exec 2>&-; read x"};
    for (int fd = 0; fd < 3; fd++) {
        struct talk *t = *state;
        begin(t, scripts[fd]);
        AWAIT(t, t->closed[fd]);
        assert_false(t->ended);
        say(t, "x\n");
        if (fd == STDIN_FILENO) {
            assert_int_equal(process_unsent(&t->process), 0);
            process_stop(&t->process);
        }
        await_end(t);
        t->started = t->ended = t->closed[0] = t->closed[1] = t->closed[2] = false;
    }
}

static void test_stopped_at_once(void **state)
{
    struct talk *t = *state;
    begin(t, "cat");
    say(t, "x\n");
    process_close_input(&t->process);
    process_stop(&t->process);
    await_end(t);
    assert_int_equal(t->end.cause, PROCESS_STOPPED);
}

static void test_cannot_be_started(void **state)
{
    struct talk *t = *state;
    static char *argv[] = {"/no/such", NULL};
    process_start(&t->process, t->spawner,
                  &(struct process_options){.argv = argv,
                                            .env = env,
                                            .interactive = true,
                                            .started = note_started,
                                            .output = note_output,
                                            .ended = note_ended});
    say(t, "x\n");
    await_end(t);
    assert_false(t->started);
    assert_true(t->end.err < 0);
}

static void test_idle_takes_no_time(void **state)
{
    struct talk *t = *state;
    begin(t, "cat");
    say(t, "x\n");
    AWAIT(t, t->out[1].len == 2);
    assert_false(uv_is_active((uv_handle_t *)&t->spawner->before_sleep));
    process_close_input(&t->process);
    await_end(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_conversation),
        TEST(test_what_nobody_read_was_not_taken),
        TEST(test_what_others_may_read_was_taken),
        TEST(test_writes_of_a_turn_are_one),
        TEST(test_back_pressure),
        TEST(test_closed_by_the_other_side),
        TEST(test_stopped_at_once),
        TEST(test_cannot_be_started),
        TEST(test_idle_takes_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
