/* pull.c - workers outside, simulated: they claim, die, are late, report twice, while commits fail and the daemon crashes.
 *
 *     sim_pull [SEED [STEPS]]       prints the seed; the same seed does the same
 *
 *   - an attempt is handed out at most once, and only when the store says that its worker has it
 *   - at most leased_max runs are out, and of a pipeline at most its limit
 *   - an accepted report is of the attempt that the worker was given; a second one never is accepted
 *   - a lease that the worker knows of never is over early, crash or not
 *   - every claim is answered once; memory says what the store says
 *   - in the end, with workers that do their work, nothing is left (store.c checks each move)
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "core/engine.h"
#include "seeds.h"
#include "store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASED_MAX 12
#define WORKERS 6
#define PIPELINES 3
#define FETCH_MAX 16

/* An attempt that was handed out. */
struct job {
    struct uuid run;
    uint32_t attempt;
    struct lease_hash hash;
    uint64_t ends_at;    /* when its worker reports; UINT64_MAX: it has died */
    uint64_t safe_until; /* not over before that, on the simulation's own clock */
    bool reported;       /* and accepted */
};

struct worker {
    struct claim_ticket claim;
    struct world *world;
    bool waits;
    unsigned got; /* by this claim */
};

struct fetching {
    struct pipeline *pipeline;
    struct offered_run runs[FETCH_MAX];
    size_t n;
    struct wall next_due;
    uint64_t comes_at;
};

struct world {
    struct prng rng;
    struct engine *engine;
    struct sim_store store;
    struct now now;
    struct batch *out;
    uint64_t commit_at, tokens;
    bool commit_fails, calm;
    struct worker workers[WORKERS];
    VEC(struct job) jobs;
    VEC(struct fetching) fetching;
    unsigned crashes, failures, expired, accepted, refused;
    struct digest digest;
};

static uint64_t below(struct world *w, uint64_t n)
{
    return prng_below(&w->rng, n);
}

static struct job *find_job(struct world *w, struct uuid run, uint32_t attempt)
{
    for (size_t i = 0; i < w->jobs.len; i++)
        if (w->jobs.items[i].attempt == attempt && uuid_cmp(w->jobs.items[i].run, run) == 0)
            return &w->jobs.items[i];
    return NULL;
}

/* ---- what must hold ---- */

static void check_limits(struct world *w)
{
    size_t all = 0;
    for (const struct sim_run *r = w->store.runs; r != NULL; r = r->hh.next)
        all += r->leased;
    CHECK(all <= LEASED_MAX);
    for (const struct sim_pipeline *p = w->store.pipelines; p != NULL; p = p->hh.next) {
        size_t own = 0;
        for (const struct sim_run *r = w->store.runs; r != NULL; r = r->hh.next)
            own += r->leased && r->pipeline_key == p->key;
        CHECK(p->running_max == 0 || own <= p->running_max);
    }
}

static void check_memory_is_store(struct world *w)
{
    size_t leased = 0;
    for (const struct sim_run *r = w->store.runs; r != NULL; r = r->hh.next) {
        CHECK(r->leased == (r->status == RUN_RUNNING)); /* all pipelines here are pulled */
        leased += r->leased;
    }
    const struct engine_stats st = engine_stats(w->engine);
    CHECK(st.leased == leased && st.running == 0);
    CHECK(st.pending == sim_store_count(&w->store, RUN_PENDING, true));
}

/* An attempt whose worker has not said so ends only when its time is over, or it was cancelled. */
static void check_ends(struct world *w, const struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        if (f->type != EFFECT_MOVE_RUN || f->move_run.error.p == NULL ||
            !slice_is(f->move_run.error, "lease expired"))
            continue;
        const uint32_t attempt = f->move_run.attempt - (f->move_run.status == RUN_PENDING);
        const struct job *j = find_job(w, f->move_run.id, attempt);
        CHECK(j == NULL || j->safe_until <= w->now.mono.ms);
        w->expired++;
    }
}

/* ---- workers ---- */

