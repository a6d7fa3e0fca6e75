/* hook_fixture.h - an engine with one pipeline and one trigger, whose commits come back when the test says so. */
#ifndef UNIT_HOOK_FIXTURE_H
#define UNIT_HOOK_FIXTURE_H
#include "base/check.h"
#include "base/mem.h"
#include "batch.h"
#include "core/decision.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUNNING_MAX 3

struct world {
    struct engine *engine;
    struct now now;
    struct pipeline *pipeline;
    struct trigger *trigger;
    /* what the last redeemed ticket said */
    struct ticket ticket;
    unsigned redeemed;
    int err;
    enum verdict verdict;
    uint64_t retry_after_ms;
    struct uuid run;
};

static inline void redeemed(struct ticket *t, const struct outcome *o)
{
    struct world *w = container_of(t, struct world, ticket);
    w->redeemed++;
    w->err = o->err;
    w->run = UUID_NIL;
    if (o->decision_count == 0)
        return;
    w->verdict = o->decisions[0].verdict;
    w->retry_after_ms = o->decisions[0].retry_after_ms;
    if (o->decisions[0].run_count > 0)
        w->run = o->decisions[0].runs[0];
}

/* Settles what has filled up and redeems its tickets; the caller recycles. */
static inline struct batch *settle(struct world *w, int err)
{
    return settle_batch(w->engine, w->now, err);
}

static inline void commit(struct world *w, int err)
{
    engine_recycle(w->engine, settle(w, err));
}

static inline struct pipeline_def *pipeline_def(uint32_t running_max, uint32_t max_attempts)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){
        .spec = mem_strdup("{}"),
        .running_max = running_max,
        .retry = {.max_attempts = max_attempts,
                  .backoff_ms = 1000,
                  .backoff_factor = 2,
                  .backoff_ms_max = 3000},
    };
    return d;
}

static inline struct trigger_def *trigger_def(bool enabled, uint64_t cooldown_ms)
{
    struct rule rule = {0};
    rule_set_key(&rule, (struct match_key){{'w', 1}});
    return trigger_def_create(SLICE("{}"), enabled, cooldown_ms, &rule);
}

static inline int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    const struct engine_options opt = {.running_max = RUNNING_MAX, .batch_bytes_max = 1 << 20};
    w->now = (struct now){{1000000}, {1770000000000}};
    w->ticket.done = redeemed;
    w->engine = engine_create(&opt, w->now, 1);
    w->pipeline = engine_add_pipeline(w->engine, w->now, SLICE("default.silver.orders"),
                                      pipeline_def(1, 1), NULL);
    w->trigger = engine_add_trigger(w->engine, w->now, w->pipeline, "webhook",
                                    trigger_def(true, 60000), SLICE("trigger:webhook"), NULL);
    commit(w, 0);
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    engine_destroy(w->engine);
    free(w);
    return 0;
}

static inline void pass(struct world *w, uint64_t ms)
{
    w->now.mono.ms += ms;
    w->now.wall.ms += (int64_t)ms;
}

static inline int feed(struct world *w)
{
    const struct event ev = {
        .source = "webhook",
        .type = SLICE("webhook"),
        .payload = SLICE("hello"),
        .key = {{'w', 1}},
        .ticket = &w->ticket,
    };
    return engine_feed(w->engine, w->now, &ev);
}

static inline enum verdict fire(struct world *w)
{
    assert_int_equal(feed(w), 1);
    commit(w, 0);
    return w->verdict;
}

static inline void finish(struct world *w, struct uuid run, enum run_status status)
{
    const struct run_result r = {.run = run, .status = status, .error = SLICE("exit status 1")};
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
}

#endif
