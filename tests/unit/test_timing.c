/* What triggers do by themselves: due times, missed ones, steps of the clock, ends of cooldowns. */
#include "engine_fixture.h"

static struct pipeline *add_pipeline(struct world *w)
{
    return engine_add_pipeline(w->engine, w->now, SLICE("a.b.c"), pull_pipeline(), NULL);
}

/* The only trigger there is, also after a restart. */
static struct trigger *the_trigger(struct world *w)
{
    return trigger_table_next(&engine_catalog(w->engine)->triggers, NULL);
}

static struct trigger *add(struct world *w, const char *expr)
{
    struct rule r = rule_at(expr);
    return add_trigger(w, add_pipeline(w), &r, 0);
}

static struct trigger *add_with(struct world *w, const char *expr, enum misfire misfire,
                                uint32_t window_s)
{
    struct rule r = rule_at(expr);
    r.schedule->misfire = misfire;
    r.schedule->misfire_window_s = window_s;
    return add_trigger(w, add_pipeline(w), &r, 0);
}

/* The due times that have been dealt with are these, in ms since T0, each once. */
static void expect_dues(const struct world *w, const int64_t *expected, size_t n)
{
    assert_int_equal(seen_of(w, "cron.tick"), n);
    for (size_t i = 0, k = 0; i < w->seen.len; i++)
        if (w->seen.items[i].due != 0)
            assert_int_equal(w->seen.items[i].due - T0, expected[k++]);
}

#define DUES(w, ...)                                                                               \
    do {                                                                                           \
        const int64_t expected[] = {__VA_ARGS__};                                                  \
        expect_dues(w, expected, ARRAY_SIZE(expected));                                            \
    } while (0)

static void first_at_the_next_due_time(void **state)
{
    struct world *w = *state;
    add(w, "*/10 * * * *"); /* T0 is a due time itself */
    live(w, 10 * MIN - 1);
    expect_dues(w, NULL, 0);
    live(w, 1);
    DUES(w, 10 * MIN);
    assert_int_equal(last_seen(w)->time, T0 + 10 * MIN);
    assert_int_equal(last_seen(w)->verdict, VERDICT_FIRED);
    live(w, 20 * MIN);
    DUES(w, 10 * MIN, 20 * MIN, 30 * MIN);
}

