/* times.c - schedules, completions and dependencies through simulated weeks, from one seed.
 *
 *     times [SEED [STEPS]]      prints the seed; the same seed does the same
 *
 * Schedules of every misfire policy, pipelines that follow others, and schedules that wait for others, through failing commits, late
 * looks, crashes with hours of downtime, changed and disabled triggers, and a wall clock that is set forward and back. Of what
 * is committed, in its order:
 *
 *   - fire_all deals with every due time, each once, in order; fire_once and skip with the latest there is, never with one
 *     twice; skip with none that is old; a disabled trigger with none
 *   - every success of a pipeline that is followed is one event, decided on by each of its followers
 *   - a dependency fires when all of its pipelines have succeeded since it last fired, and only then
 *   - after a failed commit memory says what the store says, and in the end no due time is left
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/rfc3339.h"
#include "base/vec.h"
#include "core/decision.h"
#include "core/engine.h"
#include "core/schedule.h"
#include "seeds.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINES 6
#define TRIGGERS_MAX 24
#define BACK_MAX (2 * 3600 * 1000) /* the clock is never further back than this from where it was */
#define LATE_MAX 30000

enum kind { SCHEDULE, DEPENDENCY, FOLLOWER };

/* What a trigger's config says, as the numbers that stand in it. */
struct wish {
    unsigned kind, expr, misfire, enabled;
    unsigned upstreams; /* bit n: pipeline n */
};

static const char *const exprs[] = {"*/7 * * * *", "0 * * * *",    "@every 11m",     "*/5 * * * *",
                                    "@every 90s",  "30 */2 * * *", "*/20 * * * * *", "* * * * * *"};
#define EXPRS_FOR_ALL 4 /* the first ones: so rarely due that fire_all's bound is not reached */

struct row {
    struct uuid id;
    int64_t pipeline_key;
    struct wish wish;
    struct wall created_at;
    struct effect_trigger_state state;
    struct wall dealt;  /* the judge's: the last due time, or since when */
    unsigned succeeded; /* the judge's: upstreams that have since it last fired */
    bool used;
};

struct run_row {
    struct uuid id, event;
    int64_t pipeline_key;
    enum run_status status;
    struct wall started_at;
    unsigned events; /* about its success */
};

struct going {
    struct uuid run;
    uint64_t ends_at;
};

struct sim {
    struct prng rng;
    struct engine *engine;
    struct now now;
    int64_t wall_max;
    struct batch *out;
    uint64_t commit_at;
    bool fails, calm;
    VEC(struct going) going;
    VEC(struct run_row) runs;
    struct uuid pipeline_ids[PIPELINES];
    struct row rows[TRIGGERS_MAX]; /* by key - 1 */
    struct wall successes[PIPELINES];
    struct digest digest;
    uint64_t ticks, completions, dependents;
    unsigned crashes, failures;
};

static uint64_t below(struct sim *s, uint64_t n)
{
    return prng_below(&s->rng, n);
}

static void path_of(unsigned pipeline, char ret[32])
{
    snprintf(ret, 32, "sim.bronze.p%u", pipeline);
}

static unsigned pipeline_of(struct slice path)
{
    return (unsigned)(path.p[path.len - 1] - '0');
}

/* ---- configs ---- */

static struct trigger_def *make_def(const struct wish *w)
{
    char text[48], path[32];
    struct diag why;
    struct rule r = {.needs_upstreams = w->kind == DEPENDENCY};
    if (w->kind != FOLLOWER) {
        struct schedule s = {.misfire = (enum misfire)(w->misfire & 3),
                             .misfire_window_s = 365 * 86400};
        CHECK(cron_parse(exprs[w->expr], &s.cron, &why) == 0);
        r.schedule = mem_alloc(sizeof(s));
        *r.schedule = s;
    }
    for (unsigned i = 0; i < PIPELINES; i++) {
        if ((w->upstreams >> i & 1) == 0)
            continue;
        path_of(i, path);
        rule_follow(&r, path);
        if (w->kind != FOLLOWER)
            continue;
        rule_set_key(&r, completion_key(slice_of(path)));
        r.scope = mem_strdup(path);
        r.ends = 1u << RUN_SUCCESS;
    }
    const int len = snprintf(text, sizeof(text), "%u %u %u %u %u", w->kind, w->expr, w->misfire,
                             w->enabled, w->upstreams);
    return trigger_def_create((struct slice){text, (size_t)len}, w->enabled, 0, &r);
}