static void told_lease(struct claim_ticket *t, const struct run_lease *l)
{
    struct worker *k = container_of(t, struct worker, claim);
    struct world *w = k->world;
    const struct sim_run *row = sim_store_run(&w->store, l->start.run);
    struct job j = {.run = l->start.run, .attempt = l->start.attempt};
    CHECK(k->waits && row->status == RUN_RUNNING && row->leased);
    CHECK(row->attempt == l->start.attempt && find_job(w, j.run, j.attempt) == NULL);
    memcpy(j.hash.b, l->token.b, sizeof(j.hash.b)); /* here the token is its own hash */
    CHECK(memcmp(row->hash.b, j.hash.b, sizeof(j.hash.b)) == 0);
    const bool dies = !w->calm && below(w, 6) == 0;
    j.ends_at = dies ? UINT64_MAX : w->now.mono.ms + below(w, w->calm ? 300 : 1500);
    j.safe_until = w->now.mono.ms + (uint64_t)(l->expires_at.ms - w->now.wall.ms);
    vec_push(&w->jobs, j);
    k->got++;
    digest_add(&w->digest, &j.run, sizeof(j.run));
}

static void told_done(struct claim_ticket *t, int err)
{
    struct worker *k = container_of(t, struct worker, claim);
    CHECK(k->waits && (err == 0 || k->world->commit_fails));
    k->waits = false;
}

static void ask(struct world *w, struct worker *k)
{
    static const char *const patterns[] = {"*", "default.bronze.p1", "*.p?", "nothing.*"};
    const char *pattern = patterns[w->calm ? 0 : below(w, 4)];
    const struct claim_request q = {
        .patterns = &pattern,
        .pattern_count = 1,
        .count_max = 1 + (uint32_t)below(w, 8),
        .lease_ms = 1000,
        .wait_ms = below(w, 3) * 400,
        .ticket = &k->claim,
    };
    k->waits = true;
    k->got = 0;
    if (engine_claim(w->engine, w->now, &q) != 0)
        k->waits = false;
}

/* A report on its way to the disk. */
struct saying {
    struct ticket ticket;
    struct world *world;
    struct uuid run;
    uint32_t attempt;
    uint64_t safe_until; /* of a heartbeat; 0: the end */
};

static void written(struct ticket *t, const struct outcome *o)
{
    struct saying *y = container_of(t, struct saying, ticket);
    struct world *w = y->world;
    struct job *j = find_job(w, y->run, y->attempt);
    const struct sim_run *row = sim_store_run(&w->store, y->run);
    CHECK(j != NULL && (o->err == 0 || w->commit_fails));
    if (o->err == 0 && y->safe_until == 0) {
        CHECK(!j->reported && !(row->leased && row->attempt == y->attempt));
        j->reported = true;
        w->accepted++;
    } else if (o->err == 0 && y->safe_until > j->safe_until) {
        j->safe_until = y->safe_until;
    }
    free(y);
}

static void say(struct world *w, const struct job *j, bool heartbeat)
{
    static const enum run_status ends[] = {RUN_SUCCESS, RUN_SUCCESS, RUN_FAILED};
    struct saying *y = mem_zalloc(sizeof(*y));
    *y = (struct saying){{written}, w, j->run, j->attempt, 0};
    const struct run_result r = {.run = j->run, .status = ends[below(w, 3)], .error = SLICE("x")};
    struct wall expires_at;
    enum lease_answer a;
    if (heartbeat)
        a = engine_extend(w->engine, w->now, j->run, j->hash, 1500, &y->ticket, &expires_at);
    else
        a = engine_finish_leased(w->engine, w->now, j->hash, &r, &y->ticket);
    if (heartbeat)
        y->safe_until = w->now.mono.ms + 1500;
    if (a != LEASE_DONE) {
        w->refused++;
        free(y);
        return;
    }
    CHECK(!j->reported);
}

static void work(struct world *w)
{
    for (size_t i = 0; i < WORKERS; i++)
        if (!w->workers[i].waits && below(w, 40) == 0)
            ask(w, &w->workers[i]);
    for (size_t i = w->jobs.len > 60 ? w->jobs.len - 60 : 0; i < w->jobs.len; i++) {
        struct job *j = &w->jobs.items[i];
        if (below(w, 400) == 0)
            say(w, j, true); /* also when it is long over */
        if (j->ends_at > w->now.mono.ms)
            continue;
        j->ends_at = w->now.mono.ms + 100 + below(w, 3000); /* and again: twice, or late */
        say(w, j, false);
    }
}

