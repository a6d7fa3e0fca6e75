/* sim.c - the engine through simulated days in a second, from one seed.
 *
 *     sim [SEED [STEPS]]        prints the seed; the same seed does the same
 *
 * Random webhooks, changes of the catalog, cancellations, slow and failing commits, runs that end in every way, clock steps and
 * crashes. After every step, and in the end when everything has come to rest:
 *
 *   - every ticket is redeemed exactly once; what was acknowledged is in the store, with its runs
 *   - nothing is doubled: ids, starts of an attempt, ends of a run, replays of a dead one (store.c checks the moves)
 *   - each attempt but the last is kept; of one that a crash cut off what it had written, as far as that was acknowledged
 *   - a run is started only when the store says it is running; limits of concurrency hold
 *   - no trigger fires within its cooldown, crash or not
 *   - after a failed commit memory says what the store says
 *   - at rest the engine counts what the store has; more than max_runs are never under way where the policy skips or replaces, and more
 *     than max_queue new runs never wait, but for what was there when the limit was set
 *   - nothing is started of what is paused, crash or not; what waited goes on
 *   - nothing is left pending or running when there is time to finish it
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "core/decision.h"
#include "core/engine.h"
#include "seeds.h"
#include "store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNNING_MAX 6
#define PIPELINES 5
#define TOKENS 12

struct promise {
    struct ticket ticket;
    struct sim *sim;
    struct now made_at;
};

struct going {
    struct uuid run;
    uint32_t attempt;
    int64_t pipeline_key;
    uint64_t ends_at;
    bool cancelled;
    size_t written, kept; /* bytes of its log; of which acknowledged */
    bool keeping;         /* a part is on its way */
};

struct fetching {
    struct pipeline *pipeline;
    struct offered_run runs[RUNNING_MAX];
    size_t n;
    struct wall next_due;
    uint64_t comes_at;
};

struct lookup {
    struct uuid run;
    int64_t pipeline_key;
    enum run_status status;
    uint32_t attempt;
    struct ticket *ticket;
    uint64_t comes_at;
    bool replay; /* to make it again, not to cancel it */
};

/* The last firing the simulator saw acknowledged, by trigger key. */
struct firing {
    int64_t trigger_key;
    uint64_t mono;
    int64_t wall;
    unsigned life; /* how many crashes before */
};

/* A trigger's definition was changed. */
struct recool {
    int64_t trigger_key;
    uint64_t mono;
    uint64_t cooldown_ms; /* before */
};

/* What a pipeline had under way when it was last looked at. */
struct bound {
    int64_t key;
    uint32_t version;
    size_t n;
};

struct sim {
    struct prng rng;
    struct engine *engine;
    struct sim_store store;
    struct now now, born; /* born: when this life of the engine began */
    struct batch *out;
    uint64_t commit_at;
    bool commit_fails;
    VEC(struct going) going;
    VEC(struct fetching) fetching;
    VEC(struct lookup) lookups;
    VEC(struct firing) firings;
    VEC(struct recool) recools;
    struct bound bounds[PIPELINES];
    uint64_t refused;
    unsigned life, tickets_open, crashes, failures;
    struct digest digest;
    uint64_t acknowledged, starts, replays;
    bool calm; /* no more disturbances: everything must come to rest */
};

static uint64_t below(struct sim *s, uint64_t n)
{
    return prng_below(&s->rng, n);
}

/* ---- what must hold ---- */

static struct firing *find_firing(struct sim *s, int64_t trigger_key)
{
    for (size_t i = 0; i < s->firings.len; i++)
        if (s->firings.items[i].trigger_key == trigger_key)
            return &s->firings.items[i];
    return NULL;
}

/* The shortest cooldown the trigger has had since then: what is insisted on. */
static uint64_t shortest_cooldown(const struct sim *s, const struct trigger *t, uint64_t since)
{
    uint64_t low = t->def->cooldown_ms;
    for (size_t i = 0; i < s->recools.len; i++) {
        const struct recool *r = &s->recools.items[i];
        if (r->trigger_key == t->key && r->mono >= since && r->cooldown_ms < low)
            low = r->cooldown_ms;
    }
    return low;
}

