/* Whoever follows a run gets each line once and in order, wherever the line is when it comes. What is around follow.c is played here. */
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

static int host_read(struct host *h, struct read_job *j)
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

static void take(struct reader_of_run *r)
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

static void more(struct run_follower *f)
{
    struct reader_of_run *r = container_of(f, struct reader_of_run, f);
    r->told++;
    if (r->takes)
        take(r);
    if (r->leaves)
        world.app.host.unfollow_run(&world.app.host, f);
}

static void follow(struct reader_of_run *r, struct log_mark after)
{
    *r = (struct reader_of_run){.f = {.run = RUN, .after = after, .more = more}, .takes = true};
    world.app.host.follow_run(&world.app.host, &r->f);
    assert_int_equal(r->told, 0);
    take(r);
}

static void expect(struct reader_of_run *r, const char *seen)
{
    const char *was = r->seen.p != NULL ? r->seen.p : "";
    if (strcmp(was, seen) != 0)
        fail_msg("expected: %s\n  was:      %s", seen, was);
    str_reset(&r->seen);
}

static void leave(struct reader_of_run *r)
{
    world.app.host.unfollow_run(&world.app.host, &r->f);
    assert_null(r->f.log);
    assert_null(r->f.next_log);
    str_release(&r->seen);
}

/* ---- what happens ---- */

static void begin(uint32_t attempt)
{
    world.live = run_log_create(attempt);
    world.app.host.run_news(&world.app.host, RUN, world.live);
}

/* Lines are plain words here. */
static void write_line(const char *word)
{
    str_printf(&world.live->text, "%s\n", word);
    world.app.host.run_news(&world.app.host, RUN, world.live);
}

static void end_attempt(void)
{
    run_log_unref(world.live);
    world.live = NULL;
}

static void commit(enum run_status status, uint32_t attempt, const char *log)
{
    const struct effect_move_run m = {
        .id = RUN, .status = status, .attempt = attempt, .log = slice_of(log)};
    world.kept = NULL;
    follow_moved(&world.app, &m);
}

/* The oldest read that is out does its work, later comes back. */
static struct read_job *read_row(void)
{
    assert_true(world.job_count > 0);
    struct read_job *j = world.jobs[0];
    memmove(world.jobs, world.jobs + 1, --world.job_count * sizeof(j));
    j->work(j, NULL);
    return j;
}

static void answer_row(struct read_job *j)
{
    j->done(j, 0);
}

static void put_row(enum run_status status, uint32_t attempt, const char *log)
{
    world.row = (struct run_row){.id = RUN, .status = status, .attempt = attempt};
    world.log = log;
}

static int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    world.app.host.read = host_read;
    world.app.dispatcher = (struct dispatcher *)&world; /* nothing looks into it */
    follow_init(&world.app);
    return 0;
}

static int teardown(void **state)
{
    if (world.live != NULL)
        end_attempt();
    assert_null(world.app.followed);
    assert_int_equal(world.job_count, 0);
    return 0;
}

#define START ((struct log_mark){0, 0})

/* ---- the moments ---- */

static void test_from_beginning_to_end(void **state)
{
    struct reader_of_run r;
    put_row(RUN_PENDING, 1, NULL);
    follow(&r, START);
    expect(&r, "");
    answer_row(read_row());
    expect(&r, "pending-1");
    commit(RUN_RUNNING, 1, NULL);
    expect(&r, "running-1");
    begin(1);
    expect(&r, "");
    write_line("a");
    write_line("b");
    expect(&r, "1.1=a 1.2=b");
    end_attempt();
    expect(&r, "");
    commit(RUN_SUCCESS, 1, "a\nb\n");
    expect(&r, "success-1 end");
    leave(&r);
}

static void test_in_the_middle(void **state)
{
    struct reader_of_run r;
    begin(1);
    write_line("a");
    follow(&r, START);
    expect(&r, "running-1 1.1=a");
    write_line("b");
    expect(&r, "1.2=b");
    assert_int_equal(world.job_count, 0);
    leave(&r);
}

