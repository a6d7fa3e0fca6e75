#include "engine_fixture.h"

static const struct retry_policy twice = {2, 60000, 1, 60000};

static struct pipeline *add(struct world *w, uint32_t running_max, enum concurrency_policy policy,
                            uint32_t queue_max, bool pull)
{
    struct pipeline_def *d = pull ? pull_pipeline() : command_pipeline();
    d->running_max = running_max;
    d->policy = policy;
    d->queue_max = queue_max;
    struct pipeline *p = engine_add_pipeline(w->engine, w->now, SLICE("default.bronze.p"), d, NULL);
    commit(w);
    return p;
}

static struct trigger *add_hook(struct world *w, struct pipeline *p, uint64_t cooldown_ms)
{
    struct rule r = {.lists_files = true};
    rule_set_key(&r, (struct match_key){{'t', 1}});
    return add_trigger(w, p, &r, cooldown_ms);
}

/* One that every event of here starts a run of. */
static struct pipeline *add_fired(struct world *w, uint32_t running_max,
                                  enum concurrency_policy policy, uint32_t queue_max)
{
    struct pipeline *p = add(w, running_max, policy, queue_max, false);
    add_hook(w, p, 0);
    return p;
}

static void feed(struct world *w, const char *name)
{
    const struct event ev = {.source = "test",
                             .type = SLICE("test"),
                             .key = {{'t', 1}},
                             .name = name != NULL ? slice_of(name) : SLICE_NONE};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
}

static void fire(struct world *w)
{
    feed(w, NULL);
    commit(w);
}

static void ask(struct world *w, const struct pipeline *p)
{
    const struct event ev = {.source = "manual", .type = SLICE("manual"), .pipeline = p->id};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w);
}

static bool finish(struct world *w, struct uuid run, enum run_status status)
{
    const struct run_result r = {.run = run, .status = status};
    const bool known = engine_finish(w->engine, w->now, &r, NULL);
    commit(w);
    return known;
}

static void expect(const struct world *w, size_t seen, enum verdict v, const char *detail)
{
    assert_int_equal(w->seen.len, seen);
    assert_int_equal(last_seen(w)->verdict, v);
    assert_string_equal(last_seen(w)->detail, detail);
}

/* One runs, two wait; events of triggers and those by hand meet the same bound. */
static void a_full_queue_refuses(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add_fired(w, 1, CONCURRENCY_QUEUE, 2);
    for (size_t i = 1; i <= 3; i++) {
        fire(w);
        expect(w, i, VERDICT_FIRED, "");
    }
    fire(w);
    expect(w, 4, VERDICT_CONCURRENCY, "2 runs wait, max_queue is 2");
    ask(w, p);
    expect(w, 5, VERDICT_CONCURRENCY, "2 runs wait, max_queue is 2");
    assert_int_equal(p->pending, 2);
    assert_int_equal(p->running, 1);
}

/* A retry is let in again whatever waits, and counts as waiting. */
static void a_retry_is_never_refused(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add_fired(w, 1, CONCURRENCY_QUEUE, 1);
    p->def->retry = twice;
    feed(w, NULL);
    fire(w);
    assert_int_equal(p->pending, 1);
    assert_true(finish(w, w->started.items[0].run, RUN_FAILED));
    assert_int_equal(p->pending, 2);
    fire(w);
    expect(w, 3, VERDICT_CONCURRENCY, "2 runs wait, max_queue is 1");
}

static void skip_starts_nothing(void **state)
{
    struct world *w = *state;
    add_fired(w, 2, CONCURRENCY_SKIP, 0);
    for (int i = 0; i < 3; i++)
        feed(w, NULL);
    commit(w);
    expect(w, 3, VERDICT_CONCURRENCY, "2 runs are under way, max_runs is 2");
    assert_true(finish(w, w->started.items[0].run, RUN_SUCCESS));
    fire(w);
    expect(w, 4, VERDICT_FIRED, "");
}

/* A run that waits for its backoff, and one that waits for a worker, are under way. */
static void skip_counts_what_waits(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add_fired(w, 1, CONCURRENCY_SKIP, 0);
    p->def->retry = twice;
    fire(w);
    assert_true(finish(w, w->started.items[0].run, RUN_FAILED));
    fire(w);
    expect(w, 2, VERDICT_CONCURRENCY, "1 run is under way, max_runs is 1");
}

