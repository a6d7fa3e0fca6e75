/* run.h - one execution of one pipeline version for one event, as it travels between engine,
 * dispatcher and executors. */
#ifndef PAWL_RUN_H
#define PAWL_RUN_H
#include "base/str.h"
#include "base/uuid.h"
#include "pawl/time.h"
#include <stdbool.h>
#include <stdint.h>

/* The states of a run. Stored: never renumber.
 *
 *     PENDING ──> RUNNING ──> SUCCESS | FAILED | CANCELLED
 *      ↻  │  ^        │
 *         │  └────────┘ (failed or interrupted with attempts left: the next attempt)
 *         └────────────────> CANCELLED; of a pipeline whose runs are pulled, also what a worker
 *                            reports that never claimed it: SUCCESS, FAILED, or ↻ the next attempt
 */
enum run_status {
    RUN_PENDING = 0,
    RUN_RUNNING = 1,
    RUN_SUCCESS = 2,
    RUN_FAILED = 3,
    RUN_CANCELLED = 4,
};
const char *run_status_name(enum run_status s); /* "pending", ... */
bool run_status_parse(struct slice name, enum run_status *ret);
bool run_status_is_final(enum run_status s);

/* Whether the drawing above has that arrow. A new run begins as PENDING, or as RUNNING when there is room at once. */
bool run_may_move(enum run_status from, enum run_status to);

/* Everything an executor needs to carry a run, or a step of it, out. Borrowed for the call it is
 * handed to, unless that says otherwise. */
struct run_start {
    struct uuid run, event;
    int64_t pipeline_key;  /* the pipeline's row key */
    struct slice pipeline; /* "namespace.layer.name" */
    uint32_t version;
    uint32_t attempt; /* 1-based */
    struct slice
        spec; /* the pipeline version's JSON object: executor, options, timeout_seconds, ...; executors do not get it */
    uint64_t timeout_ms;       /* 0: none */
    struct slice trigger_type; /* "webhook", ...; "manual" when no trigger was involved */
    struct uuid trigger;       /* nil when no trigger was involved */
    /* the event */
    struct slice source, type, subject, content_type, payload;
    struct slice message_key; /* of a message that has one; else absent */
    struct slice
        files; /* JSON array of the files the run is for: payloads of their events; absent: it is for none */
    bool files_cut; /* there were more of them than are listed */
    struct wall event_time;
    struct uuid root; /* the first event of the chain; nil: this event */
    uint32_t depth;
    /* of a run of several steps */
    uint32_t step_number; /* 0-based */
    struct slice step;     /* the name of this one; absent: there is only one */
    struct slice previous; /* the output of the one before; absent: this is the first */
};

#define RETRY_AFTER_MS_MAX (24 * 3600 * 1000)

/* The error of a run that a newer one replaced (the concurrency policy "replace"). */
#define RUN_REPLACED "replaced by a newer run"

/* How a run's attempt ended. Borrowed for the call it is handed to. */
struct run_result {
    struct uuid run;
    enum run_status status; /* SUCCESS, FAILED or CANCELLED */
    struct slice output;    /* may be absent; bounded by the executor */
    struct slice error;     /* for FAILED and CANCELLED: one line for a human, valid UTF-8 */
    /* the dispatcher's, absent in what executors say */
    struct slice log;   /* newline-separated JSON objects {time, stream, message}; may be absent */
    struct slice steps; /* JSON array of its steps; absent unless the pipeline was written with `steps` */
    uint32_t attempt;   /* 0: not said */
    bool interrupted; /* the daemon stopped while it ran */
    bool conclusive;  /* FAILED: no further attempt, whatever the retry policy says */
    uint64_t retry_after_ms; /* FAILED: the next attempt, if there is one, is not due before; at most RETRY_AFTER_MS_MAX of it count */
    bool exited;      /* exit_status is that of its process */
    int exit_status;
};

/* ---- leases: an attempt that a worker outside carries out ---- */

/* What the worker proves with that the attempt is its own. Random; nobody keeps it but the worker. */
#define LEASE_TOKEN_SIZE 16
struct lease_token {
    uint8_t b[LEASE_TOKEN_SIZE];
};

/* What is kept of a token: the front of its SHA-256. All zero: the worker was given no token. */
#define LEASE_HASH_SIZE 16
struct lease_hash {
    uint8_t b[LEASE_HASH_SIZE];
};

struct run_lease {
    struct run_start start;
    struct lease_token token;
    struct wall expires_at;
};

/* Someone who asks for runs to carry out. Embed it in whatever waits. */
struct claim_ticket {
    /* A run is theirs: its lease is on disk. Borrowed for the call. */
    void (*leased)(struct claim_ticket *t, const struct run_lease *l);
    /* Exactly once, after all of those; done() may free the ticket. err: there was more, but it could not be written. */
    void (*done)(struct claim_ticket *t, int err);
};

#endif
