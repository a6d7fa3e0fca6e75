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

/* What is free of `max` when so many are used, which may be more after a restart with another limit. */
static uint32_t left_of(uint32_t max, uint32_t used)
{
    return used < max ? max - used : 0;
}

/* ---- handing over ----
 *
 * An executor with a capacity works on so many runs at a time. If no more than that were started, each end would be followed by a
 * look into the queue and a commit during which nothing is worked on. So some more are started and wait with the executor: as
 * many as it lately got done in the time that takes. A slow one keeps few from the slots that it shares with others.
 */
#define HANDOVER_MS 8
#define HANDOVER_MIN 4
#define HANDOVER_MAX 256

void queue_note_end(struct pipeline *p, struct mono now)
{
    if (p->def->capacity == 0)
        return;
    if (now.ms - p->ended_since >= HANDOVER_MS) {
        p->ended_before = now.ms - p->ended_since < 2 * HANDOVER_MS ? p->ended : 0;
        p->ended = 0;
        p->ended_since = now.ms;
    }
    p->ended++;
}

/* Where nothing has ended lately, what was before says nothing any more. */
static uint32_t handover(const struct pipeline *p, struct mono now)
{
    const bool old = now.ms - p->ended_since >= 2 * HANDOVER_MS;
    const uint32_t lately = old ? 0 : p->ended > p->ended_before ? p->ended : p->ended_before;
    const uint32_t n = 2 * lately;
    return n < HANDOVER_MIN ? HANDOVER_MIN : n > HANDOVER_MAX ? HANDOVER_MAX : n;
}

/* 0: no limit. */
static uint32_t own_limit(const struct pipeline *p, struct mono now)
{
    const uint32_t set = p->def->running_max, capacity = p->def->capacity;
    if (capacity == 0)
        return set;
    const uint32_t useful = capacity + handover(p, now);
    return set == 0 || useful < set ? useful : set;
}

/* Of `all` that are free, what p may have. */
static uint32_t share(const struct engine *e, const struct pipeline *p, uint32_t all,
                      uint32_t limit)
{
    if (pause_holds(e, p))
        return 0;
    const uint32_t own = limit != 0 ? left_of(limit, p->running + p->reserved) : all;
    return own < all ? own : all;
}

uint32_t queue_free_slots(const struct engine *e, const struct pipeline *p, struct mono now)
{
    return share(e, p, left_of(e->opt.running_max, e->running + e->reserved), own_limit(p, now));
}

uint32_t queue_free_leases(const struct engine *e, const struct pipeline *p)
{
    return share(e, p, left_of(e->opt.leased_max, e->leased + e->reserved_leases),
                 p->def->running_max);
}

void engine_hold(struct engine *e)
{
    e->held = true;
    claim_hold(e);
}

bool queue_has_slot(const struct engine *e, const struct pipeline *p, struct mono now)
{
    return !e->held && !p->def->pull && p->pending == 0 && queue_free_slots(e, p, now) > 0;
}

static struct run *add_run(struct engine *e, struct pipeline *p, const struct run_start *s,
                           struct wall started_at, struct lease *lease)
{
    struct run *r = mem_zalloc(sizeof(*r));
    *r = run_of(s, p);
    r->started_at = started_at;
    r->lease = lease;
    if (lease != NULL)
        lease->run = r;
    p->refs++;
    queue_relink(e, r);
    return r;
}

void queue_occupy(struct engine *e, struct pipeline *p, const struct run_start *s,
                  struct wall started_at, struct lease *lease)
{
    struct run *r = add_run(e, p, s, started_at, lease);
    undo_add(e, UNDO_RUN_STARTED)->run = r;
}

void queue_undo_start(struct engine *e, struct now now, struct undo *u)
{
    queue_unlink(e, u->run);
    run_destroy(u->run);
}

void queue_adopt(struct engine *e, struct pipeline *p, const struct run_start *s,
                 struct wall started_at, struct lease *lease)
{
    add_run(e, p, s, started_at, lease);
}

void queue_relink(struct engine *e, struct run *r)
{
    HASH_ADD(hh, e->runs, id, sizeof(r->id), r);
    DL_APPEND(r->pipeline->runs, r);
    r->pipeline->running++;
    r->pipeline->ending += r->cancelled;
    if (r->lease == NULL) {
        e->running++;
    } else {
        e->leased++;
        lease_arm(e, r->lease);
    }
}

