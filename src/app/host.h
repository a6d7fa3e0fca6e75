/* host.h - the daemon's side of pawl/host.h: admission, waiters, and results that must reach the disk. */
#ifndef APP_HOST_H
#define APP_HOST_H
#include "core/effect.h"
#include "io/store/reader.h"
#include "pawl/host.h"
#include <uthash.h>
#include <uv.h>

struct run_waiters; /* those who wait for one run */
struct followed_run;
struct kept_result;

struct app_host {
    struct host host; /* first: what others see */
    struct reader *reader;
    struct run_waiters *waiters; /* by run */
    struct followed_run *followed; /* those who follow runs, by run (follow.h) */
    struct dispatcher *dispatcher; /* while there is one: not at start, nor when the daemon closes */
    struct kept_result *results; /* DL: ended attempts that are not on disk yet */
    bool refusing;               /* nothing is accepted any more */
};

void host_init(struct app_host *h, uv_loop_t *loop, struct timers *timers, struct engine *engine,
               struct reader *reader, const char *public_url);

/* A final state of a run is on disk: tells whoever waits for it. */
void host_run_ended(struct app_host *h, const struct effect_move_run *r);

/* The end of a pipeline's pending runs is on disk: tells whoever waits for those. `why` is their error, static memory. */
void host_pending_dropped(struct app_host *h, struct slice why);

/* How a run's attempt ended that is not on disk yet; NULL when there is none. */
const struct run_result *host_kept_result(const struct app_host *h, struct uuid run);

bool host_has_results(const struct app_host *h); /* ended attempts not on disk yet */
void host_refuse(struct app_host *h);            /* feed and read say -EAGAIN from now on */
void host_abandon_waiters(struct app_host *h); /* whoever waits learns that nobody will tell */
void host_deinit(struct app_host *h);

#endif
