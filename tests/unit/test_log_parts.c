/* What attempts had written while they went on: it is their log until they end with a whole one. */
#include "store_fixture.h"
#include "io/store/retention.h"

#define LINE(text) "{\"time\":\"t\",\"stream\":\"stdout\",\"message\":\"" text "\"}\n"

static struct uuid start_run(struct store *s)
{
    return put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING).run;
}

static void put_part(struct store *s, struct uuid run, uint32_t attempt, uint64_t at,
                     const char *text)
{
    batch_add(s->b, EFFECT_PUT_LOG_PART)->put_log_part =
        (struct effect_put_log_part){run, attempt, at, slice_of(text)};
}

/* The attempt was cut off: the run waits for the next one. */
static struct effect_put_attempt *put_attempt(struct store *s, struct uuid run, uint32_t attempt)
{
    struct effect_put_attempt *a = &batch_add(s->b, EFFECT_PUT_ATTEMPT)->put_attempt;
    *a = (struct effect_put_attempt){.run = run,
                                     .attempt = attempt,
                                     .started_at = s->now,
                                     .finished_at = s->now,
                                     .error = SLICE("interrupted"),
                                     .interrupted = true};
    put_move(s, run, RUN_PENDING)->attempt = attempt + 1;
    return a;
}

/* What is shown of an attempt's log (0: of the last one), as JSON and to those who follow the run. */
static void expect_log(struct store *s, struct uuid run, uint32_t asked, uint32_t attempt,
                       const char *log)
{
    struct str shown = {0};
    str_reset(&s->text);
    assert_int_equal(query_run_logs(s->db, run, asked, &s->text), 0);
    run_logs_add(&shown, run, attempt, slice_of(log));
    assert_string_equal(s->text.p, shown.p);
    str_release(&shown);
}

static void expect_former(struct store *s, struct uuid run, uint32_t attempt, const char *log)
{
    str_reset(&s->text);
    str_add_cstr(&s->text, "");
    assert_int_equal(query_attempt_log(s->db, run, attempt, &s->text), 0);
    assert_int_equal(s->text.len, strlen(log));
    assert_memory_equal(s->text.p, log, s->text.len);
}

static void expect_last(struct store *s, struct uuid run, enum run_status status, const char *log)
{
    struct run_row row;
    str_reset(&s->text);
    assert_int_equal(query_run_log(s->db, run, &row, &s->text), 0);
    assert_int_equal(row.status, status);
    assert_int_equal(s->text.len, strlen(log));
    assert_true(s->text.len == 0 || memcmp(s->text.p, log, s->text.len) == 0);
}

static int64_t count_parts(struct store *s)
{
    return store_count(s, "SELECT count(*) FROM log_parts");
}

static int setup(void **state)
{
    store_setup(state);
    put_pipeline(*state, 1, "a.b.c", "{}");
    store_write(*state);
    return 0;
}

/* ---- */

static void of_an_attempt_that_was_cut_off(void **state)
{
    struct store *s = *state;
    const struct uuid run = start_run(s);
    put_part(s, run, 1, 0, LINE("one") LINE("two"));
    store_write(s);
    put_part(s, run, 1, strlen(LINE("one") LINE("two")), LINE("three"));
    store_write(s);
    expect_log(s, run, 0, 1, LINE("one") LINE("two") LINE("three"));
    expect_last(s, run, RUN_RUNNING, ""); /* others have it while it goes on */
    store_reopen(s);
    put_move(s, run, RUN_FAILED)->error = SLICE("interrupted");
    store_write(s);
    expect_log(s, run, 0, 1, LINE("one") LINE("two") LINE("three"));
    expect_last(s, run, RUN_FAILED, LINE("one") LINE("two") LINE("three"));
}

static void of_each_attempt(void **state)
{
    struct store *s = *state;
    const struct uuid run = start_run(s);
    put_part(s, run, 1, 0, LINE("one"));
    put_attempt(s, run, 1);
    store_write(s);
    expect_log(s, run, 0, 1, LINE("one")); /* it waits for the next one */
    put_move(s, run, RUN_RUNNING)->attempt = 2;
    put_part(s, run, 2, 0, LINE("two"));
    store_write(s);
    expect_former(s, run, 1, LINE("one"));
    expect_log(s, run, 0, 2, LINE("two"));
    struct effect_put_attempt *a = put_attempt(s, run, 2);
    a->log = SLICE(LINE("two") LINE("two and a half"));
    a->log_is_whole = true;
    put_move(s, run, RUN_RUNNING)->attempt = 3;
    put_part(s, run, 3, 0, LINE("three"));
    struct effect_move_run *m = put_move(s, run, RUN_SUCCESS);
    m->attempt = 3;
    m->log = SLICE(LINE("three") LINE("end"));
    m->log_is_whole = true;
    store_write(s);
    assert_int_equal(count_parts(s), 1); /* the first one's */
    expect_log(s, run, 1, 1, LINE("one"));
    expect_log(s, run, 2, 2, LINE("two") LINE("two and a half"));
    expect_log(s, run, 0, 3, LINE("three") LINE("end"));
    expect_former(s, run, 1, LINE("one"));
    expect_former(s, run, 2, LINE("two") LINE("two and a half"));
    expect_last(s, run, RUN_SUCCESS, LINE("three") LINE("end"));
}