/* Within one life the monotonic clock decides; across a crash only the wall clock is left. */
static void check_cooldown(struct sim *s, const struct trigger *t, struct now at)
{
    struct firing *f = find_firing(s, t->key);
    struct firing now = {t->key, at.mono.ms, at.wall.ms, s->life};
    if (f == NULL) {
        vec_push(&s->firings, now);
        return;
    }
    uint64_t cooldown = shortest_cooldown(s, t, f->mono);
    bool by_mono = now.mono - f->mono >= cooldown;
    int64_t wall = s->born.wall.ms +
                   (int64_t)(at.mono.ms - s->born.mono.ms); /* steps since the start do not count */
    bool by_wall = now.life != f->life && wall - f->wall >= (int64_t)cooldown;
    CHECK(by_mono || by_wall);
    *f = now;
}

static void check_acknowledged(struct sim *s, const struct outcome *o, struct now fed_at)
{
    if (uuid_is_nil(o->event))
        return;
    s->acknowledged++;
    CHECK(sim_store_event(&s->store, o->event) != NULL);
    for (size_t i = 0; i < o->decision_count; i++) {
        const struct decision *d = &o->decisions[i];
        CHECK((d->verdict == VERDICT_FIRED) == (d->run_count > 0));
        CHECK(d->verdict != VERDICT_COOLDOWN || d->retry_after_ms > 0);
        CHECK((d->verdict == VERDICT_CONCURRENCY) == (d->detail.p != NULL));
        s->refused += d->verdict == VERDICT_CONCURRENCY;
        for (size_t k = 0; k < d->run_count; k++)
            CHECK(sim_store_run(&s->store, d->runs[k]) != NULL);
        struct trigger *t = catalog_trigger(engine_catalog(s->engine), d->trigger);
        if (d->verdict == VERDICT_FIRED && t != NULL)
            check_cooldown(s, t, fed_at);
    }
}

static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct promise *p = container_of(t, struct promise, ticket);
    struct sim *s = p->sim;
    CHECK(s->tickets_open > 0);
    s->tickets_open--;
    CHECK(o->err == 0 || s->commit_fails);
    if (o->err == 0)
        check_acknowledged(s, o, p->made_at);
    free(p);
}

static struct ticket *promise(struct sim *s)
{
    struct promise *p = mem_zalloc(sizeof(*p));
    p->ticket.done = redeemed;
    p->sim = s;
    p->made_at = s->now;
    s->tickets_open++;
    return &p->ticket;
}

static void forget_promise(struct sim *s, struct ticket *t)
{
    free(container_of(t, struct promise, ticket));
    s->tickets_open--;
}

static void check_memory_is_store(struct sim *s)
{
    for (const struct sim_trigger *row = s->store.triggers; row != NULL; row = row->hh.next) {
        struct trigger *t = catalog_trigger(engine_catalog(s->engine), row->id);
        CHECK((t == NULL) == row->dropped);
        if (t == NULL)
            continue;
        CHECK(t->state.last_fired.ms == row->last_fired.ms && t->paused == row->paused);
        CHECK(t->def->enabled == row->enabled && t->def->cooldown_ms == row->cooldown_ms);
    }
    for (const struct sim_pipeline *row = s->store.pipelines; row != NULL; row = row->hh.next) {
        const struct pipeline *p = catalog_pipeline(engine_catalog(s->engine), row->id);
        CHECK(p == NULL || p->paused == row->paused);
    }
    CHECK(engine_is_paused(s->engine) == s->store.paused);
    struct engine_stats st = engine_stats(s->engine);
    CHECK(st.pending == sim_store_count(&s->store, RUN_PENDING, false) +
                            sim_store_count(&s->store, RUN_PENDING, true));
}

/* What counts for the policy, and how much of it there may be; 0: any number. */
static size_t counted(const struct pipeline *p, const struct sim_tally *t, size_t *ret_max)
{
    *ret_max = p->def->policy == CONCURRENCY_QUEUE ? p->def->queue_max : p->def->running_max;
    if (p->def->policy == CONCURRENCY_QUEUE)
        return t->fresh;
    return t->pending + t->running - (p->def->policy == CONCURRENCY_REPLACE ? p->ending : 0);
}

