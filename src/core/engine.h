/* engine.h - the heart: events and time go in, effects come out.
 *
 * Pure: no clock, no descriptors, no threads, no randomness but a seeded generator. The same calls
 * give the same effects, byte for byte, so the daemon, the simulator and a replay differ only in
 * who carries the effects out.
 *
 * Every call that changes something appends to the batch that is filling. The shell takes that
 * batch, commits it, and settles it:
 *
 *     engine_feed(e, now, &event);  engine_finish(e, now, &result);  engine_tick(e, now);  ...
 *     struct batch *b = engine_take(e);                  at most one batch is out at a time
 *     ... commit b's records in one transaction ...
 *     engine_settle(e, now, b, err);                     err == 0: the changes stand. Otherwise all of them, and all those
 *                                                        made since on top of them, are undone
 *     ... carry out b's deeds, then batch_reset(b) and engine_recycle(e, b) ...
 *
 * Memory follows the journal: state changes at once, so two webhooks in one batch see each other's
 * cooldown, and goes back if the commit fails. Then the batch that has been filling since is void
 * too, as it was decided on top of the failed one. A failed batch comes out of engine_settle
 * holding nothing but the REPLY and CLAIM_DONE effects of both, so that everybody is answered, and an ARM effect if zones have changed back.
 *
 * Files: engine.c (life, batches, time), undo.c (the way back), feed.c (events and decisions), timing.c (what triggers do by themselves),
 * completion.c (the end of a run is an event), queue.c (which runs start when), concurrency.c and pause.c (which may not), claim.c and lease.c
 * (runs that workers outside carry out), keep_log.c (what runs have written so far), ends.c (how runs end), replay.c (once more), change.c
 * (the catalog; zone.c, topic.c, namespace.c, ark.c, active.c, applied.c for their parts of it).
 */
#ifndef CORE_ENGINE_H
#define CORE_ENGINE_H
#include "core/catalog.h"
#include "core/effect.h"
#include "pawl/event.h"
#include "pawl/run.h"
#include "pawl/time.h"

struct engine;
struct ark_token;
struct arkevent;

struct engine_options {
    uint32_t running_max;   /* runs carried out here at the same time, over all pipelines; > 0 */
    uint32_t leased_max;    /* runs that workers outside have at the same time; 0: none */
    size_t batch_bytes_max; /* a filling batch with more than this accepts no more events */
};

/* A pending run that was read back from the durable queue, complete with its event and its
 * version's spec. */
struct offered_run {
    struct run_start start;
    struct lease_token token; /* these two where the fetch said `leased` */
    struct lease_hash hash;
};

struct engine *engine_create(const struct engine_options *opt, struct now now, uint64_t seed);
void engine_destroy(struct engine *e); /* NULL is fine; with the catalog and the batches it holds */

struct catalog *
engine_catalog(struct engine *e); /* for lookups; change it only through the engine */

/* ---- at start: what the store holds, before anything else; no effects ---- */
/* Takes p; key, id, path, def, created_at and pending are set. */
void engine_load_pipeline(struct engine *e, struct pipeline *p);
void engine_load_trigger(struct engine *e, struct now now,
                         struct trigger *t);             /* takes t; the state fields are set */
/* Before that, of a trigger that holds back events and makes up for them: the chain of the first. */
void engine_load_held(struct trigger *t, const struct lineage *l);
void engine_load_zone(struct engine *e, struct zone *z); /* takes z */
/* Takes a; its trigger is set as for engine_load_trigger, and its path, state (but `missing`) and token. */
void engine_load_ark(struct engine *e, struct now now, struct arkevent *a);
/* A run that has not ended, of an ArkEvent that forbids others meanwhile; p is its pipeline. */
void engine_load_active(struct engine *e, struct trigger *t, struct uuid run,
                        const struct pipeline *p);
/* After all of those and all pipelines. `version`: the highest that was ever written, of dropped ones too. Has effects. */
void engine_loaded_arks(struct engine *e, struct now now, uint64_t version);
void engine_load_topic(struct engine *e, struct topic *t); /* takes t */
void engine_load_position(struct engine *e, const struct position *p);
/* How far a subscription has come in a partition, and the mark there: false, and *p as it was, when nothing is known. Later too; this may
 * not be on disk yet, while tickets of it are out. */
