/* queue.c - which runs are carried out when.
 *
 * Pending runs live on disk only; memory holds how many there are. When a slot is free, a pipeline
 * with pending runs asks for as many as may start (FETCH_RUNS), the shell reads the oldest and
 * offers them. The fetch travels behind every record made before it, so it sees them; what became
 * pending after it leaves a mark (queued_since_fetch) and causes another one.
 *
 *             make_ready                schedule                     engine_offer
 *     pending ----------> [ready list] ----------> FETCH_RUNS ... -----------------> RUNNING
 *        ^                     ^                                          |
 *        |                     +------ some left, or a slot got free -----+
 *        +--- ends.c: failed with attempts left, after its backoff
 */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <string.h>
#include <utlist.h>

static uint32_t free_slots(const struct engine *e, const struct pipeline *p)
{
    uint32_t all = e->opt.running_max - e->running - e->reserved;
    if (p->def->running_max == 0)
        return all;
    uint32_t used = p->running + p->reserved; /* may be above the limit after a change */
    uint32_t own = used < p->def->running_max ? p->def->running_max - used : 0;
    return own < all ? own : all;
}

void engine_hold(struct engine *e)
{
    e->held = true;
}

bool queue_has_slot(const struct engine *e, const struct pipeline *p)
{
    return !e->held && !p->def->pull && p->pending == 0 && free_slots(e, p) > 0;
}

void queue_occupy(struct engine *e, struct pipeline *p, const struct run_start *s,
                  struct wall started_at)
{
    struct run *r = mem_zalloc(sizeof(*r));
    *r = (struct run){
        .id = s->run,
        .pipeline = p,
        .attempt = s->attempt,
        .depth = s->depth,
        .event = s->event,
        .root = s->root,
        .started_at = started_at,
    };
    p->refs++;
    queue_relink(e, r);
    undo_add(e, UNDO_RUN_STARTED)->run = r;
}

void queue_relink(struct engine *e, struct run *r)
{
    HASH_ADD(hh, e->runs, id, sizeof(r->id), r);
    e->running++;
    r->pipeline->running++;
}

void queue_unlink(struct engine *e, struct run *r)
{
    HASH_DEL(e->runs, r);
    e->running--;
    r->pipeline->running--;
}

void queue_change_pending(struct engine *e, struct pipeline *p, int64_t delta)
{
    p->pending += (uint64_t)delta;
    e->stats.pending += (uint64_t)delta;
    struct undo *u = undo_add(e, UNDO_PENDING);
    u->pipeline = p;
    u->delta = delta;
}

void queue_add_pending(struct engine *e, struct pipeline *p)
{
    queue_change_pending(e, p, 1);
    p->queued_since_fetch = true;
    queue_make_ready(e, p);
}

void queue_make_ready(struct engine *e, struct pipeline *p)
{
    if (p->ready || p->pending == 0 || p->reserved > 0 || p->def->pull || p->dropped)
        return;
    p->ready = true;
    DL_APPEND2(e->ready, p, ready_prev, ready_next);
}

static void unready(struct engine *e, struct pipeline *p)
{
    if (!p->ready)
        return;
    p->ready = false;
    DL_DELETE2(e->ready, p, ready_prev, ready_next);
}

void queue_leave(struct engine *e, struct pipeline *p)
{
    unready(e, p);
    wheel_cancel(&e->wheel, &p->delayed);
}

/* ---- what moved while rows were being read ---- */

void queue_note_moved(struct engine *e, struct pipeline *p, struct uuid run)
{
    vec_push(&e->moved, ((struct moved_run){run, p, p->reserved > 0, e->batch_number}));
}

bool queue_has_moved(const struct engine *e, struct uuid run)
{
    for (size_t i = 0; i < e->moved.len; i++)
        if (uuid_cmp(e->moved.items[i].id, run) == 0)
            return true;
    return false;
}

/* p's fetch (unless NULL) has come back: lets go of what no read that is still out could have missed. */
static void forget_moved(struct engine *e, const struct pipeline *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->moved.len; i++) {
        struct moved_run m = e->moved.items[i];
        m.in_fetch = m.in_fetch && m.pipeline != p;
        if (m.in_fetch || e->lookups > 0 || m.batch > e->settled_number)
            e->moved.items[kept++] = m;
    }
    e->moved.len = kept;
}