/* The schedule is hourly; the last due time that was dealt with is 03:00, 20 minutes in. */
static void missed_while_down(void **state)
{
    static const struct {
        enum misfire misfire;
        uint32_t window_s;
        int64_t down;
        int64_t dues[5]; /* after 03:00 */
    } rows[] = {
        {MISFIRE_FIRE_ONCE, 86400, 3 * HOUR + 30 * MIN, {3 * HOUR}},
        {MISFIRE_FIRE_ONCE, 86400, 30 * MIN, {0}},
        {MISFIRE_FIRE_ONCE, 600, 3 * HOUR + 30 * MIN, {0}},
        {MISFIRE_FIRE_ONCE, 2000, 3 * HOUR + 30 * MIN, {3 * HOUR}},
        {MISFIRE_SKIP, 86400, 3 * HOUR + 30 * MIN, {0}},
        {MISFIRE_FIRE_ALL, 86400, 3 * HOUR + 30 * MIN, {HOUR, 2 * HOUR, 3 * HOUR}},
        {MISFIRE_FIRE_ALL, 6000, 3 * HOUR + 30 * MIN, {2 * HOUR, 3 * HOUR}},
        {MISFIRE_FIRE_ALL, 86400, 3 * HOUR, {HOUR, 2 * HOUR, 3 * HOUR}},
        {MISFIRE_FIRE_ALL, 0, 3 * HOUR + 30 * MIN, {0}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        void *fresh;
        world_setup(&fresh);
        struct world *w = fresh;
        add_with(w, "0 * * * *", rows[i].misfire, rows[i].window_s);
        live(w, 20 * MIN);
        DUES(w, 20 * MIN);
        restart(w, rows[i].down);
        int64_t expected[8] = {20 * MIN};
        size_t n = 1;
        for (size_t k = 0; k < 5 && rows[i].dues[k] != 0; k++)
            expected[n++] = 20 * MIN + rows[i].dues[k];
        expect_dues(w, expected, n);
        /* And then as if nothing had been. */
        const int64_t next = (w->now.wall.ms - T0 - 20 * MIN) / HOUR * HOUR + HOUR + 20 * MIN;
        live(w, HOUR);
        expected[n++] = next;
        expect_dues(w, expected, n);
        world_teardown(&fresh);
    }
}

static void never_fired_before_the_restart(void **state)
{
    struct world *w = *state;
    add(w, "0 * * * *");
    restart(w, 10 * MIN);
    expect_dues(w, NULL, 0);
    restart(w, 15 * MIN);
    DUES(w, 20 * MIN);
}

static void a_step_forward_misses_times(void **state)
{
    static const struct {
        enum misfire misfire;
        int64_t dues[4];
    } rows[] = {
        {MISFIRE_FIRE_ONCE, {140 * MIN}},
        {MISFIRE_SKIP, {0}},
        {MISFIRE_FIRE_ALL, {20 * MIN, 80 * MIN, 140 * MIN}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        void *fresh;
        world_setup(&fresh);
        struct world *w = fresh;
        add_with(w, "0 * * * *", rows[i].misfire, 86400);
        live(w, 10 * MIN);
        step(w, 140 * MIN);
        size_t n = 0;
        while (rows[i].dues[n] != 0)
            n++;
        expect_dues(w, rows[i].dues, n);
        live(w, 50 * MIN);
        assert_int_equal(last_seen(w)->due - T0, 200 * MIN);
        world_teardown(&fresh);
    }
}

static void a_step_back_doubles_nothing(void **state)
{
    struct world *w = *state;
    add(w, "*/10 * * * *");
    live(w, 25 * MIN);
    DUES(w, 10 * MIN, 20 * MIN);
    step(w, -20 * MIN); /* 20:00 comes once more */
    live(w, 24 * MIN);
    DUES(w, 10 * MIN, 20 * MIN);
    live(w, MIN);
    DUES(w, 10 * MIN, 20 * MIN, 30 * MIN);
}

static void skip_does_not_go_back_at_a_start(void **state)
{
    struct world *w = *state;
    add_with(w, "*/10 * * * *", MISFIRE_SKIP, 86400);
    live(w, 20 * MIN);
    restart(w, -15 * MIN); /* the clock was set back meanwhile */
    live(w, 24 * MIN);
    DUES(w, 10 * MIN, 20 * MIN);
    live(w, MIN);
    DUES(w, 10 * MIN, 20 * MIN, 30 * MIN);
}

/* It was wrong before: waiting for the day it said would be waiting for long. */
static void a_long_step_back_is_believed(void **state)
{
    struct world *w = *state;
    add(w, "0 * * * *");
    step(w, 48 * HOUR);
    const size_t before = w->seen.len;
    step(w, -48 * HOUR);
    live(w, 20 * MIN);
    assert_int_equal(w->seen.len, before + 1);
    assert_int_equal(last_seen(w)->due - T0, 20 * MIN);
}

static void fire_all_is_bounded(void **state)
{
    struct world *w = *state;
    add_with(w, "* * * * * *", MISFIRE_FIRE_ALL, 86400);
    restart(w, 2 * HOUR);
    assert_int_equal(seen_of(w, "cron.tick"), SCHEDULE_FIRE_ALL_MAX);
    live(w, 2 * S);
    assert_int_equal(seen_of(w, "cron.tick"), SCHEDULE_FIRE_ALL_MAX + 2);
    assert_int_equal(last_seen(w)->due - T0, 2 * HOUR + 2 * S);
}

static void a_failed_commit_keeps_the_due_time(void **state)
{
    struct world *w = *state;
    add(w, "*/10 * * * *");
    live(w, 9 * MIN);
    w->disk_err = -ENOSPC;
    live(w, 70 * S);
    expect_dues(w, NULL, 0);
    assert_int_equal(the_trigger(w)->state.last_due.ms, T0);
    w->disk_err = 0;
    live(w, 2 * S);
    DUES(w, 10 * MIN);
    live(w, 10 * MIN);
    DUES(w, 10 * MIN, 20 * MIN);
}

static void change(struct world *w, const char *expr, bool enabled)
{
    struct rule r = rule_at(expr);
    struct trigger_def *d = trigger_def_create(slice_of(expr), enabled, 0, &r);
    engine_change_trigger(w->engine, w->now, the_trigger(w), d, SLICE("x"), NULL);
    commit(w);
}

static void disabled_times_are_not_missed(void **state)
{
    struct world *w = *state;
    add(w, "*/10 * * * *");
    change(w, "*/10 * * * *", false);
    assert_int_equal(engine_wake_at(w->engine).ms, MONO_NEVER.ms);
    live(w, 35 * MIN);
    change(w, "*/10 * * * *", true);
    live(w, 5 * MIN - 1);
    expect_dues(w, NULL, 0);
    live(w, 1);
    DUES(w, 40 * MIN);
}

static void disabled_across_a_restart(void **state)
{
    struct world *w = *state;
    add(w, "*/10 * * * *");
    change(w, "*/10 * * * *", false);
    restart(w, 25 * MIN);
    expect_dues(w, NULL, 0);
    change(w, "*/10 * * * *", true);
    restart(w, 10 * MIN);
    DUES(w, 30 * MIN);
}

static void a_changed_schedule_counts_from_the_change(void **state)
{
    struct world *w = *state;
    add(w, "0 0 1 1 *");
    live(w, 35 * MIN);
    change(w, "*/10 * * * *", true);
    live(w, 5 * MIN);
    DUES(w, 40 * MIN);
    change(w, "*/15 * * * *", true);
    live(w, 40 * MIN);
    DUES(w, 40 * MIN, 50 * MIN, 65 * MIN, 80 * MIN);
}

/* Neither its config nor whether it is enabled is another one: what is due stays due. */
static void other_changes_miss_nothing(void **state)
{
    struct world *w = *state;
    struct rule r = rule_at("0 * * * *");
    r.schedule->jitter_s = 1800;
    struct trigger *t = add_trigger(w, add_pipeline(w), &r, 0);
    live(w, 20 * MIN);
    expect_dues(w, NULL, 0); /* put off */
    struct trigger_def *d = copy_def(t->def);
    d->cooldown_ms = 60 * S;
    engine_change_trigger(w->engine, w->now, t, d, SLICE("x"), NULL);
    live(w, 30 * MIN);
    DUES(w, 20 * MIN);
}

static void a_deleted_trigger_is_silent(void **state)
{
    struct world *w = *state;
    struct trigger *t = add(w, "*/10 * * * *");
    engine_drop_trigger(w->engine, w->now, t, NULL);
    commit(w);
    assert_int_equal(engine_wake_at(w->engine).ms, MONO_NEVER.ms);
    /* A deletion that does not reach the disk changes nothing. */
    t = add_trigger(w, catalog_pipeline_at(engine_catalog(w->engine), SLICE("a.b.c")),
                    &(struct rule){.schedule = rule_at("*/10 * * * *").schedule}, 0);
    w->disk_err = -EIO;
    engine_drop_trigger(w->engine, w->now, t, NULL);
    commit(w);
    w->disk_err = 0;
    live(w, 10 * MIN);
    DUES(w, 10 * MIN);
}

static void jitter_stays_within_its_bound(void **state)
{
    struct world *w = *state;
    struct rule r = rule_at("* * * * *");
    r.schedule->jitter_s = 20;
    add_trigger(w, add_pipeline(w), &r, 0);
    live(w, 200 * MIN + 30 * S);
    assert_int_equal(w->seen.len, 200);
    int64_t least = INT64_MAX, most = 0;
    for (size_t i = 0; i < w->seen.len; i++) {
        const int64_t late = w->seen.items[i].time - w->seen.items[i].due;
        assert_int_equal(w->seen.items[i].due - T0, ((int64_t)i + 1) * MIN);
        least = late < least ? late : least;
        most = late > most ? late : most;
    }
    assert_true(least >= 0 && least < 2 * S);
    assert_true(most > 18 * S && most <= 20 * S);
}

static void every_is_anchored_to_creation(void **state)
{
    struct world *w = *state;
    pass(w, 1234);
    add(w, "@every 90s");
    live(w, 200 * S);
    restart(w, 30 * S);
    live(w, 50 * S);
    DUES(w, 1234 + 90 * S, 1234 + 180 * S, 1234 + 270 * S);
}

/* A day of seconds, each looked at up to 40 ms late, with the clocks a little apart. */
static void a_day_without_drift(void **state)
{
    struct world *w = *state;
    struct prng prng;
    prng_init(&prng, 11);
    add(w, "* * * * * *");
    const int64_t end = T0 + 24 * HOUR;
    while (w->now.wall.ms < end) {
        const uint64_t at = engine_wake_at(w->engine).ms;
        if (at > w->now.mono.ms)
            pass(w, at - w->now.mono.ms);
        pass(w, prng_below(&prng, 41));
        w->now.wall.ms += prng_below(&prng, 1000) == 0; /* slewed */
        engine_tick(w->engine, w->now);
        commit(w);
    }
    assert_in_range(w->seen.len, 24 * 3600, 24 * 3600 + 1);
    for (size_t i = 0; i < w->seen.len; i++) {
        assert_int_equal(w->seen.items[i].due - T0, ((int64_t)i + 1) * S);
        assert_in_range(w->seen.items[i].time - w->seen.items[i].due, 0, 45);
    }
}

/* ---- cooldowns that are made up for ---- */

static void feed_key(struct world *w, uint8_t key)
{
    const struct event ev = {.source = "webhook", .type = SLICE("webhook"), .key = {{'w', key}}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    live(w, 0);
}

static struct trigger *add_trailing(struct world *w, bool trailing)
{
    struct rule r = {.trailing = trailing};
    rule_set_key(&r, (struct match_key){{'w', 1}});
    return add_trigger(w, add_pipeline(w), &r, 60 * S);
}

static void trailing_fires_once_at_the_end(void **state)
{
    struct world *w = *state;
    add_trailing(w, true);
    feed_key(w, 1);
    live(w, 10 * S);
    feed_key(w, 1);
    const struct uuid first_held = last_seen(w)->id;
    live(w, 10 * S);
    feed_key(w, 1);
    assert_int_equal(last_seen(w)->verdict, VERDICT_COOLDOWN);
    live(w, 40 * S - 1);
    assert_int_equal(seen_of(w, "cooldown.ended"), 0);
    live(w, 1);
    assert_int_equal(seen_of(w, "cooldown.ended"), 1);
    assert_int_equal(last_seen(w)->verdict, VERDICT_FIRED);
    assert_int_equal(last_seen(w)->time, T0 + 60 * S);
    char id[UUID_TEXT_LEN + 1], payload[128];
    uuid_format(first_held, id);
    snprintf(payload, sizeof(payload), "{\"held\":2,\"since_event_id\":\"%s\"}", id);
    assert_string_equal(last_seen(w)->payload, payload);
    /* That was a firing: its cooldown begins, and nothing is held back in it. */
    feed_key(w, 1);
    assert_int_equal(last_seen(w)->verdict, VERDICT_COOLDOWN);
    live(w, 60 * S);
    assert_int_equal(seen_of(w, "cooldown.ended"), 2);
    live(w, HOUR);
    assert_int_equal(seen_of(w, "cooldown.ended"), 2);
}

static void an_event_may_be_faster(void **state)
{
    struct world *w = *state;
    add_trailing(w, true);
    feed_key(w, 1);
    feed_key(w, 1);
    pass(w, 60 * S);
    feed_key(w, 1);
    assert_int_equal(last_seen(w)->verdict, VERDICT_FIRED);
    live(w, HOUR);
    assert_int_equal(w->seen.len, 3);
}

static void drop_forgets(void **state)
{
    struct world *w = *state;
    add_trailing(w, false);
    feed_key(w, 1);
    feed_key(w, 1);
    live(w, HOUR);
    assert_int_equal(w->seen.len, 2);
}

static void trailing_survives_a_restart(void **state)
{
    struct world *w = *state;
    add_trailing(w, true);
    feed_key(w, 1);
    feed_key(w, 1);
    restart(w, 20 * S);
    live(w, 40 * S - 1);
    assert_int_equal(seen_of(w, "cooldown.ended"), 0);
    live(w, 1);
    assert_int_equal(seen_of(w, "cooldown.ended"), 1);
    feed_key(w, 1);
    restart(w, HOUR); /* over while it was down */
    assert_int_equal(seen_of(w, "cooldown.ended"), 2);
}

static void trailing_survives_a_failed_commit(void **state)
{
    struct world *w = *state;
    add_trailing(w, true);
    feed_key(w, 1);
    feed_key(w, 1);
    live(w, 59 * S);
    w->disk_err = -EIO;
    live(w, 2 * S);
    w->disk_err = 0;
    live(w, 5 * S);
    assert_int_equal(seen_of(w, "cooldown.ended"), 1);
}

static void a_held_back_event_that_was_undone_is_not_made_up_for(void **state)
{
    struct world *w = *state;
    add_trailing(w, true);
    feed_key(w, 1);
    w->disk_err = -EIO;
    feed_key(w, 1);
    w->disk_err = 0;
    live(w, HOUR);
    assert_int_equal(w->seen.len, 1);
}

static void trailing_schedule(void **state)
{
    struct world *w = *state;
    struct rule r = rule_at("* * * * *");
    r.trailing = true;
    add_trigger(w, add_pipeline(w), &r, 150 * S);
    live(w, 5 * MIN);
    /* 1:00 fires, 2:00 and 3:00 are held back, 3:30 makes up for them, 4:00 and 5:00 are held back. */
    assert_int_equal(seen_of(w, "cron.tick"), 5);
    assert_int_equal(seen_of(w, "cooldown.ended"), 1);
    for (size_t i = 0; i < w->seen.len; i++)
        if (strcmp(w->seen.items[i].type, "cooldown.ended") == 0)
            assert_int_equal(w->seen.items[i].time - T0, 210 * S);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_at_the_next_due_time),
        T(missed_while_down),
        T(never_fired_before_the_restart),
        T(a_step_forward_misses_times),
        T(a_step_back_doubles_nothing),
        T(skip_does_not_go_back_at_a_start),
        T(a_long_step_back_is_believed),
        T(fire_all_is_bounded),
        T(a_failed_commit_keeps_the_due_time),
        T(disabled_times_are_not_missed),
        T(disabled_across_a_restart),
        T(a_changed_schedule_counts_from_the_change),
        T(other_changes_miss_nothing),
        T(a_deleted_trigger_is_silent),
        T(jitter_stays_within_its_bound),
        T(every_is_anchored_to_creation),
        T(a_day_without_drift),
        T(trailing_fires_once_at_the_end),
        T(an_event_may_be_faster),
        T(drop_forgets),
        T(trailing_survives_a_restart),
        T(trailing_survives_a_failed_commit),
        T(a_held_back_event_that_was_undone_is_not_made_up_for),
        T(trailing_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