bool engine_position(struct engine *e, struct position *p);
/* Forgets the positions of all partitions of the subscriptions that `gone` is true for. None of them may be in an event that is not on disk. */
void engine_forget_positions(struct engine *e, bool (*gone)(struct slice subscription, void *arg),
                             void *arg);
/* A run that was in flight when the daemon stopped: it follows its retry policy with the reason "interrupted". p is NULL when its
 * pipeline is gone. This does have effects: commit them before anything else happens, and do not go on if that fails. */
void engine_recover_run(struct engine *e, struct now now, struct pipeline *p, struct uuid run,
                        struct uuid event, uint32_t attempt, struct wall started_at);

/* ---- what happens ---- */

/* Evaluates an event. Returns the number of triggers it was matched against (1 for a manual run);
 * when that is 0 and keep is not set, nothing was recorded and the ticket will not be redeemed.
 * Of a message from outside the position is recorded all the same, and the ticket is always redeemed.
 * -ENOBUFS when the batch is full, -ENOENT when the event names a pipeline that does not exist:
 * nothing was recorded then either. */
int engine_feed(struct engine *e, struct now now, const struct event *ev);

/* ---- embedded topics (topic.c) ---- */

/* Publishes n payloads as messages of ev->topic, which comes to be if it is not there. *ev says what they have in common; they are recorded
 * whether a trigger matches or not. All of them are in one batch, and their offsets follow one another. The ticket is
 * redeemed once, with the first one's event and offset; the first one also carries the dedupe key. 0; -ENOBUFS when the batch is
 * full, -EDQUOT when there can be no further topic: nothing was recorded then. */
int engine_publish(struct engine *e, struct now now, const struct event *ev,
                   const struct slice *payloads, size_t n);

/* Makes a topic, or changes its retention. 0, or -EDQUOT as above; then t will not be redeemed. */
int engine_put_topic(struct engine *e, struct now now, struct slice name, uint64_t age_ms,
                     uint64_t bytes_max, struct ticket *t);
/* Its messages go; a topic of that name that is made later begins at 0 again. */
void engine_drop_topic(struct engine *e, struct now now, struct topic *topic, struct ticket *t);

/* An attempt of a run that was started has ended. Returns false when no such attempt is being carried
 * out; then t (which may be NULL) will not be redeemed. If the commit fails the run counts as being
 * carried out still: finish it again. */
bool engine_finish(struct engine *e, struct now now, const struct run_result *r, struct ticket *t);

/* What an attempt that is carried out here has written so far goes to disk while it goes on: the part of its log behind the first `at`
 * bytes, which were handed in before. It decides nothing; it is there if a crash cuts the attempt off, and goes when the attempt ends
 * with its whole log. -ENOENT: no such attempt is carried out here; -ENOBUFS: the batch is full, later. If the commit fails it is
 * not there: engine_confirm() says so. */
int engine_keep_log(struct engine *e, struct uuid run, uint32_t attempt, uint64_t at,
                    struct slice text);

/* Answers a FETCH_RUNS effect with the oldest pending runs that are due, at most as many as asked
 * for. `next_due` is when the earliest delayed one is due, unset when none is. err != 0: they could
 * not be read; the engine asks again later. */
void engine_offer(struct engine *e, struct now now, struct pipeline *p,
                  const struct offered_run *runs, size_t n, struct wall next_due, int err);

/* What a cancellation found. */
enum cancel_result {
    CANCEL_STARTED, /* it is being carried out: CANCEL_RUN follows, then engine_finish. The ticket will be redeemed */
    CANCEL_DONE,    /* it was pending, or a worker had it, and is cancelled; the ticket is redeemed after the commit */
    CANCEL_UNKNOWN, /* engine_cancel: not in memory. engine_cancel_looked_up: not pending. The ticket will not be redeemed */
};

/* Cancels a run that is being carried out. After CANCEL_UNKNOWN the caller reads the run's row off the loop and then
 * calls engine_cancel_looked_up exactly once: the engine remembers what happens meanwhile. */
