/* When which part of whose log is handed in. Time is the test's, and so is the disk. */
#include "base/check.h"
#include "base/mem.h"
#include "executor/log_saver.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define RUNS_MAX 10000

struct part {
    struct uuid run;
    size_t at, len;
};

struct world {
    uv_loop_t loop; /* never runs */
    struct timers timers;
    struct host host;
    uint64_t ms;
    struct log_saver saver;
    int refusal;           /* what keep_log() says; 0: it takes the part */
    struct ticket *ticket; /* that waits for its commit */
    struct part parts[RUNS_MAX];
    size_t part_count;
    struct log_save saves[RUNS_MAX];
    size_t count;
};

static struct now world_now(struct host *h)
{
    return (struct now){{container_of(h, struct world, host)->ms}, {0}};
}

static int keep_log(struct host *h, struct uuid run, uint32_t attempt, uint64_t at,
                    struct slice text)
{
    struct world *w = container_of(h, struct world, host);
    assert_int_equal(attempt, 1);
    assert_true(text.len > 0 && text.p[text.len - 1] == '\n');
    if (w->refusal == 0)
        w->parts[w->part_count++] = (struct part){run, at, text.len};
    return w->refusal;
}

static void confirm(struct host *h, struct ticket *t)
{
    struct world *w = container_of(h, struct world, host);
    assert_null(w->ticket);
    w->ticket = t;
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    CHECK(uv_loop_init(&w->loop) == 0);
    timers_init(&w->timers, &w->loop);
    w->host = (struct host){
        .timers = &w->timers, .now = world_now, .keep_log = keep_log, .confirm = confirm};
    w->ms = 1000000;
    log_saver_init(&w->saver, &w->host);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < w->count; i++) {
        log_saver_forget(&w->saver, &w->saves[i]);
        run_log_unref(w->saves[i].log);
    }
    log_saver_deinit(&w->saver);
    timers_close(&w->timers, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&w->loop) == 0);
    free(w);
    return 0;
}

/* ---- what happens ---- */

static struct log_save *begin(struct world *w)
{
    struct log_save *l = &w->saves[w->count++];
    const struct uuid run = {{(uint8_t)(w->count >> 8), (uint8_t)w->count}};
    log_save_init(l, run, run_log_create(1));
    return l;
}

/* Adds lines of `len` bytes together. */
static void write_lines(struct world *w, struct log_save *l, size_t len)
{
    static char line[100];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\n';
    for (size_t done = 0; done < len; done += sizeof(line))
        str_add(&l->log->text, line, sizeof(line));
    log_saver_note(&w->saver, l);
}

/* What is handed in within that time; each step's commit comes back at once, unless it is held back. */
static void pass(struct world *w, uint64_t ms, bool commits, int err)
{
    const uint64_t until = w->ms + ms;
    while (w->saver.wake_ms <= until) {
        assert_true(wheel_is_set(&w->saver.timer.w));
        if (w->saver.wake_ms > w->ms)
            w->ms = w->saver.wake_ms;
        w->saver.timer.fired(&w->saver.timer);
        if (w->ticket == NULL || !commits)
            continue;
        struct ticket *t = w->ticket;
        w->ticket = NULL;
        t->done(t, &(struct outcome){.err = err});
    }
    w->ms = until;
}

static void live(struct world *w, uint64_t ms)
{
    pass(w, ms, true, 0);
}

static void settle(struct world *w, int err)
{
    struct ticket *t = w->ticket;
    assert_non_null(t);
    w->ticket = NULL;
    t->done(t, &(struct outcome){.err = err});
}

/* All parts of a run follow one another; how far they go. */
static size_t kept_of(const struct world *w, const struct log_save *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->part_count; i++) {
        if (uuid_cmp(w->parts[i].run, l->run) != 0)
            continue;
        assert_int_equal(w->parts[i].at, kept);
        kept += w->parts[i].len;
    }
    return kept;
}

/* ---- tests ---- */

