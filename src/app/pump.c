#include "app/pump.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "io/secret/lease.h"
#include "io/store/db.h"
#include "io/store/query.h"
#include <stdlib.h>
#include <string.h>

/* ---- the durable queue: pending runs are read off the loop ---- */

struct fetch {
    struct read_job job;
    struct pump *pump;
    struct pipeline *pipeline; /* alive until engine_offer */
    int64_t pipeline_key;
    struct wall now;
    uint32_t count_max;
    bool leased;
    struct arena arena; /* the reader's while it works */
    struct offered_run *runs;
    size_t run_count;
    struct wall next_due;
    int err;
};

static void fetch_work(struct read_job *j, struct db *db)
{
    struct fetch *f = container_of(j, struct fetch, job);
    f->err = query_pending(db, f->pipeline_key, f->now, f->count_max, &f->arena, f->runs,
                           &f->run_count, &f->next_due);
    for (size_t i = 0; f->leased && f->err == 0 && i < f->run_count; i++)
        lease_token_make(&f->runs[i].token, &f->runs[i].hash);
}

static void fetch_done(struct read_job *j, int err)
{
    struct fetch *f = container_of(j, struct fetch, job);
    struct pump *p = f->pump;
    if (err == 0)
        err = f->err;
    if (err != 0 && err != -ECANCELED)
        log_error("cannot read pending runs, trying again", LOG_STR("pipeline", f->pipeline->path),
                  LOG_STR("error", db_strerror(err)));
    engine_offer(p->engine, p->host->now(p->host), f->pipeline, f->runs,
                 err == 0 ? f->run_count : 0, f->next_due, err);
    arena_release(&f->arena);
    free(f->runs);
    free(f);
}

static void fetch_runs(struct pump *p, const struct effect_fetch_runs *e)
{
    struct fetch *f = mem_zalloc(sizeof(*f));
    *f = (struct fetch){
        .job = {.work = fetch_work, .done = fetch_done},
        .pump = p,
        .pipeline = e->pipeline,
        .pipeline_key = e->pipeline->key,
        .now = p->host->now(p->host).wall,
        .count_max = e->count_max,
        .leased = e->leased,
        .runs = mem_zalloc(e->count_max * sizeof(struct offered_run)),
        .next_due = WALL_UNSET,
    };
    int err = p->host->read(p->host, &f->job);
    if (err != 0)
        fetch_done(&f->job, err);
}

/* ---- deeds ---- */

static void carry_out(struct pump *p, const struct effect *f)
{
    switch (f->type) {
    case EFFECT_START_RUN:
        dispatcher_start(p->dispatcher, &f->start_run);
        break;
    case EFFECT_CANCEL_RUN:
        dispatcher_cancel(p->dispatcher, f->cancel_run);
        break;
    case EFFECT_FETCH_RUNS:
        fetch_runs(p, &f->fetch_runs);
        break;
    case EFFECT_PUT_PIPELINE:
        dispatcher_provide(p->dispatcher, f->put_pipeline.key, f->put_pipeline.path,
                           f->put_pipeline.version, f->put_pipeline.spec);
        break;
    case EFFECT_DROP_PIPELINE:
        dispatcher_withdraw(p->dispatcher, f->drop.key);
        p->pending_dropped(p, SLICE("its pipeline was deleted"));
        journal_sweep(p->journal);
        break;
    case EFFECT_DROP_PENDING:
        p->pending_dropped(p, SLICE(RUN_REPLACED));
        break;
    case EFFECT_ARM:
        if (p->host->zones != NULL)
            p->host->zones->changed(p->host->zones);
        if (p->host->topics != NULL)
            p->host->topics->changed(p->host->topics);
        break;
    case EFFECT_MOVE_RUN:
        p->run_moved(p, &f->move_run);
        break;
    case EFFECT_ARK_CHANGED:
        if (p->host->arks != NULL)
            p->host->arks->changed(p->host->arks, &f->ark_changed);
        break;
    case EFFECT_RUN_ENDED:
        p->run_ended(p, &f->run_ended);
        break;
    case EFFECT_LEASE_RUN:
        f->lease_run.ticket->leased(f->lease_run.ticket, &f->lease_run.lease);
        break;
    case EFFECT_CLAIM_DONE:
        f->claim_done.ticket->done(f->claim_done.ticket, f->claim_done.err);
        break;
    case EFFECT_REPLY:
        f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
        break;
    default:
        CHECK(EFFECT_IS_RECORD(f->type));
    }
}

