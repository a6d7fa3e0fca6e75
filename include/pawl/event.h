/* event.h - one occurrence, as a source hands it to the engine, and what became of it.
 *
 * A source fills a struct event and calls host->feed() (pawl/host.h). Everything in it is borrowed
 * for that call: the engine copies what it keeps. When the event, its decisions and its runs are on
 * disk, or are known not to get there, the event's ticket is redeemed exactly once, later, never
 * from inside feed().
 */
#ifndef PAWL_EVENT_H
#define PAWL_EVENT_H
#include "base/str.h"
#include "base/uuid.h"
#include "pawl/file.h"
#include "pawl/time.h"
#include <stdbool.h>
#include <stdint.h>

/* What an event is looked up by: a letter that belongs to one kind of trigger, and up to 32 bytes
 * that identify the subject (a token's SHA-256, a zone's id, a pipeline's id), zero-padded.
 * Triggers with an equal key are its candidates. */
#define MATCH_KEY_SIZE 33
struct match_key {
    uint8_t b[MATCH_KEY_SIZE]; /* b[0] is the kind; 0 means "no key" */
};

/* What one trigger did with one event. The names are in decision.h's verdict_name(). Stored: never
 * renumber. */
enum verdict {
    VERDICT_FIRED = 0,
    VERDICT_COOLDOWN = 1,
    VERDICT_DISABLED = 2,
    VERDICT_NO_MATCH = 3,
    VERDICT_DEPS_UNMET = 4,
    VERDICT_CONCURRENCY = 5,
    VERDICT_DUPLICATE = 6,
    VERDICT_DEPTH = 7,
    VERDICT_COUNT
};

struct decision {
    struct uuid trigger; /* nil for a run that was asked for by hand */
    enum verdict verdict;
    uint64_t retry_after_ms; /* COOLDOWN: when the window ends, from now; not stored */
    struct slice detail;     /* more about why, for a human; may be absent */
    const struct uuid *runs; /* FIRED: one per target, in the order of the targets; else none */
    size_t run_count;
};

/* What a ticket learns. Borrowed for the call. */
struct outcome {
    int err; /* 0: all of it is on disk. Negative errno (-ENOSPC, -EIO, ...): none of it is, nothing
                changed */
    struct uuid event;  /* nil when none was made: its position had been passed already */
    uint64_t offset;    /* of a message: where in its topic it is; of several: the first */
    const struct decision *decisions;
    size_t decision_count;
};

/* A promise of an answer. Embed it in whatever waits; done() may free that. */
struct ticket {
    void (*done)(struct ticket *t, const struct outcome *o);
};

/* How far somebody who reads an outside stream has come. It is stored in the commit that holds the event, and it only grows: an event
 * at or before the last position has been dealt with, and makes nothing. So the messages of one partition must be fed in their
 * order, and after a failed commit again from the first one that failed. */
struct position {
    struct slice subscription; /* who reads what, such as "nats:orders" */
    uint32_t partition;        /* 0 where there are none */
    uint64_t at;               /* the message's number there, 0 or more */
    uint64_t mark;             /* kept with it: the reader's, to know the message by */
    bool again;                /* the stream is not what it was: this is where it is, also when it has been further */
};

/* Where an event comes from when it was caused by another one. All zero for an event from outside.
 */
struct lineage {
    struct uuid root;   /* the first event of the chain; nil: this one */
    struct uuid parent; /* the run whose completion this is; nil: none */
    uint32_t depth;     /* completions between root and this */
};

/* Identifies a request that its sender may repeat: SHA-256 over the trigger's key and the sender's
 * idempotency key. */
struct dedupe_key {
    uint8_t b[16];
};

struct event {
    const char *source; /* the source's name, static memory */
    struct slice type;  /* such as "webhook", "file.arrived", "run.success" */
    struct slice
        subject; /* what it is about; may be absent; of a file, its path below the zone, with a NUL behind it */
    struct slice
        name; /* of a file: its name as the sender gave it, with a NUL behind it; else absent */
    struct slice scope; /* what the key was made of, where it is made of a text (core/rule.h) */
    uint32_t end;       /* of a run's end: bit 1 << status; else 0 */
    struct slice content_type; /* of the payload; may be absent */
    struct slice payload;      /* opaque bytes; may be absent */
    struct match_key key;      /* who may care */
    struct uuid
        pipeline; /* instead of a key: run this pipeline, no trigger involved; nil otherwise */
    struct lineage lineage;
    bool dedupe; /* dedupe_key is set: remembered together with the event if a trigger fires */
    struct dedupe_key dedupe_key;
    bool duplicate; /* the source found this to be a repetition: record VERDICT_DUPLICATE, fire
                       nothing */
    bool trailing;  /* makes up for what a cooldown held back: the rule has matched it before */
    bool keep;      /* record it even if no trigger matches */
    struct slice topic;       /* it is a message of this embedded topic: engine_publish() */
    struct slice message_key; /* that the sender gave it; may be absent */
    const struct position *position; /* it is a message of an outside stream; NULL: it is not */
    const struct ledger_file *file; /* the file that has arrived, written to the ledger with the event; NULL: it is about none */
    struct ticket *ticket; /* may be NULL */
};

#endif
