/* pool.h - the worker processes of one version of a pipeline, and the runs that wait for one of them.
 *
 *                pool_serve                    answer
 *     waiting ---------------> held by an  --------------> execution_ended
 *        ^                      instance  \
 *        +------------------------+        `-- the process ends first --> failed, or back
 *           not a byte of it had been taken
 *
 * Instances. One is started when a run waits that no instance has room for, up to max_instances; the one that was used last gets the
 * next run, so that those in excess grow idle. An instance that had nothing to do for idle_seconds is retired, as long as more than
 * min_instances are left: its stdin is closed, after the kill grace its group gets SIGTERM, after another one SIGKILL.
 *
 * Failures. An instance that ends by itself before it has answered anything is a failure: the next one is started after a pause that
 * doubles from POOL_PAUSE_MS to POOL_PAUSE_MS_MAX, until there is an answer again; those that end during a pause are part of the failure
 * that it is for. The runs that it held fail with it; a program that cannot be
 * started at all fails the run that has waited longest. All others wait.
 *
 * A pool is retired when its pipeline has a new version, or is gone, or the daemon stops. It carries on with the runs it gets, lets
 * idle instances go soon, and is freed when it has neither.
 */
#ifndef EXECUTOR_POOL_H
#define EXECUTOR_POOL_H
#include "base/arena.h"
#include "base/str.h"
#include "executor/answer.h"
#include "executor/program.h"
#include "io/loop/timers.h"
#include "io/process/process.h"
#include "pawl/executor.h"
#include <uthash.h>

#define POOL_INSTANCES_MAX 1000
#define POOL_PER_INSTANCE_MAX 1000
#define POOL_IDLE_SECONDS_MAX 86400
#define POOL_MIN_DEFAULT 0
#define POOL_MAX_DEFAULT 8
#define POOL_IDLE_SECONDS_DEFAULT 60
#define POOL_PAUSE_MS 100
#define POOL_PAUSE_MS_MAX 10000
#define POOL_RETIRED_IDLE_MS 1000
#define INSTANCE_UNSENT_BYTES_MAX (256 << 10) /* beyond that an instance gets no further event */
#define INSTANCE_CLOSED_MS 500 /* an instance that closed a stream may still end by itself */
#define POOLS_CLOSE_MS 3000    /* when the daemon stops: from the closed stdin to SIGTERM, and to SIGKILL */

struct pool;
struct pools;
struct instance;

/* A run in a pool. */
struct pool_run {
    struct execution x; /* first */
    struct instance *instance; /* that holds it; NULL: it waits, or is about to be reported */
    struct pool *pool;         /* NULL: it is about to be reported */
    const struct run_start *start;
    uint64_t line_from; /* where its event begins in what its instance was written */
    enum { FATE_OPEN, FATE_TIMED_OUT, FATE_CANCELLED, FATE_INTERRUPTED } fate;
    bool reported;      /* it has ended for everybody else, but the instance has not answered it yet */
    struct timer timer; /* its time-out; the report of a cancelled one */
    struct pool_run *prev, *next; /* in the pool's `waiting` or its instance's `held` */
};

/* Identifies a pool. */
struct pool_key {
    int64_t pipeline;
    uint32_t version;
    uint32_t step;
};

struct pool {
    struct pool_key key;
    struct pools *all;
    json_t *config;
    char *path; /* of the pipeline */
    uint32_t instances_min, instances_max, per_instance;
    uint64_t idle_ms;
    bool retired;
    struct pool_run *waiting; /* DL, oldest first */
    size_t waiting_count;
    struct instance *instances; /* DL: all that have not ended */
    struct instance *open;      /* DL over open_prev, open_next: those with room, last used first */
    uint32_t count, starting, leaving; /* instances: all; not running yet; that get no more runs */
    unsigned failures;
    struct timer pause; /* set: no instance is started */
    UT_hash_handle hh;
};