static void wake_when_due(struct pump *p)
{
    uint64_t at = engine_wake_at(p->engine).ms;
    if (at == p->alarm_at && (at == UINT64_MAX || wheel_is_set(&p->alarm.w)))
        return;
    p->alarm_at = at;
    if (at == UINT64_MAX) {
        timer_cancel(p->host->timers, &p->alarm);
        return;
    }
    uint64_t now = p->host->now(p->host).mono.ms;
    timer_set(p->host->timers, &p->alarm, at > now ? at - now : 0);
}

/* ---- when a batch goes out ----
 *
 * As a rule at once when the journal is free: while it syncs, the next batch fills by itself. With many short runs under way that rule
 * makes many small syncs, which cost the cores that the runs need. Then a small batch waits a moment for company:
 * only if there are enough runs to come, enough records have come lately, and for a millisecond at most.
 */
#define BATCH_RECORDS_GOOD 16
#define COMPANY_RUNS_MIN 8    /* carried out at this moment */
#define COMPANY_RECORDS_MIN 8 /* in the last COMPANY_MS */
#define COMPANY_MS 4
#define WAIT_MS 1

static void note_pace(struct pump *p, size_t records)
{
    const uint64_t ms = p->host->now(p->host).mono.ms;
    if (ms - p->pace_since >= COMPANY_MS) {
        p->pace_before = ms - p->pace_since < 2 * COMPANY_MS ? p->pace : 0;
        p->pace = 0;
        p->pace_since = ms;
    }
    p->pace += records;
}

static bool company_will_come(const struct pump *p, size_t filled)
{
    const uint64_t running = engine_stats(p->engine).running;
    return running >= COMPANY_RUNS_MIN && filled < running / 2 &&
           p->pace + p->pace_before >= COMPANY_RECORDS_MIN;
}

/* Whether the batch that is filling had better wait; sees to it that the loop wakes up again in time. */
static bool better_waits(struct pump *p)
{
    const size_t filled = engine_filled(p->engine);
    const uint64_t ms = p->host->now(p->host).mono.ms;
    if (filled == 0 || filled >= BATCH_RECORDS_GOOD || !company_will_come(p, filled))
        return false;
    if (p->waits_since == 0) {
        p->waits_since = ms;
        timer_set(p->host->timers, &p->wait_over, WAIT_MS);
    }
    return ms - p->waits_since < WAIT_MS;
}

static void wait_over(struct timer *t)
{
    /* before_sleep() follows */
}

static void hand_over(struct pump *p)
{
    if (journal_busy(p->journal) || better_waits(p))
        return;
    struct batch *b = engine_take(p->engine);
    if (b == NULL)
        return;
    p->waits_since = 0;
    timer_cancel(p->host->timers, &p->wait_over);
    note_pace(p, b->record_count);
    journal_commit(p->journal, b);
}

void pump_committed(void *pump, struct batch *b, int err)
{
    struct pump *p = pump;
    engine_settle(p->engine, p->host->now(p->host), b, err);
    if (engine_filled(p->engine) >= BATCH_RECORDS_GOOD)
        hand_over(p);
    for (const struct effect *next, *f = b->first; f != NULL; f = next) {
        next = f->next;
        carry_out(p, f);
    }
    engine_recycle(p->engine, b);
    p->settled(p, err);
}

static void before_sleep(uv_prepare_t *h)
{
    struct pump *p = h->data;
    hand_over(p);
    wake_when_due(p);
}

static void alarm_fired(struct timer *t)
{
    struct pump *p = container_of(t, struct pump, alarm);
    engine_tick(p->engine, p->host->now(p->host));
}

void pump_start(struct pump *p)
{
    p->alarm.fired = alarm_fired;
    p->wait_over.fired = wait_over;
    p->alarm_at = UINT64_MAX;
    CHECK(uv_prepare_init(p->host->loop, &p->before_sleep) == 0);
    p->before_sleep.data = p;
    CHECK(uv_prepare_start(&p->before_sleep, before_sleep) == 0);
    uv_unref((uv_handle_t *)&p->before_sleep);
    engine_tick(p->engine, p->host->now(p->host));
    journal_sweep(p->journal); /* a stop may have come in between */
}

bool pump_idle(const struct pump *p)
{
    return engine_is_idle(p->engine) && !journal_busy(p->journal);
}

void pump_close(struct pump *p, void (*closed)(uv_handle_t *h))
{
    timer_cancel(p->host->timers, &p->alarm);
    timer_cancel(p->host->timers, &p->wait_over);
    uv_close((uv_handle_t *)&p->before_sleep, closed);
}
