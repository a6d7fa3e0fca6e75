#include "executor/dispatcher.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/vec.h"
#include "executor/job.h"
#include "executor/log_saver.h"
#include "io/curl/outbound.h"
#include "io/process/process.h"
#include <stdlib.h>

/* What one type keeps between runs. */
struct kept {
    const struct executor_type *type;
    void *kept;
};

struct dispatcher {
    struct host *host;
    VEC(struct kept) kept; /* in the order of their making */
    unsigned closing;      /* that have not said that they are closed */
    struct spawner *spawner;
    struct outbound *outbound;
    struct job *jobs; /* by run */
    struct plans plans;
    struct log_saver saver;
    bool silent; /* the daemon exits: ends are not reported any more */
    void (*closed)(void *arg);
    void *arg;
};

struct dispatcher *dispatcher_create(struct host *h)
{
    struct dispatcher *d = mem_zalloc(sizeof(*d));
    d->host = h;
    log_saver_init(&d->saver, h);
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

/* ---- what is kept between runs ---- */

static struct kept *find_kept(const struct dispatcher *d, const struct executor_type *t)
{
    for (size_t i = 0; i < d->kept.len; i++)
        if (d->kept.items[i].type == t)
            return &d->kept.items[i];
    return NULL;
}

void *dispatcher_kept(struct dispatcher *d, const struct executor_type *t)
{
    struct kept *k = find_kept(d, t);
    if (k == NULL) {
        vec_push(&d->kept, ((struct kept){t, t->keeper->open(d, d->host)}));
        k = &d->kept.items[d->kept.len - 1];
    }
    return k->kept;
}

static void withdraw(struct dispatcher *d, int64_t pipeline_key, uint32_t except_version)
{
    for (size_t i = 0; i < d->kept.len; i++)
        d->kept.items[i].type->keeper->withdraw(d->kept.items[i].kept, pipeline_key,
                                                except_version);
}

void dispatcher_withdraw(struct dispatcher *d, int64_t pipeline_key)
{
    withdraw(d, pipeline_key, 0);
}

void dispatcher_provide(struct dispatcher *d, int64_t pipeline_key, struct slice path,
                        uint32_t version, struct slice spec)
{
    struct run_start s = {.pipeline_key = pipeline_key, .pipeline = path, .version = version};
    struct step_list steps = {0};
    struct diag ignored;
    withdraw(d, pipeline_key, version);
    json_t *pipeline = json_parse_object(spec, &ignored);
    if (pipeline != NULL)
        steps_read(pipeline, &steps, &ignored);
    for (size_t i = 0; i < steps.count; i++) {
        const struct executor_type *t = steps.items[i].type;
        s.step_number = (uint32_t)i;
        if (t->keeper != NULL && t->keeper->provide != NULL)
            t->keeper->provide(dispatcher_kept(d, t), &s, steps.items[i].config);
    }
    steps_release(&steps);
    json_decref(pipeline);
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

static void forget(struct dispatcher *d, struct job *j)
{
    log_saver_forget(&d->saver, &j->save);
    HASH_DEL(d->jobs, j);
}

void dispatcher_job_wrote(struct job *j)
{
    log_saver_note(&j->dispatcher->saver, &j->save);
    j->host->run_news(j->host, j->run, j->log);
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
        dispatcher_job_wrote(x->job);
}

void execution_ended(struct execution *x, const struct run_result *r)
{
    CHECK(x->job->execution == x);
    job_step_ended(x->job, r);
}

void execution_handed_over(struct execution *x)
{
    struct job *j = x->job;
    CHECK(j->execution == x && j->steps->count == 1);
    j->execution = NULL;
    j->log->left = true;
    forget(x->dispatcher, j);
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
    struct job *j = job_create(d, d->host, s, plans_get(&d->plans, s->spec));
    HASH_ADD(hh, d->jobs, run, sizeof(j->run), j);
    job_begin(j);
}

void dispatcher_job_ended(struct job *j, const struct run_result *r)
{
    struct dispatcher *d = j->dispatcher;
    forget(d, j);
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
    for (size_t i = 0; i < d->kept.len; i++)
        d->kept.items[i].type->keeper->kill(d->kept.items[i].kept);
}

static void outbound_closed(void *arg)
{
    struct dispatcher *d = arg;
    void (*closed)(void *) = d->closed;
    void *closed_arg = d->arg;
    vec_release(&d->kept);
    plans_release(&d->plans);
    free(d);
    closed(closed_arg);
}

static void spawner_closed(void *arg)
{
    struct dispatcher *d = arg;
    outbound_close(d->outbound, outbound_closed, d);
}

static void kept_closed(void *arg)
{
    struct dispatcher *d = arg;
    if (--d->closing == 0)
        spawner_close(d->spawner, spawner_closed, d);
}

/* What is kept may have processes, so the spawner goes last. */
void dispatcher_close(struct dispatcher *d, void (*closed)(void *arg), void *arg)
{
    CHECK(d->jobs == NULL);
    log_saver_deinit(&d->saver);
    d->closed = closed;
    d->arg = arg;
    d->closing = (unsigned)d->kept.len + 1; /* one is ours: they may be closed at once */
    for (size_t i = 0; i < d->kept.len; i++)
        d->kept.items[i].type->keeper->close(d->kept.items[i].kept, kept_closed, d);
    kept_closed(d);
}
