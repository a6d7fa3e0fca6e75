/* Leases of workers outside: how long they last, how they end, and reports without a claim. */
#include "claim_fixture.h"

/* ---- leases ---- */

static void test_a_lease_lasts_until_it_is_over(void **state)
{
    struct world *w = *state;
    struct wall expires_at;
    give_one(w);
    pass(w, LEASE_MS - 1);
    assert_int_equal(
        engine_extend(w->engine, w->now, w->made[0], hash(1), 0, &w->ticket, &expires_at),
        LEASE_DONE);
    assert_int_equal(expires_at.ms, w->now.wall.ms + LEASE_MS);
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 1);
    assert_int_equal(w->redeemed, 1);
    pass(w, LEASE_MS - 1);
    assert_int_equal(commit(w, 0, EFFECT_MOVE_RUN), 0);
    pass(w, 1);
    struct batch *b = engine_take(w->engine);
    assert_non_null(b);
    const struct effect *f = b->first;
    while (f != NULL && f->type != EFFECT_MOVE_RUN)
        f = f->next;
    assert_non_null(f);
    assert_int_equal(f->move_run.status, RUN_FAILED); /* one attempt was all */
    assert_true(slice_is(f->move_run.error, "lease expired"));
    engine_settle(w->engine, w->now, b, 0);
    engine_recycle(w->engine, b);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_UNKNOWN);
}

static void test_tokens(void **state)
{
    struct world *w = *state;
    struct wall ignored;
    give_one(w);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(2), &r, NULL), LEASE_REFUSED);
    assert_int_equal(engine_extend(w->engine, w->now, w->made[0], hash(2), 1, NULL, &ignored),
                     LEASE_REFUSED);
    assert_int_equal(engine_report(w->engine, w->now, &r, 1, NULL), LEASE_REFUSED);
    assert_false(engine_finish(w->engine, w->now, &r, NULL)); /* nor is it ours */
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_DONE);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_UNKNOWN);
}

static void test_cancelling_ends_it(void **state)
{
    struct world *w = *state;
    give_one(w);
    assert_int_equal(engine_cancel(w->engine, w->now, w->made[0], &w->ticket), CANCEL_DONE);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
    assert_int_equal(w->redeemed, 1);
    assert_int_equal(engine_stats(w->engine).runs_ended[RUN_CANCELLED], 1);
}

static void test_conclusive_failures_are_not_repeated(void **state)
{
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, def(0, 3), NULL);
    give_one(w);
    struct run_result r = result(w, RUN_FAILED);
    r.conclusive = true;
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_DONE);
    assert_int_equal(commit(w, 0, EFFECT_RUN_ENDED), 1);
    assert_int_equal(engine_stats(w->engine).pending, 0);
}

static void test_leases_come_back_after_a_restart(void **state)
{
    struct world *w = *state;
    const struct run_start s = {.run = {{1}}, .event = {{2}}, .attempt = 1};
    w->made[0] = s.run;
    engine_recover_lease(w->engine, w->now, w->pipeline, &s, w->now.wall, hash(1),
                         (struct wall){w->now.wall.ms - 5000});
    assert_null(engine_take(w->engine)); /* nothing to write */
    feed(w);
    commit(w, -EIO, EFFECT_REPLY); /* and nothing to undo */
    assert_int_equal(engine_stats(w->engine).leased, 1);
    pass(w, LEASE_GRACE_MS - 1);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 0);
    /* How long it was given for is not on disk. */
    struct wall expires_at;
    assert_int_equal(engine_extend(w->engine, w->now, s.run, hash(1), 0, NULL, &expires_at),
                     LEASE_DONE);
    assert_int_equal(expires_at.ms, w->now.wall.ms + LEASE_MS_DEFAULT);
    pass(w, LEASE_MS_DEFAULT - 1);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 0);
    pass(w, 1);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
}

/* ---- reports without a claim ---- */

static void test_reports_without_a_claim(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    const struct run_start s = {.run = w->made[0], .attempt = 1};
    struct run_result r = result(w, RUN_RUNNING);
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_UNKNOWN);
    assert_int_equal(
        engine_report_looked_up(w->engine, w->now, w->pipeline, &s, &r, 1000, &w->ticket),
        LEASE_DONE);
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 1);
    assert_int_equal(engine_stats(w->engine).leased, 1);
    assert_int_equal(engine_report(w->engine, w->now, &r, 2000, NULL), LEASE_DONE);
    r.status = RUN_SUCCESS;
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_DONE);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(engine_stats(w->engine).runs_ended[RUN_SUCCESS], 1);
    /* What was read before the run moved is out of date. */
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_UNKNOWN);
    assert_int_equal(engine_report_looked_up(w->engine, w->now, NULL, &s, &r, 1000, NULL),
                     LEASE_UNKNOWN);
    assert_int_equal(w->engine->lookups, 0);
}

static void test_a_report_meets_a_cancellation(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    const struct run_start s = {.run = w->made[0], .attempt = 1};
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_UNKNOWN);
    assert_int_equal(engine_cancel(w->engine, w->now, s.run, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, s.run, 1, NULL),
                     CANCEL_DONE);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(engine_report_looked_up(w->engine, w->now, w->pipeline, &s, &r, 1000, NULL),
                     LEASE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_lease_lasts_until_it_is_over),
        TEST(test_tokens),
        TEST(test_cancelling_ends_it),
        TEST(test_conclusive_failures_are_not_repeated),
        TEST(test_leases_come_back_after_a_restart),
        TEST(test_reports_without_a_claim),
        TEST(test_a_report_meets_a_cancellation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