static void check_bound(struct sim *s, const struct pipeline *p, struct bound *b)
{
    const struct sim_tally t = sim_store_tally(&s->store, p->key);
    size_t max;
    const size_t n = counted(p, &t, &max);
    CHECK(p->pending == t.pending && p->running == t.running);
    if (b->key == p->key && b->version == p->def->version && max > 0)
        CHECK(n <= (b->n > max ? b->n : max));
    *b = (struct bound){p->key, p->def->version, n};
}

/* When everything is on disk. */
static void check_bounds(struct sim *s)
{
    for (int i = 0; i < PIPELINES; i++) {
        char path[64];
        snprintf(path, sizeof(path), "default.bronze.p%d", i);
        const struct pipeline *p = catalog_pipeline_at(engine_catalog(s->engine), slice_of(path));
        if (p != NULL)
            check_bound(s, p, &s->bounds[i]);
    }
}

/* ---- carrying effects out ---- */

static void start(struct sim *s, const struct run_start *r)
{
    struct sim_run *row = sim_store_run(&s->store, r->run);
    CHECK(row != NULL && row->status == RUN_RUNNING && row->attempt == r->attempt);
    size_t going = 0;
    for (size_t i = 0; i < s->going.len; i++) {
        const struct going *g = &s->going.items[i];
        bool ended = g->ends_at == UINT64_MAX;
        CHECK(ended || uuid_cmp(g->run, r->run) != 0);
        going += !ended;
    }
    CHECK(going < RUNNING_MAX);
    struct going g = {r->run, r->attempt, row->pipeline_key, s->now.mono.ms + below(s, 3000),
                      false};
    vec_push(&s->going, g);
    s->starts++;
}

static void cancel(struct sim *s, struct uuid run)
{
    for (size_t i = 0; i < s->going.len; i++) {
        if (uuid_cmp(s->going.items[i].run, run) == 0) {
            s->going.items[i].cancelled = true;
            if (s->going.items[i].ends_at != UINT64_MAX)
                s->going.items[i].ends_at = s->now.mono.ms + below(s, 50);
        }
    }
}

static void fetch(struct sim *s, const struct effect_fetch_runs *e)
{
    struct fetching f = {.pipeline = e->pipeline, .comes_at = s->now.mono.ms + below(s, 20)};
    CHECK(e->count_max <= RUNNING_MAX);
    f.n = sim_store_pending(&s->store, e->pipeline->key, s->now.wall, e->count_max, f.runs,
                            &f.next_due);
    vec_push(&s->fetching, f);
}

static void carry_out(struct sim *s, const struct batch *b)
{
    for (const struct effect *next, *f = b->first; f != NULL; f = next) {
        next = f->next;
        digest_add(&s->digest, &f->type, sizeof(f->type));
        if (f->type == EFFECT_START_RUN)
            start(s, &f->start_run);
        else if (f->type == EFFECT_CANCEL_RUN)
            cancel(s, f->cancel_run);
        else if (f->type == EFFECT_FETCH_RUNS)
            fetch(s, &f->fetch_runs);
        else if (f->type == EFFECT_REPLY)
            f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
        else if (f->type == EFFECT_PUT_RUN)
            digest_add(&s->digest, &f->put_run.id, sizeof(f->put_run.id));
    }
}

static void commit(struct sim *s)
{
    struct batch *b = s->out;
    s->out = NULL;
    if (!s->commit_fails)
        sim_store_apply(&s->store, b);
    engine_settle(s->engine, s->now, b, s->commit_fails ? -ENOSPC : 0);
    if (s->commit_fails) {
        s->failures++;
        check_memory_is_store(s);
    }
    carry_out(s, b);
    engine_recycle(s->engine, b);
    s->commit_fails = false;
}

/* ---- the world ---- */

static void engine_new(struct sim *s)
{
    const struct engine_options opt = {.running_max = RUNNING_MAX, .batch_bytes_max = 1 << 20};
    s->engine = engine_create(&opt, s->now, prng_u64(&s->rng));
    s->born = s->now;
}

static void deliver_lookups(struct sim *s, bool all);

/* What became of the interrupted runs is written before anything else happens; a daemon that cannot does not start. */
static void recover(struct sim *s)
{
    struct batch *b = engine_take(s->engine);
    if (b == NULL)
        return;
    sim_store_apply(&s->store, b);
    engine_settle(s->engine, s->now, b, 0);
    engine_recycle(s->engine, b);
}