void queue_unlink(struct engine *e, struct run *r)
{
    HASH_DEL(e->runs, r);
    DL_DELETE(r->pipeline->runs, r);
    r->pipeline->running--;
    r->pipeline->ending -= r->cancelled;
    if (r->lease == NULL) {
        e->running--;
    } else {
        e->leased--;
        wheel_cancel(&e->wheel, &r->lease->time);
    }
}

void queue_change_pending(struct engine *e, struct pipeline *p, int64_t delta)
{
    p->pending += (uint64_t)delta;
    e->stats.pending += (uint64_t)delta;
    struct undo *u = undo_add(e, UNDO_PENDING);
    u->pipeline = p;
    u->delta = delta;
}

void queue_undo_pending(struct engine *e, struct now now, struct undo *u)
{
    u->pipeline->pending -= (uint64_t)u->delta;
    e->stats.pending -= (uint64_t)u->delta;
    u->pipeline->queued_since_fetch = true; /* a fetch that is out may have passed it over */
    queue_make_ready(e, u->pipeline);
}

void queue_add_pending(struct engine *e, struct pipeline *p)
{
    queue_change_pending(e, p, 1);
    p->queued_since_fetch = true;
    queue_make_ready(e, p);
}

void queue_make_ready(struct engine *e, struct pipeline *p)
{
    if (p->ready == READY_NOT && p->pending > 0 && p->reserved == 0 && !p->dropped)
        queue_put(e, p, p->def->pull ? READY_TO_LEASE : READY_TO_START);
}

void queue_put(struct engine *e, struct pipeline *p, int ready)
{
    if (p->ready != READY_NOT)
        DL_DELETE2(e->ready[p->ready], p, ready_prev, ready_next);
    p->ready = ready;
    if (ready != READY_NOT)
        DL_APPEND2(e->ready[ready], p, ready_prev, ready_next);
}

void queue_sort(struct engine *e, struct pipeline *p)
{
    queue_put(e, p, READY_NOT);
    queue_make_ready(e, p);
}

void queue_leave(struct engine *e, struct pipeline *p)
{
    queue_put(e, p, READY_NOT);
    wheel_cancel(&e->wheel, &p->delayed);
}

/* ---- what moved while rows were being read ---- */

void queue_note_moved(struct engine *e, struct pipeline *p, struct uuid run)
{
    vec_push(&e->moved, ((struct moved_run){run, p, p->reserved > 0, e->batch_number}));
}

/* With cancellations looked up without a pause there is never a moment to forget. Beyond the limit the look-ups learn nothing: whoever
 * cancels a pending run just then is told to try again. */
#define MOVED_MAX 4096

static void note_started(struct engine *e, struct pipeline *p, struct uuid run)
{
    if (e->moved.len < MOVED_MAX)
        queue_note_moved(e, p, run);
    else
        e->moved_lost = true;
}

void queue_note_all_moved(struct engine *e, struct pipeline *p)
{
    p->fetch_stale = p->reserved > 0;
    e->moved_lost = true;
    e->moved_lost_batch = e->batch_number;
}

/* Whether look-ups may be believed again. */
static void find_moved(struct engine *e)
{
    if (e->lookups == 0 && e->moved_lost_batch <= e->settled_number)
        e->moved_lost = false;
}

bool queue_is_certain(const struct engine *e, struct uuid run)
{
    return !e->moved_lost && !queue_has_moved(e, run);
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
    find_moved(e);
    forget_moved(e, NULL);
}

void queue_settled(struct engine *e)
{
    find_moved(e);
    forget_moved(e, NULL);
}

/* ---- fetching ---- */

static uint32_t *reserved_for(struct engine *e, const struct pipeline *p)
{
    return p->claim != NULL ? &e->reserved_leases : &e->reserved;
}

uint32_t queue_fetch(struct engine *e, struct pipeline *p, uint32_t slots)
{
    uint32_t n = slots < p->pending ? slots : (uint32_t)p->pending;
    p->reserved = n;
    *reserved_for(e, p) += n;
    p->queued_since_fetch = false;
    p->refs++;
    emit(e, EFFECT_FETCH_RUNS)->fetch_runs =
        (struct effect_fetch_runs){.pipeline = p, .count_max = n, .leased = p->claim != NULL};
    return n;
}

