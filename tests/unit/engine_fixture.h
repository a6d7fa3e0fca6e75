/* engine_fixture.h - an engine in a world of its own: clocks that the test turns, a disk that keeps what a restart needs. */
#ifndef UNIT_ENGINE_FIXTURE_H
#define UNIT_ENGINE_FIXTURE_H
#include "base/check.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/vec.h"
#include "core/decision.h"
#include "core/engine.h"
#include "core/schedule.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define T0 INT64_C(1770000000000) /* 2026-02-02T02:40:00Z */
#define S INT64_C(1000)
#define MIN (60 * S)
#define HOUR (60 * MIN)

/* An event that was committed. */
struct seen {
    char type[24];
    int64_t time, due; /* wall ms; due: of a cron.tick, else 0 */
    struct uuid id, root, parent;
    uint32_t depth;
    enum verdict verdict; /* of its first decision */
    size_t decisions, runs;
    struct uuid run; /* of its first decision */
    char detail[128], payload[256];
};

struct world {
    struct engine *engine;
    struct now now;
    int disk_err; /* what the next commits come back with */
    VEC(struct seen) seen;
    VEC(struct run_start) started; /* texts are gone; for ids */
    /* what is on disk */
    struct effect_trigger_state states[16]; /* by trigger key */
    struct {
        char path[64];
        struct wall at;
    } successes[8];
    unsigned success_count;
};

/* ---- the disk ---- */

static inline void keep_event(struct world *w, const struct effect_put_event *e)
{
    struct arena a = {0};
    struct decision d;
    struct slice decisions = e->decisions;
    struct seen s = {.time = e->time.ms,
                     .id = e->id,
                     .root = e->lineage.root,
                     .parent = e->lineage.parent,
                     .depth = e->lineage.depth};
    snprintf(s.type, sizeof(s.type), "%.*s", (int)e->type.len, e->type.p);
    snprintf(s.payload, sizeof(s.payload), "%.*s", (int)e->payload.len, e->payload.p);
    while (decision_decode(&decisions, &a, &d)) {
        if (s.decisions++ == 0) {
            s.verdict = d.verdict;
            snprintf(s.detail, sizeof(s.detail), "%.*s", (int)d.detail.len, d.detail.p);
            if (d.run_count > 0)
                s.run = d.runs[0];
        }
        s.runs += d.run_count;
    }
    if (strcmp(s.type, "cron.tick") == 0) {
        const char *at = s.payload + strlen("{\"scheduled_at\":\"");
        struct wall due;
        assert_true(rfc3339_parse((struct slice){at, strcspn(at, "\"")}, &due));
        s.due = due.ms;
    }
    vec_push(&w->seen, s);
    arena_release(&a);
}

static inline void keep_success(struct world *w, const struct effect_success *f)
{
    unsigned i = 0;
    while (i < w->success_count && !slice_is(f->path, w->successes[i].path))
        i++;
    assert_true(i < ARRAY_SIZE(w->successes));
    w->success_count += i == w->success_count;
    snprintf(w->successes[i].path, sizeof(w->successes[i].path), "%.*s", (int)f->path.len,
             f->path.p);
    w->successes[i].at = f->at;
}

static inline void keep_effect(struct world *w, const struct effect *f)
{
    if (f->type == EFFECT_PUT_EVENT)
        keep_event(w, &f->put_event);
    else if (f->type == EFFECT_TRIGGER_STATE)
        w->states[f->trigger_state.trigger_key] = f->trigger_state;
    else if (f->type == EFFECT_SUCCESS)
        keep_success(w, &f->success);
    else if (f->type == EFFECT_START_RUN)
        vec_push(&w->started, f->start_run);
}

/* Commits what has filled up, or fails to. */
static inline void commit(struct world *w)
{
    struct batch *b;
    while ((b = engine_take(w->engine)) != NULL) {
        engine_settle(w->engine, w->now, b, w->disk_err);
        for (const struct effect *f = b->first; f != NULL && w->disk_err == 0; f = f->next)
            keep_effect(w, f);
        engine_recycle(w->engine, b);
    }
}

/* ---- time ---- */

static inline void pass(struct world *w, uint64_t ms)
{
    w->now.mono.ms += ms;
    w->now.wall.ms += (int64_t)ms;
}

/* Lets that much time go by, waking the engine whenever it asks for it. */
static inline void live(struct world *w, int64_t ms)
{
    const uint64_t until = w->now.mono.ms + (uint64_t)ms;
    uint64_t at;
    commit(w);
    while ((at = engine_wake_at(w->engine).ms) <= until) {
        if (at > w->now.mono.ms)
            pass(w, at - w->now.mono.ms);
        engine_tick(w->engine, w->now);
        commit(w);
    }
    pass(w, until - w->now.mono.ms);
}

/* Somebody sets the wall clock. */
static inline void step(struct world *w, int64_t ms)
{
    w->now.wall.ms += ms;
    engine_clock_stepped(w->engine, w->now);
    live(w, 0);
}

