/* feed.c - an event meets its triggers: one decision each, and the runs that follow. */
#include "base/check.h"
#include "core/decision.h"
#include "core/engine_internal.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

/* An event caused by more completions than this fires nothing: a loop that slipped past the cycle
 * check ends here. */
#define DEPTH_MAX 64

/* The event's bytes move into the batch; every effect that follows shares them. */
static struct effect_put_event *record_event(struct engine *e, struct now now,
                                             const struct event *ev)
{
    struct arena *a = &e->filling->arena;
    struct effect_put_event *p = &emit(e, EFFECT_PUT_EVENT)->put_event;
    *p = (struct effect_put_event){
        .id = uuid_next(&e->ids, now.wall, &e->prng),
        .source = ev->source,
        .type = arena_copy(a, ev->type),
        .subject = arena_copy(a, ev->subject),
        .content_type = arena_copy(a, ev->content_type),
        .payload = arena_copy(a, ev->payload),
        .time = now.wall,
        .lineage = ev->lineage,
    };
    return p;
}

static void start_now(struct engine *e, struct pipeline *p, const struct trigger *t,
                      const struct effect_put_event *ev, struct uuid run)
{
    struct arena *a = &e->filling->arena;
    emit(e, EFFECT_START_RUN)->start_run = (struct run_start){
        .run = run,
        .event = ev->id,
        .pipeline_key = p->key,
        .pipeline = arena_copy(a, slice_of(p->path)),
        .version = p->def->version,
        .attempt = 1,
        .spec = arena_copy(a, slice_of(p->def->spec)),
        .timeout_ms = p->def->timeout_ms,
        .trigger_type = slice_of(t != NULL ? t->type : "manual"),
        .trigger = t != NULL ? t->id : UUID_NIL,
        .source = slice_of(ev->source),
        .type = ev->type,
        .subject = ev->subject,
        .content_type = ev->content_type,
        .payload = ev->payload,
        .event_time = ev->time,
        .root = ev->lineage.root,
        .depth = ev->lineage.depth,
    };
}

/* Makes a run of p: started with the commit if there is a slot and nobody waits before it, else
 * pending. */
static struct uuid make_run(struct engine *e, struct now now, struct pipeline *p,
                            const struct trigger *t, const struct effect_put_event *ev)
{
    struct uuid id = uuid_next(&e->ids, now.wall, &e->prng);
    bool at_once = queue_has_slot(e, p);
    emit(e, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){
        .id = id,
        .event = ev->id,
        .pipeline_key = p->key,
        .version = p->def->version,
        .trigger_key = t != NULL ? t->key : 0,
        .status = at_once ? RUN_RUNNING : RUN_PENDING,
        .attempt = 1,
        .started_at = at_once ? now.wall : WALL_UNSET,
    };
    if (at_once) {
        queue_occupy(e, p, id, 1, now.wall);
        start_now(e, p, t, ev, id);
    } else {
        queue_add_pending(e, p);
    }
    return id;
}

/* The trigger's state on disk is written once per batch, however often it fired in it. */
static void record_state(struct engine *e, struct trigger *t)
{
    if (t->state_batch != e->batch_number) {
        t->state_batch = e->batch_number;
        t->state_effect = emit(e, EFFECT_TRIGGER_STATE);
    }
    t->state_effect->trigger_state = (struct effect_trigger_state){
        .trigger_key = t->key,
        .last_fired = t->last_fired,
        .last_run = t->last_run,
    };
}

static void fired(struct engine *e, struct now now, struct trigger *t, struct uuid run)
{
    struct undo *u = undo_add(e, UNDO_FIRED);
    u->trigger = t;
    u->last_fired = t->last_fired;
    u->last_run = t->last_run;
    u->fired_ms = t->fired_ms;
    t->last_fired = now.wall;
    t->last_run = run;
    t->fired_ms = (int64_t)now.mono.ms;
    record_state(e, t);
}

static const struct uuid *one_run(struct engine *e, struct uuid id)
{
    struct uuid *runs = arena_alloc(&e->filling->arena, sizeof(*runs));
    *runs = id;
    return runs;
}

/* How much of the trigger's cooldown is left; 0: it may fire. */
static uint64_t cooldown_left(struct now now, const struct trigger *t)
{
    if (!wall_is_set(t->last_fired))
        return 0;
    uint64_t since = (uint64_t)((int64_t)now.mono.ms - t->fired_ms);
    return since < t->def->cooldown_ms ? t->def->cooldown_ms - since : 0;
}

/* Why the trigger does not fire, or VERDICT_FIRED. */
static enum verdict judge(struct now now, const struct event *ev, const struct trigger *t)
{
    if (ev->duplicate)
        return VERDICT_DUPLICATE;
    if (!t->def->enabled)
        return VERDICT_DISABLED;
    if (ev->lineage.depth > DEPTH_MAX)
        return VERDICT_DEPTH;
    if (cooldown_left(now, t) > 0)
        return VERDICT_COOLDOWN;
    return VERDICT_FIRED;
}

static void decide(struct engine *e, struct now now, const struct event *ev,
                   struct effect_put_event *rec, struct trigger *t, struct decision *ret)
{
    *ret = (struct decision){.trigger = t->id, .verdict = judge(now, ev, t)};
    e->stats.verdicts[ret->verdict]++;
    if (ret->verdict == VERDICT_COOLDOWN)
        ret->retry_after_ms = cooldown_left(now, t);
    if (ret->verdict != VERDICT_FIRED)
        return;
    struct uuid run = make_run(e, now, t->pipeline, t, rec);
    ret->runs = one_run(e, run);
    ret->run_count = 1;
    fired(e, now, t, run);
    if (ev->dedupe && !rec->dedupe) {
        rec->dedupe = true;
        rec->dedupe_key = ev->dedupe_key;
        rec->dedupe_run = run;
    }
}

static int finish_feed(struct engine *e, const struct event *ev, struct effect_put_event *rec,
                       const struct decision *d, size_t n)
{
    rec->decisions = decision_encode(&e->filling->arena, d, n);
    emit_reply(e, ev->ticket, rec->id, d, n);
    return (int)n;
}

static int feed_manual(struct engine *e, struct now now, const struct event *ev)
{
    struct pipeline *p = catalog_pipeline(&e->catalog, ev->pipeline);
    if (p == NULL)
        return -ENOENT;
    struct effect_put_event *rec = record_event(e, now, ev);
    struct decision *d = arena_zalloc(&e->filling->arena, sizeof(*d));
    d->runs = one_run(e, make_run(e, now, p, NULL, rec));
    d->run_count = 1;
    e->stats.verdicts[VERDICT_FIRED]++;
    return finish_feed(e, ev, rec, d, 1);
}

int engine_feed(struct engine *e, struct now now, const struct event *ev)
{
    if (e->filling->arena.used > e->opt.batch_bytes_max)
        return -ENOBUFS;
    if (!uuid_is_nil(ev->pipeline))
        return feed_manual(e, now, ev);
    struct match_bucket *m = catalog_match(&e->catalog, &ev->key);
    if (m == NULL && !ev->keep)
        return 0;
    size_t n = 0;
    struct trigger *t;
    if (m != NULL)
        DL_COUNT2(m->triggers, t, n, match_next);
    struct effect_put_event *rec = record_event(e, now, ev);
    struct decision *d = n > 0 ? arena_alloc(&e->filling->arena, n * sizeof(*d)) : NULL;
    size_t i = 0;
    if (m != NULL)
        DL_FOREACH2(m->triggers, t, match_next)
    decide(e, now, ev, rec, t, &d[i++]);
    return finish_feed(e, ev, rec, d, n);
}
