#include "executor/dispatcher.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "io/process/process.h"
#include <stdlib.h>

struct dispatcher {
    struct host *host;
    struct spawner *spawner;
    struct execution *executions; /* by run */
    bool silent;                  /* the daemon exits: ends are not reported any more */
    void (*closed)(void *arg);
    void *arg;
};

/* A run that nothing can carry out. It ends as failed, later, as any other. */
struct refusal {
    struct execution x;
    struct timer later;
    struct diag why;
};

struct dispatcher *dispatcher_create(struct host *h)
{
    struct dispatcher *d = mem_zalloc(sizeof(*d));
    d->host = h;
    d->spawner = spawner_create(h->loop, h->timers);
    return d;
}

struct spawner *dispatcher_spawner(struct dispatcher *d)
{
    return d->spawner;
}

size_t dispatcher_running(const struct dispatcher *d)
{
    return HASH_COUNT(d->executions);
}

/* ---- what executors call ---- */

void execution_init(struct execution *x, const struct executor_type *type, struct dispatcher *d,
                    const struct run_start *s)
{
    struct execution *same;
    HASH_FIND(hh, d->executions, &s->run, sizeof(s->run), same);
    CHECK(same == NULL);
    x->type = type;
    x->dispatcher = d;
    x->run = s->run;
    HASH_ADD(hh, d->executions, run, sizeof(x->run), x);
}

void execution_ended(struct execution *x, const struct run_result *r)
{
    struct dispatcher *d = x->dispatcher;
    HASH_DELETE(hh, d->executions, x);
    if (!d->silent)
        d->host->run_finished(d->host, r);
}

struct host *execution_host(const struct execution *x)
{
    return x->dispatcher->host;
}

/* ---- runs that cannot be carried out ---- */

static void refusal_due(struct timer *t)
{
    struct refusal *f = container_of(t, struct refusal, later);
    struct run_result r = {.run = f->x.run, .status = RUN_FAILED, .error = slice_of(f->why.msg)};
    execution_ended(&f->x, &r);
    free(f);
}

static void refusal_cancel(struct execution *x, bool interrupted)
{
    /* It is ending already. */
}

static const struct executor_type refusal_type = {.name = "refusal", .cancel = refusal_cancel};

static void refuse(struct dispatcher *d, const struct run_start *s, const struct diag *why)
{
    struct refusal *f = mem_zalloc(sizeof(*f));
    execution_init(&f->x, &refusal_type, d, s);
    f->why = *why;
    f->later.fired = refusal_due;
    timer_set(d->host->timers, &f->later, 0);
}

/* ---- starting and ending ---- */

/* A new reference to the executor object of a pipeline's spec, checked; NULL with *reterr. */
static json_t *read_spec(struct slice spec, const struct executor_type **ret_type,
                         struct diag *reterr)
{
    json_t *pipeline = json_parse_object(spec, reterr);
    if (pipeline == NULL)
        return NULL;
    json_t *config = executor_of(pipeline, ret_type, reterr);
    json_decref(pipeline);
    return config;
}

void dispatcher_start(struct dispatcher *d, const struct run_start *s)
{
    const struct executor_type *type;
    struct diag why = {0};
    json_t *config = read_spec(s->spec, &type, &why);

    if (config == NULL) {
        refuse(d, s, &why);
    } else if (type->pull) {
        diag_set(&why, DIAG_INTERNAL, "executor.type: %s runs are taken by workers", type->name);
        refuse(d, s, &why);
    } else {
        type->start(d, s, config);
    }
    json_decref(config);
}

bool dispatcher_cancel(struct dispatcher *d, struct uuid run)
{
    struct execution *x;
    HASH_FIND(hh, d->executions, &run, sizeof(run), x);
    if (x == NULL)
        return false;
    x->type->cancel(x, false);
    return true;
}

void dispatcher_interrupt(struct dispatcher *d)
{
    struct execution *x, *next;
    HASH_ITER (hh, d->executions, x, next)
        x->type->cancel(x, true);
}

void dispatcher_kill(struct dispatcher *d)
{
    struct execution *x, *next;
    d->silent = true;
    HASH_ITER (hh, d->executions, x, next)
        if (x->type->kill != NULL)
            x->type->kill(x);
}

static void spawner_closed(void *arg)
{
    struct dispatcher *d = arg;
    void (*closed)(void *) = d->closed;
    void *closed_arg = d->arg;
    free(d);
    closed(closed_arg);
}

void dispatcher_close(struct dispatcher *d, void (*closed)(void *arg), void *arg)
{
    CHECK(d->executions == NULL);
    d->closed = closed;
    d->arg = arg;
    spawner_close(d->spawner, spawner_closed, d);
}
