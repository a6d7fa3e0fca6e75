/* dispatcher.h - hands started runs to their executors and keeps track of them until they end.
 *
 * Which runs may start when is the engine's business; the dispatcher carries out its START_RUN and
 * CANCEL_RUN effects.
 */
#ifndef EXECUTOR_DISPATCHER_H
#define EXECUTOR_DISPATCHER_H
#include "pawl/executor.h"

struct run_log;
struct outbound;
struct spawner;

/* host->loop must be set and host->timers, which the dispatcher uses until it is closed. */
struct dispatcher *dispatcher_create(struct host *h);

/* Starts an attempt. A spec that cannot be carried out (unknown executor) ends the run as failed
 * with the reason. */
void dispatcher_start(struct dispatcher *d, const struct run_start *s);

/* Cancels a run if it is being carried out here; its end is reported as usual. False when it is
 * not. */
bool dispatcher_cancel(struct dispatcher *d, struct uuid run);

/* What a run's attempt has written so far, NULL when it is not carried out here. Borrowed; to keep
 * it, take a reference. */
struct run_log *dispatcher_log(struct dispatcher *d, struct uuid run);

/* Appends the states of a run's steps (progress.h). False when it is not carried out here, or has
 * no `steps`. */
bool dispatcher_steps(struct dispatcher *d, struct uuid run, struct str *ret);

size_t dispatcher_running(const struct dispatcher *d);

/* Ends everything that runs as interrupted (the daemon stops and its grace is over); each is
 * reported as usual. */
void dispatcher_interrupt(struct dispatcher *d);

/* SIGKILLs everything that runs, at once, reporting nothing: the process is about to exit. */
void dispatcher_kill(struct dispatcher *d);

/* For executors: what starts their processes. */
struct spawner *dispatcher_spawner(struct dispatcher *d);

/* For executors: what sends their requests. */
struct outbound *dispatcher_outbound(struct dispatcher *d);

/* What a type keeps between runs, made if it is not there yet. */
void *dispatcher_kept(struct dispatcher *d, const struct executor_type *t);

/* There is a new version of a pipeline, or one was found at start: executors may get ready for its runs. */
void dispatcher_provide(struct dispatcher *d, int64_t pipeline_key, struct slice path,
                        uint32_t version, struct slice spec);
/* A pipeline is gone; 0: the daemon stops, what is kept for later runs ends as soon as it has nothing to do. */
void dispatcher_withdraw(struct dispatcher *d, int64_t pipeline_key);

/* When nothing runs any more: frees d and what the executors share, then calls closed. */
void dispatcher_close(struct dispatcher *d, void (*closed)(void *arg), void *arg);

#endif