/* One worker process (instance.c).
 *
 *     STARTING ──> READY ──> LEAVING ──> ended
 *
 * LEAVING  its stdin is closed, or it was told to end, or has closed a stream: it gets no more runs
 */
struct instance {
    struct process process;
    struct pool *pool;
    struct arena arena;
    struct program program;
    enum { INSTANCE_STARTING, INSTANCE_READY, INSTANCE_LEAVING } state;
    bool broken;     /* its answers make no sense: nothing is read any more */
    bool own_fault;  /* why it is ended is something it did */
    char *why;       /* what the runs it holds fail with; NULL: how it ends says it */
    uint64_t number; /* PAWL_WORKER_ID */
    uint64_t written, answered; /* bytes, events */
    struct pool_run *held;      /* DL, oldest first; those that were reported, too */
    uint32_t held_count, lost_count; /* lost: those whose fate is settled. With one of them it gets no more */
    struct str lines;           /* stdout behind the last complete line */
    size_t looked_at;           /* so much of it has no newline */
    uint64_t idle_since;
    struct timer timer; /* idle time; then patience */
    struct instance *prev, *next, *open_prev, *open_next;
};

/* All pools of a dispatcher. */
struct pools {
    struct dispatcher *dispatcher;
    struct spawner *spawner;
    struct timers *timers;
    uv_loop_t *loop;
    struct pool *table;
    uint64_t numbers; /* of instances */
    struct answer answer; /* the last one, and the last event: one memory for all */
    struct str line;
    bool closing;
    struct timer close_over;
    int close_step;
    void (*closed)(void *arg);
    void *arg;
};

struct pools *pools_create(struct dispatcher *d, struct host *h);

/* The pool with that key, made by a checked config when there is none. It is gone after the next pool_serve() that finds nothing in it. */
struct pool *pools_get(struct pools *ps, struct pool_key key, struct slice path, json_t *config);

/* From now on p has min_instances. One that was made for a late run of an old version only has what its runs need. */
void pool_keep_ready(struct pool *p);

/* Retires the pools of a pipeline, or of all with pipeline 0, but for those with that version; 0: of all versions. */
void pools_retire(struct pools *ps, int64_t pipeline, uint32_t except_version);

void pools_kill(struct pools *ps); /* SIGKILLs all instances; for a daemon that is about to exit */

/* Ends all instances, then frees ps and calls closed. There may be no run left. */
void pools_close(struct pools *ps, void (*closed)(void *arg), void *arg);

/* Takes r, whose x and start are set. */
void pool_add(struct pool *p, struct pool_run *r);

/* Gives waiting runs to instances, starts what is missing, frees p when there is nothing in it. */
void pool_serve(struct pool *p);

/* Cancels, or interrupts. */
void pool_run_cancel(struct pool_run *r, bool interrupted);

/* Ends a run for everybody else. It stays allocated. */
void pool_run_report(struct pool_run *r, const struct run_result *result);
/* The same for one whose fate is not OPEN. */
void pool_run_report_fate(struct pool_run *r);
void pool_run_destroy(struct pool_run *r);

/* ---- instance.c ---- */

void instance_start(struct pool *p);
bool instance_has_room(const struct instance *i);
void instance_give(struct instance *i, struct pool_run *r);
/* It has nothing to do and is not needed: closes its stdin. */
void instance_retire(struct instance *i);
/* Ends it now; the runs that it holds fail because of `why` unless they have a fate, or it still answers them. */
void instance_end(struct instance *i, const char *why);
/* Ends it when it holds nothing but runs whose fate is settled. */
void instance_check_lost(struct instance *i);
/* Looks at how long it has been idle. */
void instance_check_idle(struct instance *i);

/* ---- pool.c, for instance.c ---- */

void pool_place(struct instance *i); /* whether it has room may have changed */
void pool_lost(struct pool *p, struct instance *i, const struct process_end *e); /* i has ended, and holds nothing. Frees i */
bool pool_may_shrink(const struct pool *p);
uint64_t pool_idle_ms(const struct pool *p);

#endif