/* By number, not by text, however they are read. */
static void in_order(void **state)
{
    struct store *s = *state;
    const struct uuid run = start_run(s);
    struct str log = {0};
    for (int i = 0; i < 40; i++) {
        char *line = mem_printf("{\"message\":\"%d%*s\"}\n", i, i * i * 9, "");
        batch_add(s->b, EFFECT_PUT_LOG_PART)->put_log_part =
            (struct effect_put_log_part){run, 1, log.len, arena_copy(&s->b->arena, slice_of(line))};
        str_add_cstr(&log, line);
        free(line);
    }
    put_move(s, run, RUN_CANCELLED);
    store_write(s);
    expect_log(s, run, 0, 1, log.p);
    expect_last(s, run, RUN_CANCELLED, log.p);
    str_release(&log);
}

/* One that wrote no more than it wrote before ends with as many statements as ever; its neighbours' are not touched. */
static void of_nobody_else(void **state)
{
    struct store *s = *state;
    const struct uuid runs[] = {start_run(s), start_run(s), start_run(s)};
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
        for (uint32_t attempt = 1; attempt <= 2; attempt++)
            put_part(s, runs[i], attempt, 0, LINE("x"));
    struct effect_move_run *m = put_move(s, runs[1], RUN_SUCCESS);
    m->log = SLICE(LINE("x") LINE("y"));
    m->log_is_whole = true;
    store_write(s);
    assert_int_equal(count_parts(s), 5);
    expect_last(s, runs[1], RUN_SUCCESS, LINE("x") LINE("y"));
    put_move(s, runs[0], RUN_FAILED);
    store_write(s);
    expect_last(s, runs[0], RUN_FAILED, LINE("x"));
    expect_log(s, runs[2], 0, 1, LINE("x"));
}

static void a_log_that_is_cut(void **state)
{
    struct store *s = *state;
    const struct uuid run = start_run(s);
    put_part(s, run, 1, 0, LINE("one"));
    put_part(s, run, 1, strlen(LINE("one")), "{\"message\":\"[cut]\",\"truncated\":true}\n");
    put_move(s, run, RUN_FAILED);
    store_write(s);
    assert_int_equal(query_run_logs(s->db, run, 0, &s->text), 0);
    assert_true(text_has(s, "'truncated':true}]"));
    assert_true(text_has(s, "],'truncated':true}"));
}

/* An attempt that wrote nothing of its own ends without a log, and a log that is empty is one. */
static void none(void **state)
{
    struct store *s = *state;
    const struct uuid silent = start_run(s), empty = start_run(s);
    put_attempt(s, silent, 1);
    put_part(s, empty, 1, 0, LINE("x"));
    put_move(s, empty, RUN_SUCCESS)->log = SLICE("");
    store_write(s);
    expect_log(s, silent, 1, 1, "");
    expect_former(s, silent, 1, "");
    expect_former(s, silent, 7, "");
    expect_last(s, empty, RUN_SUCCESS, "");
    expect_log(s, empty, 0, 1, "");
}

static void retention_takes_them(void **state)
{
    struct store *s = *state;
    const struct retention r = {.count_max = 1};
    struct retention_plan p;
    const struct uuid old = start_run(s), going = start_run(s), newest = start_run(s);
    put_part(s, old, 1, 0, LINE("x"));
    put_part(s, old, 2, 0, LINE("x"));
    put_part(s, going, 1, 0, LINE("going"));
    put_part(s, newest, 1, 0, LINE("newest"));
    put_move(s, old, RUN_FAILED);
    put_move(s, newest, RUN_FAILED);
    store_write(s);
    assert_int_equal(retention_plan(s->db, &r, s->now, &p), 0);
    while (p.stage != RETAIN_DONE)
        assert_int_equal(retention_step(s->db, &p), 0);
    assert_int_equal(count_parts(s), 2);
    expect_log(s, going, 0, 1, LINE("going"));
    expect_log(s, newest, 0, 1, LINE("newest"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(of_an_attempt_that_was_cut_off),
        TEST(of_each_attempt),
        TEST(in_order),
        TEST(of_nobody_else),
        TEST(a_log_that_is_cut),
        TEST(none),
        TEST(retention_takes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
