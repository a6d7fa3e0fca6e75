#include "base/check.h"
#include "core/engine_internal.h"
#include "base/mem.h"
#include <stdlib.h>
#include <utlist.h>

struct engine *engine_create(const struct engine_options *opt, struct now now, uint64_t seed)
{
    CHECK(opt->running_max > 0);
    struct engine *e = mem_zalloc(sizeof(*e));
    e->opt = *opt;
    prng_init(&e->prng, seed);
    wheel_init(&e->wheel, now.mono.ms);
    e->filling = batch_create();
    e->batch_number = 1;
    return e;
}

static void run_destroy(struct run *r)
{
    pipeline_unref(r->pipeline);
    free(r->lease);
    free(r);
}

static void undo_forget(struct engine *e, undo_log *log);

void engine_destroy(struct engine *e)
{
    if (e == NULL)
        return;
    undo_forget(e, &e->undo_out);
    undo_forget(e, &e->undo_filling);
    struct run *r, *tmp;
    HASH_ITER (hh, e->runs, r, tmp) {
        HASH_DEL(e->runs, r);
        run_destroy(r);
    }
    for (int i = 0; i < CLAIM_STATES; i++) {
        struct claim *c, *next;
        DL_FOREACH_SAFE (e->claims[i], c, next)
            claim_destroy(c);
    }
    active_release(e);
    catalog_deinit(&e->catalog);
    batch_destroy(e->filling);
    batch_destroy(e->out);
    while (e->spare != NULL) {
        struct batch *b = e->spare;
        e->spare = b->next;
        batch_destroy(b);
    }
    vec_release(&e->undo_filling);
    vec_release(&e->undo_out);
    vec_release(&e->moved);
    free(e);
}

struct catalog *engine_catalog(struct engine *e)
{
    return &e->catalog;
}

struct engine_stats engine_stats(const struct engine *e)
{
    struct engine_stats s = e->stats;
    s.running = e->running;
    s.leased = e->leased;
    s.claims = e->claim_count;
    return s;
}

void engine_load_pipeline(struct engine *e, struct pipeline *p)
{
    catalog_link_pipeline(&e->catalog, p);
    e->stats.pending += p->pending;
    queue_make_ready(e, p);
}

void engine_load_held(struct trigger *t, const struct lineage *l)
{
    timing_held_first(t, l);
}

void engine_load_trigger(struct engine *e, struct now now, struct trigger *t)
{
    catalog_link_trigger(&e->catalog, t);
    /* The clock may have stepped back while we were down: a window never lasts longer than the cooldown itself. */
    int64_t since = wall_is_set(t->state.last_fired) ? now.wall.ms - t->state.last_fired.ms : 0;
    t->state.fired_ms = (int64_t)now.mono.ms - (since > 0 ? since : 0);
    timing_adopt(e, now, t, true);
}

/* ---- effects and their undoing ---- */

struct effect *emit(struct engine *e, enum effect_type type)
{
    return batch_add(e->filling, type);
}

struct outcome *emit_reply(struct engine *e, struct ticket *t, struct uuid event,
                           const struct decision *d, size_t n)
{
    if (t == NULL)
        return NULL;
    struct effect *f = emit(e, EFFECT_REPLY);
    f->reply = (struct effect_reply){
        .ticket = t,
        .outcome = {.event = event, .decisions = d, .decision_count = n},
    };
    return &f->reply.outcome;
}