static void check_logs(const struct sim *s)
{
    for (size_t i = 0; i < s->going.len; i++) {
        const struct going *g = &s->going.items[i];
        const struct sim_run *row = sim_store_run(&s->store, g->run);
        CHECK(row->status != RUN_RUNNING || row->attempt != g->attempt ||
              row->log_bytes >= g->kept);
    }
}

static void crash(struct sim *s)
{
    deliver_lookups(s, true);
    struct batch *b = s->out;
    if (b != NULL && below(s, 2) == 0)
        sim_store_apply(&s->store, b); /* the commit got through, the answer did not */
    for (int i = 0; i < 2; i++) {      /* nobody is there any more to redeem them */
        if (b == NULL)
            b = engine_take(s->engine);
        if (b == NULL)
            break;
        engine_settle(s->engine, s->now, b, -EIO);
        for (const struct effect *f = b->first; f != NULL; f = f->next) {
            CHECK(f->type == EFFECT_REPLY);
            if (f->reply.ticket->done == redeemed)
                forget_promise(s, f->reply.ticket);
            else
                free(f->reply.ticket);
        }
        engine_recycle(s->engine, b);
        b = NULL;
    }
    s->out = NULL;
    CHECK(s->tickets_open == 0);
    s->commit_fails = false;
    check_logs(s);
    s->going.len = 0;
    for (size_t i = 0; i < s->fetching.len; i++)
        engine_offer(s->engine, s->now, s->fetching.items[i].pipeline, NULL, 0, WALL_UNSET,
                     -ECANCELED);
    s->fetching.len = 0;
    engine_destroy(s->engine);
    s->life++;
    s->crashes++;
    engine_new(s);
    sim_store_load(&s->store, s->engine, s->now);
    recover(s);
    engine_tick(s->engine, s->now);
}

static struct pipeline *any_pipeline(struct sim *s)
{
    char path[64];
    snprintf(path, sizeof(path), "default.bronze.p%d", (int)below(s, PIPELINES));
    return catalog_pipeline_at(engine_catalog(s->engine), slice_of(path));
}

static struct trigger *any_trigger(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p == NULL || p->triggers == NULL)
        return NULL;
    struct trigger *t = p->triggers;
    for (uint64_t i = below(s, p->trigger_count); i > 0; i--)
        t = t->next;
    return t;
}

static void do_webhook(struct sim *s)
{
    const struct event ev = {
        .source = "webhook",
        .type = SLICE("webhook"),
        .payload = SLICE("{}"),
        .key = {{'w', (uint8_t)below(s, TOKENS)}},
        .ticket = promise(s),
    };
    int n = engine_feed(s->engine, s->now, &ev);
    CHECK(n >= 0);
    if (n == 0)
        forget_promise(s, ev.ticket);
}

static void do_manual(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p == NULL)
        return;
    const struct event ev = {
        .source = "manual", .type = SLICE("manual"), .pipeline = p->id, .ticket = promise(s)};
    CHECK(engine_feed(s->engine, s->now, &ev) == 1);
}

static struct pipeline_def *any_def(struct sim *s, bool pull)
{
    const enum concurrency_policy policy = (enum concurrency_policy)below(s, 3);
    const bool queue = policy == CONCURRENCY_QUEUE;
    return sim_pipeline_def_bounded((uint32_t)below(s, 4) + !queue, 1 + (uint32_t)below(s, 3), pull,
                                    policy, queue ? (uint32_t)below(s, 6) : 0);
}

static void do_add_pipeline(struct sim *s)
{
    char path[64];
    snprintf(path, sizeof(path), "default.bronze.p%d", (int)below(s, PIPELINES));
    if (catalog_pipeline_at(engine_catalog(s->engine), slice_of(path)) == NULL)
        engine_add_pipeline(s->engine, s->now, slice_of(path), any_def(s, below(s, 6) == 0),
                            promise(s));
}

static void do_change_pipeline(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p != NULL)
        engine_change_pipeline(s->engine, s->now, p, any_def(s, p->def->pull), promise(s));
}