enum cancel_result engine_cancel(struct engine *e, struct now now, struct uuid run,
                                 struct ticket *t);

/* p: the run's pipeline when its row said PENDING, else NULL. `attempt` is the row's. */
enum cancel_result engine_cancel_looked_up(struct engine *e, struct now now, struct pipeline *p,
                                           struct uuid run, uint32_t attempt, struct ticket *t);

/* ---- runs that are made again (replay.c) ---- */

#define REPLAYS_MAX 500 /* in one call */

/* A run that has ended, as its row says. */
struct replay {
    struct uuid run, event, pipeline;
    struct uuid trigger; /* nil: there is none, or none any more */
    int64_t trigger_key;
    struct uuid held_from;
    uint32_t version; /* for the new run; 0: the pipeline's current one */
    /* set by engine_replay: */
    struct uuid made; /* the new run; nil: none */
    bool refused;     /* none because the pipeline has as many runs as it may have */
};

/* Rows are about to be read off the loop. engine_replay follows exactly once, with n == 0 if that failed. */
void engine_replay_begin(struct engine *e);

/* Makes new, pending runs for the same events, all in one batch. None for those whose pipeline is gone or takes no more, or that
 * somebody else has made again since. Returns how many; only when that is not 0 the ticket will be redeemed. -ENOBUFS when the batch is full. */
int engine_replay(struct engine *e, struct now now, struct replay *r, size_t n, struct ticket *t);

/* ---- runs that workers outside carry out ---- */

#define CLAIMS_MAX 4096          /* that wait at the same time */
#define CLAIM_RUNS_MAX 1000      /* that one may get */
#define CLAIM_WAIT_MS_MAX 60000
#define CLAIM_PATTERNS_MAX 64
#define LEASE_MS_MAX (24 * 3600 * 1000)
#define LEASE_MS_DEFAULT 60000

/* After a restart every lease lasts at least this much longer: its worker could not reach us. */
#define LEASE_GRACE_MS 10000

struct claim_request {
    const char *const *patterns; /* of pipelines' paths; '*' stands for any text, '?' for one character. Copied */
    size_t pattern_count;        /* 1..CLAIM_PATTERNS_MAX */
    uint32_t count_max;          /* 1..CLAIM_RUNS_MAX */
    uint64_t lease_ms;           /* 1..LEASE_MS_MAX */
    uint64_t wait_ms;            /* for the first run; 0: not at all */
    struct claim_ticket *ticket;
};

/* Somebody asks for runs of pipelines that are pulled: the oldest ones of those whose turn it is. The ticket is redeemed when there
 * are some, when the wait is over, or when the daemon is about to stop. -ENOBUFS: too many wait already; -EDQUOT: leased_max
 * runs are out. It will not be redeemed then. */
int engine_claim(struct engine *e, struct now now, const struct claim_request *q);

/* Nobody wants that answer any more: nothing is leased for it from now on. It is redeemed all the same. */
void engine_unclaim(struct engine *e, struct claim_ticket *t);

enum lease_answer {
    LEASE_DONE,    /* the ticket will be redeemed */
    LEASE_REFUSED, /* the run is being carried out, but not with this token. It will not be redeemed; nor here: */
    LEASE_UNKNOWN, /* nobody carries it out */
};

/* The worker needs more time: that much from now, 0: as much as at first. */
enum lease_answer engine_extend(struct engine *e, struct now now, struct uuid run,
                                struct lease_hash hash, uint64_t lease_ms, struct ticket *t,
                                struct wall *ret_expires_at);
/* The worker's attempt has ended. */
enum lease_answer engine_finish_leased(struct engine *e, struct now now, struct lease_hash hash,
                                       const struct run_result *r, struct ticket *t);

/* A run that is carried out here may also be ended by whoever proves this: an executor has asked somebody outside to do the work,
 * and that one may be faster than its own answer. The executor is told by CANCEL_RUN then. In memory only: after a restart the run
 * counts as interrupted. */
void engine_promise(struct engine *e, struct uuid run, struct lease_hash hash);

/* A run that is carried out here is carried out outside from now on, for that long at most (1..LEASE_MS_MAX): its slot is free, and
 * neither its executor nor a restart ends it. False when no such run is carried out here, or it was asked to end: then t will not be
 * redeemed. If the commit fails it is carried out here still. */