static void skip_counts_pulled_runs(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, 1, CONCURRENCY_SKIP, 0, true);
    add_hook(w, p, 0);
    feed(w, NULL);
    fire(w);
    expect(w, 2, VERDICT_CONCURRENCY, "1 run is under way, max_runs is 1");
}

/* What was decided on top of a commit that failed is as if it had never been. */
static void counts_are_taken_back(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add_fired(w, 1, CONCURRENCY_SKIP, 0);
    feed(w, NULL);
    w->disk_err = -ENOSPC;
    commit(w);
    w->disk_err = 0;
    assert_int_equal(p->running + p->pending, 0);
    fire(w);
    expect(w, 1, VERDICT_FIRED, "");
}

/* A refused event starts no cooldown; a refused file is listed by the next firing. */
static void refused_is_not_fired(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, 1, CONCURRENCY_SKIP, 0, false);
    struct trigger *t = add_hook(w, p, 1000);
    feed(w, "a.csv");
    commit(w);
    const struct wall first = t->state.last_fired;
    pass(w, 1500);
    feed(w, "b.csv");
    commit(w);
    expect(w, 2, VERDICT_CONCURRENCY, "1 run is under way, max_runs is 1");
    const struct uuid held = last_seen(w)->id;
    assert_int_equal(t->state.last_fired.ms, first.ms);
    assert_int_equal(t->state.held, 1);
    assert_int_equal(uuid_cmp(t->state.held_from, held), 0);
    assert_int_equal(uuid_cmp(w->states[t->key].held_from, held), 0);
    assert_true(finish(w, w->started.items[0].run, RUN_SUCCESS));
    feed(w, "c.csv");
    commit(w);
    expect(w, 3, VERDICT_FIRED, "");
    assert_int_equal(t->state.held, 0);
}

/* ---- replace ---- */

struct deeds {
    size_t cancels, drops;
    struct uuid cancelled;
};

static struct deeds commit_deeds(struct world *w, int err)
{
    struct deeds d = {0};
    struct batch *b;
    while ((b = engine_take(w->engine)) != NULL) {
        engine_settle(w->engine, w->now, b, err);
        for (const struct effect *f = b->first; f != NULL && err == 0; f = f->next) {
            d.drops += f->type == EFFECT_DROP_PENDING;
            if (f->type == EFFECT_CANCEL_RUN) {
                d.cancels++;
                d.cancelled = f->cancel_run;
            }
            keep_effect(w, f);
        }
        engine_recycle(w->engine, b);
    }
    return d;
}

static void the_newest_survives(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add_fired(w, 1, CONCURRENCY_REPLACE, 0);
    fire(w);
    const struct uuid first = w->started.items[0].run;
    feed(w, NULL);
    struct deeds d = commit_deeds(w, 0);
    assert_int_equal(d.cancels, 1);
    assert_int_equal(d.drops, 0);
    assert_int_equal(uuid_cmp(d.cancelled, first), 0);
    assert_int_equal(p->pending, 1);
    for (int i = 0; i < 3; i++) {
        feed(w, NULL);
        d = commit_deeds(w, 0);
        assert_int_equal(d.cancels, 0); /* it has been asked */
        assert_int_equal(d.drops, 1);
        assert_int_equal(p->pending, 1);
        assert_int_equal(p->running, 1);
    }
    assert_int_equal(engine_stats(w->engine).runs_ended[RUN_CANCELLED], 3);
}

static void replacing_is_taken_back(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add_fired(w, 1, CONCURRENCY_REPLACE, 0);
    p->def->retry = twice;
    fire(w);
    feed(w, NULL);
    feed(w, NULL);
    commit_deeds(w, -EIO);
    assert_int_equal(p->pending, 0);
    assert_int_equal(p->running, 1);
    assert_int_equal(p->ending, 0);
    assert_true(finish(w, w->started.items[0].run, RUN_FAILED)); /* it may have another attempt */
    assert_int_equal(p->pending, 1);
}