static void do_drop_pipeline(struct sim *s)
{
    struct pipeline *p = below(s, 4) == 0 ? any_pipeline(s) : NULL;
    if (p != NULL)
        engine_drop_pipeline(s->engine, s->now, p, promise(s));
}

static void do_add_trigger(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p != NULL && p->trigger_count < 4)
        engine_add_trigger(
            s->engine, s->now, p, "webhook",
            sim_trigger_def((uint8_t)below(s, TOKENS), true, below(s, 3) * below(s, 4000)),
            SLICE("trigger:webhook"), promise(s));
}

static void do_change_trigger(struct sim *s)
{
    struct trigger *t = any_trigger(s);
    if (t == NULL)
        return;
    uint64_t cooldown_ms = below(s, 3) * below(s, 4000);
    vec_push(&s->recools, ((struct recool){t->key, s->now.mono.ms, t->def->cooldown_ms}));
    engine_change_trigger(s->engine, s->now, t,
                          sim_trigger_def((uint8_t)below(s, TOKENS), below(s, 4) > 0, cooldown_ms),
                          SLICE("trigger:webhook"), promise(s));
}

static void do_drop_trigger(struct sim *s)
{
    struct trigger *t = below(s, 3) == 0 ? any_trigger(s) : NULL;
    if (t != NULL)
        engine_drop_trigger(s->engine, s->now, t, promise(s));
}

/* As the API does it: what is not in memory is looked up in the store, which takes a while. */
static void do_cancel(struct sim *s)
{
    uint64_t n = HASH_COUNT(s->store.runs);
    struct sim_run *r = s->store.runs;
    for (uint64_t i = n > 20 ? n - 20 + below(s, 20) : 0; r != NULL && i > 0; i--)
        r = r->hh.next;
    if (r == NULL)
        return;
    struct ticket *t = promise(s);
    if (engine_cancel(s->engine, s->now, r->id, t) != CANCEL_UNKNOWN)
        return;
    struct lookup l = {
        r->id, r->pipeline_key, r->status, r->attempt, t, s->now.mono.ms + below(s, 20)};
    vec_push(&s->lookups, l);
}

/* Everybody who asks gets the dead ones that were there when the rows were read. */
static void do_replay(struct sim *s)
{
    const struct sim_run *found = NULL;
    for (const struct sim_run *r = s->store.runs; r != NULL; r = r->hh.next)
        if (r->status == RUN_FAILED && !r->replayed && (found == NULL || below(s, 2) == 0))
            found = r;
    if (found == NULL)
        return;
    struct lookup l = {found->id,  found->pipeline_key,           found->status, found->attempt,
                       promise(s), s->now.mono.ms + below(s, 20), .replay = true};
    engine_replay_begin(s->engine);
    vec_push(&s->lookups, l);
}

static void replay(struct sim *s, const struct lookup *l, struct uuid pipeline)
{
    struct replay r = {
        .run = l->run, .event = sim_store_run(&s->store, l->run)->event, .pipeline = pipeline};
    if (engine_replay(s->engine, s->now, &r, 1, l->ticket) == 0)
        forget_promise(s, l->ticket);
    else
        s->replays++;
}

static void look_up(struct sim *s, const struct lookup *l)
{
    struct sim_pipeline *row;
    HASH_FIND(hh, s->store.pipelines, &l->pipeline_key, sizeof(l->pipeline_key), row);
    struct pipeline *p = catalog_pipeline(engine_catalog(s->engine), row->id);
    if (l->replay) {
        replay(s, l, row->id);
        return;
    }
    if (l->status != RUN_PENDING)
        p = NULL;
    if (engine_cancel_looked_up(s->engine, s->now, p, l->run, l->attempt, l->ticket) ==
        CANCEL_UNKNOWN)
        forget_promise(s, l->ticket);
}

static void deliver_lookups(struct sim *s, bool all)
{
    for (size_t i = 0; i < s->lookups.len;) {
        struct lookup l = s->lookups.items[i];
        if (!all && l.comes_at > s->now.mono.ms) {
            i++;
            continue;
        }
        s->lookups.items[i] = s->lookups.items[--s->lookups.len];
        look_up(s, &l);
    }
}