static void test_ended_and_not_on_disk(void **state)
{
    const struct run_result kept = {
        .run = RUN, .status = RUN_FAILED, .attempt = 2, .log = SLICE("a\nb\n")};
    struct reader_of_run r;
    world.kept = &kept;
    world.former[1] = "x\n";
    follow(&r, START);
    expect(&r, "");
    answer_row(read_row());
    expect(&r, "1.1=x running-2 2.1=a 2.2=b");
    commit(RUN_FAILED, 2, "a\nb\n");
    expect(&r, "failed-2 end");
    leave(&r);
}

static void test_ended_long_ago(void **state)
{
    struct reader_of_run r;
    put_row(RUN_CANCELLED, 3, "a\nb\n");
    world.former[1] = "x\ny\n"; /* the second left nothing */
    follow(&r, START);
    for (int i = 0; i < 3; i++)
        answer_row(read_row());
    expect(&r, "1.1=x 1.2=y 3.1=a 3.2=b cancelled-3 end");
    leave(&r);
}

/* The row was read before the run began; what came meanwhile is newer. */
static void test_a_row_that_is_old_when_it_comes(void **state)
{
    struct reader_of_run r;
    put_row(RUN_PENDING, 1, NULL);
    follow(&r, START);
    struct read_job *j = read_row();
    commit(RUN_RUNNING, 1, NULL);
    begin(1);
    write_line("a");
    answer_row(j);
    write_line("b");
    expect(&r, "running-1 1.1=a 1.2=b");
    end_attempt();
    leave(&r);

    put_row(RUN_RUNNING, 1, NULL);
    follow(&r, START);
    j = read_row();
    commit(RUN_SUCCESS, 1, NULL);
    answer_row(j);
    expect(&r, "success-1 end");
    leave(&r);
}

/* The row has the end already when the news of it comes. */
static void test_a_row_that_is_ahead(void **state)
{
    struct reader_of_run r;
    put_row(RUN_SUCCESS, 1, "a\n");
    follow(&r, START);
    struct read_job *j = read_row();
    commit(RUN_SUCCESS, 1, "a\n");
    expect(&r, "1.1=a success-1 end");
    const unsigned told = r.told;
    answer_row(j);
    assert_int_equal(r.told, told);
    expect(&r, "");
    leave(&r);
}

static void test_a_run_that_a_worker_has(void **state)
{
    struct reader_of_run r;
    put_row(RUN_RUNNING, 1, NULL);
    follow(&r, START);
    answer_row(read_row());
    expect(&r, "running-1");
    world.former[1] = "x\n"; /* it has reported that it failed */
    commit(RUN_PENDING, 2, NULL);
    expect(&r, "");
    answer_row(read_row());
    expect(&r, "1.1=x pending-2");
    commit(RUN_RUNNING, 2, NULL);
    commit(RUN_SUCCESS, 2, "a\n");
    expect(&r, "running-2 2.1=a success-2 end");
    leave(&r);
}

static void test_the_next_attempt(void **state)
{
    struct reader_of_run r;
    begin(1);
    write_line("a");
    follow(&r, START);
    end_attempt();
    commit(RUN_PENDING, 2, NULL);
    commit(RUN_RUNNING, 2, NULL);
    begin(2);
    write_line("b");
    end_attempt();
    commit(RUN_SUCCESS, 2, "b\n");
    expect(&r, "running-1 1.1=a pending-2 running-2 2.1=b success-2 end");
    leave(&r);
}

