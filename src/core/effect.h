/* effect.h - what the engine wants done, as plain data.
 *
 * The engine collects effects in a batch. The shell (io/store/journal) writes the batch's records
 * to disk in one transaction; after the commit, never before, it carries out the rest in order:
 * starts and cancels runs, reads the durable queue, answers tickets. The simulator does the same
 * against a store in memory.
 *
 * A batch owns every byte its effects point to, but for the opaque tickets and the pipelines, which
 * outlive it.
 */
#ifndef CORE_EFFECT_H
#define CORE_EFFECT_H
#include "base/arena.h"
#include "pawl/event.h"
#include "pawl/run.h"

struct pipeline;

enum effect_type {
    /* records: to disk, in order, in the batch's one transaction */
    EFFECT_PUT_EVENT,
    EFFECT_PUT_RUN,       /* a new run */
    EFFECT_MOVE_RUN,      /* a run changes state */
    EFFECT_PUT_LOG_PART,  /* what a run that is carried out here has written so far */
    EFFECT_PUT_ATTEMPT,   /* an attempt has ended, the run has not: it goes back into the queue */
    EFFECT_DROP_PENDING,  /* the pipeline's pending runs end as replaced: those that come before it in the order of effects */
    EFFECT_TRIGGER_STATE, /* at most one per trigger and batch: the last state */
    EFFECT_PUT_PIPELINE,  /* new, or a new version */
    EFFECT_DROP_PIPELINE,
    EFFECT_PUT_TRIGGER, /* new, or changed */
    EFFECT_DROP_TRIGGER,
    EFFECT_PUT_ZONE, /* new, or changed */
    EFFECT_DROP_ZONE,
    EFFECT_PUT_FILE,  /* a file is in a zone */
    EFFECT_DROP_FILE, /* and is there no more */
    EFFECT_KEEP_FILE, /* is the one that is known: with other times, or back */
    EFFECT_SUCCESS,   /* a pipeline that triggers wait for has succeeded */
    EFFECT_PAUSE,     /* something is paused, or goes on */
    EFFECT_SWEPT,     /* what runs of an earlier life had left running is gone */
    EFFECT_PUT_LEASE,  /* a worker has a run, or has it for longer */
    EFFECT_DROP_LEASE, /* a worker's run has moved on */
    EFFECT_PUT_ARK, /* an ArkEvent's own row: new, changed or dropped */
    EFFECT_PUT_TOPIC,  /* new, or changed */
    EFFECT_DROP_TOPIC,
    EFFECT_PUT_POSITION, /* at most one per subscription, partition and batch, and one more behind each of: */
    EFFECT_DROP_POSITION,
    EFFECT_PUT_APPLIED, /* an object came from a manifest */
    EFFECT_DROP_APPLIED,
    EFFECT_PUT_NAMESPACE, /* new, or changed */
    EFFECT_DROP_NAMESPACE,
    /* deeds: after the commit */
    EFFECT_START_RUN,
    EFFECT_CANCEL_RUN,
    EFFECT_FETCH_RUNS,
    EFFECT_ARM,       /* the zones, or who listens to which topics, are not what they were */
    EFFECT_RUN_ENDED, /* for whoever waits for this run */
    EFFECT_LEASE_RUN, /* a run for somebody who claims runs */
    EFFECT_CLAIM_DONE,
    EFFECT_ARK_CHANGED, /* for those who watch ArkEvents; in the order of their versions */
    EFFECT_REPLY,
    EFFECT_TYPE_COUNT
};
#define EFFECT_IS_RECORD(type) ((type) < EFFECT_START_RUN)

struct effect_put_event {
    struct uuid id;
    const char *source;
    struct slice type, subject, content_type, payload;
    struct wall time;
    int64_t zone_key; /* of the zone its file is in; 0: it is about none */
    struct lineage lineage;
    struct slice decisions; /* encoded, decision.h */
    bool dedupe;
    struct dedupe_key dedupe_key;
    struct uuid dedupe_run; /* what a repetition is answered with; of messages: message_span_encode() */
    int64_t message;        /* its number, topic.h; 0: it is not a message of an embedded topic */
    uint64_t message_total; /* of the topic, this one included */
    struct slice message_key;
};

