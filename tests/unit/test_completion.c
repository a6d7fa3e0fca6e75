/* Runs that have ended are events: chains, fan-out, dependencies, and the followers of a pipeline. */
#include "engine_fixture.h"
#include <utlist.h>

static struct pipeline *add_pipeline(struct world *w, const char *path)
{
    struct pipeline *p =
        engine_add_pipeline(w->engine, w->now, slice_of(path), command_pipeline(), NULL);
    commit(w);
    return p;
}

static struct pipeline *at(struct world *w, const char *path)
{
    return catalog_pipeline_at(engine_catalog(w->engine), slice_of(path));
}

/* What pipeline_success makes of its config. */
static struct rule rule_after(const char *upstream)
{
    struct rule r = {.scope = mem_strdup(upstream), .ends = 1u << RUN_SUCCESS};
    rule_set_key(&r, completion_key(slice_of(upstream)));
    rule_follow(&r, upstream);
    return r;
}

static struct trigger *follow(struct world *w, struct pipeline *p, const char *upstream)
{
    struct rule r = rule_after(upstream);
    return add_trigger(w, p, &r, 0);
}

/* Fires every minute when all of these have succeeded. */
static struct trigger *depend(struct world *w, struct pipeline *p, const char *const *on)
{
    struct rule r = rule_at("* * * * *");
    r.needs_upstreams = true;
    for (; *on != NULL; on++)
        rule_follow(&r, *on);
    return add_trigger(w, p, &r, 0);
}

/* Starts a run of p by hand and returns its id. */
static struct uuid run_by_hand(struct world *w, struct pipeline *p)
{
    const struct event ev = {.source = "manual", .type = SLICE("manual"), .pipeline = p->id};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w);
    return w->started.items[w->started.len - 1].run;
}

static void end_run(struct world *w, struct uuid run, enum run_status status, struct slice output)
{
    const struct run_result r = {.run = run,
                                 .status = status,
                                 .output = status == RUN_SUCCESS ? output : SLICE_NONE,
                                 .error = status == RUN_SUCCESS ? SLICE_NONE : SLICE("broken")};
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
    live(w, 0);
}

static void succeed(struct world *w, const char *path)
{
    end_run(w, run_by_hand(w, at(w, path)), RUN_SUCCESS, SLICE_NONE);
}

static struct uuid last_started(const struct world *w)
{
    return w->started.items[w->started.len - 1].run;
}

static void a_success_fires_with_its_output(void **state)
{
    static const struct {
        struct slice output;
        const char *shown;
    } rows[] = {
        {SLICE_NONE, ",\"output\":null"},
        {{"{\"n\": 1}", 8}, ",\"output\":{\"n\":1}"},
        {{"plain \"text\"", 12}, ",\"output\":\"plain \\\"text\\\"\""},
        {{"", 0}, ",\"output\":null"},
    };
    struct world *w = *state;
    struct pipeline *a = add_pipeline(w, "n.l.a");
    struct pipeline *b = add_pipeline(w, "n.l.b");
    follow(w, b, "n.l.a");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct uuid run = run_by_hand(w, a);
        const struct uuid root = last_seen(w)->id;
        end_run(w, run, RUN_SUCCESS, rows[i].output);
        char id[UUID_TEXT_LEN + 1], payload[256];
        uuid_format(run, id);
        snprintf(payload, sizeof(payload),
                 "{\"run_id\":\"%s\",\"pipeline\":\"n.l.a\",\"status\":\"success\"%s}", id,
                 rows[i].shown);
        const struct seen *s = last_seen(w);
        assert_string_equal(s->type, "run.success");
        assert_string_equal(s->payload, payload);
        assert_int_equal(s->verdict, VERDICT_FIRED);
        assert_int_equal(s->depth, 1);
        assert_int_equal(uuid_cmp(s->root, root), 0);
        assert_int_equal(uuid_cmp(s->parent, run), 0);
    }
}

