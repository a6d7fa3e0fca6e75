/* Pending runs are on disk: when they are asked for, and when they are not. */
#include "hook_fixture.h"

/* One at a time: the second waits on disk, is asked for when the first ends, and starts when it is offered. */
static void test_queue(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid first = w->run;
    assert_int_equal(feed(w), 1);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_PUT_RUN)->put_run.status, RUN_PENDING);
    assert_null(find_effect(b, EFFECT_START_RUN));
    engine_recycle(w->engine, b);
    struct uuid second = w->run;

    finish(w, first, RUN_SUCCESS);
    b = settle(w, 0);
    const struct effect *fetch = find_effect(b, EFFECT_FETCH_RUNS);
    assert_non_null(fetch);
    assert_int_equal(fetch->fetch_runs.count_max, 1);
    assert_int_equal(find_effect(b, EFFECT_RUN_ENDED)->run_ended.status, RUN_SUCCESS);
    engine_recycle(w->engine, b);

    const struct offered_run offer = {
        .start = {.run = second, .attempt = 1, .payload = SLICE("hello")}};
    engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
    b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_MOVE_RUN)->move_run.status, RUN_RUNNING);
    assert_true(slice_is(find_effect(b, EFFECT_START_RUN)->start_run.payload, "hello"));
    engine_recycle(w->engine, b);
    assert_int_equal(engine_stats(w->engine).pending, 0);
}

static void test_held_engine_starts_nothing(void **state)
{
    struct world *w = *state;
    engine_hold(w->engine);
    assert_int_equal(feed(w), 1);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_PUT_RUN)->put_run.status, RUN_PENDING);
    assert_null(find_effect(b, EFFECT_FETCH_RUNS));
    engine_recycle(w->engine, b);
}

/* A fetch that was out when the engine was held comes back: its runs stay where they are. */
static void test_held_engine_starts_nothing_it_had_asked_for(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid first = w->run;
    pass(w, 60000);
    assert_int_equal(fire(w), VERDICT_FIRED);
    const struct offered_run offer = {.start = {.run = w->run, .attempt = 1}};
    finish(w, first, RUN_SUCCESS);
    struct batch *b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_FETCH_RUNS));
    engine_recycle(w->engine, b);

    engine_hold(w->engine);
    engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
    assert_true(engine_is_idle(w->engine));
    assert_int_equal(engine_stats(w->engine).pending, 1);
}

/* Whoever offers a run may forget what it says as soon as it has. */
static void test_offered_texts_are_copied(void **state)
{
    static const size_t texts[] = {
        offsetof(struct run_start, pipeline),     offsetof(struct run_start, spec),
        offsetof(struct run_start, trigger_type), offsetof(struct run_start, source),
        offsetof(struct run_start, type),         offsetof(struct run_start, subject),
        offsetof(struct run_start, content_type), offsetof(struct run_start, payload),
        offsetof(struct run_start, files),        offsetof(struct run_start, message_key),
    };
    struct world *w = *state;
    struct offered_run offer = {.start.attempt = 1};
    char text[] = "0123456789";
    assert_int_equal(fire(w), VERDICT_FIRED);
    const struct uuid first = w->run;
    pass(w, 60000);
    assert_int_equal(fire(w), VERDICT_FIRED);
    offer.start.run = w->run;
    finish(w, first, RUN_SUCCESS);
    commit(w, 0);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        *(struct slice *)((char *)&offer.start + texts[i]) = (struct slice){text + i, 1};
    engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
    memset(text, 'x', sizeof(text));
    struct batch *b = settle(w, 0);
    const struct run_start *s = &find_effect(b, EFFECT_START_RUN)->start_run;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct slice *copy = (const struct slice *)((const char *)s + texts[i]);
        const char expected[] = {(char)('0' + i), '\0'};
        assert_true(slice_is(*copy, expected));
    }
    engine_recycle(w->engine, b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_queue),
        TEST(test_offered_texts_are_copied),
        TEST(test_held_engine_starts_nothing),
        TEST(test_held_engine_starts_nothing_it_had_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
