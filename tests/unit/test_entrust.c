/* Runs that an executor hands over to somebody outside: promised first, entrusted then. */
#include "hook_fixture.h"

static const struct lease_hash token_hash = {{1, 2, 3}}, other_hash = {{9}};

static enum lease_answer finish_outside(struct world *w, struct lease_hash hash,
                                        enum run_status status)
{
    const struct run_result r = {.run = w->run, .status = status, .error = SLICE("told so")};
    return engine_finish_leased(w->engine, w->now, hash, &r, NULL);
}

static void test_entrusted_run_leaves_its_slot(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_true(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    assert_false(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    struct batch *b = settle(w, 0);
    const struct effect_put_lease *l = &find_effect(b, EFFECT_PUT_LEASE)->put_lease;
    assert_memory_equal(&l->hash, &token_hash, sizeof(token_hash));
    assert_int_equal(l->expires_at.ms - w->now.wall.ms, 60000);
    engine_recycle(w->engine, b);
    assert_int_equal(engine_stats(w->engine).running, 0);
    assert_int_equal(engine_stats(w->engine).leased, 1);
    const struct run_result r = {.run = w->run, .status = RUN_SUCCESS};
    assert_false(engine_finish(w->engine, w->now, &r, NULL));
    assert_int_equal(finish_outside(w, other_hash, RUN_SUCCESS), LEASE_REFUSED);
    assert_int_equal(finish_outside(w, token_hash, RUN_SUCCESS), LEASE_DONE);
    commit(w, 0);
    assert_int_equal(engine_stats(w->engine).leased, 0);
}

/* Its slot is free at once. */
static void test_entrusting_makes_room(void **state)
{
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(0, 1), NULL);
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    const struct uuid first = w->run;
    for (int i = 1; i < RUNNING_MAX + 1; i++)
        assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(engine_stats(w->engine).pending, 1);
    w->redeemed = 0;
    assert_true(engine_entrust(w->engine, w->now, first, token_hash, 60000, &w->ticket));
    struct batch *b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_FETCH_RUNS));
    assert_int_equal(w->redeemed, 1);
    engine_recycle(w->engine, b);
}

/* What is not on disk is not true: it is carried out here still, whatever was built on that. */
static void test_entrusting_can_be_undone(void **state)
{
    struct world *w = *state;
    for (int ended = 0; ended < 2; ended++) {
        if (ended == 0)
            assert_int_equal(fire(w), VERDICT_FIRED);
        assert_true(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
        if (ended == 1)
            assert_int_equal(finish_outside(w, token_hash, RUN_SUCCESS), LEASE_DONE);
        commit(w, -ENOSPC);
        assert_int_equal(engine_stats(w->engine).running, 1);
        assert_int_equal(engine_stats(w->engine).leased, 0);
    }
    finish(w, w->run, RUN_SUCCESS);
    commit(w, 0);
    assert_int_equal(engine_stats(w->engine).running, 0);
}

static void test_no_callback(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_true(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    commit(w, 0);
    pass(w, 59999);
    engine_tick(w->engine, w->now);
    assert_int_equal(engine_stats(w->engine).leased, 1);
    pass(w, 1);
    engine_tick(w->engine, w->now);
    struct batch *b = settle(w, 0);
    assert_true(slice_is(find_effect(b, EFFECT_RUN_ENDED)->run_ended.error,
                         "no callback within 60 seconds"));
    engine_recycle(w->engine, b);
}

/* Whoever was asked may want more time before it is his: it does not run yet. */
static void test_promised_run_may_be_extended(void **state)
{
    struct world *w = *state;
    struct wall expires_at = {0};
    assert_int_equal(fire(w), VERDICT_FIRED);
    engine_promise(w->engine, w->run, token_hash);
    w->redeemed = 0;
    assert_int_equal(
        engine_extend(w->engine, w->now, w->run, token_hash, 5000, &w->ticket, &expires_at),
        LEASE_DONE);
    assert_int_equal(expires_at.ms - w->now.wall.ms, 5000);
    struct batch *b = settle(w, 0);
    assert_int_equal(w->redeemed, 1);
    assert_null(find_effect(b, EFFECT_PUT_LEASE));
    engine_recycle(w->engine, b);
}

/* After a restart: how long it was given for is what the record says, to the second. */
static void test_entrusted_run_comes_back(void **state)
{
    static const struct {
        int64_t gone_ms, left_ms;
        const char *error;
    } rows[] = {
        {40000, 20000, "no callback within 60 seconds"},
        {59950, 10000, "no callback within 69 seconds"},
        {-50, 500, "no callback within 1 seconds"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct run_start s = {.run = {{(uint8_t)(i + 1)}}, .attempt = 1};
        const struct wall started_at = {w->now.wall.ms - rows[i].gone_ms};
        const int64_t left = rows[i].left_ms < LEASE_GRACE_MS ? LEASE_GRACE_MS : rows[i].left_ms;
        engine_recover_lease(w->engine, w->now, w->pipeline, &s, started_at, token_hash,
                             (struct wall){w->now.wall.ms + rows[i].left_ms});
        pass(w, (uint64_t)left - 1);
        engine_tick(w->engine, w->now);
        assert_null(engine_take(w->engine));
        pass(w, 1);
        engine_tick(w->engine, w->now);
        struct batch *b = settle(w, 0);
        assert_true(slice_is(find_effect(b, EFFECT_RUN_ENDED)->run_ended.error, rows[i].error));
        engine_recycle(w->engine, b);
    }
}

/* The callback comes before the answer that asks for it: the executor is told, and what it says later counts for nothing. */
static void test_promised_run_may_end_early(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(finish_outside(w, (struct lease_hash){{0}}, RUN_SUCCESS), LEASE_REFUSED);
    engine_promise(w->engine, w->run, token_hash);
    assert_int_equal(finish_outside(w, other_hash, RUN_SUCCESS), LEASE_REFUSED);
    assert_int_equal(finish_outside(w, token_hash, RUN_SUCCESS), LEASE_DONE);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_RUN_ENDED)->run_ended.status, RUN_SUCCESS);
    assert_non_null(find_effect(b, EFFECT_CANCEL_RUN));
    engine_recycle(w->engine, b);
    assert_false(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    const struct run_result r = {.run = w->run, .status = RUN_CANCELLED};
    assert_false(engine_finish(w->engine, w->now, &r, NULL));
}

static void test_cancelled_run_is_not_entrusted(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(engine_cancel(w->engine, w->now, w->run, NULL), CANCEL_STARTED);
    assert_false(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    commit(w, 0);
    finish(w, w->run, RUN_CANCELLED);
    commit(w, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_entrusted_run_leaves_its_slot), TEST(test_entrusting_makes_room),
        TEST(test_entrusting_can_be_undone),      TEST(test_no_callback),
        TEST(test_entrusted_run_comes_back),      TEST(test_promised_run_may_be_extended),
        TEST(test_promised_run_may_end_early),    TEST(test_cancelled_run_is_not_entrusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