static void other_ends_do_not(void **state)
{
    struct world *w = *state;
    struct pipeline *a = add_pipeline(w, "n.l.a");
    follow(w, add_pipeline(w, "n.l.b"), "n.l.a");
    const size_t before = w->started.len;
    end_run(w, run_by_hand(w, a), RUN_FAILED, SLICE_NONE);
    end_run(w, run_by_hand(w, a), RUN_CANCELLED, SLICE_NONE);
    assert_int_equal(w->started.len, before + 2);
    assert_int_equal(seen_of(w, "run.failed") + seen_of(w, "run.cancelled"), 0);
}

static void nobody_follows_no_event(void **state)
{
    struct world *w = *state;
    add_pipeline(w, "n.l.a");
    succeed(w, "n.l.a");
    assert_int_equal(seen_of(w, "run.success"), 0);
}

static void a_chain_ends_at_its_greatest_depth(void **state)
{
    struct world *w = *state;
    struct pipeline *a = add_pipeline(w, "n.l.a");
    follow(w, a, "n.l.a");
    const struct uuid first = run_by_hand(w, a);
    const struct uuid root = last_seen(w)->id;
    struct uuid run = first;
    for (uint32_t depth = 1; depth <= 64; depth++) {
        end_run(w, run, RUN_SUCCESS, SLICE_NONE);
        assert_int_equal(last_seen(w)->depth, depth);
        assert_int_equal(last_seen(w)->verdict, VERDICT_FIRED);
        assert_int_equal(uuid_cmp(last_seen(w)->root, root), 0);
        assert_int_equal(uuid_cmp(last_seen(w)->parent, run), 0);
        run = last_started(w);
    }
    end_run(w, run, RUN_SUCCESS, SLICE_NONE);
    assert_int_equal(last_seen(w)->verdict, VERDICT_DEPTH);
    assert_int_equal(w->started.len, 65);
}

/* Firings that make up for what a cooldown held back are links of the chain, too. */
static void a_chain_through_cooldowns_ends_as_well(void **state)
{
    struct world *w = *state;
    struct pipeline *a = add_pipeline(w, "n.l.a");
    struct rule r = rule_after("n.l.a");
    r.trailing = true;
    add_trigger(w, a, &r, MIN);
    end_run(w, run_by_hand(w, a), RUN_SUCCESS, SLICE_NONE);
    assert_int_equal(last_seen(w)->verdict, VERDICT_FIRED);
    const struct uuid root = last_seen(w)->root;
    for (uint32_t depth = 2; depth <= 64; depth++) {
        end_run(w, last_started(w), RUN_SUCCESS, SLICE_NONE);
        assert_int_equal(last_seen(w)->verdict, VERDICT_COOLDOWN);
        live(w, MIN);
        assert_int_equal(last_seen(w)->verdict, VERDICT_FIRED);
        assert_int_equal(last_seen(w)->depth, depth);
        assert_int_equal(uuid_cmp(last_seen(w)->root, root), 0);
    }
    end_run(w, last_started(w), RUN_SUCCESS, SLICE_NONE);
    assert_int_equal(last_seen(w)->verdict, VERDICT_DEPTH);
    live(w, HOUR);
    assert_int_equal(seen_of(w, "cooldown.ended"), 63);
}

static void fan_out_is_one_event(void **state)
{
    struct world *w = *state;
    add_pipeline(w, "n.l.up");
    for (int i = 0; i < 10; i++) {
        char path[16];
        snprintf(path, sizeof(path), "n.l.down%d", i);
        follow(w, add_pipeline(w, path), "n.l.up");
    }
    succeed(w, "n.l.up");
    assert_int_equal(seen_of(w, "run.success"), 1);
    assert_int_equal(last_seen(w)->decisions, 10);
    assert_int_equal(last_seen(w)->runs, 10);
}

/* Names whose keys are hashes, and equal in all but the pipeline. */
static void long_names_are_told_apart(void **state)
{
    static const char one[] = "a-namespace-of-some-length.and-a-layer.and-a-pipeline-called-1";
    static const char two[] = "a-namespace-of-some-length.and-a-layer.and-a-pipeline-called-2";
    struct world *w = *state;
    add_pipeline(w, one);
    add_pipeline(w, two);
    struct trigger *t = follow(w, add_pipeline(w, "n.l.b"), one);
    struct trigger *clash = follow(w, at(w, "n.l.b"), two);
    catalog_unlink_match(engine_catalog(w->engine), clash);
    *clash->def->rule.key = *t->def->rule.key; /* as if the hashes were equal */
    catalog_link_match(engine_catalog(w->engine), clash);
    succeed(w, one);
    assert_int_equal(last_seen(w)->decisions, 1);
}

