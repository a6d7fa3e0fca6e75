/* Claims meet pipelines: who gets which run, and what failed commits take back. */
#include "claim_fixture.h"

/* ---- claims ---- */

static void test_pending_runs_go_to_a_claim(void **state)
{
    struct world *w = *state;
    feed(w);
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 0); /* nobody asks */
    assert_int_equal(ask(w, "default.*", 10, 0), 0);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    assert_int_equal(w->fetch.count_max, 2);
    assert_int_equal(w->done, 0);
    offer(w, 0, 2);
    assert_int_equal(w->leased, 0); /* not before it is on disk */
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 2);
    assert_int_equal(w->leased, 2);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->last.token.b[0], 2);
    assert_int_equal(w->last.expires_at.ms, w->now.wall.ms + LEASE_MS);
    assert_int_equal(engine_stats(w->engine).leased, 2);
    assert_int_equal(engine_stats(w->engine).running, 0); /* running_max is for those here */
}

static void test_a_claim_waits_for_the_first_run(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, "*.orders", 5, 1000), 0);
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
    assert_int_equal(w->done, 1);
}

static void test_a_wait_ends(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, "other.*", 5, 1000), 0);
    feed(w); /* not for that claim */
    commit(w, 0, EFFECT_REPLY);
    pass(w, 999);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, 0);
    pass(w, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->fetches + w->leased + (unsigned)w->claim_err, 0);
    assert_int_equal(engine_stats(w->engine).claims, 0);
}

static const struct {
    const char *pattern;
    bool matches;
} patterns[] = {
    {"*", true},
    {"default.silver.orders", true},
    {"default.silver.order", false},
    {"default.silver.orders?", false},
    {"default.silver.order?", true},
    {"*.silver.*", true},
    {"*silver", false},
    {"*o*e*s*", true},
    {"*s*s*", true},
    {"d*o*z", false},
    {"default.*.orders*", true},
    {"*?*?*", true},
};

static void test_patterns(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        w->fetches = 0;
        assert_int_equal(ask(w, patterns[i].pattern, 1, 0), 0);
        commit(w, 0, EFFECT_REPLY);
        if ((w->fetches == 1) != patterns[i].matches)
            fail_msg("%s: %u fetches", patterns[i].pattern, w->fetches);
        if (w->fetches == 1)
            engine_offer(w->engine, w->now, w->pipeline, NULL, 0, (struct wall){w->now.wall.ms + 1},
                         0);
        commit(w, 0, EFFECT_REPLY);
        pass(w, 2);
    }
}

static void test_limits(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < LEASED_MAX + 2; i++)
        feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(ask(w, "*", 100, 1000), 0);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetch.count_max, LEASED_MAX);
    offer(w, 0, LEASED_MAX);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, LEASED_MAX);
    assert_int_equal(ask(w, "*", 1, 1000), -EDQUOT);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_DONE);
    assert_int_equal(ask(w, "*", 1, 1000), 0);
    w->fetches = 0;
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, LEASED_MAX, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, LEASED_MAX + 1);
}

static void test_too_many_wait(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < CLAIMS_MAX; i++)
        assert_int_equal(ask(w, "x", 1, 1000), 0);
    assert_int_equal(ask(w, "x", 1, 1000), -ENOBUFS);
    engine_hold(w->engine); /* they all hear of it */
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, CLAIMS_MAX);
}

static void test_an_unheard_claim_takes_nothing(void **state)
{
    struct world *w = *state;
    feed(w);
    assert_int_equal(ask(w, "*", 1, 1000), 0);
    commit(w, 0, EFFECT_REPLY);
    engine_unclaim(w->engine, &w->claim); /* while the queue is being read */
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, 0);
    offer(w, 0, 1);
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 0);
    assert_int_equal(w->done, 1);
    assert_int_equal(ask(w, "*", 1, 1000), 0); /* it is there for the next one */
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
}

/* ---- failed commits ---- */

static void test_a_failed_commit_leases_nothing(void **state)
{
    struct world *w = *state;
    feed(w);
    assert_int_equal(ask(w, "*", 1, 60000), 0);
    commit(w, 0, EFFECT_REPLY);
    offer(w, 0, 1);
    commit(w, -ENOSPC, EFFECT_REPLY);
    assert_int_equal(w->leased, 0);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->claim_err, -ENOSPC);
    assert_int_equal(engine_stats(w->engine).leased, 0);
    assert_int_equal(engine_stats(w->engine).pending, 1);
    pass(w, LEASE_MS + 1); /* no lease that could expire */
    assert_int_equal(commit(w, 0, EFFECT_MOVE_RUN), 0);
}

static void test_a_failed_fetch_is_asked_for_again(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(ask(w, "*", 1, 60000), 0);
    commit(w, -EIO, EFFECT_REPLY);
    assert_int_equal(w->fetches + w->done, 0);
    assert_true(engine_wake_at(w->engine).ms <= w->now.mono.ms + 2000);
    pass(w, 2000);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
}

static void test_an_end_that_was_not_written_leaves_the_lease(void **state)
{
    struct world *w = *state;
    give_one(w);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, &w->ticket), LEASE_DONE);
    commit(w, -EIO, EFFECT_REPLY);
    assert_int_equal(w->redeemed, 0);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, &w->ticket), LEASE_DONE);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
    assert_int_equal(w->redeemed, 1);
}

static void test_an_extension_that_was_not_written_does_not_count(void **state)
{
    struct world *w = *state;
    struct wall expires_at;
    give_one(w);
    assert_int_equal(
        engine_extend(w->engine, w->now, w->made[0], hash(1), 10 * LEASE_MS, NULL, &expires_at),
        LEASE_DONE);
    commit(w, -EIO, EFFECT_REPLY);
    pass(w, LEASE_MS);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pending_runs_go_to_a_claim),
        TEST(test_a_claim_waits_for_the_first_run),
        TEST(test_a_wait_ends),
        TEST(test_patterns),
        TEST(test_limits),
        TEST(test_too_many_wait),
        TEST(test_an_unheard_claim_takes_nothing),
        TEST(test_a_failed_commit_leases_nothing),
        TEST(test_a_failed_fetch_is_asked_for_again),
        TEST(test_an_end_that_was_not_written_leaves_the_lease),
        TEST(test_an_extension_that_was_not_written_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
