#include "io/store/reader.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/loop/worker.h"
#include "io/store/db.h"
#include <errno.h>
#include <stdlib.h>

struct reader {
    struct worker *worker;
    char *dir;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* One read_job on its way. */
struct reading {
    struct worker_job job;
    struct read_job *read;
    bool opened;
};

/* A thread's connection. One that could not be opened is tried again by the next job. */
struct connection {
    const char *dir;
    struct db *db;
};

static void *thread_start(void *arg)
{
    const struct reader *r = arg;
    struct connection *c = mem_zalloc(sizeof(*c));
    c->dir = r->dir;
    return c;
}

static void thread_stop(void *thread_state)
{
    struct connection *c = thread_state;
    db_close(c->db);
    free(c);
}

static void work(struct worker_job *job, void *thread_state)
{
    struct reading *g = container_of(job, struct reading, job);
    struct connection *c = thread_state;
    struct diag why;
    if (c->db == NULL)
        c->db = db_open_reader(c->dir, &why);
    g->opened = c->db != NULL;
    if (g->opened)
        g->read->work(g->read, c->db);
}

static void done(struct worker_job *job, bool cancelled)
{
    struct reading *g = container_of(job, struct reading, job);
    struct read_job *read = g->read;
    const int err = cancelled ? -ECANCELED : g->opened ? 0 : -EIO;
    free(g);
    read->done(read, err);
}

struct reader *reader_create(uv_loop_t *loop, const char *dir)
{
    struct reader *r = mem_zalloc(sizeof(*r));
    r->dir = mem_strdup(dir);
    const struct worker_options opt = {
        .name = "reader",
        .threads = READER_THREADS,
        .waiting_max = READER_WAITING_MAX,
        .thread_start = thread_start,
        .thread_stop = thread_stop,
        .arg = r,
    };
    r->worker = worker_create(loop, &opt);
    return r;
}

int reader_post(struct reader *r, struct read_job *j)
{
    struct reading *g = mem_zalloc(sizeof(*g));
    *g = (struct reading){.job = {.work = work, .done = done}, .read = j};
    const int err = worker_post(r->worker, &g->job);
    if (err != 0)
        free(g);
    return err;
}

static void worker_closed(void *arg)
{
    struct reader *r = arg;
    void (*closed)(void *arg) = r->closed;
    void *closed_arg = r->closed_arg;
    free(r->dir);
    free(r);
    closed(closed_arg);
}

void reader_close(struct reader *r, void (*closed)(void *arg), void *arg)
{
    r->closed = closed;
    r->closed_arg = arg;
    worker_close(r->worker, worker_closed, r);
}