static void do_pause(struct sim *s)
{
    const uint64_t kind = below(s, 8);
    struct pause_target x = {0};
    if (kind > 4 && (x.trigger = any_trigger(s)) == NULL)
        return;
    if (kind > 0 && kind <= 4 && (x.pipeline = any_pipeline(s)) == NULL)
        return;
    if (below(s, 3) == 0)
        engine_pause(s->engine, s->now, &x, SLICE("why not"), promise(s));
    else
        engine_resume(s->engine, s->now, &x, promise(s));
}

/* Everything goes on. */
static void resume_all(struct sim *s)
{
    const struct catalog *c = engine_catalog(s->engine);
    engine_resume(s->engine, s->now, &(struct pause_target){0}, promise(s));
    for (struct pipeline *p = c->pipelines_by_id; p != NULL; p = p->by_id.next)
        engine_resume(s->engine, s->now, &(struct pause_target){.pipeline = p}, promise(s));
    for (struct trigger *t = NULL; (t = trigger_table_next(&c->triggers, t)) != NULL;)
        engine_resume(s->engine, s->now, &(struct pause_target){.trigger = t}, promise(s));
}

static void do_clock_step(struct sim *s)
{
    s->now.wall.ms += (int64_t)below(s, 7200000) - 3600000;
}

static void disturb(struct sim *s)
{
    static const struct {
        void (*act)(struct sim *s);
        unsigned weight;
    } acts[] = {
        {do_webhook, 700},       {do_manual, 60},
        {do_add_pipeline, 20},   {do_change_pipeline, 10},
        {do_drop_pipeline, 6},   {do_add_trigger, 40},
        {do_change_trigger, 20}, {do_drop_trigger, 10},
        {do_clock_step, 2},      {crash, 3},
        {do_cancel, 30},         {do_pause, 60},
        {do_replay, 30},
    };
    uint64_t pick = below(s, 991);
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        if (pick < acts[i].weight) {
            acts[i].act(s);
            return;
        }
        pick -= acts[i].weight;
    }
}

/* A part of a run's log. */
struct keeping {
    struct ticket ticket;
    struct sim *sim;
    struct uuid run;
    uint32_t attempt;
    size_t kept;
};

static void log_kept(struct ticket *t, const struct outcome *o)
{
    struct keeping *k = container_of(t, struct keeping, ticket);
    for (size_t i = 0; i < k->sim->going.len; i++) {
        struct going *g = &k->sim->going.items[i];
        if (uuid_cmp(g->run, k->run) != 0 || g->attempt != k->attempt)
            continue;
        g->keeping = false;
        if (o->err == 0)
            g->kept = k->kept;
    }
    free(k);
}

static const char log_text[4096]; /* of that length at most; what it says is nobody's business */

static void keep_logs(struct sim *s)
{
    for (size_t i = 0; i < s->going.len; i++) {
        struct going *g = &s->going.items[i];
        if (g->ends_at == UINT64_MAX || g->keeping || below(s, 20) != 0)
            continue;
        if (g->written + 100 > sizeof(log_text))
            continue;
        g->written += 1 + below(s, 100);
        const int err = engine_keep_log(s->engine, g->run, g->attempt, g->kept,
                                        (struct slice){log_text, g->written - g->kept});
        CHECK(err == 0 || err == -ENOBUFS);
        if (err != 0)
            continue;
        struct keeping *k = mem_zalloc(sizeof(*k));
        *k = (struct keeping){{log_kept}, s, g->run, g->attempt, g->written};
        g->keeping = true;
        engine_confirm(s->engine, &k->ticket);
    }
}

/* A run's end: on disk it is gone, else it goes on and ends again. */
struct ending {
    struct ticket ticket;
    struct sim *sim;
    struct uuid run;
};

static void end_written(struct ticket *t, const struct outcome *o)
{
    struct ending *e = container_of(t, struct ending, ticket);
    struct sim *s = e->sim;
    size_t i = 0;
    while (i < s->going.len && uuid_cmp(s->going.items[i].run, e->run) != 0)
        i++;
    CHECK(i < s->going.len && s->going.items[i].ends_at == UINT64_MAX);
    if (o->err == 0)
        s->going.items[i] = s->going.items[--s->going.len];
    else
        s->going.items[i].ends_at = s->now.mono.ms + 500;
    free(e);
}