static inline size_t seen_of(const struct world *w, const char *type)
{
    size_t n = 0;
    for (size_t i = 0; i < w->seen.len; i++)
        n += strcmp(w->seen.items[i].type, type) == 0;
    return n;
}

static inline const struct seen *last_seen(const struct world *w)
{
    assert_true(w->seen.len > 0);
    return &w->seen.items[w->seen.len - 1];
}

/* ---- pipelines and triggers ---- */

static inline struct pipeline_def *pull_pipeline(void)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d =
        (struct pipeline_def){.spec = mem_strdup("{}"), .pull = true, .retry = {.max_attempts = 1}};
    return d;
}

static inline struct pipeline_def *command_pipeline(void)
{
    struct pipeline_def *d = pull_pipeline();
    d->pull = false;
    return d;
}

/* A rule that fires by that schedule. */
static inline struct rule rule_at(const char *expr)
{
    struct rule r = {0};
    struct schedule s = {.misfire_window_s = 86400};
    struct diag why;
    assert_int_equal(cron_parse(expr, &s.cron, &why), 0);
    r.schedule = mem_alloc(sizeof(s));
    *r.schedule = s;
    return r;
}

static inline struct trigger *add_trigger(struct world *w, struct pipeline *p, struct rule *r,
                                          uint64_t cooldown_ms)
{
    struct trigger_def *d = trigger_def_create(SLICE("{}"), true, cooldown_ms, r);
    struct trigger *t = engine_add_trigger(w->engine, w->now, p, "test", d, SLICE("x"), NULL);
    commit(w);
    return t;
}

/* ---- life ---- */

static inline void boot(struct world *w)
{
    const struct engine_options opt = {.running_max = 100000, .batch_bytes_max = 64 << 20};
    w->engine = engine_create(&opt, w->now, 1);
}

static inline int world_setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    w->now = (struct now){{5000000}, {T0}};
    boot(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    engine_destroy(w->engine);
    vec_release(&w->seen);
    vec_release(&w->started);
    free(w);
    return 0;
}

/* A definition with the same rule, made anew; schedules alone need that here. */
static inline struct trigger_def *copy_def(const struct trigger_def *d)
{
    struct rule r = {.trailing = d->rule.trailing,
                     .ends = d->rule.ends,
                     .needs_upstreams = d->rule.needs_upstreams};
    if (d->rule.schedule != NULL) {
        r.schedule = mem_alloc(sizeof(*r.schedule));
        *r.schedule = *d->rule.schedule;
    }
    if (d->rule.key != NULL)
        rule_set_key(&r, *d->rule.key);
    if (d->rule.scope != NULL)
        r.scope = mem_strdup(d->rule.scope);
    for (size_t i = 0; i < d->rule.upstream_count; i++)
        rule_follow(&r, d->rule.upstreams[i].path);
    return trigger_def_create(slice_of(d->config), d->enabled, d->cooldown_ms, &r);
}

static inline void load_pipeline(struct world *w, const struct pipeline *old)
{
    struct pipeline *p = mem_zalloc(sizeof(*p));
    *p = (struct pipeline){.id = old->id,
                           .key = old->key,
                           .path = mem_strdup(old->path),
                           .def = old->def->pull ? pull_pipeline() : command_pipeline(),
                           .created_at = old->created_at};
    engine_load_pipeline(w->engine, p);
}

static inline void load_trigger(struct world *w, const struct trigger *old)
{
    const struct effect_trigger_state *s = &w->states[old->key];
    struct trigger *t = mem_zalloc(sizeof(*t));
    *t = (struct trigger){
        .id = old->id,
        .key = old->key,
        .type = old->type,
        .pipeline = catalog_pipeline(engine_catalog(w->engine), old->pipeline->id),
        .def = copy_def(old->def),
        .created_at = old->created_at,
        .state = {.last_fired = s->trigger_key != 0 ? s->last_fired : WALL_UNSET,
                  .last_due = s->trigger_key != 0 ? s->last_due : WALL_UNSET,
                  .held = s->held,
                  .held_from = s->held_from},
    };
    engine_load_trigger(w->engine, w->now, t);
}

/* The daemon ends and comes back after that long, with what is on disk. What is not committed is lost. Objects are new. */
static inline void restart(struct world *w, int64_t ms)
{
    struct engine *old = w->engine;
    const struct catalog *c = engine_catalog(old);
    w->now.mono.ms = 7777; /* another start of the machine */
    w->now.wall.ms += ms;
    boot(w);
    for (const struct pipeline *p = c->pipelines_by_id; p != NULL; p = p->by_id.next)
        load_pipeline(w, p);
    for (const struct trigger *t = NULL; (t = trigger_table_next(&c->triggers, t)) != NULL;)
        load_trigger(w, t);
    for (unsigned i = 0; i < w->success_count; i++) {
        struct followed *f =
            catalog_followed(engine_catalog(w->engine), slice_of(w->successes[i].path));
        if (f != NULL)
            f->last_success = w->successes[i].at;
    }
    engine_destroy(old);
    live(w, 0);
}

#endif
