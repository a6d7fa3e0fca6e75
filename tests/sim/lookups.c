/* lookups.c - what is not in memory is looked up in the store, which takes a while: to cancel a run, or to make it again. */
#include "base/check.h"
#include "sim.h"

/* One of the last. */
void lookups_cancel(struct sim *s)
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
    struct lookup l = {r->id, r->pipeline_key, r->status, r->attempt, t, soon(s, 20)};
    vec_push(&s->lookups, l);
}

/* Everybody who asks gets the dead ones that were there when the rows were read. */
void lookups_replay(struct sim *s)
{
    const struct sim_run *found = NULL;
    for (const struct sim_run *r = s->store.runs; r != NULL; r = r->hh.next)
        if (r->status == RUN_FAILED && !r->replayed && (found == NULL || below(s, 2) == 0))
            found = r;
    if (found == NULL)
        return;
    struct lookup l = {found->id,  found->pipeline_key, found->status, found->attempt,
                       promise(s), soon(s, 20),         .replay = true};
    engine_replay_begin(s->engine);
    vec_push(&s->lookups, l);
}

static void replay(struct sim *s, const struct lookup *l, struct uuid pipeline)
{
    struct replay r = {
        .run = l->run, .event = sim_store_run(&s->store, l->run)->event, .pipeline = pipeline};
    if (engine_replay(s->engine, s->now, &r, 1, l->ticket) == 0)
        promise_forget(s, l->ticket);
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
        promise_forget(s, l->ticket);
}

void lookups_deliver(struct sim *s, bool all)
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
