/* host.h - what the daemon offers to the code that plugs into it: sources, executors and API
 * handlers.
 *
 * app fills in the one struct host. Everything here is called on the loop thread, except a
 * read_job's work().
 */
#ifndef PAWL_HOST_H
#define PAWL_HOST_H
#include "base/str.h"
#include "base/uuid.h"
#include "pawl/event.h"
#include "pawl/run.h"
#include "pawl/time.h"
#include <stdbool.h>

struct db;         /* io/store/db.h */
struct engine;     /* core/engine.h; for src/api and src/app */
struct http_route; /* io/http/http.h */
struct http_request;
struct timers; /* io/loop/timers.h */
struct uv_loop_s;

/* Work on a read connection, off the loop. Embed it; after read() both calls follow, in this order,
 * exactly once. */
struct read_job {
    void (*work)(struct read_job *j,
                 struct db *db); /* on a reader thread: may only touch what belongs to the job */
    void (*done)(struct read_job *j,
                 int err); /* on the loop; err is -ECANCELED when work was not called */
    struct read_job *next; /* the reader's */
};

/* Someone who waits for a run to end. Embed it; zero it before use. */
struct run_waiter {
    struct uuid run;
    /* Once, after the commit of its final state; r is borrowed, and NULL when the daemon stops before the run has ended. */
    void (*ended)(struct run_waiter *w, const struct run_result *r, uint64_t duration_ms);
    struct run_waiter *prev, *next; /* the host's */
};

/* A landing zone that is not watched as it should be. */
struct zone_trouble {
    struct uuid zone;
    const char *path;   /* "namespace.name" */
    const char *status; /* "starting" or "error"; of all others it is "watching" */
    const char *error;  /* one sentence; NULL when it is just starting */
    struct zone_trouble *prev, *next;
};

/* Someone who waits until a new zone is being watched, or cannot be. Embed it. */
struct zone_waiter {
    struct uuid zone;
    void (*done)(struct zone_waiter *w); /* later */
    struct zone_waiter *prev, *next;     /* the watcher's */
};

/* What watches the landing zones: a source offers it to those who change them and show them. */
struct zone_watcher {
    void (*changed)(struct zone_watcher *w); /* the catalog's zones are not what they were */
    void (*await)(struct zone_watcher *w, struct zone_waiter *x);
    struct zone_trouble *troubles; /* DL */
};

struct host {
    struct uv_loop_s *loop;
    struct timers *timers;
    struct engine *engine;
    const char *public_url;     /* without a slash at the end; NULL when not configured */
    const char *data;           /* the data directory, absolute */
    uint64_t upload_bytes_max;  /* of one file sent over HTTP */
    struct zone_watcher *zones; /* NULL when nothing watches: at start, at the end, in tests */

    struct now (*now)(struct host *h);

    /* engine_feed() plus admission: also -EAGAIN when the daemon is stopping or the journal's queue
     * is full. */
    int (*feed)(struct host *h, const struct event *ev);

    /* Whether there is a pipeline at "namespace.layer.name". */
    bool (*pipeline_exists)(struct host *h, struct slice path);

    /* The wall clock was set: everybody who waits for a time of day looks at it again. */
    void (*clock_stepped)(struct host *h);

    /* Whether there is a landing zone at "namespace.name". */
    bool (*zone_exists)(struct host *h, struct slice path);

    /* Runs a job on a reader thread. -EAGAIN when too many wait already, -ECANCELED when the daemon
     * stops: done() will not be called then. */
    int (*read)(struct host *h, struct read_job *j);

    /* Calls w->ended once when the run has ended. The run must not have ended yet: call it before,
     * or in the same loop turn as, the ticket that reported the run's making. await_cancel before
     * that takes it out again. */
    void (*await_run)(struct host *h, struct run_waiter *w);
    void (*await_cancel)(struct host *h, struct run_waiter *w);

    /* An executor says that an attempt has ended. Kept and repeated until it is on disk. Copies
     * what it needs. */
    void (*run_finished)(struct host *h, const struct run_result *r);
};

#endif
