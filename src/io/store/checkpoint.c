#include "io/store/checkpoint.h"
#include "base/check.h"

static void pass_done(struct worker_job *job, bool cancelled);
static void rest_done(struct worker_job *job, bool cancelled);

static void copy(struct checkpoint *c, struct db *db)
{
    c->frames = c->copied = 0;
    c->rc = db == NULL ? SQLITE_CANTOPEN
                       : sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                                   &c->frames, &c->copied);
}

static void pass_work(struct worker_job *job, void *thread_state)
{
    copy(container_of(job, struct checkpoint, job), thread_state);
}

static void rest_work(struct worker_job *job, void *thread_state)
{
    struct checkpoint *c = container_of(job, struct checkpoint, job);
    copy(c, c->db);
}

static void post(struct checkpoint *c, struct worker *w, struct worker_job job)
{
    c->job = job;
    c->running = worker_post(w, &c->job) == 0;
}

static void post_pass(struct checkpoint *c)
{
    c->passes++;
    post(c, c->background, (struct worker_job){.work = pass_work, .done = pass_done});
}

/* A pass that failed is followed by the writer's all the same: it may fare better, and if not, the
 * log waits until it has grown by as much again. */
static void pass_done(struct worker_job *job, bool cancelled)
{
    struct checkpoint *c = container_of(job, struct checkpoint, job);
    c->running = false;
    if (cancelled || c->closing)
        return;
    const bool copied = c->rc == SQLITE_OK && (uint64_t)c->copied <= c->log_frames;
    const uint64_t left = copied ? c->log_frames - (uint64_t)c->copied : 0;
    if (copied && left > CHECKPOINT_REST && c->passes < CHECKPOINT_PASSES_MAX)
        post_pass(c);
    else
        post(c, c->writer, (struct worker_job){.work = rest_work, .done = rest_done});
}

static void rest_done(struct worker_job *job, bool cancelled)
{
    struct checkpoint *c = container_of(job, struct checkpoint, job);
    c->running = false;
    c->passes = 0;
    const bool whole = c->rc == SQLITE_OK && c->copied == c->frames;
    c->next_at = whole ? CHECKPOINT_FRAMES : c->log_frames + CHECKPOINT_FRAMES;
}

void checkpoint_init(struct checkpoint *c, struct worker *writer, struct worker *background,
                     struct db *db)
{
    *c = (struct checkpoint){
        .writer = writer, .background = background, .db = db, .next_at = CHECKPOINT_FRAMES};
}

void checkpoint_committed(struct checkpoint *c, uint64_t log_frames)
{
    if (log_frames < c->log_frames)
        c->next_at = CHECKPOINT_FRAMES; /* it was started over */
    c->log_frames = log_frames;
    if (!c->running && !c->closing && log_frames >= c->next_at)
        post_pass(c);
}

bool checkpoint_is_passing(const struct checkpoint *c)
{
    return c->running && c->job.work == pass_work;
}