void engine_confirm(struct engine *e, struct ticket *t)
{
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

struct slice keep(struct engine *e, struct slice s)
{
    return arena_copy(&e->filling->arena, s);
}

struct undo *undo_add(struct engine *e, enum undo_type type)
{
    vec_push(&e->undo_filling, (struct undo){.type = type});
    return &e->undo_filling.items[e->undo_filling.len - 1];
}

void pipeline_unref(struct pipeline *p)
{
    CHECK(p->refs > 0);
    if (--p->refs == 0 && p->dropped)
        pipeline_destroy(p);
}

/* The change is on disk: lets go of what was kept for undoing it. */
static void undo_drop(struct undo *u)
{
    switch (u->type) {
    case UNDO_STATE:
    case UNDO_PENDING:
    case UNDO_CANCEL:
    case UNDO_PAUSE:
    case UNDO_EXTEND:
    case UNDO_ENTRUST:
    case UNDO_RUN_STARTED:
    case UNDO_ADD_PIPELINE:
    case UNDO_ADD_TRIGGER:
    case UNDO_ARK:
    case UNDO_ACTIVE_STARTED:
        break;
    case UNDO_ACTIVE_ENDED:
        active_undo_drop(u);
        break;
    case UNDO_SUCCESS:
        followed_unref(u->followed);
        break;
    case UNDO_RUN_ENDED:
        run_destroy(u->run);
        break;
    case UNDO_CHANGE_PIPELINE:
        pipeline_def_destroy(u->old_pipeline_def);
        break;
    case UNDO_DROP_PIPELINE:
        pipeline_unref(u->pipeline); /* the log's own reference */
        break;
    case UNDO_CHANGE_TRIGGER:
        trigger_def_destroy(u->old_trigger_def);
        break;
    case UNDO_DROP_TRIGGER:
        trigger_destroy(u->trigger);
        break;
    case UNDO_ADD_ZONE:
    case UNDO_CHANGE_ZONE:
    case UNDO_PRIME_ZONE:
    case UNDO_DROP_ZONE:
        zone_undo_drop(u);
        break;
    case UNDO_ADD_TOPIC:
    case UNDO_CHANGE_TOPIC:
    case UNDO_PUBLISH:
    case UNDO_DROP_TOPIC:
    case UNDO_POSITION:
        topic_undo_drop(u);
        break;
    case UNDO_APPLIED:
        applied_undo_drop(u);
        break;
    case UNDO_NAMESPACE:
        namespace_undo_drop(u);
        break;
    }
}

static void undo_pipeline_def(struct engine *e, struct pipeline *p, struct pipeline_def *old)
{
    pipeline_def_destroy(p->def);
    p->def = old;
    queue_sort(e, p);
}

static void undo_trigger_def(struct engine *e, struct now now, struct trigger *t,
                             struct trigger_def *old)
{
    e->arm_undone |= rule_topic(&t->def->rule) != NULL || rule_topic(&old->rule) != NULL;
    catalog_unlink_match(&e->catalog, t);
    trigger_def_destroy(t->def);
    t->def = old;
    catalog_link_match(&e->catalog, t);
    timing_arm(e, now, t);
}

static void undo_drop_pipeline(struct engine *e, struct pipeline *p, int64_t pending)
{
    p->dropped = false;
    p->refs--;
    p->pending = (uint64_t)pending;
    e->stats.runs_ended[RUN_CANCELLED] -= p->pending;
    e->stats.pending += p->pending;
    catalog_link_pipeline(&e->catalog, p);
    queue_make_ready(e, p);
}

/* The change did not reach the disk: takes it back. */
static void undo_apply(struct engine *e, struct now now, struct undo *u)
{
    switch (u->type) {
    case UNDO_STATE:
        u->trigger->state = u->state;
        timing_arm(e, now, u->trigger);
        break;
    case UNDO_SUCCESS:
        u->followed->last_success = u->last_success;
        followed_unref(u->followed);
        break;
    case UNDO_PENDING:
        u->pipeline->pending -= (uint64_t)u->delta;
        e->stats.pending -= (uint64_t)u->delta;
        u->pipeline->queued_since_fetch = true; /* a fetch that is out may have passed it over */
        queue_make_ready(e, u->pipeline);
        break;
    case UNDO_CANCEL:
        u->run->cancelled = u->run->replaced = false;
        u->run->pipeline->ending--;
        break;
    case UNDO_RUN_STARTED:
        queue_unlink(e, u->run);
        run_destroy(u->run);
        break;
    case UNDO_RUN_ENDED:
        u->run->replaced =
            u->run->replaced && u->run->lease == NULL; /* a worker's was ended by that */
        queue_relink(e, u->run);
        break;
    case UNDO_PAUSE:
        pause_undo(e, u);
        break;
    case UNDO_EXTEND:
        lease_undo_extend(e, u);
        break;
    case UNDO_ENTRUST:
        lease_undo_entrust(e, u->run);
        break;
    case UNDO_ADD_PIPELINE:
        queue_leave(e, u->pipeline);
        catalog_unlink_pipeline(&e->catalog, u->pipeline);
        pipeline_destroy(u->pipeline);
        break;
    case UNDO_CHANGE_PIPELINE:
        undo_pipeline_def(e, u->pipeline, u->old_pipeline_def);
        break;
    case UNDO_DROP_PIPELINE:
        undo_drop_pipeline(e, u->pipeline, u->delta);
        break;
    case UNDO_ADD_TRIGGER:
        e->arm_undone |= rule_topic(&u->trigger->def->rule) != NULL;
        timing_disarm(e, u->trigger);
        catalog_unlink_trigger(&e->catalog, u->trigger);
        trigger_destroy(u->trigger);
        break;
    case UNDO_CHANGE_TRIGGER:
        undo_trigger_def(e, now, u->trigger, u->old_trigger_def);
        break;
    case UNDO_DROP_TRIGGER:
        e->arm_undone |= rule_topic(&u->trigger->def->rule) != NULL;
        catalog_link_trigger(&e->catalog, u->trigger);
        timing_arm(e, now, u->trigger);
        break;
    case UNDO_ADD_ZONE:
    case UNDO_CHANGE_ZONE:
    case UNDO_PRIME_ZONE:
    case UNDO_DROP_ZONE:
        zone_undo_apply(e, u);
        break;
    case UNDO_ARK:
        u->ark->state = u->ark_state;
        break;
    case UNDO_ACTIVE_STARTED:
    case UNDO_ACTIVE_ENDED:
        active_undo_apply(e, u);
        break;
    case UNDO_ADD_TOPIC:
    case UNDO_CHANGE_TOPIC:
    case UNDO_PUBLISH:
    case UNDO_DROP_TOPIC:
    case UNDO_POSITION:
        topic_undo_apply(e, u);
        break;
    case UNDO_APPLIED:
        applied_undo_apply(e, u);
        break;
    case UNDO_NAMESPACE:
        namespace_undo_apply(e, u);
        break;
    }
}

static void undo_forget(struct engine *e, undo_log *log)
{
    for (size_t i = 0; i < log->len; i++)
        undo_drop(&log->items[i]);
    log->len = 0;
}

static void undo_all(struct engine *e, struct now now, undo_log *log)
{
    while (log->len > 0)
        undo_apply(e, now, &log->items[--log->len]);
}

/* ---- batches ---- */

static struct batch *spare_take(struct engine *e)
{
    struct batch *b = e->spare;
    if (b == NULL)
        return batch_create();
    e->spare = b->next;
    b->next = NULL;
    return b;
}

void engine_recycle(struct engine *e, struct batch *b)
{
    batch_reset(b);
    b->next = e->spare;
    e->spare = b;
}

bool engine_is_full(const struct engine *e)
{
    return batch_is_full(e);
}

size_t engine_filled(const struct engine *e)
{
    return e->filling->record_count;
}

bool engine_is_idle(const struct engine *e)
{
    return e->out == NULL && e->filling->first == NULL;
}

struct batch *engine_take(struct engine *e)
{
    if (e->out != NULL || e->filling->first == NULL)
        return NULL;
    struct batch *b = e->filling;
    b->number = e->batch_number++;
    undo_log log = e->undo_out;
    e->undo_out = e->undo_filling;
    e->undo_filling = log;
    CHECK(e->undo_filling.len == 0);
    e->filling = spare_take(e);
    e->out = b;
    return b;
}

/* Fetches that will never be carried out give their slots back. */
static void void_fetches(struct engine *e, const struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        if (f->type != EFFECT_FETCH_RUNS)
            continue;
        struct pipeline *p = f->fetch_runs.pipeline;
        queue_fetch_done(e, p);
        queue_make_ready(e, p);
        claim_void(e, p);
        pipeline_unref(p);
    }
}