static void a_failed_commit_ends_the_run_again(void **state)
{
    struct world *w = *state;
    struct pipeline *a = add_pipeline(w, "n.l.a");
    follow(w, add_pipeline(w, "n.l.b"), "n.l.a");
    const struct uuid run = run_by_hand(w, a);
    w->disk_err = -ENOSPC;
    end_run(w, run, RUN_SUCCESS, SLICE_NONE);
    assert_int_equal(seen_of(w, "run.success"), 0);
    w->disk_err = 0;
    end_run(w, run, RUN_SUCCESS, SLICE_NONE);
    assert_int_equal(seen_of(w, "run.success"), 1);
}

/* ---- dependencies ---- */

static const char *const both[] = {"n.l.a", "n.l.b", NULL};

static void setup_dependencies(struct world *w)
{
    add_pipeline(w, "n.l.a");
    add_pipeline(w, "n.l.b");
    add_pipeline(w, "n.l.c");
}

static void expect_tick(struct world *w, const char *missing)
{
    live(w, MIN);
    assert_string_equal(last_seen(w)->type, "cron.tick");
    assert_int_equal(last_seen(w)->verdict, missing != NULL ? VERDICT_DEPS_UNMET : VERDICT_FIRED);
    if (missing != NULL) {
        char detail[128];
        snprintf(detail, sizeof(detail), "no success since the last firing: %s", missing);
        assert_string_equal(last_seen(w)->detail, detail);
    }
}

static void unmet_dependencies_are_named(void **state)
{
    struct world *w = *state;
    setup_dependencies(w);
    succeed(w, "n.l.a"); /* before it exists: does not count */
    pass(w, 1);
    depend(w, at(w, "n.l.c"), both);
    expect_tick(w, "n.l.a, n.l.b");
    succeed(w, "n.l.b");
    expect_tick(w, "n.l.a");
    end_run(w, run_by_hand(w, at(w, "n.l.a")), RUN_FAILED, SLICE_NONE);
    expect_tick(w, "n.l.a");
    succeed(w, "n.l.a");
    expect_tick(w, NULL);
    expect_tick(w, "n.l.a, n.l.b");
}

static void successes_survive_a_restart(void **state)
{
    struct world *w = *state;
    setup_dependencies(w);
    depend(w, at(w, "n.l.c"), both);
    succeed(w, "n.l.a");
    restart(w, 10 * S);
    expect_tick(w, "n.l.b");
    succeed(w, "n.l.b");
    restart(w, 10 * S);
    expect_tick(w, NULL);
    restart(w, 10 * S);
    expect_tick(w, "n.l.a, n.l.b");
}

static void a_dependency_that_was_deleted_is_told_of(void **state)
{
    struct world *w = *state;
    setup_dependencies(w);
    depend(w, at(w, "n.l.c"), both);
    engine_drop_pipeline(w->engine, w->now, at(w, "n.l.a"), NULL);
    expect_tick(w, "n.l.a (does not exist), n.l.b");
    succeed(w, "n.l.b");
    expect_tick(w, "n.l.a (does not exist)");
    add_pipeline(w, "n.l.a");
    succeed(w, "n.l.a");
    expect_tick(w, NULL);
}

/* In the millisecond of a firing, but after it. */
static void a_success_right_after_a_firing_counts(void **state)
{
    struct world *w = *state;
    static const char *const one[] = {"n.l.a", NULL};
    setup_dependencies(w);
    depend(w, at(w, "n.l.c"), one);
    succeed(w, "n.l.a");
    expect_tick(w, NULL);
    succeed(w, "n.l.a");
    expect_tick(w, NULL);
    expect_tick(w, "n.l.a");
    restart(w, 0);
    expect_tick(w, "n.l.a");
}

