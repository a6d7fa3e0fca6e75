/* ends.c - how runs end: success, failure with or without another attempt, cancellation, interruption. */
#include "base/check.h"
#include "core/engine_internal.h"
#include "core/retry.h"

static bool may_repeat(const struct run *run, const struct run_result *r)
{
    const struct pipeline *p = run->pipeline;
    return r->status == RUN_FAILED && !r->conclusive && !run->cancelled && p != NULL &&
           !p->dropped && run->attempt < p->def->retry.max_attempts;
}

/* The policy's wait, or a longer one that whoever failed has asked for. */
static uint64_t wait_ms(struct engine *e, const struct run *run, const struct run_result *r)
{
    const uint64_t own = retry_wait_ms(&run->pipeline->def->retry, run->attempt, &e->prng);
    const uint64_t asked =
        r->retry_after_ms < RETRY_AFTER_MS_MAX ? r->retry_after_ms : RETRY_AFTER_MS_MAX;
    return own > asked ? own : asked;
}

/* Whoever ends an attempt without a log leaves it the parts that were kept while it went on. */
static bool log_is_whole(const struct run *run, const struct run_result *r)
{
    return run->has_log_parts && r->log.p != NULL;
}

/* The attempt failed and another one is allowed: back into the queue. */
static void repeat(struct engine *e, struct now now, enum run_status from, const struct run *run,
                   const struct run_result *r)
{
    struct pipeline *p = run->pipeline;
    const struct wall due = {now.wall.ms + (int64_t)wait_ms(e, run, r)};
    emit(e, EFFECT_PUT_ATTEMPT)->put_attempt = (struct effect_put_attempt){
        .run = run->id,
        .attempt = run->attempt,
        .started_at = run->started_at,
        .finished_at = now.wall,
        .error = keep(e, r->error),
        .log = keep(e, r->log),
        .log_is_whole = log_is_whole(run, r),
        .steps = keep(e, r->steps),
        .interrupted = r->interrupted,
    };
    const struct effect_move_run m = {
        .id = run->id,
        .pipeline_key = p->key,
        .status = RUN_PENDING,
        .attempt = run->attempt + 1,
        .started_at = WALL_UNSET,
        .finished_at = WALL_UNSET,
        .due_at = due,
    };
    queue_move_run(e, from, &m);
    queue_change_pending(e, p, 1);
    p->queued_since_fetch = true;
    queue_delay_until(e, now, p, due);
}

static struct slice error_of(const struct run *run, const struct run_result *r)
{
    return run->replaced && r->status == RUN_CANCELLED ? SLICE(RUN_REPLACED) : r->error;
}

static void end(struct engine *e, struct now now, enum run_status from, const struct run *run,
                const struct run_result *r)
{
    const struct effect_move_run m = {
        .id = run->id,
        .pipeline_key = run->pipeline != NULL ? run->pipeline->key : 0,
        .status = r->status,
        .attempt = run->attempt,
        .started_at = run->started_at,
        .finished_at = now.wall,
        .due_at = WALL_UNSET,
        .output = keep(e, r->output),
        .error = keep(e, error_of(run, r)),
        .log = keep(e, r->log),
        .log_is_whole = log_is_whole(run, r),
        .steps = keep(e, r->steps),
    };
    queue_move_run(e, from, &m);
    emit(e, EFFECT_RUN_ENDED)->run_ended = m;
    active_ended(e, run->id);
    e->stats.runs_ended[r->status]++;
    if (run->pipeline != NULL && !run->pipeline->dropped)
        completion_feed(e, now, run, r);
}

static void end_or_repeat(struct engine *e, struct now now, enum run_status from,
                          const struct run *run, const struct run_result *r)
{
    if (may_repeat(run, r))
        repeat(e, now, from, run, r);
    else
        end(e, now, from, run, r);
}

void ends_attempt(struct engine *e, struct now now, struct run *run, const struct run_result *r,
                  struct ticket *t)
{
    queue_unlink(e, run);
    queue_note_end(run->pipeline, now.mono);
    undo_add(e, UNDO_RUN_ENDED)->run = run;
    if (run->lease != NULL)
        emit(e, EFFECT_DROP_LEASE)->drop_lease = run->id;
    end_or_repeat(e, now, RUN_RUNNING, run, r);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    queue_make_ready(e, run->pipeline);
    queue_schedule(e, now);
}

void ends_undo_end(struct engine *e, struct now now, struct undo *u)
{
    struct run *r = u->run;
    r->replaced = r->replaced && r->lease == NULL; /* a worker's was ended by that */
    queue_relink(e, r);
}

