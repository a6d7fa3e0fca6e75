#include "io/store/journal.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/loop/worker.h"
#include "io/store/checkpoint.h"
#include "io/store/retention.h"
#include "io/store/sweep.h"
#include <stdlib.h>

/* Jobs that may wait for the writer: a batch, a checkpoint's rest, a retention step, a sweep's step, the end. */
#define WRITER_WAITING_MAX 8
#define BACKGROUND_WAITING_MAX 8

struct journal {
    uv_loop_t *loop;
    struct db *db; /* the writer thread's from here on */
    struct worker *writer, *background;
    struct checkpoint checkpoint;
    bool closing;

    journal_committed committed;
    void *arg;
    void (*closed)(void *arg);
    void *closed_arg;
    struct journal_stats stats;

    bool busy;
    bool retaining, retain_again;
    struct retention retention;
    struct wall retention_now;

    /* the writer's while a commit is out */
    struct worker_job commit;
    struct batch *batch;
    int commit_err;
    uint64_t commit_us, log_frames;

    /* the thread's while a retention job is out */
    struct worker_job retain;
    struct retention_plan plan;
    int retain_err;

    bool sweeping;
    struct worker_job sweep; /* the writer's while a step is out */
    bool sweep_more;
    int sweep_err;
    uint64_t sweep_frames;

    struct worker_job end;
};

/* ---- commits ---- */

static void commit_work(struct worker_job *job, void *thread_state)
{
    struct journal *j = container_of(job, struct journal, commit);
    const uint64_t begin = uv_hrtime();
    j->commit_err = journal_write(j->db, j->batch);
    j->commit_us = (uv_hrtime() - begin) / 1000;
    j->log_frames = j->db->wal_frames;
}

static void count(struct journal *j, const struct batch *b)
{
    if (b->record_count == 0)
        return;
    j->stats.last_err = j->commit_err;
    j->stats.commit_us_sum += j->commit_us;
    j->stats.wal_bytes = j->log_frames * 4096;
    if (j->commit_err == 0) {
        j->stats.commits++;
        j->stats.records += b->record_count;
    } else {
        j->stats.failures++;
    }
}

static void commit_done(struct worker_job *job, bool cancelled)
{
    struct journal *j = container_of(job, struct journal, commit);
    struct batch *b = j->batch;
    CHECK(!cancelled);
    j->busy = false;
    j->batch = NULL;
    count(j, b);
    checkpoint_committed(&j->checkpoint, j->log_frames);
    j->committed(j->arg, b, j->commit_err); /* may call anything of ours */
}

bool journal_busy(const struct journal *j)
{
    return j->busy;
}

void journal_commit(struct journal *j, struct batch *b)
{
    CHECK(!j->busy && !j->closing);
    j->busy = true;
    j->batch = b;
    j->commit = (struct worker_job){.work = commit_work, .done = commit_done};
    CHECK(worker_post(j->writer, &j->commit) == 0);
}

struct journal_stats journal_stats(const struct journal *j)
{
    return j->stats;
}

/* ---- retention: plan in the background, then step after step between batches ---- */

static void step_done(struct worker_job *job, bool cancelled);

static void plan_work(struct worker_job *job, void *thread_state)
{
    struct journal *j = container_of(job, struct journal, retain);
    j->retain_err = thread_state == NULL
                        ? -1
                        : retention_plan(thread_state, &j->retention, j->retention_now, &j->plan);
}

static void step_work(struct worker_job *job, void *thread_state)
{
    struct journal *j = container_of(job, struct journal, retain);
    j->retain_err = retention_step(j->db, &j->plan);
}

static void begin_retaining(struct journal *j)
{
    j->retain_again = false;
    j->retain = (struct worker_job){.work = plan_work, .done = step_done};
    j->retaining = worker_post(j->background, &j->retain) == 0;
}

static void step_done(struct worker_job *job, bool cancelled)
{
    struct journal *j = container_of(job, struct journal, retain);
    j->retaining = false;
    if (cancelled || j->closing || j->retain_err != 0)
        return;
    if (j->plan.stage == RETAIN_DONE) {
        if (j->retain_again)
            begin_retaining(j);
        return;
    }
    j->retain = (struct worker_job){.work = step_work, .done = step_done};
    j->retaining = worker_post(j->writer, &j->retain) == 0;
}