/* ---- the daemon ---- */

static void carry_out(struct world *w, const struct effect *f)
{
    if (f->type == EFFECT_REPLY)
        f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    else if (f->type == EFFECT_LEASE_RUN)
        f->lease_run.ticket->leased(f->lease_run.ticket, &f->lease_run.lease);
    else if (f->type == EFFECT_CLAIM_DONE)
        f->claim_done.ticket->done(f->claim_done.ticket, f->claim_done.err);
    CHECK(f->type != EFFECT_START_RUN && f->type != EFFECT_CANCEL_RUN);
    if (f->type != EFFECT_FETCH_RUNS)
        return;
    struct fetching r = {.pipeline = f->fetch_runs.pipeline,
                         .comes_at = w->now.mono.ms + below(w, 20)};
    CHECK(f->fetch_runs.count_max <= FETCH_MAX && f->fetch_runs.leased);
    r.n = sim_store_pending(&w->store, r.pipeline->key, w->now.wall, f->fetch_runs.count_max,
                            r.runs, &r.next_due);
    for (size_t i = 0; i < r.n; i++) {
        const uint64_t token = ++w->tokens;
        memcpy(r.runs[i].token.b, &token, sizeof(token));
        memcpy(r.runs[i].hash.b, &token, sizeof(token));
    }
    vec_push(&w->fetching, r);
}

static void commit(struct world *w)
{
    struct batch *b = w->out;
    w->out = NULL;
    if (!w->commit_fails) {
        check_ends(w, b);
        sim_store_apply(&w->store, b);
        check_limits(w);
    }
    engine_settle(w->engine, w->now, b, w->commit_fails ? -ENOSPC : 0);
    if (w->commit_fails) {
        w->failures++;
        check_memory_is_store(w);
    }
    for (const struct effect *next, *f = b->first; f != NULL; f = next) {
        next = f->next;
        digest_add(&w->digest, &f->type, sizeof(f->type));
        carry_out(w, f);
    }
    engine_recycle(w->engine, b);
    w->commit_fails = false;
}

static void deliver(struct world *w)
{
    for (size_t i = 0; i < w->fetching.len;) {
        const struct fetching f = w->fetching.items[i];
        if (f.comes_at > w->now.mono.ms) {
            i++;
            continue;
        }
        w->fetching.items[i] = w->fetching.items[--w->fetching.len];
        const bool fails = !w->calm && below(w, 20) == 0;
        engine_offer(w->engine, w->now, f.pipeline, f.runs, fails ? 0 : f.n,
                     fails ? WALL_UNSET : f.next_due, fails ? -EIO : 0);
    }
}

static void engine_new(struct world *w)
{
    const struct engine_options opt = {
        .running_max = 1, .leased_max = LEASED_MAX, .batch_bytes_max = 1 << 20};
    w->engine = engine_create(&opt, w->now, prng_u64(&w->rng));
}

/* Nobody hears of a batch that was out, or of what filled since; the first of them may be on disk. */
static void crash(struct world *w)
{
    if (w->out != NULL && below(w, 2) == 0) {
        check_ends(w, w->out);
        sim_store_apply(&w->store, w->out);
    }
    for (int i = 0; i < 2; i++) {
        struct batch *b = w->out != NULL ? w->out : engine_take(w->engine);
        w->out = NULL;
        if (b == NULL)
            break;
        engine_settle(w->engine, w->now, b, -EIO);
        for (const struct effect *f = b->first; f != NULL; f = f->next)
            if (f->type == EFFECT_REPLY)
                free(container_of(f->reply.ticket, struct saying, ticket));
        engine_recycle(w->engine, b);
    }
    for (size_t i = 0; i < w->fetching.len; i++)
        engine_offer(w->engine, w->now, w->fetching.items[i].pipeline, NULL, 0, WALL_UNSET,
                     -ECANCELED);
    w->fetching.len = 0;
    w->commit_fails = false;
    engine_destroy(w->engine);
    for (size_t i = 0; i < WORKERS; i++)
        w->workers[i].waits = false;
    const uint64_t down = below(w, 3000);
    w->now.mono.ms += down;
    w->now.wall.ms += (int64_t)down;
    w->crashes++;
    engine_new(w);
    sim_store_load(&w->store, w->engine, w->now);
    CHECK(engine_take(w->engine) == NULL); /* leases come back without a word */
    check_memory_is_store(w);
    engine_tick(w->engine, w->now);
}

