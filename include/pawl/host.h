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

struct ark_view; /* core/effect.h */
struct broker_settings;
struct seal;     /* io/secret/seal.h */
struct db;         /* io/store/db.h */
struct engine;     /* core/engine.h; for src/api and src/app */
struct http_route; /* io/http/http.h */
struct http_request;
struct nats_settings; /* pawl/topic.h */
struct run_log;    /* io/process/run_log.h; for src/executor and src/app */
struct run_lookup; /* app/follow.c */
struct topic_stats; /* pawl/topic.h */
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

/* Where a reader of a run's log is: after this line. Lines are numbered from 1 within an attempt,
 * attempts from 1 within a run, before and after a restart of the daemon. {0, 0}: at the beginning. */
struct log_mark {
    uint32_t attempt, line;
};

enum follow_kind {
    FOLLOW_NOTHING, /* for now: more() will be called */
    FOLLOW_LINE,    /* a line of the log */
    FOLLOW_STATUS,  /* the run's status, at first and when it has changed; a slow reader gets the last one only */
    FOLLOW_END,     /* nothing will come any more, nor will more() be called */
};

struct follow_news {
    enum follow_kind kind;
    struct log_mark at;     /* LINE: its number. STATUS: its attempt is set */
    struct slice line;      /* LINE: a JSON object {time, stream, message, ...} without a newline */
    enum run_status status; /* STATUS; what END follows is a final one, unless err is set */
    int err; /* END: -ENOENT there is no such run; others: it cannot be said how it goes on, as when the daemon stops */
};

/* Someone who follows a run while it is carried out, and learns what it wrote before. Embed it; zero
 * it before use. What was logged so far, attempt by attempt, then every line as it is written, each
 * once and in order; the final status when it is on disk, after the last line; the end.
 *
 *     f->run = id; f->after = ...; f->more = more;
 *     host->follow_run(host, f);
 *     more: while (there is room) switch (host->follow_next(host, f).kind) ...
 *
 * The reader takes things out as it can; nothing is kept for it but the log of the attempt it reads
 * and that of the newest one (RUN_LOG_BYTES_MAX each), shared with all others. */
struct run_follower {
    struct uuid run;
    struct log_mark after; /* lines up to here are known already */
    /* There may be something to take. Never from inside the host's functions; may take, and may
     * unfollow itself. */
    void (*more)(struct run_follower *f);
    /* the host's */
    struct run_log *log, *next_log; /* that is being read; of the newest attempt after it */
    size_t offset;                  /* in log->text */
    uint32_t line;                  /* the last one that was looked at */
    struct run_lookup *lookup;      /* of the run's row, or of the log of an attempt */
    enum run_status status;
    uint32_t status_attempt;
    bool status_known, status_told, listed, ended;
    int err;
    struct run_follower *prev, *next;
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

/* A question about a directory that may become a zone's: asked where a file system that hangs holds up nobody. Embed it. */
struct zone_probe {
    const char *directory; /* alive until done() */
    int err; /* 0: a directory, or nothing yet; -ENOTDIR: something else is there, or on the way to it; else why nobody can tell */
    void (*done)(struct zone_probe *p); /* later */
};

/* What watches the landing zones: a source offers it to those who change them and show them. */
struct zone_watcher {
    void (*changed)(struct zone_watcher *w); /* the catalog's zones are not what they were */
    void (*await)(struct zone_watcher *w, struct zone_waiter *x);
    void (*probe)(struct zone_watcher *w, struct zone_probe *p);
    struct zone_trouble *troubles; /* DL */
};

/* What consumes from topics: a source offers it to those who subscribe. */
struct topic_watcher {
    void (*changed)(struct topic_watcher *w); /* the triggers do not listen to the topics that they did */
    /* Its messages reach the triggers at this moment. When not, *ret_why is why, or NULL when nobody knows. */
    bool (*ready)(struct topic_watcher *w, struct slice topic, const char **ret_why);
    void (*stats)(struct topic_watcher *w, struct slice topic, struct topic_stats *ret);
};

/* Someone who is told of every change of an ArkEvent, once it is on disk, in the order of their versions. */
struct ark_listener {
    void (*changed)(struct ark_listener *l, const struct ark_view *v); /* v is borrowed */
};

struct host {
    struct uv_loop_s *loop;
    struct timers *timers;
    struct engine *engine;      /* for api, app, and executors that hand runs over */
    const char *url;            /* where the daemon listens first, such as "http://127.0.0.1:8080" */
    const char *public_url;     /* without a slash at the end; NULL when not configured */
    const char *data;           /* the data directory, absolute */
    uint64_t upload_bytes_max;  /* of one file sent over HTTP */
    const struct broker_settings *brokers; /* pawl/topic.h; NULL in tests */
    bool stopping;              /* what waits for the next life is not begun any more */
    const struct seal *seal;    /* for secrets that are kept */
    const struct nats_settings *nats; /* pawl/topic.h */
    struct ark_listener *arks;  /* NULL: nobody listens */
    struct topic_watcher *topics; /* NULL when nothing consumes, likewise: */
    struct zone_watcher *zones; /* NULL when nothing watches: at start, at the end, in tests */

    struct now (*now)(struct host *h);

    /* engine_feed() plus admission: also -EAGAIN when the daemon is stopping or the journal's queue
     * is full. */
    int (*feed)(struct host *h, const struct event *ev);

    /* Whether there is a pipeline at "namespace.layer.name". */
    bool (*pipeline_exists)(struct host *h, struct slice path);

    /* The wall clock was set: everybody who waits for a time of day looks at it again. */
    void (*clock_stepped)(struct host *h);

    /* Has old things deleted now, instead of within minutes: what is kept was changed. */
    void (*retain)(struct host *h);

    /* engine_publish() plus admission, as feed(). */
    int (*publish)(struct host *h, const struct event *ev, const struct slice *payloads, size_t n);

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

    /* Follows a run: call follow_next() until there is NOTHING, then again after more(). Afterwards,
     * at any time and in any case once, unfollow_run(). */
    void (*follow_run)(struct host *h, struct run_follower *f);
    struct follow_news (*follow_next)(struct host *h, struct run_follower *f); /* borrowed until the next call into the loop */
    void (*unfollow_run)(struct host *h, struct run_follower *f);

    /* How the steps of a run go that is being carried out here, or whose end is not on disk yet: a
     * JSON array appended to *ret. False when it is neither, or has no steps. */
    bool (*run_steps)(struct host *h, struct uuid run, struct str *ret);

    /* The log so far of a run of which the same is true: lines of JSON, borrowed until the next call
     * into the loop. */
    bool (*run_log)(struct host *h, struct uuid run, uint32_t *ret_attempt, struct slice *ret);

    /* The dispatcher says that a run's attempt has begun, or has written something. */
    void (*run_news)(struct host *h, struct uuid run, struct run_log *log);

    /* A part of the log of an attempt that goes on is written with the next commit: engine_keep_log(). */
    int (*keep_log)(struct host *h, struct uuid run, uint32_t attempt, uint64_t at, struct slice text);

    /* engine_confirm(): t is redeemed when what has been done so far is on disk. */
    void (*confirm)(struct host *h, struct ticket *t);

    /* The dispatcher says that an attempt has ended. Kept and repeated until it is on disk. Copies
     * what it needs. */
    void (*run_finished)(struct host *h, const struct run_result *r);
};

#endif
