/* judge.c - what must hold, whatever happens; sim.c has the list. */
#include "base/check.h"
#include "base/mem.h"
#include "core/decision.h"
#include "sim.h"
#include <stdio.h>
#include <stdlib.h>

struct promise {
    struct ticket ticket;
    struct sim *sim;
    struct now made_at;
};

/* ---- cooldowns ---- */

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

/* ---- tickets ---- */

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

struct ticket *promise(struct sim *s)
{
    struct promise *p = mem_zalloc(sizeof(*p));
    p->ticket.done = redeemed;
    p->sim = s;
    p->made_at = s->now;
    s->tickets_open++;
    return &p->ticket;
}

bool is_promise(const struct ticket *t)
{
    return t->done == redeemed;
}

void promise_forget(struct sim *s, struct ticket *t)
{
    free(container_of(t, struct promise, ticket));
    s->tickets_open--;
}

/* ---- memory and store ---- */

void judge_memory(struct sim *s)
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
    const struct sim_tally all = sim_store_tally(&s->store, 0);
    CHECK(st.pending == all.pending && st.leased == all.leased);
    CHECK(st.running == all.running - all.leased);
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

void judge_bounds(struct sim *s)
{
    for (int i = 0; i < PIPELINES; i++) {
        char path[64];
        snprintf(path, sizeof(path), "default.bronze.p%d", i);
        const struct pipeline *p = catalog_pipeline_at(engine_catalog(s->engine), slice_of(path));
        if (p != NULL)
            check_bound(s, p, &s->bounds[i]);
    }
}

void judge_running(struct sim *s)
{
    for (const struct sim_run *r = s->store.runs; r != NULL; r = r->hh.next)
        if (r->status == RUN_RUNNING)
            CHECK(r->leased || runs_find(s, r->id, r->attempt) != NULL);
}

/* ---- ends ---- */

/* Nothing but their own report, a cancellation and the end of their time ends what those outside have: no executor, and no crash. */
void judge_ends(struct sim *s, const struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        const struct effect_move_run *m = &f->move_run;
        const struct sim_run *row =
            f->type == EFFECT_MOVE_RUN ? sim_store_run(&s->store, m->id) : NULL;
        if (row == NULL || !row->leased)
            continue;
        const struct outside *o = runs_find_outside(s, row->id, row->attempt);
        CHECK(o != NULL && !o->accepted && m->status != RUN_RUNNING);
        if (o->heard || m->status == RUN_CANCELLED)
            continue;
        CHECK(m->status != RUN_SUCCESS && o->safe_until <= s->now.mono.ms);
        s->expired++;
    }
}
