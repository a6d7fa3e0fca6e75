/* lease.c - runs that workers outside carry out: how long they may, and what they report.
 *
 * An executor may hand a run over to somebody outside, too: it is promised to whoever has the token, and entrusted to him when he
 * has accepted. A lease ends with the attempt: by the worker's report, by a cancellation, or because nobody asked for more time. It counts until
 * it is taken back, even when that is a moment late.
 */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <stdio.h>
#include <stdlib.h>

static const struct lease_hash no_token;

static bool is_hash(struct lease_hash a, struct lease_hash b)
{
    uint8_t diff = 0; /* in constant time */
    for (size_t i = 0; i < sizeof(a.b); i++)
        diff |= a.b[i] ^ b.b[i];
    return diff == 0;
}

static void set_end(struct lease *l, struct now now, uint64_t ms)
{
    l->ends_at.ms = now.mono.ms + ms;
    l->expires_at.ms = now.wall.ms + (int64_t)ms;
}

struct lease *lease_make(struct now now, struct lease_hash hash, uint64_t ms)
{
    struct lease *l = mem_zalloc(sizeof(*l));
    l->time.tag = DEADLINE_LEASE;
    l->hash = hash;
    l->ms = ms;
    set_end(l, now, ms);
    return l;
}

void lease_arm(struct engine *e, struct lease *l)
{
    /* What could not be written when it was over is tried again after the stall, not at once. */
    uint64_t at = l->ends_at.ms > e->stalled_until.ms ? l->ends_at.ms : e->stalled_until.ms;
    wheel_set(&e->wheel, &l->time, at);
}

void lease_record(struct engine *e, const struct lease *l)
{
    emit(e, EFFECT_PUT_LEASE)->put_lease = (struct effect_put_lease){
        .run = l->run->id,
        .hash = l->hash,
        .expires_at = l->expires_at,
    };
}

void lease_due(struct engine *e, struct now now, struct wheel_timer *w)
{
    const struct lease *l = container_of(w, struct lease, time);
    char text[64] = "lease expired";
    if (!is_hash(l->run->promise, no_token))
        snprintf(text, sizeof(text), "no callback within %g seconds",
                 (double)((l->ms + 99) / 100) / 10);
    const struct run_result r = {.run = l->run->id, .status = RUN_FAILED, .error = slice_of(text)};
    ends_attempt(e, now, l->run, &r, NULL);
}

/* ---- what workers say ---- */

static enum lease_answer find(struct engine *e, struct uuid id, struct lease_hash hash,
                              struct run **ret)
{
    HASH_FIND(hh, e->runs, &id, sizeof(id), *ret);
    if (*ret == NULL)
        return LEASE_UNKNOWN;
    const struct lease *l = (*ret)->lease;
    const bool theirs = l != NULL ? is_hash(l->hash, hash)
                                  : is_hash((*ret)->promise, hash) && !is_hash(hash, no_token);
    return theirs ? LEASE_DONE : LEASE_REFUSED;
}

enum lease_answer engine_extend(struct engine *e, struct now now, struct uuid id,
                                struct lease_hash hash, uint64_t lease_ms, struct ticket *t,
                                struct wall *ret_expires_at)
{
    struct run *run;
    CHECK(lease_ms <= LEASE_MS_MAX);
    const enum lease_answer answer = find(e, id, hash, &run);
    if (answer != LEASE_DONE)
        return answer;
    struct lease *l = run->lease;
    if (l == NULL) { /* promised only: its time does not run yet */
        ret_expires_at->ms = now.wall.ms + (int64_t)lease_ms;
        emit_reply(e, t, UUID_NIL, NULL, 0);
        return LEASE_DONE;
    }
    struct undo *u = undo_add(e, UNDO_EXTEND);
    u->run = run;
    u->lease.ends_at = l->ends_at;
    u->lease.expires_at = l->expires_at;
    set_end(l, now, lease_ms > 0 ? lease_ms : l->ms);
    lease_arm(e, l);
    lease_record(e, l);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    *ret_expires_at = l->expires_at;
    return LEASE_DONE;
}

void lease_undo_extend(struct engine *e, struct now now, struct undo *u)
{
    struct lease *l = u->run->lease;
    l->ends_at = u->lease.ends_at;
    l->expires_at = u->lease.expires_at;
    lease_arm(e, l);
}

enum lease_answer engine_finish_leased(struct engine *e, struct now now, struct lease_hash hash,
                                       const struct run_result *r, struct ticket *t)
{
    struct run *run;
    CHECK(run_status_is_final(r->status));
    const enum lease_answer answer = find(e, r->run, hash, &run);
    if (answer != LEASE_DONE)
        return answer;
    if (run->lease == NULL)
        emit(e, EFFECT_CANCEL_RUN)->cancel_run = run->id; /* its executor need not go on */
    ends_attempt(e, now, run, r, t);
    return answer;
}

