/* Cancelling: a run that is carried out, one that waits on disk, and many look-ups at the same time. */
#include "hook_fixture.h"
#include "core/engine_internal.h"

static void test_cancel_running(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(engine_cancel(w->engine, w->now, w->run, NULL), CANCEL_STARTED);
    struct batch *b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_CANCEL_RUN));
    assert_int_equal(b->record_count, 0);
    engine_recycle(w->engine, b);
    assert_int_equal(engine_cancel(w->engine, w->now, UUID_NIL, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, NULL, UUID_NIL, 1, NULL),
                     CANCEL_UNKNOWN);
}

/* Two look-ups that both saw it pending: one cancels it, the other learns that it is gone. */
static void test_cancel_pending_once(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid run = w->run;
    assert_int_equal(engine_cancel(w->engine, w->now, run, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel(w->engine, w->now, run, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, run, 1, NULL),
                     CANCEL_DONE);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, run, 1, NULL),
                     CANCEL_UNKNOWN);
    struct batch *b = settle(w, 0);
    assert_int_equal(count_effects(b, EFFECT_MOVE_RUN), 1);
    engine_recycle(w->engine, b);
    assert_int_equal(engine_stats(w->engine).pending, 0);
}

/* Look-ups without a pause: what is remembered for them stays bounded, and a run that came and went meanwhile is not cancelled. */
static void test_lookups_remember_no_end(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid running = w->run, watched = UUID_NIL;
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(fire(w), VERDICT_FIRED);
        struct uuid next = w->run;
        if (i == 4500) {
            watched = next;
            assert_int_equal(engine_cancel(w->engine, w->now, watched, NULL), CANCEL_UNKNOWN);
        } else if (i == 0) {
            assert_int_equal(engine_cancel(w->engine, w->now, next, NULL), CANCEL_UNKNOWN);
        }
        finish(w, running, RUN_SUCCESS);
        commit(w, 0);
        const struct offered_run offer = {.start = {.run = next, .attempt = 1}};
        engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
        commit(w, 0);
        running = next;
    }
    assert_true(w->engine->moved.len <= 4096 + 16);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, watched, 1, NULL),
                     CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, NULL, watched, 1, NULL),
                     CANCEL_UNKNOWN);
    assert_int_equal(w->engine->moved.len, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cancel_running),
        TEST(test_cancel_pending_once),
        TEST(test_lookups_remember_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
