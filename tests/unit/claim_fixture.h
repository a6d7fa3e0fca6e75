/* claim_fixture.h - an engine with a pipeline that is pulled, a worker that claims its runs, and its durable queue. */
#ifndef UNIT_CLAIM_FIXTURE_H
#define UNIT_CLAIM_FIXTURE_H
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"

#define LEASED_MAX 4
#define LEASE_MS 10000

/* An engine with a pipeline that is pulled, whose commits come back when the test says so. */
struct world {
    struct engine *engine;
    struct now now;
    struct pipeline *pipeline;
    struct claim_ticket claim;
    unsigned leased, done; /* what the claim has been told */
    struct run_lease last;
    int claim_err;
    struct ticket ticket;
    unsigned redeemed;
    struct uuid made[16]; /* runs, oldest first: the durable queue */
    size_t made_count;
    unsigned fetches;
    struct effect_fetch_runs fetch; /* the last that was carried out and not answered */
};

static inline void told_lease(struct claim_ticket *t, const struct run_lease *l)
{
    struct world *w = container_of(t, struct world, claim);
    w->leased++;
    w->last = *l;
}

static inline void told_done(struct claim_ticket *t, int err)
{
    struct world *w = container_of(t, struct world, claim);
    w->done++;
    w->claim_err = err;
}

static inline void redeemed(struct ticket *t, const struct outcome *o)
{
    struct world *w = container_of(t, struct world, ticket);
    w->redeemed += o->err == 0;
    if (o->decision_count > 0)
        w->made[w->made_count++] = o->decisions[0].runs[0];
}

static inline void carry_out(struct world *w, const struct effect *f)
{
    if (f->type == EFFECT_REPLY)
        f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    if (f->type == EFFECT_LEASE_RUN)
        f->lease_run.ticket->leased(f->lease_run.ticket, &f->lease_run.lease);
    if (f->type == EFFECT_CLAIM_DONE)
        f->claim_done.ticket->done(f->claim_done.ticket, f->claim_done.err);
    if (f->type == EFFECT_FETCH_RUNS) {
        assert_true(f->fetch_runs.leased);
        w->fetches++;
        w->fetch = f->fetch_runs;
    }
    assert_int_not_equal(f->type, EFFECT_START_RUN);
}

/* Settles the filling batch, if there is one. The number of records of that type in it. */
static inline unsigned commit(struct world *w, int err, enum effect_type type)
{
    struct batch *b = engine_take(w->engine);
    unsigned n = 0;
    if (b == NULL)
        return 0;
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        n += f->type == type;
    engine_settle(w->engine, w->now, b, err);
    for (const struct effect *next, *f = b->first; f != NULL; f = next) {
        next = f->next;
        carry_out(w, f);
    }
    engine_recycle(w->engine, b);
    return n;
}

static inline struct lease_hash hash(uint8_t n)
{
    return (struct lease_hash){{n, 1}};
}

/* Answers the fetch with the first runs of the queue; the i-th run ever made has the hash i + 1. */
static inline void offer(struct world *w, size_t from, size_t n)
{
    struct offered_run runs[16] = {0};
    for (size_t i = 0; i < n; i++) {
        runs[i].start.run = w->made[from + i];
        runs[i].start.attempt = 1;
        runs[i].token.b[0] = (uint8_t)(from + i + 1);
        runs[i].hash = hash((uint8_t)(from + i + 1));
    }
    w->fetches = 0;
    engine_offer(w->engine, w->now, w->fetch.pipeline, runs, n, WALL_UNSET, 0);
}

static inline struct pipeline_def *def(uint32_t running_max, uint32_t attempts)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){
        .spec = mem_strdup("{}"),
        .running_max = running_max,
        .pull = true,
        .retry = {.max_attempts = attempts, .backoff_factor = 1},
    };
    return d;
}

static inline int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    const struct engine_options opt = {
        .running_max = 1, .leased_max = LEASED_MAX, .batch_bytes_max = 1 << 20};
    w->now = (struct now){{1000000}, {1770000000000}};
    w->ticket.done = redeemed;
    w->claim = (struct claim_ticket){.leased = told_lease, .done = told_done};
    w->engine = engine_create(&opt, w->now, 1);
    w->pipeline =
        engine_add_pipeline(w->engine, w->now, SLICE("default.silver.orders"), def(0, 1), NULL);
    commit(w, 0, EFFECT_REPLY);
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
    engine_tick(w->engine, w->now);
}

static inline void feed(struct world *w)
{
    const struct event ev = {.source = "manual",
                             .type = SLICE("manual"),
                             .pipeline = w->pipeline->id,
                             .ticket = &w->ticket};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
}

static inline int ask(struct world *w, const char *pattern, uint32_t max, uint64_t wait_ms)
{
    const struct claim_request q = {
        .patterns = &pattern,
        .pattern_count = 1,
        .count_max = max,
        .lease_ms = LEASE_MS,
        .wait_ms = wait_ms,
        .ticket = &w->claim,
    };
    return engine_claim(w->engine, w->now, &q);
}

/* A run that the worker has. */
static inline void give_one(struct world *w)
{
    feed(w);
    assert_int_equal(ask(w, "*", 1, 1000), 0);
    commit(w, 0, EFFECT_REPLY);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
    w->redeemed = 0;
}

static inline struct run_result result(const struct world *w, enum run_status status)
{
    return (struct run_result){.run = w->made[0], .status = status};
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