/* ---- from here to outside ---- */

bool engine_has_lease_left(const struct engine *e)
{
    return e->leased + e->reserved_leases < e->opt.leased_max;
}

void engine_promise(struct engine *e, struct uuid id, struct lease_hash hash)
{
    struct run *run;
    HASH_FIND(hh, e->runs, &id, sizeof(id), run);
    if (run != NULL && run->lease == NULL)
        run->promise = hash;
}

/* Out of the table and into it again: that is where slots are counted. */
static void change_hands(struct engine *e, struct run *run, struct lease *l)
{
    queue_unlink(e, run);
    run->lease = l;
    if (l != NULL)
        l->run = run;
    queue_relink(e, run);
}

bool engine_entrust(struct engine *e, struct now now, struct uuid id, struct lease_hash hash,
                    uint64_t ms, struct ticket *t)
{
    struct run *run;
    CHECK(ms > 0 && ms <= LEASE_MS_MAX);
    HASH_FIND(hh, e->runs, &id, sizeof(id), run);
    if (run == NULL || run->lease != NULL || run->cancelled)
        return false;
    run->promise = hash;
    change_hands(e, run, lease_make(now, hash, ms));
    undo_add(e, UNDO_ENTRUST)->run = run;
    lease_record(e, run->lease);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    queue_make_ready(e, run->pipeline);
    queue_schedule(e, now);
    return true;
}

void lease_undo_entrust(struct engine *e, struct now now, struct undo *u)
{
    struct lease *l = u->run->lease;
    change_hands(e, u->run, NULL);
    free(l);
}

/* ---- without a claim ---- */

enum lease_answer engine_report(struct engine *e, struct now now, const struct run_result *r,
                                uint64_t lease_ms, struct ticket *t)
{
    struct wall ignored;
    const enum lease_answer answer =
        r->status == RUN_RUNNING ? engine_extend(e, now, r->run, no_token, lease_ms, t, &ignored)
                                 : engine_finish_leased(e, now, no_token, r, t);
    if (answer == LEASE_UNKNOWN)
        e->lookups++;
    return answer;
}

static void report_pending(struct engine *e, struct now now, struct pipeline *p,
                           const struct run_start *s, const struct run_result *r, uint64_t lease_ms)
{
    if (r->status == RUN_RUNNING) {
        struct lease *l = lease_make(now, no_token, lease_ms);
        queue_begin(e, now, p, s, l);
        lease_record(e, l);
        return;
    }
    const struct run run = run_of(s, p);
    ends_pending(e, now, p, &run, r);
}

enum lease_answer engine_report_looked_up(struct engine *e, struct now now, struct pipeline *p,
                                          const struct run_start *s, const struct run_result *r,
                                          uint64_t lease_ms, struct ticket *t)
{
    struct run *run;
    HASH_FIND(hh, e->runs, &s->run, sizeof(s->run), run);
    enum lease_answer answer = LEASE_UNKNOWN;
    if (run != NULL) {
        answer = LEASE_REFUSED; /* somebody took it meanwhile */
    } else if (p != NULL && p->def->pull && queue_is_certain(e, s->run)) {
        report_pending(e, now, p, s, r, lease_ms);
        emit_reply(e, t, UUID_NIL, NULL, 0);
        answer = LEASE_DONE;
    }
    queue_looked_up(e);
    return answer;
}

/* ---- at start ---- */

/* How long it was given for: to the second, as what the executor took before it is not known. */
static uint64_t as_given(struct wall started_at, struct wall expires_at)
{
    const int64_t ms = (expires_at.ms - started_at.ms) / 1000 * 1000;
    return ms < 1000 ? 1000 : ms > LEASE_MS_MAX ? LEASE_MS_MAX : (uint64_t)ms;
}

void engine_recover_lease(struct engine *e, struct now now, struct pipeline *p,
                          const struct run_start *s, struct wall started_at, struct lease_hash hash,
                          struct wall expires_at)
{
    if (p == NULL) {
        emit(e, EFFECT_DROP_LEASE)->drop_lease = s->run;
        engine_recover_run(e, now, p, s->run, s->event, s->attempt, started_at);
        return;
    }
    int64_t left = expires_at.ms - now.wall.ms; /* the clock may have been set meanwhile */
    if (left < LEASE_GRACE_MS)
        left = LEASE_GRACE_MS;
    else if (left > LEASE_MS_MAX)
        left = LEASE_MS_MAX;
    struct lease *l = lease_make(now, hash, (uint64_t)left);
    l->ms = LEASE_MS_DEFAULT;
    queue_adopt(e, p, s, started_at, l);
    if (!p->def->pull) { /* an executor of ours had handed it over */
        l->run->promise = hash;
        l->run->has_log_parts = true;
        l->ms = as_given(started_at, expires_at);
    }
}
