/* How an attempt ends, and when the next one is due. */
#include "hook_fixture.h"

/* 1 s, then 2 s, then the most it may be; then it is over. */
static void test_retry_backs_off(void **state)
{
    static const int64_t waits_ms[] = {1000, 2000, 3000};
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(1, 4), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid run = w->run;
    for (uint32_t i = 0; i < ARRAY_SIZE(waits_ms); i++) {
        finish(w, run, RUN_FAILED);
        struct batch *b = settle(w, 0);
        const struct effect_move_run *m = &find_effect(b, EFFECT_MOVE_RUN)->move_run;
        assert_int_equal(m->status, RUN_PENDING);
        assert_int_equal(m->attempt, i + 2);
        assert_int_equal(m->due_at.ms - w->now.wall.ms, waits_ms[i]);
        assert_null(find_effect(b, EFFECT_RUN_ENDED));
        const struct effect_put_attempt *a = &find_effect(b, EFFECT_PUT_ATTEMPT)->put_attempt;
        assert_int_equal(a->attempt, i + 1);
        assert_int_equal(a->finished_at.ms, w->now.wall.ms);
        assert_int_equal(count_effects(b, EFFECT_PUT_ATTEMPT), 1);
        assert_non_null(
            find_effect(b, EFFECT_FETCH_RUNS)); /* there may be others; there are none */
        engine_offer(w->engine, w->now, w->pipeline, NULL, 0, m->due_at, 0);
        engine_recycle(w->engine, b);

        assert_int_equal(engine_wake_at(w->engine).ms, w->now.mono.ms + (uint64_t)waits_ms[i]);
        pass(w, (uint64_t)waits_ms[i]);
        engine_tick(w->engine, w->now);
        b = settle(w, 0);
        assert_non_null(find_effect(b, EFFECT_FETCH_RUNS));
        engine_recycle(w->engine, b);
        const struct offered_run offer = {.start = {.run = run, .attempt = i + 2}};
        engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
        commit(w, 0);
    }
    finish(w, run, RUN_FAILED);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_RUN_ENDED)->run_ended.status, RUN_FAILED);
    assert_null(find_effect(b, EFFECT_PUT_ATTEMPT)); /* the last one is the run itself */
    engine_recycle(w->engine, b);
}

/* A run that ends with its first attempt is one record, as ever. */
static void test_end_is_one_record(void **state)
{
    static const enum run_status ends[] = {RUN_SUCCESS, RUN_FAILED};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        pass(w, 10000000);
        assert_int_equal(fire(w), VERDICT_FIRED);
        finish(w, w->run, ends[i]);
        struct batch *b = settle(w, 0);
        assert_int_equal(b->record_count, 1);
        assert_non_null(find_effect(b, EFFECT_MOVE_RUN));
        engine_recycle(w->engine, b);
    }
}

/* Whoever failed may ask for a longer wait than the policy's, up to a day; never for a shorter one. */
static void test_retry_after_is_honoured(void **state)
{
    static const struct {
        uint64_t asked_ms;
        int64_t wait_ms;
    } cases[] = {{400, 1000}, {7000, 7000}, {UINT64_MAX, RETRY_AFTER_MS_MAX}};
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(1, 4), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid run = w->run;
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct run_result r = {
            .run = run, .status = RUN_FAILED, .retry_after_ms = cases[i].asked_ms};
        assert_true(engine_finish(w->engine, w->now, &r, NULL));
        struct batch *b = settle(w, 0);
        const struct wall due = find_effect(b, EFFECT_MOVE_RUN)->move_run.due_at;
        assert_int_equal(due.ms - w->now.wall.ms, cases[i].wait_ms);
        engine_offer(w->engine, w->now, w->pipeline, NULL, 0, due, 0);
        engine_recycle(w->engine, b);
        pass(w, (uint64_t)cases[i].wait_ms);
        engine_tick(w->engine, w->now);
        commit(w, 0);
        const struct offered_run offer = {.start = {.run = run, .attempt = i + 2}};
        engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
        commit(w, 0);
    }
}

/* The next attempt may be in the table before the executor of the one that ended early has said so. */
static void test_result_is_of_its_attempt(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct run_result r = {.run = w->run, .status = RUN_CANCELLED, .attempt = 2};
    assert_false(engine_finish(w->engine, w->now, &r, NULL));
    r.attempt = 1;
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
    commit(w, 0);
}

/* The queue was read before the run came back into it: that nothing was there says nothing about it. */
static void test_retry_during_a_fetch(void **state)
{
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(2, 2), NULL);
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    struct uuid runs[3];
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        assert_int_equal(fire(w), VERDICT_FIRED);
        runs[i] = w->run;
    }
    finish(w, runs[0], RUN_SUCCESS); /* the third is asked for */
    commit(w, 0);
    finish(w, runs[1], RUN_FAILED);
    commit(w, 0);
    assert_int_equal(engine_cancel(w->engine, w->now, runs[2], NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, runs[2], 1, NULL),
                     CANCEL_DONE);
    commit(w, 0);
    engine_offer(w->engine, w->now, w->pipeline, NULL, 0, WALL_UNSET, 0);
    assert_int_equal(engine_stats(w->engine).pending, 1);
    assert_true(engine_wake_at(w->engine).ms <= w->now.mono.ms + 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retry_backs_off),          TEST(test_retry_during_a_fetch),
        TEST(test_end_is_one_record),        TEST(test_retry_after_is_honoured),
        TEST(test_result_is_of_its_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
