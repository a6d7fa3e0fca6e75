/* Whoever follows a run gets each line once and in order, wherever the line is when it comes. */
#include "follow_fixture.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