bool engine_entrust(struct engine *e, struct now now, struct uuid run, struct lease_hash hash,
                    uint64_t ms, struct ticket *t);

/* Whether one more run may be outside (leased_max). */
bool engine_has_lease_left(const struct engine *e);

/* A worker that never claimed the run says how it is. RUNNING takes, or extends, a lease without a token. After LEASE_UNKNOWN the
 * caller reads the run's row off the loop and then calls engine_report_looked_up exactly once, as for engine_cancel. */
enum lease_answer engine_report(struct engine *e, struct now now, const struct run_result *r,
                                uint64_t lease_ms, struct ticket *t);
/* p: the run's pipeline when its row said PENDING, else NULL; s: run, event, attempt, root and depth as read. */
enum lease_answer engine_report_looked_up(struct engine *e, struct now now, struct pipeline *p,
                                          const struct run_start *s, const struct run_result *r,
                                          uint64_t lease_ms, struct ticket *t);

/* At start: a run that a worker had when the daemon stopped. s as above; p as for engine_recover_run. */
void engine_recover_lease(struct engine *e, struct now now, struct pipeline *p,
                          const struct run_start *s, struct wall started_at, struct lease_hash hash,
                          struct wall expires_at);

/* ---- pausing (pause.c): events are accepted and decided, runs are made and wait ---- */

/* What is meant: a trigger under a pipeline, else a pipeline, else everything. */
struct pause_target {
    struct pipeline *pipeline;
    struct trigger *trigger;
};

/* False: it was so already, and stays as it was. The ticket is redeemed either way. */
bool engine_pause(struct engine *e, struct now now, const struct pause_target *x,
                  struct slice reason, struct ticket *t);
bool engine_resume(struct engine *e, struct now now, const struct pause_target *x,
                   struct ticket *t);
bool engine_is_paused(const struct engine *e); /* everything is */
void engine_load_pause(struct engine *e, const struct pause_target *x); /* at start, after what it is about */

/* At start: nothing is started until engine_go(), which also records that what an earlier life had left running is gone. */
void engine_wait(struct engine *e);
void engine_go(struct engine *e, struct now now);

/* ---- changes of the catalog; each is a record, each ticket is redeemed after the commit ---- */

/* Adds a pipeline; the path must be free (catalog_pipeline_at). Takes `def`. Fills id, key,
 * version 1. */
struct pipeline *engine_add_pipeline(struct engine *e, struct now now, struct slice path,
                                     struct pipeline_def *def, struct ticket *t);
/* The same with an id of its maker's, which must be free (catalog_pipeline_given); absent: none. */
struct pipeline *engine_add_pipeline_as(struct engine *e, struct now now, struct slice path,
                                        struct slice given_id, struct pipeline_def *def,
                                        struct ticket *t);
/* Gives a pipeline its next version. Takes `def`. */
void engine_change_pipeline(struct engine *e, struct now now, struct pipeline *p,
                            struct pipeline_def *def, struct ticket *t);
/* Drops a pipeline and its triggers. Its pending runs are cancelled: from the commit on they are shown so,
 * and the store writes it row by row afterwards. */
void engine_drop_pipeline(struct engine *e, struct now now, struct pipeline *p, struct ticket *t);

/* Adds a trigger under p. Takes `def`; `type` is static memory; `label` is copied. */
struct trigger *engine_add_trigger(struct engine *e, struct now now, struct pipeline *p,
                                   const char *type, struct trigger_def *def, struct slice label,
                                   struct ticket *t);
void engine_change_trigger(struct engine *e, struct now now, struct trigger *tr,
                           struct trigger_def *def, struct slice label, struct ticket *t);
void engine_drop_trigger(struct engine *e, struct now now, struct trigger *tr, struct ticket *t);

/* ---- ArkEvents (ark.c); a trigger that belongs to one is changed in no other way ---- */

/* Adds one; the path "namespace/name" must be free (catalog_ark). Takes `def`, whose rule has targets; `type` is static memory,
 * the label is copied. */