/* All lines, those of the attempt between from the disk; of the states between only where they matter. */
static void test_a_slow_reader(void **state)
{
    struct reader_of_run r;
    begin(1);
    write_line("a");
    follow(&r, START);
    expect(&r, "running-1 1.1=a");
    r.takes = false;
    write_line("b");
    end_attempt();
    for (uint32_t attempt = 2; attempt <= 3; attempt++) {
        commit(RUN_PENDING, attempt, NULL);
        commit(RUN_RUNNING, attempt, NULL);
        begin(attempt);
        write_line(attempt == 2 ? "from the live log" : "c");
        end_attempt();
    }
    world.former[2] = "x\n";
    take(&r);
    expect(&r, "1.2=b");
    answer_row(read_row());
    take(&r);
    expect(&r, "2.1=x running-3 3.1=c");
    commit(RUN_SUCCESS, 3, "c\n");
    take(&r);
    expect(&r, "success-3 end");
    leave(&r);
}

static void test_resuming(void **state)
{
    static const struct {
        struct log_mark after;
        const char *seen;
        int reads;
    } cases[] = {
        {{0, 0}, "1.1=x 1.2=y 2.1=a 2.2=b success-2 end", 2},
        {{1, 1}, "1.2=y 2.1=a 2.2=b success-2 end", 2},
        {{1, 9}, "2.1=a 2.2=b success-2 end", 2},
        {{2, 0}, "2.1=a 2.2=b success-2 end", 1},
        {{2, 1}, "2.2=b success-2 end", 1},
        {{2, 2}, "success-2 end", 1},
        {{2, 7}, "success-2 end", 1},
        {{3, 0}, "success-2 end", 1},
    };
    world.former[1] = "x\ny\n";
    put_row(RUN_SUCCESS, 2, "a\nb\n");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct reader_of_run r;
        follow(&r, cases[i].after);
        for (int n = 0; n < cases[i].reads; n++)
            answer_row(read_row());
        expect(&r, cases[i].seen);
        leave(&r);
    }
    struct reader_of_run r;
    begin(2);
    write_line("a");
    follow(&r, (struct log_mark){2, 1});
    write_line("b");
    expect(&r, "running-2 2.2=b");
    leave(&r);
}

/* ---- what cannot be told ---- */

static void test_no_such_run(void **state)
{
    struct reader_of_run r;
    world.row_err = -ENOENT;
    follow(&r, START);
    expect(&r, "");
    answer_row(read_row());
    expect(&r, "end(ENOENT)");
    leave(&r);
}

static void test_readers_that_are_busy_or_gone(void **state)
{
    struct reader_of_run r;
    world.read_err = -EAGAIN;
    follow(&r, START);
    expect(&r, "end(EAGAIN)");
    leave(&r);

    world.read_err = 0;
    follow(&r, START);
    struct read_job *j = world.jobs[--world.job_count];
    j->done(j, -ECANCELED);
    expect(&r, "end(ECANCELED)");
    leave(&r);
}

static void test_the_daemon_stops(void **state)
{
    struct reader_of_run r;
    begin(1);
    follow(&r, START);
    r.takes = false;
    write_line("a");
    follow_abandon(&world.app);
    take(&r);
    expect(&r, "running-1 1.1=a end(ECANCELED)");
    leave(&r);
}

/* The store has cancelled the runs that were pending; nobody told which. */
static void test_its_pipeline_is_dropped(void **state)
{
    struct reader_of_run pending, asking, running;
    put_row(RUN_PENDING, 1, NULL);
    follow(&pending, START);
    answer_row(read_row());
    expect(&pending, "pending-1");
    follow(&asking, START);
    struct read_job *old = read_row();
    put_row(RUN_CANCELLED, 1, NULL);
    follow_pending_dropped(&world.app);
    answer_row(old);
    expect(&asking, "");
    answer_row(read_row());
    answer_row(read_row());
    expect(&pending, "cancelled-1 end");
    expect(&asking, "cancelled-1 end");
    leave(&pending);
    leave(&asking);

    begin(1);
    follow(&running, START);
    follow_pending_dropped(&world.app);
    expect(&running, "running-1");
    leave(&running);
}

/* ---- several ---- */

