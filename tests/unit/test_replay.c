#include "engine_fixture.h"

/* A run that has ended, made again. */
static struct replay replay_of(struct pipeline *p, struct uuid run)
{
    return (struct replay){.run = run, .event = run, .pipeline = p->id, .trigger_key = 7};
}

struct answer {
    struct ticket ticket;
    int count, err;
};

static void answered(struct ticket *t, const struct outcome *o)
{
    struct answer *a = container_of(t, struct answer, ticket);
    a->count++;
    a->err = o->err;
}

static struct pipeline *add_pipeline(struct world *w, const char *path)
{
    struct pipeline *p =
        engine_add_pipeline(w->engine, w->now, slice_of(path), command_pipeline(), NULL);
    commit(w);
    return p;
}

static struct uuid some_id(uint8_t n)
{
    return (struct uuid){{n, 1}};
}

/* The PUT_RUN records of what has filled up; settles it with err, and redeems tickets. */
static size_t put_runs(struct world *w, int err, struct effect_put_run *ret, size_t max)
{
    struct batch *b;
    size_t n = 0;
    while ((b = engine_take(w->engine)) != NULL) {
        for (const struct effect *f = b->first; f != NULL; f = f->next)
            if (f->type == EFFECT_PUT_RUN && n < max)
                ret[n++] = f->put_run;
        engine_settle(w->engine, w->now, b, err);
        for (const struct effect *f = b->first; f != NULL; f = f->next) {
            if (f->type == EFFECT_REPLY)
                f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
            else if (f->type == EFFECT_FETCH_RUNS)
                engine_offer(w->engine, w->now, f->fetch_runs.pipeline, NULL, 0, WALL_UNSET, -EIO);
        }
        engine_recycle(w->engine, b);
    }
    return n;
}

static void makes_pending_runs_for_the_same_events(void **state)
{
    struct world *w = *state;
    struct answer a = {{answered}};
    struct effect_put_run put[4];
    struct pipeline *p = add_pipeline(w, "n.l.p");
    struct replay r[] = {replay_of(p, some_id(1)), replay_of(p, some_id(2))};
    r[1].version = 9;
    r[1].held_from = some_id(8);
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, r, 2, &a.ticket), 2);
    assert_int_equal(engine_stats(w->engine).pending, 2);
    assert_int_equal(put_runs(w, 0, put, 4), 2);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.err, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(put[i].status, RUN_PENDING);
        assert_int_equal(put[i].attempt, 1);
        assert_int_equal(put[i].trigger_key, 7);
        assert_int_equal(put[i].version, i == 0 ? 1 : 9);
        assert_memory_equal(&put[i].replay_of, &r[i].run, sizeof(struct uuid));
        assert_memory_equal(&put[i].event, &r[i].event, sizeof(struct uuid));
        assert_memory_equal(&put[i].held_from, &r[i].held_from, sizeof(struct uuid));
        assert_memory_equal(&put[i].id, &r[i].made, sizeof(struct uuid));
    }
}

/* Both have read the row while it said "dead". */
static void of_two_who_read_the_same_one_makes_it(void **state)
{
    struct world *w = *state;
    struct effect_put_run put[4];
    struct pipeline *p = add_pipeline(w, "n.l.p");
    struct replay r = replay_of(p, some_id(1)), same = r;
    engine_replay_begin(w->engine);
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, &r, 1, NULL), 1);
    assert_int_equal(put_runs(w, 0, put, 4), 1);
    assert_int_equal(engine_replay(w->engine, w->now, &same, 1, NULL), 0);
    assert_true(uuid_is_nil(same.made));

    /* Who reads it after the commit sees that it was replayed, and may well want it. */
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, &same, 1, NULL), 1);
    /* Who reads before the commit does not see it. */
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, &r, 1, NULL), 0);
    commit(w);
}

static void a_failed_commit_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct answer a = {{answered}};
    struct effect_put_run put[4];
    struct pipeline *p = add_pipeline(w, "n.l.p");
    struct replay r = replay_of(p, some_id(1));
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, &r, 1, &a.ticket), 1);
    assert_int_equal(put_runs(w, -ENOSPC, put, 4), 1);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.err, -ENOSPC);
    assert_int_equal(engine_stats(w->engine).pending, 0);
    assert_int_equal(p->pending, 0);
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, &r, 1, &a.ticket), 1);
    commit(w);
    assert_int_equal(engine_stats(w->engine).pending, 1);
}

static void not_for_a_pipeline_that_is_gone(void **state)
{
    struct world *w = *state;
    struct effect_put_run put[4];
    struct pipeline *p = add_pipeline(w, "n.l.p");
    struct replay r[] = {replay_of(p, some_id(1)), replay_of(add_pipeline(w, "n.l.q"), some_id(2))};
    engine_drop_pipeline(w->engine, w->now, p, NULL);
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, r, 2, NULL), 1);
    assert_true(uuid_is_nil(r[0].made) && !uuid_is_nil(r[1].made));
    assert_int_equal(put_runs(w, 0, put, 4), 1);
    engine_replay_begin(w->engine);
    assert_int_equal(engine_replay(w->engine, w->now, NULL, 0, NULL), 0);
}

static void limits_hold(void **state)
{
    static const struct {
        enum concurrency_policy policy;
        uint32_t queue_max, running_max;
        int made; /* of three */
    } rows[] = {
        {CONCURRENCY_QUEUE, 0, 1, 3},
        {CONCURRENCY_QUEUE, 2, 1, 2},
        {CONCURRENCY_SKIP, 0, 1, 1},
        {CONCURRENCY_REPLACE, 0, 2, 2}, /* ends nobody */
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char path[] = "n.l.p0";
        path[5] += (char)i;
        struct pipeline *p = add_pipeline(w, path);
        p->def->policy = rows[i].policy;
        p->def->queue_max = rows[i].queue_max;
        p->def->running_max = rows[i].running_max;
        struct replay r[3];
        for (uint8_t k = 0; k < 3; k++)
            r[k] = replay_of(p, some_id((uint8_t)(10 * i + k + 1)));
        engine_replay_begin(w->engine);
        assert_int_equal(engine_replay(w->engine, w->now, r, 3, NULL), rows[i].made);
        for (int k = 0; k < 3; k++)
            assert_int_equal(r[k].refused, k >= rows[i].made);
        assert_int_equal(p->pending, rows[i].made);
        commit(w);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(makes_pending_runs_for_the_same_events),
        T(of_two_who_read_the_same_one_makes_it),
        T(a_failed_commit_leaves_nothing),
        T(not_for_a_pipeline_that_is_gone),
        T(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