static void a_short_run_costs_nothing(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 100; i++) {
        struct log_save *l = begin(w);
        write_lines(w, l, 500);
        live(w, LOG_SAVE_DELAY_MS - 1);
        log_saver_forget(&w->saver, l);
        run_log_unref(l->log);
        w->count--;
    }
    live(w, 60000);
    assert_int_equal(w->part_count, 0);
    assert_int_equal(w->saver.wake_ms, UINT64_MAX); /* nor does anybody wake up */
}

static void a_second_after_the_first_line(void **state)
{
    struct world *w = *state;
    struct log_save *l = begin(w);
    live(w, 5000);
    write_lines(w, l, 100);
    live(w, 600);
    write_lines(w, l, 100);
    live(w, LOG_SAVE_DELAY_MS - 601);
    assert_int_equal(kept_of(w, l), 0);
    live(w, 1);
    assert_int_equal(kept_of(w, l), 200);
    assert_int_equal(w->part_count, 1);
    live(w, 60000);
    assert_int_equal(w->part_count, 1); /* nothing has come */
    write_lines(w, l, 100);
    live(w, LOG_SAVE_DELAY_MS);
    assert_int_equal(kept_of(w, l), 300);
}

/* One part a second, however often it writes. */
static void a_run_that_writes_all_the_time(void **state)
{
    struct world *w = *state;
    struct log_save *l = begin(w);
    for (int i = 0; i < 1000; i++) {
        write_lines(w, l, 100);
        live(w, 10);
    }
    assert_in_range(w->part_count, 9, 10);
    live(w, LOG_SAVE_DELAY_MS);
    assert_int_equal(kept_of(w, l), l->log->text.len);
}

/* A flood goes in parts, and others get their turn between them. */
static void a_flood(void **state)
{
    struct world *w = *state;
    struct log_save *flood = begin(w), *other = begin(w);
    write_lines(w, flood, 1 << 20);
    write_lines(w, other, 100);
    live(w, LOG_SAVE_DELAY_MS);
    assert_int_equal(kept_of(w, other), 100);
    assert_in_range(kept_of(w, flood), LOG_SAVE_PART_BYTES_MAX - 100, LOG_SAVE_STEP_BYTES);
    live(w, 10 * LOG_SAVE_STEP_MS);
    assert_int_equal(kept_of(w, flood), flood->log->text.len);
    for (size_t i = 0; i < w->part_count; i++)
        assert_in_range(w->parts[i].len, 100, LOG_SAVE_PART_BYTES_MAX);
}

/* Many runs share what is written in a second, by bytes and by number, and none is passed over. */
static void many(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < RUNS_MAX; i++)
        write_lines(w, begin(w), 100);
    live(w, LOG_SAVE_DELAY_MS + 999);
    const size_t a_second =
        1000 / LOG_SAVE_STEP_MS * (LOG_SAVE_STEP_BYTES / LOG_SAVE_PART_BYTES_COUNTED);
    assert_int_equal(w->part_count, a_second);
    live(w, 60000);
    assert_int_equal(w->part_count, RUNS_MAX);
    for (size_t i = 0; i < RUNS_MAX; i++) /* in the order in which they wrote */
        assert_int_equal(uuid_cmp(w->parts[i].run, w->saves[i].run), 0);
}

static void bytes_of_a_step(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 8; i++)
        write_lines(w, begin(w), 100000);
    pass(w, LOG_SAVE_DELAY_MS, false, 0);
    size_t bytes = 0;
    for (size_t i = 0; i < w->part_count; i++)
        bytes += w->parts[i].len;
    assert_in_range(bytes, LOG_SAVE_STEP_BYTES - 100, LOG_SAVE_STEP_BYTES);
    settle(w, 0);
    live(w, 1000);
    for (size_t i = 0; i < w->count; i++)
        assert_int_equal(kept_of(w, &w->saves[i]), 100000);
}

/* Nothing is handed in behind a commit that has not come back: a slow disk is not given more than it can take. */
static void a_slow_disk(void **state)
{
    struct world *w = *state;
    struct log_save *first = begin(w), *second = begin(w);
    write_lines(w, first, 300);
    pass(w, LOG_SAVE_DELAY_MS, false, 0);
    assert_int_equal(kept_of(w, first), 300);
    write_lines(w, first, 100);
    write_lines(w, second, 100);
    pass(w, 60000, false, 0);
    assert_int_equal(w->part_count, 1);
    settle(w, 0);
    live(w, LOG_SAVE_DELAY_MS);
    assert_int_equal(kept_of(w, first), 400);
    assert_int_equal(kept_of(w, second), 100);
}

