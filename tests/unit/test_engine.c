/* A failed commit takes back what was built on it, also changes of the catalog; tests/sim looks at all rules together. */
#include "hook_fixture.h"

/* A failed commit takes everything back, and what was decided on top of it. */
static void test_failed_commit_is_undone(void **state)
{
    struct world *w = *state;
    assert_int_equal(feed(w), 1);
    struct batch *out = engine_take(w->engine);
    assert_int_equal(feed(w), 1); /* sees the cooldown of the first */
    engine_drop_trigger(w->engine, w->now, w->trigger, &w->ticket);
    assert_null(catalog_trigger(engine_catalog(w->engine), w->trigger->id));

    engine_settle(w->engine, w->now, out, -ENOSPC);
    assert_int_equal(count_effects(out, EFFECT_REPLY), 3);
    assert_int_equal(out->record_count, 0);
    for (const struct effect *f = out->first; f != NULL; f = f->next) {
        assert_int_equal(f->type, EFFECT_REPLY);
        assert_int_equal(f->reply.outcome.err, -ENOSPC);
    }
    engine_recycle(w->engine, out);
    assert_null(engine_take(w->engine));
    assert_ptr_equal(catalog_trigger(engine_catalog(w->engine), w->trigger->id), w->trigger);
    assert_false(wall_is_set(w->trigger->state.last_fired));
    const struct engine_stats s = engine_stats(w->engine);
    assert_int_equal(s.running + s.verdicts[VERDICT_FIRED] + s.verdicts[VERDICT_COOLDOWN], 0);
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(engine_stats(w->engine).verdicts[VERDICT_FIRED], 1);
}

static void test_failed_change_is_undone(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(false, 1), SLICE("x"), NULL);
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(9, 9), NULL);
    engine_add_pipeline(w->engine, w->now, SLICE("default.silver.other"), pipeline_def(1, 1), NULL);
    commit(w, -EIO);
    assert_true(w->trigger->def->enabled);
    assert_int_equal(w->pipeline->def->version, 1);
    assert_null(catalog_pipeline_at(engine_catalog(w->engine), SLICE("default.silver.other")));
}

static void test_drop_pipeline(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid id = w->pipeline->id, run = w->run;
    engine_drop_pipeline(w->engine, w->now, w->pipeline, &w->ticket);
    struct batch *b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_DROP_PIPELINE));
    assert_non_null(find_effect(b, EFFECT_DROP_TRIGGER));
    assert_non_null(find_effect(b, EFFECT_CANCEL_RUN));
    engine_recycle(w->engine, b);
    assert_null(catalog_pipeline(engine_catalog(w->engine), id));
    assert_int_equal(feed(w), 0);
    finish(w, run, RUN_CANCELLED); /* the pipeline lived until here */
    commit(w, 0);
}

/* What is pending goes with its pipeline and counts as cancelled, unless the commit fails. */
static void test_drop_pipeline_counts_what_was_pending(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fire(w), VERDICT_FIRED); /* one of them is started */
    for (int err = -EIO; err <= 0; err += EIO) {
        engine_drop_pipeline(w->engine, w->now, w->pipeline, NULL);
        assert_int_equal(engine_stats(w->engine).runs_ended[RUN_CANCELLED], 2);
        commit(w, err);
        assert_int_equal(engine_stats(w->engine).runs_ended[RUN_CANCELLED], err == 0 ? 2 : 0);
        assert_int_equal(engine_stats(w->engine).pending, err == 0 ? 0 : 2);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_failed_commit_is_undone),
        TEST(test_failed_change_is_undone),
        TEST(test_drop_pipeline),
        TEST(test_drop_pipeline_counts_what_was_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