void journal_retain(struct journal *j, const struct retention *r, struct wall now)
{
    journal_sweep(j); /* in case the last one failed */
    if (j->closing)
        return;
    if (j->retaining) {
        j->retain_again = true; /* what is kept may have changed behind it */
        return;
    }
    j->retention = *r;
    j->retention_now = now;
    begin_retaining(j);
}

/* ---- what deleted pipelines have left: step after step between batches ---- */

static void sweep_work(struct worker_job *job, void *thread_state)
{
    struct journal *j = container_of(job, struct journal, sweep);
    j->sweep_err = sweep_step(j->db, &j->sweep_more);
    j->sweep_frames = j->db->wal_frames;
}

static void sweep_go(struct journal *j);

/* What fails now is tried again with the next deletion, retention or start. */
static void sweep_done(struct worker_job *job, bool cancelled)
{
    struct journal *j = container_of(job, struct journal, sweep);
    j->sweeping = false;
    if (cancelled || j->closing || j->sweep_err != 0)
        return;
    checkpoint_committed(&j->checkpoint, j->sweep_frames);
    if (j->sweep_more)
        sweep_go(j);
}

static void wait_work(struct worker_job *job, void *thread_state)
{
}

static void wait_done(struct worker_job *job, bool cancelled)
{
    struct journal *j = container_of(job, struct journal, sweep);
    j->sweeping = false;
    if (!cancelled && !j->closing)
        sweep_go(j);
}

/* Steps come faster than a pass of the checkpoint copies, and what they add in the meantime holds commits up in the end: they wait
 * behind it. */
static void sweep_go(struct journal *j)
{
    const bool wait = checkpoint_is_passing(&j->checkpoint);
    j->sweep = wait ? (struct worker_job){.work = wait_work, .done = wait_done}
                    : (struct worker_job){.work = sweep_work, .done = sweep_done};
    j->sweeping = worker_post(wait ? j->background : j->writer, &j->sweep) == 0;
}

void journal_sweep(struct journal *j)
{
    if (!j->sweeping && !j->closing)
        sweep_go(j);
}

/* ---- life ---- */

static void *background_start(void *arg)
{
    const struct journal *j = arg;
    return db_open_background(j->db->dir);
}

static void background_stop(void *thread_state)
{
    db_close(thread_state);
}

struct journal *journal_create(uv_loop_t *loop, struct db *db, journal_committed committed,
                               void *arg)
{
    struct journal *j = mem_zalloc(sizeof(*j));
    *j = (struct journal){.loop = loop, .db = db, .committed = committed, .arg = arg};
    const struct worker_options writer = {
        .name = "journal", .threads = 1, .waiting_max = WRITER_WAITING_MAX};
    const struct worker_options background = {
        .name = "checkpoint",
        .threads = 1,
        .waiting_max = BACKGROUND_WAITING_MAX,
        .thread_start = background_start,
        .thread_stop = background_stop,
        .arg = j,
    };
    j->writer = worker_create(loop, &writer);
    j->background = worker_create(loop, &background);
    checkpoint_init(&j->checkpoint, j->writer, j->background, db);
    return j;
}

static void writer_closed(void *arg)
{
    struct journal *j = arg;
    void (*closed)(void *arg) = j->closed;
    void *closed_arg = j->closed_arg;
    free(j);
    closed(closed_arg);
}

/* Closing the last connection copies the whole log and removes it. */
static void end_work(struct worker_job *job, void *thread_state)
{
    struct journal *j = container_of(job, struct journal, end);
    sqlite3_wal_checkpoint_v2(j->db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    db_close(j->db);
    j->db = NULL;
}

static void end_done(struct worker_job *job, bool cancelled)
{
    struct journal *j = container_of(job, struct journal, end);
    worker_close(j->writer, writer_closed, j);
}

static void background_closed(void *arg)
{
    struct journal *j = arg;
    j->end = (struct worker_job){.work = end_work, .done = end_done};
    CHECK(worker_post(j->writer, &j->end) == 0);
}

void journal_close(struct journal *j, void (*closed)(void *arg), void *arg)
{
    CHECK(!j->busy && !j->closing);
    j->closing = j->checkpoint.closing = true;
    j->closed = closed;
    j->closed_arg = arg;
    worker_close(j->background, background_closed, j);
}
