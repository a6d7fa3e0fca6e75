/* orphans.h - ends what an earlier life of the daemon has left running.
 *
 * Commands lead process groups of their own, so they go on when the daemon is killed. Each process carries in its environment whose it
 * is: PAWL_INSTANCE says which data directory, and which life of the daemon on it, PAWL_RUN_ID which run, PAWL_WORKER_ID that it is a worker that several runs share.
 * A sweep looks through /proc for processes of an instance that belong to one of the given runs, or are workers, and ends them and
 * their groups: SIGTERM, SIGKILL after the grace. It goes on until it finds none. So children that have left the group are found as
 * well, and what a run that ended in order has left behind on purpose is not touched. Processes that may not be looked at are
 * passed over. Signals go through a pidfd whose process was looked at again after it was opened: never to another one with the same pid.
 *
 *     o = orphans_sweep(loop, &opt);      on a thread of its own; nothing of the instance may be started before it is done
 *     ... opt.done(arg, &result) once     then o is gone
 */
#ifndef IO_PROCESS_ORPHANS_H
#define IO_PROCESS_ORPHANS_H
#include "base/uuid.h"
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define ORPHANS_GRACE_MS 5000       /* between SIGTERM and SIGKILL */
#define ORPHANS_KILL_MS 1000        /* for SIGKILL to take effect, ORPHANS_KILLS_MAX times */
#define ORPHANS_KILLS_MAX 10
#define ORPHANS_AT_ONCE_MAX 1024    /* ended together; more wait for the next look */
#define ORPHANS_ENV_BYTES_MAX (8 << 20)

struct orphans;

struct orphans_result {
    size_t looked_at, unreadable; /* processes, in the last look */
    size_t ended;                 /* were told to end */
    size_t left;                  /* could not be ended */
    int err;                      /* there is no /proc: negative errno */
};

struct orphans_options {
    const char *instance;     /* "DIRECTORY/LIFE": this life's; what has another LIFE is looked for. Copied */
    const struct uuid *runs;  /* copied */
    size_t run_count;
    uint64_t grace_ms;
    void (*done)(void *arg, const struct orphans_result *r); /* on the loop, later; not after orphans_close() */
    void *arg;
};

struct orphans *orphans_sweep(uv_loop_t *loop, const struct orphans_options *opt);

/* Breaks it off, as soon as that is possible; then it is gone and calls closed. */
void orphans_close(struct orphans *o, void (*closed)(void *arg), void *arg);

#endif