static void a_success_after_the_clock_was_set_back_counts(void **state)
{
    struct world *w = *state;
    static const char *const one[] = {"n.l.a", NULL};
    setup_dependencies(w);
    depend(w, at(w, "n.l.c"), one);
    succeed(w, "n.l.a");
    live(w, 20 * MIN);
    step(w, -10 * MIN);
    succeed(w, "n.l.a");
    const size_t runs = w->started.len;
    live(w, 11 * MIN);
    assert_int_equal(w->started.len, runs + 1);
}

/* A success from before the clock was set back has a later time than what follows it, and is older all the same. */
static void a_success_from_before_the_clock_was_set_back_counts_once(void **state)
{
    struct world *w = *state;
    static const char *const one[] = {"n.l.a", NULL};
    setup_dependencies(w);
    depend(w, at(w, "n.l.c"), one);
    live(w, 29 * MIN + 30 * S);
    succeed(w, "n.l.a");
    step(w, -10 * MIN);
    const size_t runs = w->started.len;
    live(w, 11 * MIN); /* the due times of the last ten minutes were dealt with */
    assert_int_equal(w->started.len, runs + 1);
    live(w, 5 * MIN);
    assert_int_equal(w->started.len, runs + 1);
    succeed(w, "n.l.a");
    step(w, -10 * MIN);
    depend(w, at(w, "n.l.b"), one); /* made after it */
    restart(w, 0);
    live(w, 5 * MIN);
    for (size_t i = runs + 2; i < w->started.len; i++)
        assert_int_not_equal(w->started.items[i].pipeline_key, 2);
}

static void an_undone_success_does_not_count(void **state)
{
    struct world *w = *state;
    static const char *const one[] = {"n.l.a", NULL};
    setup_dependencies(w);
    depend(w, at(w, "n.l.c"), one);
    const struct uuid run = run_by_hand(w, at(w, "n.l.a"));
    w->disk_err = -EIO;
    end_run(w, run, RUN_SUCCESS, SLICE_NONE);
    w->disk_err = 0;
    expect_tick(w, "n.l.a");
    end_run(w, run, RUN_SUCCESS, SLICE_NONE);
    expect_tick(w, NULL);
}

static void depend_on(struct world *w, struct trigger *t, const char *const *on)
{
    struct rule r = rule_at("* * * * *");
    r.needs_upstreams = true;
    for (; *on != NULL; on++)
        rule_follow(&r, *on);
    engine_change_trigger(w->engine, w->now, t, trigger_def_create(SLICE("{}"), true, 0, &r),
                          SLICE("x"), NULL);
    commit(w);
}

/* What a pipeline did before anybody needed it counts like the rest. */
static void a_success_before_it_was_needed_counts(void **state)
{
    struct world *w = *state;
    static const char *const one[] = {"n.l.a", NULL};
    setup_dependencies(w);
    succeed(w, "n.l.b"); /* before the trigger exists */
    pass(w, 1);
    struct trigger *t = depend(w, at(w, "n.l.c"), one);
    depend_on(w, t, both);
    succeed(w, "n.l.a");
    expect_tick(w, "n.l.b");
    depend_on(w, t, one);
    succeed(w, "n.l.b");
    depend_on(w, t, both);
    depend_on(w, t, one); /* forgets nothing */
    depend_on(w, t, both);
    restart(w, 0); /* it is on disk, too */
    t = trigger_table_next(&engine_catalog(w->engine)->triggers, NULL);
    expect_tick(w, NULL);
    depend_on(w, t, one);
    succeed(w, "n.l.a");
    const struct uuid run = run_by_hand(w, at(w, "n.l.b"));
    w->disk_err = -EIO;
    end_run(w, run, RUN_SUCCESS, SLICE_NONE);
    depend_on(w, t, both);
    w->disk_err = 0;
    depend_on(w, t, both);
    expect_tick(w, "n.l.b");
}

/* It held back a due time; when its cooldown is over the dependencies are not there. That ends it. */
static void a_trailing_dependency_asks_once(void **state)
{
    struct world *w = *state;
    setup_dependencies(w);
    struct rule r = rule_at("0 * * * *");
    r.needs_upstreams = r.trailing = true;
    rule_follow(&r, "n.l.a");
    struct trigger *t = add_trigger(w, at(w, "n.l.c"), &r, 90 * MIN);
    succeed(w, "n.l.a");
    live(w, 111 * MIN); /* 3:00 fires, 4:00 is held back, 4:30 comes to nothing */
    assert_int_equal(seen_of(w, "cooldown.ended"), 1);
    assert_int_equal(last_seen(w)->verdict, VERDICT_DEPS_UNMET);
    assert_int_equal(t->state.held, 0);
}

