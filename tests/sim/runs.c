/* runs.c - runs that executors have, and runs that somebody outside has.
 *
 * Some executors ask somebody outside to do the work and let go of the run when that has been accepted. Whoever was asked may report
 * before that, too late, twice or never, may ask for more time, and does not notice that the daemon crashes.
 */
#include "base/check.h"
#include "base/mem.h"
#include "sim.h"
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 500      /* what could not be written is said again */
#define LEASE_MS 2000     /* at the least */
#define OUTSIDE_ACTIVE 60 /* the last ones: who is older has nothing to say any more */

/* Something about an attempt, on its way to the disk. */
struct word {
    struct ticket ticket;
    struct sim *sim;
    struct uuid run;
    uint32_t attempt;
    uint64_t safe_until;
};

static struct ticket *word(struct sim *s, struct uuid run, uint32_t attempt, uint64_t ms,
                           void (*done)(struct ticket *t, const struct outcome *o))
{
    struct word *w = mem_zalloc(sizeof(*w));
    *w = (struct word){{done}, s, run, attempt, s->now.mono.ms + ms};
    return &w->ticket;
}

struct going *runs_find(const struct sim *s, struct uuid run, uint32_t attempt)
{
    for (size_t i = 0; i < s->going.len; i++)
        if (s->going.items[i].attempt == attempt && uuid_cmp(s->going.items[i].run, run) == 0)
            return &s->going.items[i];
    return NULL;
}

struct outside *runs_find_outside(const struct sim *s, struct uuid run, uint32_t attempt)
{
    for (size_t i = s->outside.len; i > 0; i--) {
        struct outside *o = &s->outside.items[i - 1];
        if (o->attempt == attempt && uuid_cmp(o->run, run) == 0)
            return o;
    }
    return NULL;
}

/* Whoever was asked has reported already; the executor will hear of it. */
static bool is_overtaken(const struct sim *s, const struct going *g)
{
    const struct outside *o = runs_find_outside(s, g->run, g->attempt);
    return o != NULL && (o->heard || o->accepted);
}

static void let_go(struct sim *s, const struct word *w)
{
    struct going *g = runs_find(s, w->run, w->attempt);
    CHECK(g != NULL && g->acts_at == NEVER);
    *g = s->going.items[--s->going.len];
}

static void say_again(struct sim *s, const struct word *w)
{
    struct going *g = runs_find(s, w->run, w->attempt);
    CHECK(g != NULL && g->acts_at == NEVER);
    g->acts_at = s->now.mono.ms + AGAIN_MS;
}

/* ---- beginning ---- */

static void ask_outside(struct sim *s, struct going *g)
{
    const uint64_t token = s->outside.len + 1;
    g->asks = true;
    memcpy(g->hash.b, &token, sizeof(token));
    g->hands_over = below(s, 2) == 0; /* else it answers by itself after all */
    engine_promise(s->engine, g->run, g->hash);
    const struct outside o = {.run = g->run,
                              .attempt = g->attempt,
                              .hash = g->hash,
                              .calls_at = below(s, 5) == 0 ? NEVER : soon(s, 5000)};
    vec_push(&s->outside, o);
}

void runs_start(struct sim *s, const struct run_start *r)
{
    const struct sim_run *row = sim_store_run(&s->store, r->run);
    size_t slots = 0;
    CHECK(row != NULL && row->status == RUN_RUNNING && row->attempt == r->attempt);
    for (size_t i = 0; i < s->going.len; i++) {
        const struct going *g = &s->going.items[i];
        const bool gone = g->acts_at == NEVER || is_overtaken(s, g);
        CHECK(gone || uuid_cmp(g->run, r->run) != 0); /* nothing runs twice at once */
        slots += !gone;
    }
    CHECK(slots < RUNNING_MAX);
    struct going g = {.run = r->run, .attempt = r->attempt, .acts_at = soon(s, 3000)};
    if (below(s, 3) == 0 && engine_has_lease_left(s->engine))
        ask_outside(s, &g);
    vec_push(&s->going, g);
    s->starts++;
}

void runs_cancel(struct sim *s, struct uuid run)
{
    for (size_t i = 0; i < s->going.len; i++) {
        struct going *g = &s->going.items[i];
        if (uuid_cmp(g->run, run) != 0)
            continue;
        g->cancelled = true;
        if (g->acts_at != NEVER)
            g->acts_at = soon(s, 50);
    }
}

/* ---- here ---- */

static void ended(struct ticket *t, const struct outcome *o)
{
    struct word *w = container_of(t, struct word, ticket);
    if (o->err == 0)
        let_go(w->sim, w);
    else
        say_again(w->sim, w);
    free(w);
}