struct effect_put_run {
    struct uuid id, event;
    int64_t pipeline_key;
    uint32_t version;
    int64_t trigger_key;    /* 0: asked for by hand */
    enum run_status status; /* PENDING or RUNNING */
    uint32_t attempt;
    struct uuid
        held_from; /* the run is also for the files held back since this event; nil: for none */
    struct wall started_at; /* set when RUNNING */
    struct uuid replay_of;  /* that has ended and is made again; nil: it is for a new event */
    struct slice input;     /* what it gets instead of the event's payload; absent: that */
    bool waits; /* PENDING: its trigger is paused */
};

struct effect_move_run {
    struct uuid id;
    int64_t pipeline_key;
    enum run_status status;
    uint32_t attempt;
    struct wall started_at;          /* RUNNING and final states; unset otherwise */
    struct wall finished_at;         /* final states; unset otherwise */
    struct wall due_at;              /* PENDING: not before; unset: at once */
    struct slice output, error, log, steps; /* final states; absent: nothing to store */
    bool log_is_whole; /* it takes the place of the parts that were written while the attempt went on */
};

struct effect_put_attempt {
    struct uuid run;
    uint32_t attempt;
    struct wall started_at, finished_at;
    struct slice error, log, steps; /* absent: nothing to store */
    bool log_is_whole;       /* as above */
    bool interrupted;        /* it did not fail: a crash or a stop cut it off */
};

struct effect_put_log_part {
    struct uuid run;
    uint32_t attempt;
    uint64_t at;       /* bytes of the attempt's log before it, all of which are on disk then */
    struct slice text; /* whole lines, as in run_result.log */
};

struct effect_trigger_state {
    int64_t trigger_key;
    struct wall last_fired; /* unset: never */
    struct uuid last_run;   /* nil: as it is */
    struct wall last_due;  /* of a schedule; unset: it has none */
    uint64_t held;         /* events the cooldown holds back */
    struct uuid held_from; /* the first of them */
    uint64_t fired, version; /* of an ArkEvent (core/ark.h); else 0 */
};

struct effect_success {
    struct slice path; /* of a pipeline that triggers follow */
    struct wall at;
};

/* What can be paused. Stored: never change. */
enum pause_kind { PAUSE_ALL = 'a', PAUSE_PIPELINE = 'p', PAUSE_TRIGGER = 't' };

struct effect_pause {
    enum pause_kind kind;
    int64_t key;          /* the pipeline's or the trigger's; 0 */
    int64_t pipeline_key; /* of a trigger */
    struct wall at;       /* unset: it goes on */
    struct slice reason;
};

struct effect_put_pipeline {
    struct uuid id;
    int64_t key;
    struct slice path, spec, given_id; /* given_id: may be absent */
    uint32_t version;
    struct wall created_at, updated_at;
};

struct effect_put_trigger {
    struct uuid id;
    int64_t key, pipeline_key;
    struct slice type, config,
        label; /* label: what a run says of its trigger, such as "trigger:cron:0 * * * *" */
    bool enabled;
    uint64_t cooldown_ms;
    struct wall created_at, updated_at;
};

struct effect_put_zone {
    struct uuid id;
    int64_t key;
    struct slice path, directory, spec;
    bool made_by_us, primed;
    struct wall new_since, created_at, updated_at;
};

struct effect_put_file {
    struct uuid id; /* its event's, if it has one */
    int64_t zone_key;
    struct slice path, name, content_type;
    uint64_t inode, size;
    int64_t mtime_ns, ctime_ns;
    struct wall at;
};

struct effect_keep_file {
    int64_t zone_key;
    struct slice path;
    int64_t mtime_ns, ctime_ns;
};

struct effect_drop_file {
    int64_t zone_key;
    struct slice path;
    struct wall at;
};

struct effect_put_topic {
    int64_t key;
    struct slice name;
    uint64_t age_ms, bytes_max; /* RETENTION_DEFAULT: what the daemon's configuration says */
    struct wall created_at, updated_at;
};

