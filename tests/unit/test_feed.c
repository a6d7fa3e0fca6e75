/* What becomes of an event: matched or not, repeated, too deep in a chain, by hand, too much for the batch. */
#include "hook_fixture.h"

static void test_disabled(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(false, 0), SLICE("x"), NULL);
    commit(w, 0);
    assert_int_equal(fire(w), VERDICT_DISABLED);
    assert_true(uuid_is_nil(w->run));
    assert_false(wall_is_set(w->trigger->state.last_fired));
}

static void test_unmatched_event_leaves_no_trace(void **state)
{
    struct world *w = *state;
    struct event ev = {.source = "webhook", .key = {{'w', 9}}, .ticket = &w->ticket};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 0);
    assert_null(engine_take(w->engine));
    ev.keep = true;
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 0);
    struct batch *b = settle(w, 0);
    assert_int_equal(count_effects(b, EFFECT_PUT_EVENT), 1);
    assert_int_equal(w->redeemed, 1);
    engine_recycle(w->engine, b);
}

/* Repetitions and chains that are too deep are recorded and fire nothing. */
static void test_duplicate_and_depth(void **state)
{
    struct world *w = *state;
    struct event ev = {
        .source = "webhook", .key = {{'w', 1}}, .ticket = &w->ticket, .duplicate = true};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_int_equal(w->verdict, VERDICT_DUPLICATE);
    ev = (struct event){
        .source = "webhook", .key = {{'w', 1}}, .ticket = &w->ticket, .lineage = {.depth = 65}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_int_equal(w->verdict, VERDICT_DEPTH);
    ev.lineage.depth = 64;
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_int_equal(w->verdict, VERDICT_FIRED);
}

static void test_dedupe_key_goes_with_the_first_run(void **state)
{
    struct world *w = *state;
    const struct event ev = {.source = "webhook",
                             .key = {{'w', 1}},
                             .ticket = &w->ticket,
                             .dedupe = true,
                             .dedupe_key = {{7}}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    struct batch *b = settle(w, 0);
    const struct effect_put_event *p = &find_effect(b, EFFECT_PUT_EVENT)->put_event;
    assert_true(p->dedupe);
    assert_int_equal(uuid_cmp(p->dedupe_run, w->run), 0);
    engine_recycle(w->engine, b);
    /* Refused by the cooldown: nothing to repeat. */
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    b = settle(w, 0);
    assert_false(find_effect(b, EFFECT_PUT_EVENT)->put_event.dedupe);
    engine_recycle(w->engine, b);
}

static void test_full_batch_refuses(void **state)
{
    struct world *w = *state;
    char big[600000];
    memset(big, 'x', sizeof(big));
    const struct event ev = {.source = "webhook", .key = {{'w', 1}}, .payload = {big, sizeof(big)}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    assert_int_equal(engine_feed(w->engine, w->now, &ev), -ENOBUFS);
    commit(w, 0);
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
}

static void test_manual(void **state)
{
    struct world *w = *state;
    struct event ev = {.source = "manual", .pipeline = w->pipeline->id, .ticket = &w->ticket};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_false(uuid_is_nil(w->run));
    ev.pipeline.b[0] ^= 1;
    assert_int_equal(engine_feed(w->engine, w->now, &ev), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_disabled),
        TEST(test_unmatched_event_leaves_no_trace),
        TEST(test_duplicate_and_depth),
        TEST(test_dedupe_key_goes_with_the_first_run),
        TEST(test_full_batch_refuses),
        TEST(test_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
