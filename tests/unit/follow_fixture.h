/* follow_fixture.h - a reader of a run's log; all that app/follow.c stands on is played here. */
#ifndef UNIT_FOLLOW_FIXTURE_H
#define UNIT_FOLLOW_FIXTURE_H
#include "app/follow.h"
#include "base/check.h"
#include "executor/dispatcher.h"
#include "io/process/run_log.h"
#include "io/store/query.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const struct uuid RUN = {{1, 2, 3}}, OTHER = {{4, 5, 6}};

static struct {
    struct app_host app;
    struct run_log *live; /* what the dispatcher has */
    const struct run_result *kept;
    struct run_row row; /* what the database has */
    const char *log;
    const char *former[4]; /* logs of attempts before the last one */
    int row_err, read_err;
    struct read_job *jobs[8];
    size_t job_count;
} world;

/* ---- what follow.c stands on ---- */

struct run_log *dispatcher_log(struct dispatcher *d, struct uuid run)
{
    return uuid_cmp(run, RUN) == 0 ? world.live : NULL;
}

bool dispatcher_steps(struct dispatcher *d, struct uuid run, struct str *ret)
{
    if (world.live != NULL)
        str_add_cstr(ret, "[live]");
    return world.live != NULL;
}

const struct run_result *host_kept_result(const struct app_host *h, struct uuid run)
{
    return uuid_cmp(run, RUN) == 0 ? world.kept : NULL;
}

int query_run_log(struct db *db, struct uuid id, struct run_row *ret, struct str *ret_log)
{
    *ret = world.row;
    str_add_cstr(ret_log, world.log != NULL ? world.log : "");
    return world.row_err;
}

int query_attempt_log(struct db *db, struct uuid id, uint32_t attempt, struct str *ret_log)
{
    assert_in_range(attempt, 1, ARRAY_SIZE(world.former) - 1);
    str_add_cstr(ret_log, world.former[attempt] != NULL ? world.former[attempt] : "");
    return world.row_err;
}

static inline int host_read(struct host *h, struct read_job *j)
{
    if (world.read_err == 0)
        world.jobs[world.job_count++] = j;
    return world.read_err;
}

/* ---- the reader ---- */

struct reader_of_run {
    struct run_follower f;
    struct str seen; /* since it was last looked at */
    unsigned told;
    bool takes, leaves; /* at more() */
};

static inline void take(struct reader_of_run *r)
{
    for (;;) {
        const struct follow_news n = world.app.host.follow_next(&world.app.host, &r->f);
        const char *blank = r->seen.len > 0 ? " " : "";
        if (n.kind == FOLLOW_NOTHING)
            return;
        if (n.kind == FOLLOW_LINE)
            str_printf(&r->seen, "%s%u.%u=%.*s", blank, n.at.attempt, n.at.line, (int)n.line.len,
                       n.line.p);
        else if (n.kind == FOLLOW_STATUS)
            str_printf(&r->seen, "%s%s-%u", blank, run_status_name(n.status), n.at.attempt);
        else
            str_printf(&r->seen, n.err != 0 ? "%send(%s)" : "%send", blank,
                       strerrorname_np(-n.err));
    }
}

static inline void more(struct run_follower *f)
{
    struct reader_of_run *r = container_of(f, struct reader_of_run, f);
    r->told++;
    if (r->takes)
        take(r);
    if (r->leaves)
        world.app.host.unfollow_run(&world.app.host, f);
}

static inline void follow(struct reader_of_run *r, struct log_mark after)
{
    *r = (struct reader_of_run){.f = {.run = RUN, .after = after, .more = more}, .takes = true};
    world.app.host.follow_run(&world.app.host, &r->f);
    assert_int_equal(r->told, 0);
    take(r);
}

static inline void expect(struct reader_of_run *r, const char *seen)
{
    const char *was = r->seen.p != NULL ? r->seen.p : "";
    if (strcmp(was, seen) != 0)
        fail_msg("expected: %s\n  was:      %s", seen, was);
    str_reset(&r->seen);
}

static inline void leave(struct reader_of_run *r)
{
    world.app.host.unfollow_run(&world.app.host, &r->f);
    assert_null(r->f.log);
    assert_null(r->f.next_log);
    str_release(&r->seen);
}

/* ---- what happens ---- */

static inline void begin(uint32_t attempt)
{
    world.live = run_log_create(attempt);
    world.app.host.run_news(&world.app.host, RUN, world.live);
}

/* Lines are plain words here. */
static inline void write_line(const char *word)
{
    str_printf(&world.live->text, "%s\n", word);
    world.app.host.run_news(&world.app.host, RUN, world.live);
}

static inline void end_attempt(void)
{
    run_log_unref(world.live);
    world.live = NULL;
}

static inline void commit(enum run_status status, uint32_t attempt, const char *log)
{
    const struct effect_move_run m = {
        .id = RUN, .status = status, .attempt = attempt, .log = slice_of(log)};
    world.kept = NULL;
    follow_moved(&world.app, &m);
}

/* The oldest read that is out does its work, later comes back. */
static inline struct read_job *read_row(void)
{
    assert_true(world.job_count > 0);
    struct read_job *j = world.jobs[0];
    memmove(world.jobs, world.jobs + 1, --world.job_count * sizeof(j));
    j->work(j, NULL);
    return j;
}

static inline void answer_row(struct read_job *j)
{
    j->done(j, 0);
}

static inline void put_row(enum run_status status, uint32_t attempt, const char *log)
{
    world.row = (struct run_row){.id = RUN, .status = status, .attempt = attempt};
    world.log = log;
}

static inline int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    world.app.host.read = host_read;
    world.app.dispatcher = (struct dispatcher *)&world; /* nothing looks into it */
    follow_init(&world.app);
    return 0;
}

static inline int teardown(void **state)
{
    if (world.live != NULL)
        end_attempt();
    assert_null(world.app.followed);
    assert_int_equal(world.job_count, 0);
    return 0;
}

#define START ((struct log_mark){0, 0})

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