void queue_looked_up(struct engine *e)
{
    CHECK(e->lookups > 0);
    e->lookups--;
    forget_moved(e, NULL);
}

void queue_settled(struct engine *e)
{
    forget_moved(e, NULL);
}

/* ---- fetching ---- */

static void fetch(struct engine *e, struct pipeline *p, uint32_t slots)
{
    uint32_t n = slots < p->pending ? slots : (uint32_t)p->pending;
    p->reserved = n;
    e->reserved += n;
    p->queued_since_fetch = false;
    p->refs++;
    emit(e, EFFECT_FETCH_RUNS)->fetch_runs =
        (struct effect_fetch_runs){.pipeline = p, .count_max = n};
}

void queue_fetch_done(struct engine *e, struct pipeline *p)
{
    CHECK(p->reserved > 0);
    e->reserved -= p->reserved;
    p->reserved = 0;
    forget_moved(e, p);
}

/* Every ready pipeline is looked at once: it asks for what it may start, or waits until one of its
 * own slots is free. */
void queue_schedule(struct engine *e, struct now now)
{
    if (e->held || e->ready == NULL || now.mono.ms < e->stalled_until.ms)
        return;
    e->stalled_until.ms = 0;
    while (e->ready != NULL && e->running + e->reserved < e->opt.running_max) {
        struct pipeline *p = e->ready;
        unready(e, p);
        uint32_t slots = p->pending > 0 ? free_slots(e, p) : 0;
        if (slots > 0)
            fetch(e, p, slots);
    }
}

static void start_offered(struct engine *e, struct now now, struct pipeline *p,
                          const struct run_start *s)
{
    queue_change_pending(e, p, -1);
    if (e->lookups > 0)
        queue_note_moved(e, p, s->run);
    queue_occupy(e, p, s, now.wall);
    emit(e, EFFECT_MOVE_RUN)->move_run = (struct effect_move_run){
        .id = s->run,
        .pipeline_key = p->key,
        .status = RUN_RUNNING,
        .attempt = s->attempt,
        .started_at = now.wall,
        .finished_at = WALL_UNSET,
        .due_at = WALL_UNSET,
    };
    struct run_start *out = &emit(e, EFFECT_START_RUN)->start_run;
    *out = *s;
    out->pipeline = keep(e, s->pipeline);
    out->spec = keep(e, s->spec);
    out->trigger_type = keep(e, s->trigger_type);
    out->source = keep(e, s->source);
    out->type = keep(e, s->type);
    out->subject = keep(e, s->subject);
    out->content_type = keep(e, s->content_type);
    out->payload = keep(e, s->payload);
    out->files = keep(e, s->files);
}

void queue_delay_until(struct engine *e, struct now now, struct pipeline *p, struct wall due)
{
    uint64_t in = due.ms > now.wall.ms ? (uint64_t)(due.ms - now.wall.ms) : 0;
    uint64_t at = now.mono.ms + in;
    if (!wheel_is_set(&p->delayed) || at < p->delayed.expires)
        wheel_set(&e->wheel, &p->delayed, at);
}

/* The durable queue is the truth: if it has nothing for us although nothing was added, our count
 * was wrong. */
static void recount(struct engine *e, struct pipeline *p, size_t n, struct wall next_due)
{
    if (n > 0 || wall_is_set(next_due) || p->queued_since_fetch)
        return;
    e->stats.pending -= p->pending;
    p->pending = 0;
}

void engine_offer(struct engine *e, struct now now, struct pipeline *p,
                  const struct offered_run *runs, size_t n, struct wall next_due, int err)
{
    bool more = p->queued_since_fetch || n >= p->reserved;
    for (size_t i = 0; !p->dropped && !e->held && i < n; i++)
        if (!queue_has_moved(e, runs[i].start.run))
            start_offered(e, now, p, &runs[i].start);
    queue_fetch_done(e, p);
    if (err != 0)
        e->stalled_until.ms = now.mono.ms + STALL_MS;
    else if (!p->dropped)
        recount(e, p, n, next_due);
    if (!p->dropped && wall_is_set(next_due))
        queue_delay_until(e, now, p, next_due);
    if (more || err != 0)
        queue_make_ready(e, p);
    pipeline_unref(p);
    queue_schedule(e, now);
}