static struct wish any_wish(struct sim *s, unsigned pipeline)
{
    struct wish w = {.kind = (unsigned)below(s, pipeline > 0 ? 3 : 1),
                     .misfire = (unsigned)below(s, 3),
                     .enabled = below(s, 5) > 0};
    w.expr = (unsigned)below(s, w.misfire == MISFIRE_FIRE_ALL ? EXPRS_FOR_ALL : ARRAY_SIZE(exprs));
    /* Only pipelines before one's own: no cycles. */
    if (w.kind == FOLLOWER)
        w.upstreams = 1u << below(s, pipeline);
    else if (w.kind == DEPENDENCY)
        w.upstreams = 1 + (unsigned)below(s, (1u << pipeline) - 1);
    return w;
}

static struct cron cron_of(const struct row *r)
{
    struct cron c;
    struct diag why;
    CHECK(cron_parse(exprs[r->wish.expr], &c, &why) == 0);
    cron_anchor(&c, r->created_at);
    return c;
}

/* ---- the judge: looks at records as they are committed ---- */

static struct row *row_of(struct sim *s, struct uuid trigger)
{
    for (size_t i = 0; i < TRIGGERS_MAX; i++)
        if (s->rows[i].used && uuid_cmp(s->rows[i].id, trigger) == 0)
            return &s->rows[i];
    CHECK(!"a decision of no trigger");
    return NULL;
}

static struct wall scheduled_at(struct slice payload)
{
    const size_t head = strlen("{\"scheduled_at\":\"");
    struct wall due;
    CHECK(payload.len > head + 2);
    CHECK(rfc3339_parse((struct slice){payload.p + head, payload.len - head - 2}, &due));
    return due;
}

static void judge_due(struct row *r, struct wall due, struct wall at)
{
    const struct cron c = cron_of(r);
    struct wall expected;
    CHECK(r->wish.enabled && due.ms <= at.ms && due.ms > r->dealt.ms);
    if (r->wish.misfire == MISFIRE_FIRE_ALL)
        CHECK(cron_next(&c, NULL, r->dealt, &expected));
    else
        CHECK(cron_latest(&c, NULL, r->dealt, at, &expected));
    CHECK(due.ms == expected.ms);
    CHECK(r->wish.misfire != MISFIRE_SKIP || at.ms - due.ms <= LATE_MAX);
    r->dealt = due;
}

static void judge_dependencies(struct sim *s, struct row *r, enum verdict v)
{
    if (r->wish.kind != DEPENDENCY) {
        CHECK(v == VERDICT_FIRED);
        return;
    }
    const bool met = (r->succeeded & r->wish.upstreams) == r->wish.upstreams;
    CHECK(v == (met ? VERDICT_FIRED : VERDICT_DEPS_UNMET));
    if (met)
        r->succeeded = 0;
    s->dependents += met;
}

static struct run_row *find_run(struct sim *s, struct uuid id)
{
    for (size_t i = s->runs.len; i > 0; i--)
        if (uuid_cmp(s->runs.items[i - 1].id, id) == 0)
            return &s->runs.items[i - 1];
    CHECK(!"no such run");
    return NULL;
}

static unsigned followers_of(const struct sim *s, unsigned pipeline)
{
    unsigned n = 0;
    for (size_t i = 0; i < TRIGGERS_MAX; i++)
        n += s->rows[i].used && s->rows[i].wish.kind == FOLLOWER &&
             s->rows[i].wish.upstreams == 1u << pipeline;
    return n;
}

static void judge_completion(struct sim *s, const struct effect_put_event *e, size_t decisions)
{
    struct run_row *run = find_run(s, e->lineage.parent);
    CHECK(run->status == RUN_SUCCESS && run->events++ == 0);
    CHECK(decisions == followers_of(s, pipeline_of(e->subject)));
    s->completions++;
}

static void put_event(struct sim *s, const struct effect_put_event *e)
{
    struct arena a = {0};
    struct decision d;
    struct slice encoded = e->decisions;
    size_t n = 0;
    const bool tick = slice_is(e->type, "cron.tick");
    while (decision_decode(&encoded, &a, &d)) {
        n++;
        if (!tick)
            continue;
        struct row *r = row_of(s, d.trigger);
        judge_due(r, scheduled_at(e->payload), e->time);
        judge_dependencies(s, r, d.verdict);
        s->ticks++;
    }
    if (!tick)
        judge_completion(s, e, n);
    arena_release(&a);
}

/* ---- the store ---- */

static void put_run(struct sim *s, const struct effect_put_run *p)
{
    CHECK(p->status == RUN_RUNNING); /* there is always room */
    vec_push(&s->runs,
             ((struct run_row){p->id, p->event, p->pipeline_key, p->status, p->started_at, 0}));
}

