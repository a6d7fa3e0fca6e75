/* worker.h - `pawl worker`: takes runs over HTTP and carries each out with a command. Shared by its two files:
 *
 *     worker.c        claims while there is room, stops on a signal
 *     worker_run.c    one run: the process, the heartbeats, the report
 */
#ifndef CLI_WORKER_H
#define CLI_WORKER_H
#include "base/vec.h"
#include "cli/server.h"
#include "io/curl/outbound.h"
#include "io/loop/timers.h"
#include "io/process/process.h"
#include <uv.h>

#define WORKER_RUNS_MAX 256
#define WORKER_REQUEST_MS 30000 /* for an answer, beyond what it may wait */
#define WORKER_BACKOFF_MS_MIN 500
#define WORKER_BACKOFF_MS_MAX 15000
#define WORKER_LAST_WORDS_MS 5000 /* for reports when it has been told twice to stop */

struct worker_run;

struct worker_main {
    /* constant */
    struct server server;
    char *const *command; /* program and arguments */
    struct str patterns;  /* a JSON array */
    size_t runs_max;
    uint64_t lease_ms;
    const char *headers[3]; /* of every request */

    uv_loop_t loop;
    struct timers timers;
    struct outbound *outbound;
    struct spawner *spawner;
    uv_signal_t signals[2];
    struct worker_run *runs; /* DL */
    size_t run_count;
    enum { WORKER_ON, WORKER_FINISHING, WORKER_GIVING_UP, WORKER_CLOSING } state;
    int code;

    /* the claim */
    struct outbound_request claim;
    struct str claim_body;
    char *claim_url;
    bool claiming;
    uint64_t backoff_ms; /* 0: all is well */
    uint64_t claimed_at_ms;
    struct timer again;
};

/* Starts a run of a claim's answer; `text` is its object in there. */
void worker_run_start(struct worker_main *w, struct slice text);
/* Ends it; it is reported as failed. */
void worker_run_stop(struct worker_run *r);
/* SIGKILLs its process at once, for an exit that waits for nothing. */
void worker_run_kill(struct worker_run *r);

/* worker_run.c tells: it is gone. */
void worker_run_gone(struct worker_main *w);

/* The next one of a list over worker_run; NULL gives the first. */
struct worker_run *worker_run_next(struct worker_main *w, struct worker_run *r);

/* One line on stderr. */
void worker_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