static void test_many_readers_and_one_that_leaves(void **state)
{
    struct reader_of_run a, b, c;
    begin(1);
    follow(&a, START);
    follow(&b, START);
    follow(&c, START);
    b.leaves = true;
    write_line("x");
    write_line("y");
    expect(&a, "running-1 1.1=x 1.2=y");
    expect(&b, "running-1 1.1=x");
    expect(&c, "running-1 1.1=x 1.2=y");
    leave(&b); /* again: harmless */
    leave(&a);
    c.leaves = true;
    write_line("z");
    assert_null(world.app.followed);
    leave(&c);
}

/* One copy of a log for all of them, and none of its reads. */
static void test_readers_share(void **state)
{
    struct reader_of_run a, b, c;
    put_row(RUN_SUCCESS, 2, "a\n");
    world.former[1] = "x\n";
    follow(&a, START);
    follow(&b, START);
    answer_row(read_row());
    answer_row(read_row());
    assert_ptr_equal(a.f.next_log, b.f.next_log);
    answer_row(read_row());
    answer_row(read_row());
    expect(&a, "1.1=x 2.1=a success-2 end");
    expect(&b, "1.1=x 2.1=a success-2 end");
    assert_ptr_equal(a.f.log, b.f.log);
    follow(&c, (struct log_mark){2, 0});
    expect(&c, "2.1=a success-2 end");
    assert_ptr_equal(a.f.log, c.f.log);
    leave(&a);
    leave(&b);
    leave(&c);
}

/* The database fails when a former attempt is looked up: the reader has to come again. */
static void test_a_former_attempt_that_cannot_be_read(void **state)
{
    struct reader_of_run r;
    begin(2);
    write_line("a");
    follow(&r, START);
    world.row_err = -EIO;
    answer_row(read_row());
    expect(&r, "end(EIO)");
    leave(&r);
    world.read_err = -EAGAIN;
    follow(&r, START);
    expect(&r, "end(EAGAIN)");
    leave(&r);
}

static void test_news_of_other_runs(void **state)
{
    struct reader_of_run r;
    struct run_log *log = run_log_create(1);
    begin(1);
    follow(&r, START);
    world.app.host.run_news(&world.app.host, OTHER, log);
    assert_int_equal(r.told, 0);
    run_log_unref(log);
    leave(&r);
}

static void test_leaving_while_the_row_is_read(void **state)
{
    struct reader_of_run r;
    put_row(RUN_SUCCESS, 1, "a\n");
    follow(&r, START);
    struct read_job *j = read_row();
    leave(&r);
    answer_row(j);
    assert_int_equal(r.told, 0);
}

static void test_steps(void **state)
{
    struct host *h = &world.app.host;
    struct run_result kept = {.run = RUN, .steps = SLICE("[kept]")};
    struct str s = {0};
    assert_false(h->run_steps(h, RUN, &s));
    begin(1);
    assert_true(h->run_steps(h, RUN, &s));
    assert_string_equal(s.p, "[live]");
    end_attempt();
    world.kept = &kept;
    str_reset(&s);
    assert_true(h->run_steps(h, RUN, &s));
    assert_string_equal(s.p, "[kept]");
    kept.steps = SLICE_NONE;
    assert_false(h->run_steps(h, RUN, &s));
    str_release(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_from_beginning_to_end),
        TEST(test_in_the_middle),
        TEST(test_ended_and_not_on_disk),
        TEST(test_ended_long_ago),
        TEST(test_a_row_that_is_old_when_it_comes),
        TEST(test_a_row_that_is_ahead),
        TEST(test_a_run_that_a_worker_has),
        TEST(test_the_next_attempt),
        TEST(test_a_slow_reader),
        TEST(test_resuming),
        TEST(test_no_such_run),
        TEST(test_readers_that_are_busy_or_gone),
        TEST(test_the_daemon_stops),
        TEST(test_its_pipeline_is_dropped),
        TEST(test_many_readers_and_one_that_leaves),
        TEST(test_readers_share),
        TEST(test_a_former_attempt_that_cannot_be_read),
        TEST(test_news_of_other_runs),
        TEST(test_leaving_while_the_row_is_read),
        TEST(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