static void move_run(struct sim *s, const struct effect_move_run *m)
{
    struct run_row *r = find_run(s, m->id);
    CHECK(r->status == RUN_RUNNING);
    r->status = m->status;
    const unsigned pipeline = (unsigned)r->pipeline_key - 1;
    if (m->status != RUN_SUCCESS)
        return;
    if (followers_of(s, pipeline) == 0)
        r->events = 1; /* nobody asks for an event */
    for (size_t i = 0; i < TRIGGERS_MAX; i++)
        s->rows[i].succeeded |= 1u << pipeline;
}

static void put_trigger(struct sim *s, const struct effect_put_trigger *p)
{
    struct row *r = &s->rows[p->key - 1];
    char config[48];
    snprintf(config, sizeof(config), "%.*s", (int)p->config.len, p->config.p);
    if (!r->used)
        *r = (struct row){.id = p->id,
                          .used = true,
                          .created_at = p->created_at,
                          .pipeline_key = p->pipeline_key};
    const struct wish before = r->wish;
    CHECK(sscanf(config, "%u %u %u %u %u", &r->wish.kind, &r->wish.expr, &r->wish.misfire,
                 &r->wish.enabled, &r->wish.upstreams) == 5);
    if (r->dealt.ms == 0 || memcmp(&before, &r->wish, sizeof(before)) != 0)
        r->dealt = p->updated_at;
}

static void record(struct sim *s, const struct effect *f)
{
    switch (f->type) {
    case EFFECT_PUT_EVENT:
        put_event(s, &f->put_event);
        break;
    case EFFECT_PUT_RUN:
        put_run(s, &f->put_run);
        break;
    case EFFECT_MOVE_RUN:
        move_run(s, &f->move_run);
        break;
    case EFFECT_TRIGGER_STATE:
        s->rows[f->trigger_state.trigger_key - 1].state = f->trigger_state;
        break;
    case EFFECT_SUCCESS:
        s->successes[pipeline_of(f->success.path)] = f->success.at;
        break;
    case EFFECT_PUT_TRIGGER:
        put_trigger(s, &f->put_trigger);
        break;
    default:
        break;
    }
}

static void check_memory_is_store(struct sim *s)
{
    const struct catalog *c = engine_catalog(s->engine);
    for (size_t i = 0; i < TRIGGERS_MAX; i++) {
        const struct row *r = &s->rows[i];
        const struct trigger *t = r->used ? catalog_trigger(c, r->id) : NULL;
        CHECK((t != NULL) == r->used);
        if (t == NULL || r->wish.kind == FOLLOWER)
            continue;
        /* skip moves it on at a start, which need not be written */
        CHECK(t->state.last_due.ms == r->state.last_due.ms || r->wish.misfire == MISFIRE_SKIP);
        if (r->state.trigger_key != 0)
            CHECK(t->state.last_fired.ms == r->state.last_fired.ms);
    }
}

/* ---- commits ---- */

/* Events and moves come in the order in which the engine made them; states are what is left at the end of the batch. */
static void apply(struct sim *s, const struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_PUT_RUN)
            record(s, f);
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        digest_add(&s->digest, &f->type, sizeof(f->type));
        if (f->type == EFFECT_PUT_EVENT)
            digest_add(&s->digest, &f->put_event.id, sizeof(f->put_event.id));
        if (f->type != EFFECT_PUT_RUN)
            record(s, f);
    }
}

static void commit(struct sim *s)
{
    struct batch *b = s->out;
    const bool fails = s->fails;
    s->out = NULL;
    s->fails = false;
    if (!fails)
        apply(s, b);
    engine_settle(s->engine, s->now, b, fails ? -ENOSPC : 0);
    s->failures += fails;
    if (fails)
        check_memory_is_store(s);
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_START_RUN)
            vec_push(&s->going,
                     ((struct going){f->start_run.run, s->now.mono.ms + 100 + below(s, 240000)}));
        else if (f->type == EFFECT_REPLY)
            f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    engine_recycle(s->engine, b);
}

/* ---- life ---- */

static struct pipeline_def *pipeline_def(void)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){.spec = mem_strdup("{}"), .retry = {.max_attempts = 1}};
    return d;
}

static void boot(struct sim *s)
{
    const struct engine_options opt = {.running_max = 1000000, .batch_bytes_max = 1 << 20};
    s->engine = engine_create(&opt, s->now, prng_u64(&s->rng));
}

