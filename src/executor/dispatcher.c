#include "executor/dispatcher.h"
#include "base/check.h"
#include "base/mem.h"
#include "executor/job.h"
#include "io/curl/outbound.h"
#include "io/process/process.h"
#include <stdlib.h>

struct dispatcher {
    struct host *host;
    struct spawner *spawner;
    struct outbound *outbound;
    struct job *jobs; /* by run */
    bool silent;      /* the daemon exits: ends are not reported any more */
    void (*closed)(void *arg);
    void *arg;
};

struct dispatcher *dispatcher_create(struct host *h)
{
    struct dispatcher *d = mem_zalloc(sizeof(*d));
    d->host = h;
    d->spawner = spawner_create(h->loop, h->timers);
    d->outbound = outbound_create(h->loop, h->timers);
    return d;
}

struct spawner *dispatcher_spawner(struct dispatcher *d)
{
    return d->spawner;
}

struct outbound *dispatcher_outbound(struct dispatcher *d)
{
    return d->outbound;
}

size_t dispatcher_running(const struct dispatcher *d)
{
    return HASH_COUNT(d->jobs);
}

static struct job *find(const struct dispatcher *d, struct uuid run)
{
    struct job *j;
    HASH_FIND(hh, d->jobs, &run, sizeof(run), j);
    return j;
}

struct run_log *dispatcher_log(struct dispatcher *d, struct uuid run)
{
    struct job *j = find(d, run);
    return j != NULL ? j->log : NULL;
}

bool dispatcher_steps(struct dispatcher *d, struct uuid run, struct str *ret)
{
    struct job *j = find(d, run);
    return j != NULL && job_add_steps(j, false, ret);
}

/* ---- what executors call ---- */

void execution_init(struct execution *x, const struct executor_type *type, struct dispatcher *d,
                    const struct run_start *s)
{
    struct job *j = find(d, s->run);
    CHECK(j != NULL && j->execution == NULL);
    x->type = type;
    x->dispatcher = d;
    x->run = s->run;
    x->job = j;
    j->execution = x;
}

void execution_log(struct execution *x, int fd, struct slice bytes)
{
    struct host *h = x->dispatcher->host;
    if (run_log_add(x->job->log, fd, bytes, h->now(h).wall))
        h->run_news(h, x->run, x->job->log);
}

void execution_ended(struct execution *x, const struct run_result *r)
{
    CHECK(x->job->execution == x);
    job_step_ended(x->job, r);
}

void execution_handed_over(struct execution *x)
{
    struct job *j = x->job;
    CHECK(j->execution == x && j->steps.count == 1);
    j->execution = NULL;
    HASH_DEL(x->dispatcher->jobs, j);
    job_destroy(j);
}

struct host *execution_host(const struct execution *x)
{
    return x->dispatcher->host;
}

/* ---- starting and ending ---- */

void dispatcher_start(struct dispatcher *d, const struct run_start *s)
{
    CHECK(find(d, s->run) == NULL);
    struct job *j = job_create(d, d->host, s);
    HASH_ADD(hh, d->jobs, run, sizeof(j->run), j);
    job_begin(j);
}

void dispatcher_job_ended(struct job *j, const struct run_result *r)
{
    struct dispatcher *d = j->dispatcher;
    HASH_DEL(d->jobs, j);
    if (!d->silent)
        d->host->run_finished(d->host, r);
    job_destroy(j);
}

bool dispatcher_cancel(struct dispatcher *d, struct uuid run)
{
    struct job *j = find(d, run);
    if (j == NULL)
        return false;
    job_stop(j, JOB_CANCELLED);
    return true;
}

void dispatcher_interrupt(struct dispatcher *d)
{
    struct job *j, *next;
    HASH_ITER (hh, d->jobs, j, next)
        job_stop(j, JOB_INTERRUPTED);
}

void dispatcher_kill(struct dispatcher *d)
{
    struct job *j, *next;
    d->silent = true;
    HASH_ITER (hh, d->jobs, j, next)
        job_kill(j);
}

static void outbound_closed(void *arg)
{
    struct dispatcher *d = arg;
    void (*closed)(void *) = d->closed;
    void *closed_arg = d->arg;
    free(d);
    closed(closed_arg);
}

static void spawner_closed(void *arg)
{
    struct dispatcher *d = arg;
    outbound_close(d->outbound, outbound_closed, d);
}

void dispatcher_close(struct dispatcher *d, void (*closed)(void *arg), void *arg)
{
    CHECK(d->jobs == NULL);
    d->closed = closed;
    d->arg = arg;
    spawner_close(d->spawner, spawner_closed, d);
}
