#include "app/host.h"
#include "app/follow.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "io/loop/timers.h"
#include "io/store/query.h"
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

/* A result that could not be written is handed in again after this long. */
#define RESULT_RETRY_MS 500

static struct app_host *app_host(struct host *h)
{
    return container_of(h, struct app_host, host);
}

static struct now host_now(struct host *h)
{
    return clock_now(h->loop);
}

static int host_feed(struct host *h, const struct event *ev)
{
    if (app_host(h)->refusing)
        return -EAGAIN;
    return engine_feed(h->engine, clock_now(h->loop), ev);
}

static int host_publish(struct host *h, const struct event *ev, const struct slice *payloads,
                        size_t n)
{
    if (app_host(h)->refusing)
        return -EAGAIN;
    return engine_publish(h->engine, clock_now(h->loop), ev, payloads, n);
}

static bool host_pipeline_exists(struct host *h, struct slice path)
{
    return catalog_pipeline_at(engine_catalog(h->engine), path) != NULL;
}

static void host_clock_stepped(struct host *h)
{
    engine_clock_stepped(h->engine, clock_now(h->loop));
}

static bool host_zone_exists(struct host *h, struct slice path)
{
    return catalog_zone_at(engine_catalog(h->engine), path) != NULL;
}

static int host_keep_log(struct host *h, struct uuid run, uint32_t attempt, uint64_t at,
                         struct slice text)
{
    return engine_keep_log(h->engine, run, attempt, at, text);
}

static void host_confirm(struct host *h, struct ticket *t)
{
    engine_confirm(h->engine, t);
}

static int host_read(struct host *h, struct read_job *j)
{
    if (app_host(h)->refusing)
        return -ECANCELED;
    return reader_post(app_host(h)->reader, j);
}

/* ---- who waits for a run ---- */

struct run_waiters {
    struct uuid run;
    struct run_waiter *list;
    UT_hash_handle hh;
};

static struct run_waiters *find_waiters(const struct app_host *h, struct uuid run)
{
    struct run_waiters *w;
    HASH_FIND(hh, h->waiters, &run, sizeof(run), w);
    return w;
}

static void host_await_run(struct host *host, struct run_waiter *w)
{
    struct app_host *h = app_host(host);
    struct run_waiters *all = find_waiters(h, w->run);
    if (all == NULL) {
        all = mem_zalloc(sizeof(*all));
        all->run = w->run;
        HASH_ADD(hh, h->waiters, run, sizeof(all->run), all);
    }
    DL_APPEND(all->list, w);
}

static void drop_waiters(struct app_host *h, struct run_waiters *all)
{
    HASH_DEL(h->waiters, all);
    free(all);
}

static void host_await_cancel(struct host *host, struct run_waiter *w)
{
    struct app_host *h = app_host(host);
    struct run_waiters *all = find_waiters(h, w->run);
    if (all == NULL || w->prev == NULL)
        return;
    DL_DELETE(all->list, w);
    w->prev = w->next = NULL;
    if (all->list == NULL)
        drop_waiters(h, all);
}

static void tell(struct app_host *h, struct run_waiters *all, const struct run_result *r,
                 uint64_t duration_ms)
{
    while (all->list != NULL) {
        struct run_waiter *w = all->list;
        DL_DELETE(all->list, w);
        w->prev = w->next = NULL;
        w->ended(w, r, duration_ms);
    }
    drop_waiters(h, all);
}

void host_run_ended(struct app_host *h, const struct effect_move_run *r)
{
    struct run_waiters *all = find_waiters(h, r->id);
    if (all == NULL)
        return;
    const struct run_result result = {
        .run = r->id, .status = r->status, .output = r->output, .error = r->error, .log = r->log};
    bool timed = wall_is_set(r->started_at) && r->finished_at.ms > r->started_at.ms;
    tell(h, all, &result, timed ? (uint64_t)(r->finished_at.ms - r->started_at.ms) : 0);
}

void host_abandon_waiters(struct app_host *h)
{
    while (h->waiters != NULL) /* who is told may stop to wait for other runs */
        tell(h, h->waiters, NULL, 0);
}

/* ---- runs that the store has ended ---- */

/* A look at the rows of all runs that somebody waits for. */
struct recheck {
    struct read_job job;
    struct app_host *host;
    struct slice why; /* static memory */
    size_t count;
    struct run_row rows[]; /* the ids are ours; the rest is the reader's until it is done */
};

static void recheck_work(struct read_job *j, struct db *db)
{
    struct recheck *c = container_of(j, struct recheck, job);
    for (size_t i = 0; i < c->count; i++)
        if (query_run_row(db, c->rows[i].id, &c->rows[i]) != 0)
            c->rows[i].status = RUN_PENDING; /* nothing is known about it */
}

