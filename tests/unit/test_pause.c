#include "engine_fixture.h"

static struct pipeline *add(struct world *w, bool pull)
{
    struct pipeline *p = engine_add_pipeline(w->engine, w->now, SLICE("default.bronze.p"),
                                             pull ? pull_pipeline() : command_pipeline(), NULL);
    commit(w);
    return p;
}

static struct trigger *add_hook(struct world *w, struct pipeline *p)
{
    struct rule r = {0};
    rule_set_key(&r, (struct match_key){{'t', 1}});
    return add_trigger(w, p, &r, 0);
}

static struct uuid fire(struct world *w)
{
    const struct event ev = {.source = "test", .type = SLICE("test"), .key = {{'t', 1}}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w);
    assert_int_equal(last_seen(w)->verdict, VERDICT_FIRED);
    return last_seen(w)->run;
}

/* Each kind of pause, on its own. */
static struct pause_target target(int kind, struct pipeline *p, struct trigger *t)
{
    return (struct pause_target){.pipeline = kind == 1 ? p : NULL, .trigger = kind == 2 ? t : NULL};
}

static void runs_wait(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, false);
    struct trigger *t = add_hook(w, p);
    for (int kind = 0; kind < 3; kind++) {
        const struct pause_target x = target(kind, p, t);
        const size_t before = w->started.len;
        assert_true(engine_pause(w->engine, w->now, &x, SLICE("why"), NULL));
        assert_false(engine_pause(w->engine, w->now, &x, SLICE("again"), NULL));
        commit(w);
        const struct engine_stats s = engine_stats(w->engine);
        assert_int_equal(s.paused, kind == 0);
        assert_int_equal(s.paused_pipelines, kind == 1);
        assert_int_equal(s.paused_triggers, kind == 2);
        const struct uuid run = fire(w);
        assert_int_equal(w->started.len, before);
        assert_int_equal(p->pending, 1);
        assert_int_equal(p->reserved, 0); /* nothing was asked for */
        assert_true(engine_resume(w->engine, w->now, &x, NULL));
        assert_false(engine_resume(w->engine, w->now, &x, NULL));
        commit(w);
        assert_true(p->reserved > 0);
        const struct offered_run o = {.start = {.run = run, .attempt = 1, .trigger = t->id}};
        engine_offer(w->engine, w->now, p, &o, 1, WALL_UNSET, 0);
        commit(w);
        assert_int_equal(w->started.len, before + 1);
    }
}

/* What was read before the pause is not started after it, and not lost. */
static void a_fetch_on_its_way(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, false);
    p->def->running_max = 1;
    struct trigger *t = add_hook(w, p);
    const struct uuid first = fire(w), second = fire(w);
    const struct run_result r = {.run = first, .status = RUN_SUCCESS};
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
    commit(w);
    for (int kind = 0; kind < 3; kind++) {
        const struct pause_target x = target(kind, p, t);
        assert_true(p->reserved > 0);
        engine_pause(w->engine, w->now, &x, SLICE_NONE, NULL);
        const struct offered_run o = {.start = {.run = second, .attempt = 1, .trigger = t->id}};
        engine_offer(w->engine, w->now, p, &o, 1, WALL_UNSET, 0);
        commit(w);
        assert_int_equal(w->started.len, 1);
        assert_int_equal(p->pending, 1);
        if (p->reserved > 0) /* the pipeline asks on, for runs of other triggers */
            engine_offer(w->engine, w->now, p, NULL, 0, WALL_UNSET, 0);
        assert_int_equal(p->pending, 1);
        engine_resume(w->engine, w->now, &x, NULL);
        commit(w);
    }
    assert_true(p->reserved > 0);
}

static void is_taken_back(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, false);
    struct trigger *t = add_hook(w, p);
    for (int kind = 0; kind < 3; kind++) {
        const struct pause_target x = target(kind, p, t);
        w->disk_err = -ENOSPC;
        engine_pause(w->engine, w->now, &x, SLICE_NONE, NULL);
        commit(w);
        const struct engine_stats s = engine_stats(w->engine);
        assert_int_equal(s.paused + s.paused_pipelines + s.paused_triggers, 0);
        assert_false(p->paused || t->paused || p->paused_triggers > 0);
        w->disk_err = 0;
        const size_t before = w->started.len;
        live(w, 2000);
        fire(w);
        assert_int_equal(w->started.len, before + 1);

        engine_pause(w->engine, w->now, &x, SLICE_NONE, NULL);
        commit(w);
        w->disk_err = -ENOSPC;
        engine_resume(w->engine, w->now, &x, NULL);
        commit(w);
        w->disk_err = 0;
        fire(w);
        assert_int_equal(w->started.len, before + 1);
        engine_resume(w->engine, w->now, &x, NULL);
        live(w, 2000);
        if (p->reserved > 0) { /* that run is of no use for the next round */
            engine_offer(w->engine, w->now, p, NULL, 0, WALL_UNSET, 0);
            commit(w);
        }
        assert_int_equal(p->pending, 0);
    }
}

/* What is gone is not paused any more: neither the pipeline nor its triggers. */
static void goes_with_the_pipeline(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, false);
    struct trigger *t = add_hook(w, p);
    for (int kind = 1; kind < 3; kind++) {
        const struct pause_target x = target(kind, p, t);
        engine_pause(w->engine, w->now, &x, SLICE_NONE, NULL);
    }
    commit(w);
    engine_drop_pipeline(w->engine, w->now, p, NULL);
    commit(w);
    const struct engine_stats s = engine_stats(w->engine);
    assert_int_equal(s.paused + s.paused_pipelines + s.paused_triggers, 0);
}

/* Until an earlier life's processes are gone nothing starts; then everything does. */
static void waits_at_start(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, false);
    add_hook(w, p);
    engine_wait(w->engine);
    const struct uuid run = fire(w);
    assert_int_equal(w->started.len, 0);
    engine_go(w->engine, w->now);
    commit(w);
    const struct offered_run o = {.start = {.run = run, .attempt = 1}};
    engine_offer(w->engine, w->now, p, &o, 1, WALL_UNSET, 0);
    commit(w);
    assert_int_equal(w->started.len, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(runs_wait), T(a_fetch_on_its_way), T(is_taken_back),
                                       T(goes_with_the_pipeline), T(waits_at_start)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
