#include "base/check.h"
#include "core/engine_internal.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>
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

void run_destroy(struct run *r)
{
    pipeline_unref(r->pipeline);
    free(r->lease);
    free(r);
}

void engine_destroy(struct engine *e)
{
    if (e == NULL)
        return;
    undo_forget(&e->undo_out);
    undo_forget(&e->undo_filling);
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

/* ---- effects ---- */

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

void pipeline_unref(struct pipeline *p)
{
    CHECK(p->refs > 0);
    if (--p->refs == 0 && p->dropped)
        pipeline_destroy(p);
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
    e->stats_out = e->stats_filling;
    e->stats_filling = e->stats;
    e->filling = spare_take(e);
    e->out = b;
    return b;
}

/* What was decided since counts for nothing. */
static void undo_counts(struct engine *e)
{
    const struct engine_stats *before = &e->stats_out;
    memcpy(e->stats.verdicts, before->verdicts, sizeof(before->verdicts));
    memcpy(e->stats.runs_ended, before->runs_ended, sizeof(before->runs_ended));
    e->stats_filling = e->stats;
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
    undo_counts(e);

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
        undo_forget(&e->undo_out);
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
