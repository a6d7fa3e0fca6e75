/* Those who follow runs: many at the same time, some that leave, and some that cannot be told how it goes on. */
#include "follow_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