static void end_runs(struct sim *s)
{
    static const enum run_status ends[] = {RUN_SUCCESS, RUN_SUCCESS, RUN_SUCCESS, RUN_FAILED};
    for (size_t i = 0; i < s->going.len; i++) {
        struct going *g = &s->going.items[i];
        if (g->ends_at > s->now.mono.ms)
            continue;
        const struct run_result r = {
            .run = g->run,
            .status = g->cancelled ? RUN_CANCELLED : ends[below(s, 4)],
            .error = SLICE("exit status 1"),
            .log = below(s, 8) > 0 ? (struct slice){log_text, g->written} : SLICE_NONE,
        };
        struct ending *e = mem_zalloc(sizeof(*e));
        *e = (struct ending){{end_written}, s, g->run};
        g->ends_at = UINT64_MAX;
        CHECK(engine_finish(s->engine, s->now, &r, &e->ticket));
    }
}

static void deliver_fetches(struct sim *s)
{
    for (size_t i = 0; i < s->fetching.len;) {
        struct fetching f = s->fetching.items[i];
        if (f.comes_at > s->now.mono.ms) {
            i++;
            continue;
        }
        s->fetching.items[i] = s->fetching.items[--s->fetching.len];
        int err = !s->calm && below(s, 30) == 0 ? -EIO : 0;
        engine_offer(s->engine, s->now, f.pipeline, f.runs, err == 0 ? f.n : 0, f.next_due, err);
    }
}

static void step(struct sim *s)
{
    uint64_t ms = below(s, 10) == 0 ? below(s, 2000) : below(s, 4);
    s->now.mono.ms += ms;
    s->now.wall.ms += (int64_t)ms;
    if (s->out != NULL && s->now.mono.ms >= s->commit_at)
        commit(s);
    for (uint64_t n = s->calm ? 0 : below(s, 4); n > 0; n--)
        disturb(s);
    keep_logs(s);
    end_runs(s);
    deliver_fetches(s);
    deliver_lookups(s, false);
    if (s->out == NULL && engine_is_idle(s->engine))
        check_bounds(s);
    if (engine_wake_at(s->engine).ms <= s->now.mono.ms)
        engine_tick(s->engine, s->now);
    if (s->out == NULL && (s->out = engine_take(s->engine)) != NULL) {
        s->commit_at = s->now.mono.ms + below(s, 8);
        s->commit_fails = !s->calm && below(s, 25) == 0;
    }
}

static uint64_t simulate(uint64_t seed, unsigned steps, bool loud)
{
    struct sim s = {.now = {{1000}, {1770000000000}}};
    prng_init(&s.rng, seed);
    engine_new(&s);
    for (unsigned i = 0; i < steps; i++)
        step(&s);
    s.calm = true;
    while (s.out != NULL) /* it may still fail, and take back what comes next */
        step(&s);
    resume_all(&s);
    for (unsigned i = 0;
         i < 200000 && (i < 100 || s.out != NULL || s.going.len > 0 || s.fetching.len > 0 ||
                        sim_store_count(&s.store, RUN_PENDING, false) > 0);
         i++)
        step(&s);
    CHECK(s.tickets_open == 0);
    CHECK(sim_store_count(&s.store, RUN_PENDING, false) == 0);
    CHECK(sim_store_count(&s.store, RUN_RUNNING, false) == 0 &&
          sim_store_count(&s.store, RUN_RUNNING, true) == 0);
    check_memory_is_store(&s);
    if (loud)
        printf("%llu acknowledged, %u runs, %llu starts, %llu replays, %llu refused, %u "
               "failed commits, %u crashes\n",
               (unsigned long long)s.acknowledged, HASH_COUNT(s.store.runs),
               (unsigned long long)s.starts, (unsigned long long)s.replays,
               (unsigned long long)s.refused, s.failures, s.crashes);
    engine_destroy(s.engine);
    sim_store_deinit(&s.store);
    vec_release(&s.going);
    vec_release(&s.fetching);
    vec_release(&s.lookups);
    vec_release(&s.firings);
    vec_release(&s.recools);
    return s.digest.value;
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, simulate, 24, 4000);
}