/* ---- who follows whom ---- */

static void cycles_are_spelled_out(void **state)
{
    struct world *w = *state;
    setup_dependencies(w);
    struct catalog *c = engine_catalog(w->engine);
    follow(w, at(w, "n.l.b"), "n.l.a");
    depend(w, at(w, "n.l.c"), (const char *const[]){"n.l.b", NULL});
    static const struct {
        const char *pipeline, *upstream, *cycle;
    } rows[] = {
        {"n.l.a", "n.l.c", "n.l.a -> n.l.b -> n.l.c -> n.l.a"},
        {"n.l.a", "n.l.b", "n.l.a -> n.l.b -> n.l.a"},
        {"n.l.a", "n.l.a", "n.l.a -> n.l.a"},
        {"n.l.c", "n.l.a", NULL},
        {"n.l.a", "n.l.gone", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str cycle = {0};
        struct rule r = rule_after(rows[i].upstream);
        assert_int_equal(catalog_has_cycle(c, at(w, rows[i].pipeline), &r, &cycle),
                         rows[i].cycle != NULL);
        if (rows[i].cycle != NULL)
            assert_string_equal(cycle.p, rows[i].cycle);
        rule_release(&r);
        str_release(&cycle);
    }
}

static void followers_are_known(void **state)
{
    struct world *w = *state;
    setup_dependencies(w);
    struct catalog *c = engine_catalog(w->engine);
    assert_null(catalog_follower(c, at(w, "n.l.a")));
    follow(w, at(w, "n.l.a"), "n.l.a"); /* its own does not count */
    assert_null(catalog_follower(c, at(w, "n.l.a")));
    struct trigger *t = depend(w, at(w, "n.l.c"), both);
    assert_ptr_equal(catalog_follower(c, at(w, "n.l.a")), t);
    assert_ptr_equal(catalog_follower(c, at(w, "n.l.b")), t);
    w->disk_err = -EIO;
    engine_drop_trigger(w->engine, w->now, t, NULL);
    assert_null(catalog_follower(c, at(w, "n.l.b")));
    commit(w);
    w->disk_err = 0;
    assert_ptr_equal(catalog_follower(c, at(w, "n.l.b")), t);
    engine_drop_trigger(w->engine, w->now, t, NULL);
    commit(w);
    assert_null(catalog_follower(c, at(w, "n.l.b")));
    assert_null(catalog_followed(c, SLICE("n.l.b"))); /* and nothing is kept of it */
}

/* What is known of a success outlives a deletion that is undone. */
static void undone_deletion_keeps_successes(void **state)
{
    struct world *w = *state;
    static const char *const one[] = {"n.l.a", NULL};
    setup_dependencies(w);
    struct trigger *t = depend(w, at(w, "n.l.c"), one);
    succeed(w, "n.l.a");
    w->disk_err = -EIO;
    engine_drop_trigger(w->engine, w->now, t, NULL);
    commit(w);
    w->disk_err = 0;
    expect_tick(w, NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_success_fires_with_its_output),
        T(other_ends_do_not),
        T(nobody_follows_no_event),
        T(a_chain_ends_at_its_greatest_depth),
        T(a_chain_through_cooldowns_ends_as_well),
        T(fan_out_is_one_event),
        T(long_names_are_told_apart),
        T(a_failed_commit_ends_the_run_again),
        T(unmet_dependencies_are_named),
        T(successes_survive_a_restart),
        T(a_dependency_that_was_deleted_is_told_of),
        T(a_success_right_after_a_firing_counts),
        T(a_success_after_the_clock_was_set_back_counts),
        T(a_success_from_before_the_clock_was_set_back_counts_once),
        T(an_undone_success_does_not_count),
        T(a_success_before_it_was_needed_counts),
        T(a_trailing_dependency_asks_once),
        T(cycles_are_spelled_out),
        T(followers_are_known),
        T(undone_deletion_keeps_successes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