/* A tenth of the time, and at least once a second or so. */
static void the_rest_behind_a_step(void **state)
{
    static const struct {
        uint64_t took_ms, rest_ms;
    } rows[] = {
        {0, LOG_SAVE_STEP_MS},        {2, LOG_SAVE_STEP_MS - 2}, {10, 90}, {100, 900},
        {5000, LOG_SAVE_REST_MS_MAX},
    };
    struct world *w = *state;
    struct log_save *l = begin(w);
    write_lines(w, l, (ARRAY_SIZE(rows) + 1) * LOG_SAVE_PART_BYTES_MAX);
    pass(w, LOG_SAVE_DELAY_MS, false, 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(w->part_count, i + 1);
        pass(w, rows[i].took_ms, false, 0);
        settle(w, 0);
        pass(w, rows[i].rest_ms - 1, false, 0);
        assert_int_equal(w->part_count, i + 1);
        pass(w, 1, false, 0);
    }
    settle(w, 0);
}

static void a_failed_commit(void **state)
{
    struct world *w = *state;
    struct log_save *l = begin(w);
    write_lines(w, l, 300);
    pass(w, LOG_SAVE_DELAY_MS, false, 0);
    write_lines(w, l, 100);
    settle(w, -ENOSPC);
    w->part_count = 0; /* none of it is there */
    live(w, LOG_SAVE_RETRY_MS - 1);
    assert_int_equal(w->part_count, 0);
    live(w, 1);
    assert_int_equal(kept_of(w, l), 400);
}

/* A run ends while a part of its log is on its way. */
static void the_end_comes_first(void **state)
{
    struct world *w = *state;
    struct log_save *gone = begin(w), *stays = begin(w);
    write_lines(w, gone, 100);
    write_lines(w, stays, 100);
    pass(w, LOG_SAVE_DELAY_MS, false, 0);
    log_saver_forget(&w->saver, gone);
    run_log_unref(gone->log);
    gone->log = NULL;
    write_lines(w, stays, 100);
    settle(w, 0);
    live(w, LOG_SAVE_DELAY_MS);
    assert_int_equal(kept_of(w, stays), 200);
    assert_int_equal(w->part_count, 3);
}

static void refusals(void **state)
{
    struct world *w = *state;
    struct log_save *l = begin(w);
    write_lines(w, l, 100);
    w->refusal = -ENOBUFS; /* the batch is full: again in a moment */
    live(w, LOG_SAVE_DELAY_MS + 10 * LOG_SAVE_STEP_MS);
    w->refusal = 0;
    live(w, LOG_SAVE_STEP_MS);
    assert_int_equal(kept_of(w, l), 100);
    write_lines(w, l, 100);
    w->refusal = -ENOENT; /* the engine does not know it any more */
    live(w, LOG_SAVE_DELAY_MS);
    assert_int_equal(w->saver.wake_ms, UINT64_MAX);
}

/* The longest line there can be, of bytes that take six each. */
static void the_longest_line(void **state)
{
    struct world *w = *state;
    struct log_save *l = begin(w);
    char *bytes = mem_zalloc(1 << 20);
    memset(bytes, 1, 1 << 20);
    run_log_add(l->log, 1, (struct slice){bytes, 1 << 20}, (struct wall){0});
    log_saver_note(&w->saver, l);
    live(w, 5000);
    assert_int_equal(kept_of(w, l), l->log->text.len);
    assert_true(w->part_count > 8);
    free(bytes);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_short_run_costs_nothing),
        TEST(a_second_after_the_first_line),
        TEST(a_run_that_writes_all_the_time),
        TEST(a_flood),
        TEST(many),
        TEST(bytes_of_a_step),
        TEST(a_slow_disk),
        TEST(the_rest_behind_a_step),
        TEST(a_failed_commit),
        TEST(the_end_comes_first),
        TEST(refusals),
        TEST(the_longest_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