static void recheck_done(struct read_job *j, int err)
{
    struct recheck *c = container_of(j, struct recheck, job);
    for (size_t i = 0; err == 0 && i < c->count; i++) {
        struct run_waiters *all = find_waiters(c->host, c->rows[i].id);
        const struct run_result r = {
            .run = c->rows[i].id, .status = RUN_CANCELLED, .error = c->why};
        if (all != NULL && c->rows[i].status == RUN_CANCELLED)
            tell(c->host, all, &r, 0);
    }
    free(c);
}

/* Pending runs are on disk only, so the engine cannot say which ones went. When the readers are too busy to look,
 * those who wait learn it from their own deadline. */
void host_pending_dropped(struct app_host *h, struct slice why)
{
    const size_t n = HASH_COUNT(h->waiters);
    if (n == 0)
        return;
    struct recheck *c = mem_zalloc(sizeof(*c) + n * sizeof(c->rows[0]));
    c->job = (struct read_job){.work = recheck_work, .done = recheck_done};
    c->host = h;
    c->why = why;
    struct run_waiters *all, *tmp;
    HASH_ITER (hh, h->waiters, all, tmp)
        c->rows[c->count++].id = all->run;
    if (host_read(&h->host, &c->job) < 0)
        free(c);
}

/* ---- results ---- */

/* An ended attempt, kept until its record is on disk: when the disk is full it is handed in again and again. */
struct kept_result {
    struct ticket ticket;
    struct timer again;
    struct app_host *host;
    struct run_result result; /* its texts are ours */
    struct kept_result *prev, *next;
};

static struct slice keep(struct slice s)
{
    return s.p == NULL ? s : (struct slice){mem_dup(s.p, s.len), s.len};
}

static void result_destroy(struct kept_result *k)
{
    DL_DELETE(k->host->results, k);
    timer_cancel(k->host->host.timers, &k->again);
    free((char *)k->result.output.p);
    free((char *)k->result.error.p);
    free((char *)k->result.log.p);
    free((char *)k->result.steps.p);
    free(k);
}

/* A run that is not known any more has been ended by its callback, which was faster: that is certain when it is on disk. */
static void hand_in(struct kept_result *k)
{
    struct host *h = &k->host->host;
    if (!engine_finish(h->engine, clock_now(h->loop), &k->result, &k->ticket))
        engine_confirm(h->engine, &k->ticket);
}

static void result_written(struct ticket *t, const struct outcome *o)
{
    struct kept_result *k = container_of(t, struct kept_result, ticket);
    if (o->err == 0)
        result_destroy(k);
    else
        timer_set(k->host->host.timers, &k->again, RESULT_RETRY_MS);
}

static void result_again(struct timer *t)
{
    hand_in(container_of(t, struct kept_result, again));
}

static void host_run_finished(struct host *host, const struct run_result *r)
{
    struct kept_result *k = mem_zalloc(sizeof(*k));
    *k = (struct kept_result){
        .ticket.done = result_written,
        .again.fired = result_again,
        .host = app_host(host),
        .result = *r,
    };
    k->result.output = keep(r->output);
    k->result.error = keep(r->error);
    k->result.log = keep(r->log);
    k->result.steps = keep(r->steps);
    DL_APPEND(k->host->results, k);
    hand_in(k);
}

/* ---- life ---- */

void host_init(struct app_host *h, uv_loop_t *loop, struct timers *timers, struct engine *engine,
               struct reader *reader, const char *public_url)
{
    *h = (struct app_host){
        .host =
            {
                .loop = loop,
                .timers = timers,
                .engine = engine,
                .public_url = public_url,
                .now = host_now,
                .feed = host_feed,
                .publish = host_publish,
                .pipeline_exists = host_pipeline_exists,
                .clock_stepped = host_clock_stepped,
                .zone_exists = host_zone_exists,
                .read = host_read,
                .await_run = host_await_run,
                .await_cancel = host_await_cancel,
                .keep_log = host_keep_log,
                .confirm = host_confirm,
                .run_finished = host_run_finished,
            },
        .reader = reader,
    };
    follow_init(h);
}

const struct run_result *host_kept_result(const struct app_host *h, struct uuid run)
{
    const struct kept_result *k;
    DL_FOREACH (h->results, k)
        if (uuid_cmp(k->result.run, run) == 0)
            return &k->result;
    return NULL;
}

bool host_has_results(const struct app_host *h)
{
    return h->results != NULL;
}

void host_refuse(struct app_host *h)
{
    h->refusing = true;
}

void host_deinit(struct app_host *h)
{
    struct kept_result *k, *tmp;
    DL_FOREACH_SAFE (h->results, k, tmp)
        result_destroy(k);
    CHECK(h->waiters == NULL && h->followed == NULL);
}
