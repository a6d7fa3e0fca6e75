#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "io/loop/worker.h"

#define JOBS 200

struct probe {
    struct worker_job job;
    int worked, done, cancelled; /* done: the number of the completion */
    void *state;
};

static uv_loop_t loop;
static struct worker *worker;
static struct probe probes[JOBS];
static int completions, starts, stops, closes;
static uv_sem_t gate;        /* holds a job back until posted */
static uv_barrier_t meeting; /* two jobs wait here for each other */

static void *thread_start(void *arg)
{
    *(int *)arg += 1;
    return arg;
}

static void thread_stop(void *state)
{
    assert_ptr_equal(state, &starts);
    stops++;
}

static void worker_closed(void *arg)
{
    *(int *)arg += 1;
    worker = NULL;
}

static void begin(unsigned threads, size_t waiting_max)
{
    const struct worker_options opt = {
        .name = "a name that is rather long",
        .threads = threads,
        .waiting_max = waiting_max,
        .thread_start = threads == 1 ? thread_start : NULL,
        .thread_stop = threads == 1 ? thread_stop : NULL,
        .arg = &starts,
    };

    memset(probes, 0, sizeof(probes));
    completions = starts = stops = closes = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_sem_init(&gate, 0), 0);
    worker = worker_create(&loop, &opt);
}

static void end(void)
{
    if (worker != NULL && closes == 0)
        worker_close(worker, worker_closed, &closes);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(closes, 1);
    assert_int_equal(starts, stops);
    uv_sem_destroy(&gate);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void work(struct worker_job *j, void *state)
{
    struct probe *p = container_of(j, struct probe, job);

    p->worked++;
    p->state = state;
}

static void work_behind_gate(struct worker_job *j, void *state)
{
    uv_sem_wait(&gate);
    work(j, state);
}

static void done(struct worker_job *j, bool cancelled)
{
    struct probe *p = container_of(j, struct probe, job);

    assert_int_equal(p->done, 0);
    assert_int_equal(p->worked, cancelled ? 0 : 1);
    p->done = ++completions;
    p->cancelled = cancelled;
}

static int post(struct probe *p, void (*fn)(struct worker_job *, void *))
{
    p->job = (struct worker_job){.work = fn, .done = done};
    return worker_post(worker, &p->job);
}

/* Also: a posted job keeps the loop alive, an idle worker does not. */
static void test_one_thread_keeps_the_order(void **state)
{
    begin(1, JOBS);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    for (int round = 0; round < 2; round++) {
        memset(probes, 0, sizeof(probes));
        completions = 0;
        for (int i = 0; i < JOBS; i++)
            assert_int_equal(post(&probes[i], work), 0);
        assert_int_equal(completions, 0);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        for (int i = 0; i < JOBS; i++) {
            assert_int_equal(probes[i].done, i + 1);
            assert_ptr_equal(probes[i].state, &starts);
        }
    }
    assert_int_equal(starts, 1);
    assert_int_equal(stops, 0);
    end();
}

static void work_meeting(struct worker_job *j, void *state)
{
    uv_barrier_wait(&meeting);
    work(j, state);
}

static void test_threads_work_in_parallel(void **state)
{
    begin(2, JOBS);
    assert_int_equal(uv_barrier_init(&meeting, 2), 0);
    assert_int_equal(post(&probes[0], work_meeting), 0);
    assert_int_equal(post(&probes[1], work_meeting), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(completions, 2);
    uv_barrier_destroy(&meeting);
    end();
}

static void work_announced(struct worker_job *j, void *state)
{
    uv_barrier_wait(&meeting);
    work_behind_gate(j, state);
}

/* Occupies the one thread until the gate opens, and returns when it does. */
static void occupy(struct probe *p)
{
    assert_int_equal(uv_barrier_init(&meeting, 2), 0);
    assert_int_equal(post(p, work_announced), 0);
    uv_barrier_wait(&meeting);
}

static void test_too_many_are_refused(void **state)
{
    begin(1, 3);
    occupy(&probes[0]);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(post(&probes[i], work), 0);
    assert_int_equal(post(&probes[4], work), -EAGAIN);
    uv_sem_post(&gate);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(completions, 4);
    assert_int_equal(probes[4].done, 0);
    assert_int_equal(post(&probes[4], work), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(completions, 5);
    uv_barrier_destroy(&meeting);
    end();
}

/* The running job ends, the others are cancelled after it, in order. */
static void test_close_cancels_what_waits(void **state)
{
    begin(1, JOBS);
    occupy(&probes[0]);
    for (int i = 1; i <= 5; i++)
        assert_int_equal(post(&probes[i], work), 0);
    worker_close(worker, worker_closed, &closes);
    assert_int_equal(completions, 0);
    assert_int_equal(post(&probes[6], work), -EAGAIN);
    uv_sem_post(&gate);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(completions, 6);
    for (int i = 0; i <= 5; i++) {
        assert_int_equal(probes[i].done, i + 1);
        assert_int_equal(probes[i].cancelled, i > 0);
    }
    assert_int_equal(starts, 1);
    assert_int_equal(stops, 1);
    uv_barrier_destroy(&meeting);
    end();
}

static void test_close_without_any_job(void **state)
{
    begin(1, 1);
    end();
    assert_int_equal(starts, 0);
}

static void done_and_close(struct worker_job *j, bool cancelled)
{
    done(j, cancelled);
    worker_close(worker, worker_closed, &closes);
}

static void test_close_from_done(void **state)
{
    begin(2, JOBS);
    probes[0].job = (struct worker_job){.work = work, .done = done_and_close};
    assert_int_equal(worker_post(worker, &probes[0].job), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(completions, 1);
    end();
}

static void done_and_post(struct worker_job *j, bool cancelled)
{
    done(j, cancelled);
    if (completions < JOBS) {
        probes[completions].job = (struct worker_job){.work = work, .done = done_and_post};
        assert_int_equal(worker_post(worker, &probes[completions].job), 0);
    }
}

static void test_post_from_done(void **state)
{
    begin(1, 1);
    probes[0].job = (struct worker_job){.work = work, .done = done_and_post};
    assert_int_equal(worker_post(worker, &probes[0].job), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(completions, JOBS);
    end();
}

static sigset_t mask_seen;
static char name_seen[32];

static void work_look_around(struct worker_job *j, void *state)
{
    pthread_sigmask(SIG_SETMASK, NULL, &mask_seen);
    pthread_getname_np(pthread_self(), name_seen, sizeof(name_seen));
    work(j, state);
}

static void test_signals_stay_with_the_loop(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGPIPE};
    sigset_t mine;

    begin(1, 1);
    assert_int_equal(post(&probes[0], work_look_around), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        assert_int_equal(sigismember(&mask_seen, signals[i]), 1);
        assert_int_equal(sigismember(&mine, signals[i]), 0);
    }
    assert_string_equal(name_seen, "a name that is ");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread_keeps_the_order),
        cmocka_unit_test(test_threads_work_in_parallel),
        cmocka_unit_test(test_too_many_are_refused),
        cmocka_unit_test(test_close_cancels_what_waits),
        cmocka_unit_test(test_close_without_any_job),
        cmocka_unit_test(test_close_from_done),
        cmocka_unit_test(test_post_from_done),
        cmocka_unit_test(test_signals_stay_with_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