void ends_done_end(struct undo *u)
{
    run_destroy(u->run);
}

void ends_pending(struct engine *e, struct now now, struct pipeline *p, const struct run *run,
                  const struct run_result *r)
{
    queue_change_pending(e, p, -1);
    queue_note_moved(e, p, run->id);
    end_or_repeat(e, now, RUN_PENDING, run, r);
}

bool engine_finish(struct engine *e, struct now now, const struct run_result *r, struct ticket *t)
{
    struct run *run;
    HASH_FIND(hh, e->runs, &r->run, sizeof(r->run), run);
    if (run == NULL || run->lease != NULL)
        return false;
    if (r->attempt != 0 && r->attempt != run->attempt)
        return false; /* the callback of that attempt was faster, and this is the next one */
    ends_attempt(e, now, run, r, t);
    return true;
}

void engine_recover_run(struct engine *e, struct now now, struct pipeline *p, struct uuid id,
                        struct uuid event, uint32_t attempt, struct wall started_at)
{
    /* Among newer runs it is one that they had replaced, or would have: that it was asked to end is nowhere on disk. */
    const bool replaced = p != NULL && concurrency_must_replace(p);
    const struct run run = {.id = id,
                            .pipeline = p,
                            .attempt = attempt,
                            .event = event,
                            .root = event,
                            .started_at = started_at,
                            .replaced = replaced};
    const struct run_result r = {
        .run = id,
        .status = replaced ? RUN_CANCELLED : RUN_FAILED,
        .error = SLICE("interrupted"),
        .interrupted = true,
    };
    end_or_repeat(e, now, RUN_RUNNING, &run, &r);
}

/* ---- cancelling ---- */

/* A worker outside learns it when it asks for more time or reports its result. */
static enum cancel_result cancel_leased(struct engine *e, struct now now, struct run *run,
                                        struct ticket *t)
{
    const struct run_result r = {
        .run = run->id, .status = RUN_CANCELLED, .error = SLICE("cancelled")};
    ends_attempt(e, now, run, &r, t);
    return CANCEL_DONE;
}

static void ask_to_end(struct engine *e, struct run *r)
{
    if (!r->cancelled) {
        r->cancelled = true;
        r->pipeline->ending++;
        undo_add(e, UNDO_CANCEL)->run = r;
    }
    emit(e, EFFECT_CANCEL_RUN)->cancel_run = r->id;
}

void ends_undo_cancel(struct engine *e, struct now now, struct undo *u)
{
    u->run->cancelled = u->run->replaced = false;
    u->run->pipeline->ending--;
}

static enum cancel_result cancel_running(struct engine *e, struct now now, struct run *r,
                                         struct ticket *t)
{
    if (r->lease != NULL)
        return cancel_leased(e, now, r, t);
    ask_to_end(e, r);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return CANCEL_STARTED;
}

static void cancel_pending(struct engine *e, struct now now, struct pipeline *p, struct uuid id,
                           uint32_t attempt)
{
    const struct run run = {.id = id, .pipeline = p, .attempt = attempt, .started_at = WALL_UNSET};
    const struct run_result r = {.run = id, .status = RUN_CANCELLED, .error = SLICE("cancelled")};
    ends_pending(e, now, p, &run, &r);
}

void ends_replace(struct engine *e, struct now now, struct run *run)
{
    CHECK(!run->cancelled);
    run->replaced = true;
    if (run->lease != NULL)
        cancel_leased(e, now, run, NULL);
    else
        ask_to_end(e, run);
}

enum cancel_result engine_cancel(struct engine *e, struct now now, struct uuid run,
                                 struct ticket *t)
{
    struct run *r;
    HASH_FIND(hh, e->runs, &run, sizeof(run), r);
    if (r == NULL) {
        e->lookups++;
        return CANCEL_UNKNOWN;
    }
    return cancel_running(e, now, r, t);
}

enum cancel_result engine_cancel_looked_up(struct engine *e, struct now now, struct pipeline *p,
                                           struct uuid run, uint32_t attempt, struct ticket *t)
{
    struct run *r;
    HASH_FIND(hh, e->runs, &run, sizeof(run), r);
    enum cancel_result result = CANCEL_UNKNOWN;
    if (r != NULL) {
        result = cancel_running(e, now, r, t);
    } else if (p != NULL && queue_is_certain(e, run)) {
        cancel_pending(e, now, p, run, attempt);
        emit_reply(e, t, UUID_NIL, NULL, 0);
        result = CANCEL_DONE;
    }
    queue_looked_up(e);
    return result;
}