/* The pipeline follows itself: the end of what is replaced is an event that fires, too. */
static void replaced_by_its_own_follower(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, 1, CONCURRENCY_REPLACE, 0, true);
    struct rule r = {.ends = 1u << RUN_CANCELLED, .allows_cycle = true};
    rule_set_key(&r, completion_key(slice_of(p->path)));
    rule_follow(&r, p->path);
    add_trigger(w, p, &r, 0);
    add_hook(w, p, 0);
    for (int i = 0; i < 5; i++) {
        fire(w);
        assert_int_equal(p->pending + p->running, 1);
    }
}

/* What is replaced ends at once where a worker has it. If that makes its own trigger fire, the event that did it comes second. */
static void what_is_replaced_may_fire_first(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, 1, CONCURRENCY_REPLACE, 0, true);
    struct rule r = {.ends = 1u << RUN_CANCELLED, .allows_cycle = true};
    rule_set_key(&r, completion_key(slice_of(p->path)));
    rule_follow(&r, p->path);
    add_trigger(w, p, &r, 60000);
    const struct run_start s = {.run = {{1}}, .event = {{2}}, .attempt = 1};
    engine_recover_lease(w->engine, w->now, p, &s, w->now.wall, (struct lease_hash){{1}},
                         (struct wall){w->now.wall.ms + 60000});
    const struct event ev = {.source = "completion",
                             .type = SLICE("test"),
                             .key = completion_key(slice_of(p->path)),
                             .end = 1u << RUN_CANCELLED};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w);
    assert_int_equal(w->seen.len, 2);
    assert_int_equal(engine_stats(w->engine).verdicts[VERDICT_FIRED], 1);
    assert_int_equal(engine_stats(w->engine).verdicts[VERDICT_COOLDOWN], 1);
    assert_int_equal(p->pending + p->running, 1);
}

/* Runs that were read before they were replaced are not started. */
static void a_stale_fetch_is_read_again(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add_fired(w, 1, CONCURRENCY_REPLACE, 0);
    fire(w);
    const struct uuid first = w->started.items[0].run;
    fire(w);
    const struct uuid second = last_seen(w)->run;
    assert_true(finish(w, first, RUN_CANCELLED)); /* the second is asked for */
    assert_true(p->reserved > 0);
    fire(w);
    struct offered_run o = {.start = {.run = second, .attempt = 1}};
    engine_offer(w->engine, w->now, p, &o, 1, WALL_UNSET, 0);
    commit(w);
    assert_int_equal(w->started.len, 1);
    o.start.run = last_seen(w)->run;
    assert_true(p->reserved > 0);
    engine_offer(w->engine, w->now, p, &o, 1, WALL_UNSET, 0);
    commit(w);
    assert_int_equal(w->started.len, 2);
    assert_int_equal(uuid_cmp(w->started.items[1].run, last_seen(w)->run), 0);
}

/* A row that was read as pending may be that of a run which is replaced meanwhile. */
static void a_look_up_learns_nothing(void **state)
{
    struct world *w = *state;
    struct pipeline *p = add(w, 1, CONCURRENCY_REPLACE, 0, true);
    add_hook(w, p, 0);
    fire(w);
    const struct uuid run = last_seen(w)->run;
    assert_int_equal(engine_cancel(w->engine, w->now, run, NULL), CANCEL_UNKNOWN);
    feed(w, NULL);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, p, run, 1, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel(w->engine, w->now, run, NULL), CANCEL_UNKNOWN);
    commit(w);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, p, run, 1, NULL), CANCEL_UNKNOWN);
    assert_int_equal(p->pending, 1);
    const struct uuid newest = last_seen(w)->run;
    assert_int_equal(engine_cancel(w->engine, w->now, newest, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, p, newest, 1, NULL), CANCEL_DONE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_full_queue_refuses),
        T(a_retry_is_never_refused),
        T(skip_starts_nothing),
        T(skip_counts_what_waits),
        T(skip_counts_pulled_runs),
        T(counts_are_taken_back),
        T(refused_is_not_fired),
        T(the_newest_survives),
        T(replacing_is_taken_back),
        T(replaced_by_its_own_follower),
        T(a_stale_fetch_is_read_again),
        T(a_look_up_learns_nothing),
        T(what_is_replaced_may_fire_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
