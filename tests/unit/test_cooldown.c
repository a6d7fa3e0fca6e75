/* How long a trigger rests after it has fired: to the millisecond, whatever the wall clock does and however often the daemon starts. */
#include "hook_fixture.h"

/* The window ends to the millisecond; refused calls do not extend it. */
static void test_cooldown_ends_exactly(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    pass(w, 59999);
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    assert_int_equal(w->retry_after_ms, 1);
    pass(w, 1);
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    assert_int_equal(w->retry_after_ms, 60000);
}

static void test_cooldown_holds_within_a_batch(void **state)
{
    struct world *w = *state;
    assert_int_equal(feed(w), 1);
    assert_int_equal(feed(w), 1);
    struct batch *b = settle(w, 0);
    assert_int_equal(w->verdict, VERDICT_COOLDOWN);
    assert_int_equal(count_effects(b, EFFECT_PUT_EVENT), 2);
    assert_int_equal(count_effects(b, EFFECT_PUT_RUN), 1);
    assert_int_equal(count_effects(b, EFFECT_TRIGGER_STATE), 1);
    engine_recycle(w->engine, b);
}

static void test_cooldown_ignores_wall_clock_steps(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    w->now.wall.ms += 3600000;
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    w->now.wall.ms -= 7200000;
    pass(w, 60000);
    assert_int_equal(fire(w), VERDICT_FIRED);
}

/* What the store says of the last firing, how long ago; whether it may fire again after a restart. */
static void test_cooldown_survives_restart(void **state)
{
    static const struct {
        int64_t ago_ms;
        enum verdict expected;
    } cases[] = {
        {0, VERDICT_COOLDOWN},     {59999, VERDICT_COOLDOWN},    {60000, VERDICT_FIRED},
        {86400000, VERDICT_FIRED}, {-3600000, VERDICT_COOLDOWN}, /* the clock stepped back while we were down */
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trigger *t = mem_zalloc(sizeof(*t));
        *t = (struct trigger){
            .id = {{(uint8_t)(i + 1)}},
            .key = (int64_t)(100 + i),
            .type = "webhook",
            .pipeline = w->pipeline,
            .def = trigger_def(true, 60000),
            .state = {.last_fired = {w->now.wall.ms - cases[i].ago_ms}},
        };
        t->def->rule.key->b[1] = (uint8_t)(100 + i);
        engine_load_trigger(w->engine, w->now, t);
        const struct event ev = {
            .source = "webhook", .key = *t->def->rule.key, .ticket = &w->ticket};
        assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
        commit(w, 0);
        assert_int_equal(w->verdict, cases[i].expected);
    }
    /* A window is never longer than the cooldown, however far back the clock went. */
    assert_true(w->retry_after_ms <= 60000);
}

static void test_changed_cooldown_counts_from_last_firing(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    pass(w, 10000);
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 15000), SLICE("x"),
                          NULL);
    commit(w, 0);
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    assert_int_equal(w->retry_after_ms, 5000);
    pass(w, 5000);
    assert_int_equal(fire(w), VERDICT_FIRED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cooldown_ends_exactly),
        TEST(test_cooldown_holds_within_a_batch),
        TEST(test_cooldown_ignores_wall_clock_steps),
        TEST(test_cooldown_survives_restart),
        TEST(test_changed_cooldown_counts_from_last_firing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