static void load(struct sim *s)
{
    struct catalog *c = engine_catalog(s->engine);
    char path[32];
    for (unsigned i = 0; i < PIPELINES; i++) {
        struct pipeline *p = mem_zalloc(sizeof(*p));
        path_of(i, path);
        *p = (struct pipeline){.id = s->pipeline_ids[i],
                               .key = (int64_t)i + 1,
                               .path = mem_strdup(path),
                               .def = pipeline_def()};
        engine_load_pipeline(s->engine, p);
    }
    for (size_t i = 0; i < TRIGGERS_MAX; i++) {
        struct row *r = &s->rows[i];
        if (!r->used)
            continue;
        const bool has_state = r->state.trigger_key != 0;
        struct trigger *t = mem_zalloc(sizeof(*t));
        *t = (struct trigger){.id = r->id,
                              .key = (int64_t)i + 1,
                              .type = "sim",
                              .def = make_def(&r->wish),
                              .pipeline = catalog_pipeline(c, s->pipeline_ids[r->pipeline_key - 1]),
                              .created_at = r->created_at,
                              .state = {.last_fired = has_state ? r->state.last_fired : WALL_UNSET,
                                        .last_due = has_state ? r->state.last_due : WALL_UNSET}};
        engine_load_trigger(s->engine, s->now, t);
    }
    for (unsigned i = 0; i < PIPELINES; i++) {
        path_of(i, path);
        struct followed *f = catalog_followed(c, slice_of(path));
        if (f != NULL)
            f->last_success = s->successes[i];
    }
    const size_t n = s->runs.len;
    for (size_t i = 0; i < n; i++) {
        const struct run_row *r = &s->runs.items[i];
        if (r->status == RUN_RUNNING)
            engine_recover_run(s->engine, s->now,
                               catalog_pipeline(c, s->pipeline_ids[r->pipeline_key - 1]), r->id,
                               r->event, 1, r->started_at);
    }
}

static void forget(struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_REPLY)
            f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
}

static void crash(struct sim *s)
{
    struct batch *b = s->out;
    if (b != NULL && below(s, 2) == 0)
        apply(s, b); /* the commit got through, nobody was told */
    if (b == NULL)
        b = engine_take(s->engine);
    if (b != NULL) {
        engine_settle(s->engine, s->now, b, -EIO);
        forget(b);
        engine_recycle(s->engine, b);
    }
    s->out = NULL;
    s->fails = false;
    s->going.len = 0;
    engine_destroy(s->engine);
    s->now.wall.ms += (int64_t)below(s, below(s, 4) == 0 ? 6 * 3600 * 1000 : 20000);
    s->now.mono.ms = 1000 + below(s, 1000);
    s->crashes++;
    boot(s);
    load(s);
    if ((b = engine_take(s->engine)) != NULL) {
        apply(s, b);
        engine_settle(s->engine, s->now, b, 0);
        engine_recycle(s->engine, b);
    }
    engine_tick(s->engine, s->now);
}

/* ---- what disturbs ---- */

/* Counts from the commit of a trigger: successes before that are not its own. */
struct made {
    struct ticket ticket;
    struct sim *sim;
    size_t row;
};

static void made(struct ticket *t, const struct outcome *o)
{
    free(container_of(t, struct made, ticket));
}

static void add_trigger(struct sim *s)
{
    const unsigned pipeline = (unsigned)below(s, PIPELINES);
    struct pipeline *p = catalog_pipeline(engine_catalog(s->engine), s->pipeline_ids[pipeline]);
    const struct wish w = any_wish(s, pipeline);
    struct made *m = mem_zalloc(sizeof(*m));
    m->ticket.done = made;
    if (engine_catalog(s->engine)->trigger_key_last < TRIGGERS_MAX)
        engine_add_trigger(s->engine, s->now, p, "sim", make_def(&w), SLICE("x"), &m->ticket);
    else
        free(m);
}

/* Another schedule, or its being switched on or off; what it follows stays. */
static void change_trigger(struct sim *s)
{
    const struct row *r = &s->rows[below(s, TRIGGERS_MAX)];
    struct trigger *t = r->used ? catalog_trigger(engine_catalog(s->engine), r->id) : NULL;
    if (t == NULL || r->wish.kind != SCHEDULE)
        return;
    struct wish w = any_wish(s, 0);
    engine_change_trigger(s->engine, s->now, t, make_def(&w), SLICE("x"), NULL);
}

static void set_clock(struct sim *s)
{
    const int64_t back = s->now.wall.ms - s->wall_max + BACK_MAX;
    if (below(s, 2) == 0)
        s->now.wall.ms += (int64_t)below(s, 4 * 3600 * 1000);
    else if (back > 0)
        s->now.wall.ms -= (int64_t)below(s, (uint64_t)back);
    engine_clock_stepped(s->engine, s->now);
}