struct effect_put_namespace {
    struct slice name, config;
    uint64_t version;
    struct wall created_at;
};

struct effect_put_applied {
    struct uuid object;
    struct slice key, owner;
};

struct effect_put_position {
    struct slice subscription;
    uint32_t partition;
    uint64_t at, mark;
};

struct effect_drop_position {
    struct slice subscription;
    uint32_t partition;
};

struct effect_drop {
    int64_t key;
    struct wall at; /* pending runs that go with it are cancelled at this time */
};

struct effect_fetch_runs {
    struct pipeline *pipeline; /* the engine's, alive until engine_offer() answers this effect */
    uint32_t count_max;
    bool leased; /* for a claim: each of them is offered with a token */
};

struct effect_put_lease {
    struct uuid run;
    struct lease_hash hash;
    struct wall expires_at;
};

struct effect_put_ark {
    int64_t key; /* its trigger's */
    struct slice path, missing, token_hash, token_sealed;
    uint64_t version, generation;
    int reason; /* enum ark_reason */
    struct wall ready_since;
    bool dropped;
};

/* The whole of an ArkEvent as it was at one version, for those who show it. */
enum ark_change { ARK_ADDED, ARK_MODIFIED, ARK_DELETED };
struct ark_view {
    enum ark_change what; /* happened to it */
    struct uuid id;
    struct slice path, config, missing;
    struct slice previous; /* its config before this change; absent: the same, or nobody knows */
    uint64_t version; /* 0: it is not stored */
    uint64_t generation, fired;
    int reason; /* enum ark_reason */
    struct wall ready_since, created_at, last_fired, last_due;
};

struct effect_lease_run {
    struct claim_ticket *ticket;
    struct run_lease lease;
};

struct effect_claim_done {
    struct claim_ticket *ticket;
    int err; /* filled in by the shell */
};

struct effect_reply {
    struct ticket *ticket;
    struct outcome outcome; /* err is filled in by the shell */
};

struct effect {
    struct effect *next;
    enum effect_type type;
    union {
        struct effect_put_event put_event;
        struct effect_put_run put_run;
        struct effect_move_run move_run;
        struct effect_put_attempt put_attempt;
        struct effect_put_log_part put_log_part;
        struct effect_trigger_state trigger_state;
        struct effect_put_pipeline put_pipeline;
        struct effect_put_trigger put_trigger;
        struct effect_drop drop;
        struct effect_success success;
        struct effect_pause pause;
        struct effect_put_zone put_zone;
        struct effect_put_file put_file;
        struct effect_drop_file drop_file;
        struct effect_keep_file keep_file;
        struct run_start start_run;
        struct uuid cancel_run;
        struct effect_fetch_runs fetch_runs;
        struct effect_move_run run_ended;
        struct effect_put_lease put_lease;
        struct uuid drop_lease;
        struct effect_put_ark put_ark;
        struct ark_view ark_changed;
        struct effect_put_topic put_topic;
        struct effect_put_position put_position;
        struct effect_drop_position drop_position;
        struct effect_put_applied put_applied;
        struct uuid drop_applied;
        struct effect_put_namespace put_namespace;
        struct slice drop_namespace;
        struct effect_lease_run lease_run;
        struct effect_claim_done claim_done;
        struct effect_reply reply;
    };
};

struct batch {
    struct arena arena;
    struct effect *first, *last;
    size_t record_count, reply_count;
    uint64_t number;    /* 1, 2, 3, ... in the order they must be committed */
    struct batch *next; /* for whoever queues it */
};

/* An empty batch; batches are reused, so this is rare. */
struct batch *batch_create(void);
void batch_reset(struct batch *b); /* empty again, keeps some memory */
void batch_destroy(struct batch *b);

/* Appends an effect of that type, all else zero. It lives as long as the batch. Only the type's own member of the union may be
 * touched: an effect is no larger than that. */
struct effect *batch_add(struct batch *b, enum effect_type type);

#endif