/* Leaves nothing in b but an answer for each one that was in `from` (which may be b). */
static void keep_replies(struct batch *b, const struct effect *from, int err)
{
    for (const struct effect *next, *f = from; f != NULL; f = next) {
        next = f->next;
        if (f->type == EFFECT_REPLY) {
            struct ticket *t = f->reply.ticket;
            batch_add(b, EFFECT_REPLY)->reply =
                (struct effect_reply){.ticket = t, .outcome = {.err = err}};
        } else if (f->type == EFFECT_CLAIM_DONE) {
            struct claim_ticket *t = f->claim_done.ticket;
            batch_add(b, EFFECT_CLAIM_DONE)->claim_done =
                (struct effect_claim_done){.ticket = t, .err = err};
        }
    }
}

static void fail(struct engine *e, struct now now, struct batch *b, int err)
{
    e->stalled_until.ms = now.mono.ms + STALL_MS;
    void_fetches(e, b);
    void_fetches(e, e->filling);
    undo_all(e, now, &e->undo_filling);
    undo_all(e, now, &e->undo_out);

    const struct effect *own = b->first;
    b->first = b->last = NULL;
    b->record_count = b->reply_count = 0;
    keep_replies(b, own, err);
    keep_replies(b, e->filling->first, err);
    if (e->arm_undone)
        batch_add(b, EFFECT_ARM);
    e->arm_undone = false;
    batch_reset(e->filling);
    e->batch_number++; /* effects remembered for coalescing are gone */
}

void engine_settle(struct engine *e, struct now now, struct batch *b, int err)
{
    CHECK(b == e->out);
    e->out = NULL;
    if (err != 0)
        fail(e, now, b, err);
    else
        undo_forget(e, &e->undo_out);
    e->settled_number = err != 0 ? e->batch_number - 1 : b->number;
    queue_settled(e);
}

/* ---- time ---- */

/* Deadlines dealt with in one go; when more are due at once, others get their turn in between. */
#define DUE_MAX 4096

static void due(struct engine *e, struct now now, struct wheel_timer *w)
{
    if (w->tag == DEADLINE_RUNS)
        queue_make_ready(e, container_of(w, struct pipeline, delayed));
    else if (w->tag == DEADLINE_CLAIM)
        claim_due(e, w);
    else if (w->tag == DEADLINE_LEASE)
        lease_due(e, now, w);
    else
        timing_due(e, now, w);
}

void engine_tick(struct engine *e, struct now now)
{
    wheel_advance(&e->wheel, now.mono.ms);
    struct wheel_timer *t;
    for (unsigned n = 0; n < DUE_MAX && !batch_is_full(e) && (t = wheel_take(&e->wheel)) != NULL;
         n++)
        due(e, now, t);
    queue_schedule(e, now);
}

struct mono engine_wake_at(const struct engine *e)
{
    uint64_t at =
        batch_is_full(e) ? UINT64_MAX : wheel_next(&e->wheel); /* a full one is settled first */
    bool work = (e->ready[READY_TO_START] != NULL && !e->held) || claim_has_work(e);
    if (work && e->stalled_until.ms != 0 && e->stalled_until.ms < at)
        at = e->stalled_until.ms;
    return (struct mono){at};
}