static void disturb(struct sim *s)
{
    const uint64_t what = below(s, 400);
    if (what < 3)
        crash(s);
    else if (what < 6)
        set_clock(s);
    else if (what < 20)
        add_trigger(s);
    else if (what < 30)
        change_trigger(s);
}

static void end_runs(struct sim *s)
{
    for (size_t i = 0; i < s->going.len;) {
        const struct going g = s->going.items[i];
        if (g.ends_at > s->now.mono.ms) {
            i++;
            continue;
        }
        const struct run_result r = {.run = g.run,
                                     .status = below(s, 4) > 0 ? RUN_SUCCESS : RUN_FAILED};
        s->going.items[i] = s->going.items[--s->going.len];
        engine_finish(s->engine, s->now, &r,
                      NULL); /* one whose end was undone is found by the next crash */
    }
}

/* Mostly to where the engine wants to be woken, sometimes a little later; not far when there is nothing to wait for. */
static uint64_t pause_ms(struct sim *s)
{
    const uint64_t at = engine_wake_at(s->engine).ms;
    uint64_t ms = at > s->now.mono.ms ? at - s->now.mono.ms : 0;
    if (ms > 600000)
        ms = below(s, 600000);
    if (s->out != NULL && ms > s->commit_at - s->now.mono.ms)
        ms = s->commit_at > s->now.mono.ms ? s->commit_at - s->now.mono.ms : 0;
    return ms + (below(s, 8) == 0 ? below(s, 3000) : below(s, 3));
}

static void step(struct sim *s)
{
    const uint64_t ms = pause_ms(s);
    s->now.mono.ms += ms;
    s->now.wall.ms += (int64_t)ms;
    if (s->now.wall.ms > s->wall_max)
        s->wall_max = s->now.wall.ms;
    if (s->out != NULL && s->now.mono.ms >= s->commit_at)
        commit(s);
    if (!s->calm)
        disturb(s);
    end_runs(s);
    if (engine_wake_at(s->engine).ms <= s->now.mono.ms)
        engine_tick(s->engine, s->now);
    if (s->out == NULL && (s->out = engine_take(s->engine)) != NULL) {
        s->commit_at = s->now.mono.ms + below(s, 20);
        s->fails = !s->calm && below(s, 40) == 0;
    }
}

/* ---- the end ---- */

static void make_pipelines(struct sim *s)
{
    char path[32];
    for (unsigned i = 0; i < PIPELINES; i++) {
        path_of(i, path);
        s->pipeline_ids[i] =
            engine_add_pipeline(s->engine, s->now, slice_of(path), pipeline_def(), NULL)->id;
        s->successes[i] = WALL_UNSET;
    }
    s->out = engine_take(s->engine);
    commit(s);
}

static void check_nothing_is_left(struct sim *s)
{
    for (size_t i = 0; i < TRIGGERS_MAX; i++) {
        const struct row *r = &s->rows[i];
        if (!r->used || r->wish.kind == FOLLOWER || !r->wish.enabled)
            continue;
        const struct cron c = cron_of(r);
        struct wall due;
        CHECK(cron_next(&c, NULL, r->dealt, &due) && due.ms > s->now.wall.ms - 5000);
    }
    for (size_t i = 0; i < s->runs.len; i++)
        CHECK(s->runs.items[i].status != RUN_SUCCESS || s->runs.items[i].events == 1);
}

static uint64_t simulate(uint64_t seed, unsigned steps, bool loud)
{
    struct sim s = {.now = {{1000}, {1770000000000}}};
    prng_init(&s.rng, seed);
    boot(&s);
    make_pipelines(&s);
    for (unsigned i = 0; i < steps; i++)
        step(&s);
    s.calm = true;
    const int64_t until = s.wall_max + 3 * 3600 * 1000;
    while (s.now.wall.ms < until || s.out != NULL)
        step(&s);
    check_nothing_is_left(&s);
    if (loud)
        printf("%llu due times, %llu completions, %llu dependencies met, %zu runs, %u "
               "failed commits, %u crashes, %lld days\n",
               (unsigned long long)s.ticks, (unsigned long long)s.completions,
               (unsigned long long)s.dependents, s.runs.len, s.failures, s.crashes,
               (long long)(s.wall_max - 1770000000000) / 86400000);
    engine_destroy(s.engine);
    vec_release(&s.going);
    vec_release(&s.runs);
    return s.digest.value;
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, simulate, 12, 6000);
}