struct arkevent *engine_add_ark(struct engine *e, struct now now, struct slice path,
                                const char *type, struct trigger_def *def, struct slice label,
                                const struct ark_token *token, struct ticket *t);
/* Gives it another definition; other_spec: its generation is the next one. The token stays. */
void engine_change_ark(struct engine *e, struct now now, struct arkevent *a,
                       struct trigger_def *def, struct slice label, bool other_spec,
                       struct ticket *t);
void engine_drop_ark(struct engine *e, struct now now, struct arkevent *a, struct ticket *t);

/* The ticket is redeemed with the commit of all that has been done so far, which may be nothing. */
void engine_confirm(struct engine *e, struct ticket *t);

/* ---- namespaces that somebody has made (namespace.c) ---- */

struct namespace;
void engine_load_namespace(struct engine *e, struct slice name, struct slice config, uint64_t version,
                           struct wall created_at); /* at start */
/* Makes one, or changes the one that was made. */
void engine_put_namespace(struct engine *e, struct slice name, struct slice config, uint64_t version,
                          struct wall created_at, struct ticket *t);
void engine_drop_namespace(struct engine *e, struct namespace *n, struct ticket *t);

/* ---- marks of what came from manifests (applied.c, applied.h) ---- */

void engine_load_applied(struct engine *e, struct slice key, struct slice owner, struct uuid object); /* at start */
/* Marks an object, which must exist. No ticket: it is part of whatever is done with the object in the same batch. */
void engine_mark_applied(struct engine *e, struct slice key, struct slice owner, struct uuid object);

/* ---- zones and their files (zone.c) ---- */

/* Adds a zone; the path must be free (catalog_zone_at). Takes `def`. */
struct zone *engine_add_zone(struct engine *e, struct now now, struct slice path,
                             struct slice directory, bool made_by_us, struct zone_def *def,
                             struct ticket *t);
void engine_change_zone(struct engine *e, struct now now, struct zone *z, struct zone_def *def,
                        struct ticket *t);
void engine_drop_zone(struct engine *e, struct now now, struct zone *z, struct ticket *t);

/* What was in the zone before it came to be is in the ledger. */
void engine_prime_zone(struct engine *e, struct now now, struct zone *z, struct ticket *t);

/* Changes of the ledger without an event: a file is there; a file that is known has other times, or is back; a file is there no
 * more. -ENOBUFS when the batch is full; then t will not be redeemed. */
int engine_note_file(struct engine *e, struct now now, const struct ledger_file *f,
                     struct ticket *t);
int engine_keep_file(struct engine *e, struct now now, const struct ledger_file *f,
                     struct ticket *t);
int engine_drop_file(struct engine *e, struct now now, int64_t zone_key, struct slice path,
                     struct ticket *t);

/* ---- time ---- */

/* The wall clock was set (not slewed): all schedules are computed anew. Times that it jumped over are missed ones. */
void engine_clock_stepped(struct engine *e, struct now now);

void engine_tick(struct engine *e, struct now now); /* does what is due */
struct mono engine_wake_at(const struct engine *e); /* when the next tick is due, or MONO_NEVER */

/* From now on nothing is started; new runs are left pending. For the way to the end of the daemon.
 */
void engine_hold(struct engine *e);

/* ---- effects ---- */
/* The filling batch if it has effects and none is out; else NULL. */
struct batch *engine_take(struct engine *e);
bool engine_is_full(const struct engine *e); /* the filling batch accepts no more events */
size_t engine_filled(const struct engine *e);  /* records in the batch that is filling */
bool engine_is_idle(const struct engine *e); /* no batch is out and nothing has filled up */
void engine_settle(struct engine *e, struct now now, struct batch *b, int err);
void engine_recycle(struct engine *e, struct batch *b); /* takes a settled batch back for reuse */

/* ---- figures for /metrics and limits ---- */
struct engine_stats {
    uint64_t running, pending; /* running: here */
    uint64_t leased, claims;   /* runs that workers have; those who wait for some */
    bool paused;               /* everything is */
    uint64_t paused_pipelines, paused_triggers;
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t runs_ended[5]; /* by enum run_status */
};
struct engine_stats engine_stats(const struct engine *e);

#endif