static struct pipeline *any_pipeline(struct world *w)
{
    char path[64];
    snprintf(path, sizeof(path), "default.bronze.p%d", (int)below(w, PIPELINES));
    return catalog_pipeline_at(engine_catalog(w->engine), slice_of(path));
}

static void disturb(struct world *w)
{
    const uint64_t pick = below(w, 1000);
    if (pick < 600) {
        const struct event ev = {
            .source = "manual", .type = SLICE("manual"), .pipeline = any_pipeline(w)->id};
        CHECK(engine_feed(w->engine, w->now, &ev) == 1);
    } else if (pick < 605) {
        crash(w);
    } else if (pick < 640 && w->jobs.len > 0) {
        const struct job *j =
            &w->jobs.items[w->jobs.len - 1 - below(w, w->jobs.len < 9 ? w->jobs.len : 9)];
        const struct uuid run = j->run;
        if (engine_cancel(w->engine, w->now, run, NULL) == CANCEL_UNKNOWN)
            engine_cancel_looked_up(w->engine, w->now, NULL, run, 0, NULL);
    } else if (pick < 700) {
        engine_unclaim(w->engine, &w->workers[below(w, WORKERS)].claim);
    }
}

static void step(struct world *w)
{
    const uint64_t ms = below(w, 12);
    w->now.mono.ms += ms;
    w->now.wall.ms += (int64_t)ms;
    if (w->out != NULL && w->commit_at <= w->now.mono.ms)
        commit(w);
    if (!w->calm && below(w, 4) == 0)
        disturb(w);
    work(w);
    deliver(w);
    if (engine_wake_at(w->engine).ms <= w->now.mono.ms)
        engine_tick(w->engine, w->now);
    if (w->out == NULL && (w->out = engine_take(w->engine)) != NULL) {
        w->commit_at = w->now.mono.ms + below(w, 8);
        w->commit_fails = !w->calm && below(w, 25) == 0;
    }
}

static bool at_rest(const struct world *w)
{
    return w->out == NULL && sim_store_count(&w->store, RUN_PENDING, true) == 0 &&
           sim_store_count(&w->store, RUN_RUNNING, true) == 0;
}

static uint64_t simulate(uint64_t seed, unsigned steps, bool loud)
{
    struct world w = {.now = {{1000}, {1770000000000}}};
    prng_init(&w.rng, seed);
    engine_new(&w);
    for (size_t i = 0; i < WORKERS; i++)
        w.workers[i] = (struct worker){.claim = {told_lease, told_done}, .world = &w};
    for (uint32_t i = 0; i < PIPELINES; i++) {
        char path[64];
        snprintf(path, sizeof(path), "default.bronze.p%u", i);
        engine_add_pipeline(w.engine, w.now, slice_of(path), sim_pipeline_def(i * 2, 1 + i, true),
                            NULL);
    }
    w.out = engine_take(w.engine);
    commit(&w);
    for (unsigned i = 0; i < steps; i++)
        step(&w);
    w.calm = true;
    for (unsigned i = 0; i < 100000 && (i < 100 || !at_rest(&w)); i++)
        step(&w);
    CHECK(at_rest(&w));
    check_memory_is_store(&w);
    engine_hold(w.engine); /* whoever waits is told, and nobody else */
    for (unsigned i = 0; i < 1000; i++) {
        w.now.mono.ms++;
        deliver(&w);
        if (w.out != NULL || (w.out = engine_take(w.engine)) != NULL)
            commit(&w);
    }
    for (size_t i = 0; i < WORKERS; i++)
        CHECK(!w.workers[i].waits);
    if (loud)
        printf("%u runs, %zu attempts, %u reports accepted, %u refused, %u expired, "
               "%u failed commits, %u crashes\n",
               HASH_COUNT(w.store.runs), w.jobs.len, w.accepted, w.refused, w.expired, w.failures,
               w.crashes);
    engine_destroy(w.engine);
    sim_store_deinit(&w.store);
    vec_release(&w.jobs);
    vec_release(&w.fetching);
    return w.digest.value;
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, simulate, 24, 4000);
}