void queue_fetch_done(struct engine *e, struct pipeline *p)
{
    CHECK(p->reserved > 0);
    *reserved_for(e, p) -= p->reserved;
    p->reserved = 0;
    p->fetch_stale = false;
    forget_moved(e, p);
}

/* Every ready pipeline is looked at once: it asks for what it may start, or waits until one of its
 * own slots is free. */
void queue_schedule(struct engine *e, struct now now)
{
    bool work = !e->held && e->ready[READY_TO_START] != NULL;
    if ((!work && !claim_has_work(e)) || now.mono.ms < e->stalled_until.ms)
        return;
    e->stalled_until.ms = 0;
    while (work && e->running + e->reserved < e->opt.running_max) {
        struct pipeline *p = e->ready[READY_TO_START];
        queue_put(e, p, READY_NOT);
        uint32_t slots = p->pending > 0 ? queue_free_slots(e, p, now.mono) : 0;
        if (slots > 0)
            queue_fetch(e, p, slots);
        work = e->ready[READY_TO_START] != NULL;
    }
    claim_schedule(e);
}

void queue_begin(struct engine *e, struct now now, struct pipeline *p, const struct run_start *s,
                 struct lease *lease)
{
    queue_change_pending(e, p, -1);
    if (e->lookups > 0)
        note_started(e, p, s->run);
    queue_occupy(e, p, s, now.wall, lease);
    const struct effect_move_run m = {
        .id = s->run,
        .pipeline_key = p->key,
        .status = RUN_RUNNING,
        .attempt = s->attempt,
        .started_at = now.wall,
        .finished_at = WALL_UNSET,
        .due_at = WALL_UNSET,
    };
    queue_move_run(e, RUN_PENDING, &m);
}

void queue_move_run(struct engine *e, enum run_status from, const struct effect_move_run *m)
{
    CHECK(run_may_move(from, m->status));
    emit(e, EFFECT_MOVE_RUN)->move_run = *m;
}

struct run_start queue_keep_start(struct engine *e, const struct run_start *s)
{
    struct run_start out = *s;
    out.pipeline = keep(e, s->pipeline);
    out.spec = keep(e, s->spec);
    out.trigger_type = keep(e, s->trigger_type);
    out.source = keep(e, s->source);
    out.type = keep(e, s->type);
    out.subject = keep(e, s->subject);
    out.content_type = keep(e, s->content_type);
    out.payload = keep(e, s->payload);
    out.files = keep(e, s->files);
    out.message_key = keep(e, s->message_key);
    return out;
}

static void start_offered(struct engine *e, struct now now, struct pipeline *p,
                          const struct offered_run *o)
{
    if (p->claim != NULL) {
        claim_take(e, now, p, o);
        return;
    }
    queue_begin(e, now, p, &o->start, NULL);
    struct run_start start = queue_keep_start(e, &o->start);
    emit(e, EFFECT_START_RUN)->start_run = start;
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
    if (n > 0 || wall_is_set(next_due) || p->queued_since_fetch || p->paused_triggers > 0)
        return;
    e->stats.pending -= p->pending;
    p->pending = 0;
}

static bool may_start(const struct engine *e, const struct pipeline *p)
{
    return !p->dropped && !e->held && !pause_holds(e, p);
}

void engine_offer(struct engine *e, struct now now, struct pipeline *p,
                  const struct offered_run *runs, size_t n, struct wall next_due, int err)
{
    bool unheard = (p->claim != NULL && p->claim->unheard) || p->fetch_stale;
    bool more =
        p->queued_since_fetch || n > 0 || unheard; /* fewer than asked for may be all that fits */
    for (size_t i = 0; may_start(e, p) && !unheard && i < n; i++)
        if (!queue_has_moved(e, runs[i].start.run) && !pause_holds_run(e, &runs[i].start))
            start_offered(e, now, p, &runs[i]);
    queue_fetch_done(e, p);
    if (err != 0)
        e->stalled_until.ms = now.mono.ms + STALL_MS;
    else if (!p->dropped)
        recount(e, p, n, next_due);
    if (!p->dropped && wall_is_set(next_due))
        queue_delay_until(e, now, p, next_due);
    if (more || err != 0)
        queue_make_ready(e, p);
    claim_fetched(e, p);
    pipeline_unref(p);
    queue_schedule(e, now);
}