/* An end is kept until it is on disk, or until it is certain that nobody wants it any more. */
static void end_here(struct sim *s, struct going *g)
{
    static const enum run_status ends[] = {RUN_SUCCESS, RUN_SUCCESS, RUN_SUCCESS, RUN_FAILED};
    if (!g->over)
        g->status = g->cancelled ? RUN_CANCELLED : ends[below(s, 4)];
    g->over = true;
    const struct run_result r = {
        .run = g->run,
        .status = g->status,
        .attempt = g->attempt,
        .error = SLICE("exit status 1"),
        .log = below(s, 8) > 0 ? logs_whole(g) : SLICE_NONE,
    };
    struct ticket *t = word(s, g->run, g->attempt, 0, ended);
    const bool known = engine_finish(s->engine, s->now, &r, t);
    CHECK(known != is_overtaken(s, g));
    if (!known)
        engine_confirm(s->engine, t);
    g->acts_at = NEVER;
}

static void handed_over(struct ticket *t, const struct outcome *o)
{
    struct word *w = container_of(t, struct word, ticket);
    struct sim *s = w->sim;
    if (o->err == 0) {
        let_go(s, w);
        runs_find_outside(s, w->run, w->attempt)->safe_until = w->safe_until;
        s->handed_over++;
    } else {
        say_again(s, w);
    }
    free(w);
}

/* When it may not: it has been asked to end, or its report is here already, and will hear that; unless that cannot be written. */
static void hand_over(struct sim *s, struct going *g)
{
    const uint64_t ms = LEASE_MS + below(s, 3000);
    struct ticket *t = word(s, g->run, g->attempt, ms, handed_over);
    const bool done = engine_entrust(s->engine, s->now, g->run, g->hash, ms, t);
    CHECK(!done || !is_overtaken(s, g));
    if (!done)
        free(t);
    g->acts_at = done ? NEVER : s->now.mono.ms + AGAIN_MS;
}

/* ---- outside ---- */

static void reported(struct ticket *t, const struct outcome *outcome)
{
    struct word *w = container_of(t, struct word, ticket);
    struct sim *s = w->sim;
    struct outside *o = runs_find_outside(s, w->run, w->attempt);
    const struct sim_run *row = sim_store_run(&s->store, w->run);
    CHECK(o->heard && !o->accepted);
    o->heard = false;
    free(w);
    if (outcome->err != 0)
        return;
    o->accepted = true;
    s->reported++;
    if (o->status == RUN_SUCCESS)
        CHECK(row->status == RUN_SUCCESS && row->attempt == o->attempt);
    else
        CHECK(run_status_is_final(row->status) || row->attempt == o->attempt + 1);
}

static void report(struct sim *s, struct outside *o)
{
    const struct run_result r = {.run = o->run,
                                 .status = below(s, 3) > 0 ? RUN_SUCCESS : RUN_FAILED,
                                 .error = SLICE("told so")};
    struct ticket *t = word(s, o->run, o->attempt, 0, reported);
    if (engine_finish_leased(s->engine, s->now, o->hash, &r, t) != LEASE_DONE) {
        free(t);
        return;
    }
    CHECK(!o->heard && !o->accepted); /* once is enough */
    o->heard = true;
    o->status = r.status;
    struct going *g = runs_find(s, o->run, o->attempt);
    if (g == NULL || g->acts_at == NEVER)
        return;
    s->in_doubt = true;
    if (below(s, 2) == 0)
        g->acts_at = s->now.mono.ms; /* its executor is no later */
}

static void extended(struct ticket *t, const struct outcome *outcome)
{
    struct word *w = container_of(t, struct word, ticket);
    struct outside *o = runs_find_outside(w->sim, w->run, w->attempt);
    if (outcome->err == 0 && o->safe_until != 0) /* what is only promised has no time yet */
        o->safe_until = w->safe_until;
    free(w);
}

static void ask_for_time(struct sim *s, struct outside *o)
{
    struct ticket *t = word(s, o->run, o->attempt, LEASE_MS, extended);
    struct wall ignored;
    if (engine_extend(s->engine, s->now, o->run, o->hash, LEASE_MS, t, &ignored) != LEASE_DONE)
        free(t);
    else
        CHECK(!o->heard && !o->accepted);
}

void runs_go_on(struct sim *s)
{
    for (size_t i = 0; i < s->going.len; i++) {
        struct going *g = &s->going.items[i];
        if (g->acts_at > s->now.mono.ms)
            continue;
        if (g->hands_over && !g->over && !g->cancelled)
            hand_over(s, g);
        else
            end_here(s, g);
    }
    for (size_t i = s->outside.len > OUTSIDE_ACTIVE ? s->outside.len - OUTSIDE_ACTIVE : 0;
         i < s->outside.len; i++) {
        struct outside *o = &s->outside.items[i];
        if (o->calls_at > s->now.mono.ms)
            continue;
        o->calls_at = below(s, 3) == 0 ? NEVER : s->now.mono.ms + 100 + below(s, 3000);
        if (below(s, 4) == 0)
            ask_for_time(s, o);
        else
            report(s, o);
    }
}

void runs_crash(struct sim *s)
{
    s->going.len = 0;
    for (size_t i = 0; i < s->outside.len; i++) {
        struct outside *o = &s->outside.items[i];
        o->heard = false;
        if (o->safe_until > s->now.mono.ms + LEASE_GRACE_MS) /* the wall clock may say so */
            o->safe_until = s->now.mono.ms + LEASE_GRACE_MS;
    }
}
