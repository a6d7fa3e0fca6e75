/* engine_internal.h - what the engine's files share. Nobody else includes it. */
#ifndef CORE_ENGINE_INTERNAL_H
#define CORE_ENGINE_INTERNAL_H
#include "base/prng.h"
#include "base/rfc3339.h"
#include "base/vec.h"
#include "core/ark.h"
#include "core/engine.h"
#include "core/template.h"
#include "core/wheel.h"
#include <uthash.h>

/* After a failed commit nothing is started from the durable queue for this long. */
#define STALL_MS 1000

/* A run that is being carried out. */
struct run {
    struct uuid id;
    struct pipeline *pipeline;
    uint32_t attempt, depth;
    struct uuid event, root; /* what it is for, and where that began */
    struct wall started_at;
    bool cancelled; /* asked to end: no further attempt */
    bool replaced;  /* by a newer run: why it was asked */
    bool has_log_parts; /* on disk, or they may be */
    struct run *prev, *next; /* of_pipeline */
    struct lease *lease; /* NULL: it is carried out here */
    struct lease_hash promise; /* whoever proves this may end it, too; all zero: nobody */
    UT_hash_handle hh;
};

/* A worker outside has the run. Destroyed with it. */
struct lease {
    struct wheel_timer time;
    struct run *run;
    struct lease_hash hash;
    uint64_t ms; /* how long it was given for at first */
    struct mono ends_at;
    struct wall expires_at; /* the same, for people */
};

/* Somebody who waits for runs (claim.c). */
struct claim {
    struct wheel_timer wait;
    struct claim_ticket *ticket;
    char **patterns;
    size_t pattern_count;
    uint32_t count_max, asked, got; /* runs: wanted, in fetches that are out, leased */
    unsigned fetches;               /* that are out for it */
    uint64_t lease_ms;
    enum { CLAIM_NEW, CLAIM_WAITING, CLAIM_FETCHING, CLAIM_STATES } state;
    bool over;   /* the wait is: an empty answer will do */
    bool unheard; /* nobody waits for the answer */
    struct claim *prev, *next;
};

/* A run that stopped being pending while a read of its row may be on its way or may still be asked for: the fetch of its
 * pipeline's queue, or a look-up for a cancellation. What was read may then be out of date. */
struct moved_run {
    struct uuid id;
    struct pipeline *pipeline;
    bool in_fetch;  /* a fetch of the pipeline's queue is out */
    uint64_t batch; /* the batch that holds the record: until it is settled the row says PENDING */
};

/* How to take one change back. Each says what was done; undo.c knows who does the opposite, or lets go of the old. */
enum undo_type {
    UNDO_STATE,       /* trigger: its state before */
    UNDO_SUCCESS,     /* followed, with a reference: last_success before */
    UNDO_SUCCEEDED,   /* pipeline: last_success before */
    UNDO_PENDING,     /* pipeline: pending grew by delta */
    UNDO_CANCEL,      /* run: it was asked to end */
    UNDO_RUN_STARTED, /* run: it came into being in memory */
    UNDO_RUN_ENDED,   /* run: it left the table, its memory is kept */
    UNDO_PAUSE,       /* pause: it was paused, or went on */
    UNDO_EXTEND,      /* run: its lease was over earlier before */
    UNDO_ENTRUST,     /* run: it was carried out here */
    UNDO_ADD_PIPELINE,
    UNDO_CHANGE_PIPELINE, /* old_pipeline_def */
    UNDO_DROP_PIPELINE,   /* delta: what was pending */
    UNDO_ADD_TRIGGER,
    UNDO_CHANGE_TRIGGER, /* old_trigger_def */
    UNDO_DROP_TRIGGER,
    UNDO_ADD_ZONE,
    UNDO_CHANGE_ZONE, /* old_zone_def, was_primed, was_new_since */
    UNDO_PRIME_ZONE,  /* was_primed */
    UNDO_DROP_ZONE,
    UNDO_ARK, /* ark: its state before */
    UNDO_ACTIVE_STARTED, /* active: it was linked */
    UNDO_ACTIVE_ENDED,   /* and unlinked */
    UNDO_ADD_TOPIC,
    UNDO_CHANGE_TOPIC, /* old_topic: its retention */
    UNDO_PUBLISH,      /* old_topic: where its next message went before the batch */
    UNDO_DROP_TOPIC,
    UNDO_POSITION, /* old_position: before the batch, or before it was forgotten */
    UNDO_NAMESPACE, /* namespace: as it is, old_namespace: as it was; each NULL when there was none */
    UNDO_APPLIED,  /* applied: the mark, old_applied: the one before; each NULL when there is none */
    UNDO_KINDS,
};

struct undo {
    enum undo_type type;
    union {
        struct pause_target pause;
        struct trigger *trigger;
        struct pipeline *pipeline;
        struct followed *followed;
        struct run *run;
        struct zone *zone;
        struct arkevent *ark;
        struct active_run *active;
        struct topic *topic;
        struct stream_position *position;
        struct applied *applied;
        struct namespace *namespace;
    };
    union {
        struct trigger_state state;
        struct wall last_success;
        int64_t delta;
        struct pipeline_def *old_pipeline_def;
        struct trigger_def *old_trigger_def;
        struct zone_def *old_zone_def;
        struct ark_state ark_state;
        struct topic_state old_topic;
        struct applied *old_applied;
        struct namespace *old_namespace;
        struct {
            uint64_t at, mark;
            bool known;
        } old_position;
        struct {
            struct mono ends_at;
            struct wall expires_at;
        } lease;
    };
    bool was_primed;
    struct wall was_new_since;
};
typedef VEC(struct undo) undo_log;

typedef void undo_fn(struct engine *e, struct now now, struct undo *u); /* takes the change back; the last one made is the first */
typedef void undo_done_fn(struct undo *u); /* the change is on disk, or the engine ends: frees what was kept for taking it back */

/* A run of an ArkEvent that forbids others meanwhile (active.c). */
struct active_run {
    struct uuid run;
    struct arkevent *ark;
    const struct pipeline *pipeline;
    UT_hash_handle hh;
};

struct engine {
    struct engine_options opt;
    struct prng prng;
    struct uuid_gen ids;
    struct catalog catalog;
    struct wheel wheel;

    struct run *runs;           /* being carried out, by id */
    uint32_t running, reserved; /* slots in use, slots held for fetches */
    uint32_t leased, reserved_leases;
    struct pipeline *ready[READY_OFFERED + 1]; /* DLs over ready_prev, ready_next; [READY_NOT] is none */
    struct claim *claims[CLAIM_STATES];        /* DLs, by state */
    uint32_t claim_count;
    struct mono stalled_until;
    struct wall counted_from; /* completion.c's */
    bool held;                /* nothing is started any more */
    bool paused, not_yet;     /* nothing is started for now (pause.c) */
    VEC(struct moved_run) moved;
    struct active_run *active; /* by id */
    uint64_t ark_version;      /* the last one given out */
    uint32_t lookups; /* rows being read for engine_cancel_looked_up */
    bool moved_lost;  /* more runs were started during look-ups than are remembered */
    uint64_t moved_lost_batch; /* until this batch is settled rows say PENDING that are not */

    struct batch *filling, *out, *spare; /* spare: a list over next */
    undo_log undo_filling, undo_out;
    bool arm_undone; /* zones or topics' triggers have changed back since the last failed commit was dealt with */
    uint64_t batch_number;   /* the filling batch's */
    uint64_t settled_number; /* the last one settled */
    struct engine_stats stats;
    struct engine_stats stats_out, stats_filling; /* before that batch: for the counters, which a failed commit sets back */
};

struct effect *emit(struct engine *e, enum effect_type type);
/* t may be NULL; then so is what is returned. */
struct outcome *emit_reply(struct engine *e, struct ticket *t, struct uuid event,
                           const struct decision *d, size_t n);
struct slice keep(struct engine *e,
                  struct slice s); /* a copy that lives as long as the filling batch */
void pipeline_unref(struct pipeline *p);
/* As it is at first, in no table. */
static inline struct run run_of(const struct run_start *s, struct pipeline *p)
{
    return (struct run){
        .id = s->run,
        .pipeline = p,
        .attempt = s->attempt,
        .depth = s->depth,
        .event = s->event,
        .root = s->root,
        .started_at = WALL_UNSET,
    };
}

void run_destroy(struct run *r);

/* ---- undo.c ---- */

struct undo *undo_add(struct engine *e, enum undo_type type); /* of the filling batch; valid until the next undo_add */
void undo_forget(undo_log *log);                                 /* its batch is on disk */
void undo_all(struct engine *e, struct now now, undo_log *log); /* its batch is not; empty afterwards */

/* ---- feed.c ---- */

/* Evaluates an event for the triggers with its key, without asking whether the batch is full. The number of them. */
int feed_event(struct engine *e, struct now now, const struct event *ev);
/* The same for a message: recorded in any case. */
struct effect_put_event *feed_message(struct engine *e, struct now now, const struct event *ev);
/* Evaluates an event for one trigger, whatever its key says: what the trigger's own deadlines make. */
void feed_trigger(struct engine *e, struct now now, const struct event *ev, struct trigger *t);
/* Gives a trigger its next state: undoable, and part of the batch. */
void feed_set_state(struct engine *e, struct trigger *t, const struct trigger_state *next);
undo_fn feed_undo_state;
bool batch_is_full(const struct engine *e);

/* ---- change.c ---- */

/* What engine_add_trigger and the others do, but for the answer. `tr` is zeroed memory. */
void change_add_trigger(struct engine *e, struct now now, struct trigger *tr, struct pipeline *p,
                        const char *type, struct trigger_def *def, struct slice label);
void change_trigger_def(struct engine *e, struct now now, struct trigger *tr,
                        struct trigger_def *def, struct slice label);
void change_drop_trigger(struct engine *e, struct now now, struct trigger *tr);
undo_fn change_undo_add_pipeline, change_undo_pipeline, change_undo_drop_pipeline;
undo_done_fn change_done_pipeline, change_done_drop_pipeline;
undo_fn change_undo_add_trigger, change_undo_trigger, change_undo_drop_trigger;
undo_done_fn change_done_trigger, change_done_drop_trigger;

/* ---- ark.c ---- */

/* The path of the first target that is not there, or NULL. */
const char *ark_missing_target(const struct catalog *c, const struct trigger *t);
void ark_fired(struct engine *e, struct trigger *t);  /* its state is recorded in this batch */
void ark_passed(struct engine *e, struct trigger *t); /* it was due and did not fire: the next due time is another one */
void ark_pipeline_changed(struct engine *e, struct now now, const char *path); /* one came to be, or is no more */
undo_fn ark_undo;

/* ---- ark_input.c ---- */

/* What the targets of one firing get as input, one for each, in the batch; an absent one: the event's payload. False: too much for
 * one firing (ARK_INPUTS_BYTES_MAX). */
bool ark_inputs_make(struct engine *e, struct now now, const struct trigger *t,
                     const struct event *ev, struct slice **ret);

/* ---- active.c ---- */

void active_started(struct engine *e, struct arkevent *a, struct uuid run,
                    const struct pipeline *p);
void active_ended(struct engine *e, struct uuid run); /* for good; harmless for all other runs */
void active_pipeline_dropped(struct engine *e, const struct pipeline *p);
void active_pending_dropped(struct engine *e, const struct pipeline *p); /* its pending runs have ended */
void active_forget(struct engine *e, const struct arkevent *a);
undo_fn active_undo_start, active_undo_end;
undo_done_fn active_done_end;
void active_release(struct engine *e);

/* ---- topic.c ---- */

/* The event is the next message of its topic, which there is. */
void topic_record_message(struct engine *e, struct now now, const struct event *ev,
                          struct effect_put_event *rec);
/* False when the position has been passed already. */
bool topic_advance(struct engine *e, const struct position *p);
/* Who listens to which topics has changed, if the rule is a topic's. */
void topic_note_rule(struct engine *e, const struct rule *r);
undo_fn topic_undo_add, topic_undo_state, topic_undo_drop, topic_undo_position;
undo_done_fn topic_done_drop;

/* ---- completion.c ---- */

/* The successes that t needs count from this time on: it was made, or has fired. */
void completion_count_from(struct engine *e, const struct trigger *t, struct wall at);
/* The same for what happens now; the time that is recorded for it. */
struct wall completion_since(struct engine *e, const struct trigger *t, struct wall now);

/* t has a new definition: what is known of the pipelines that it needs is kept from now on. */
void completion_need(struct engine *e, const struct trigger *t);

/* A run has ended for good: an event for those who follow its pipeline. */
void completion_feed(struct engine *e, struct now now, const struct run *run,
                     const struct run_result *r);
undo_fn completion_undo_success, completion_undo_succeeded;
undo_done_fn completion_done_success;

/* ---- zone.c ---- */

void zone_record_file(struct engine *e, struct now now, const struct ledger_file *f,
                      struct uuid id);
undo_fn zone_undo_add, zone_undo_change, zone_undo_prime, zone_undo_drop;
undo_done_fn zone_done_change, zone_done_drop;

/* ---- namespace.c ---- */

undo_fn namespace_undo;
undo_done_fn namespace_done;

/* ---- applied.c ---- */

void applied_object_dropped(struct engine *e, struct uuid object);
undo_fn applied_undo;
undo_done_fn applied_done;

/* ---- timing.c ---- */

/* A trigger comes into the engine, new or from the store, or gets a new definition. */
void timing_adopt(struct engine *e, struct now now, struct trigger *t, bool loaded);
void timing_arm(struct engine *e, struct now now,
                struct trigger *t); /* by its rule and state, from scratch */
void timing_disarm(struct engine *e, struct trigger *t);
/* The first event that a trailing trigger holds back is of this chain. */
void timing_held_first(struct trigger *t, const struct lineage *l);
void timing_due(struct engine *e, struct now now,
                struct wheel_timer *w); /* a tick or the end of a cooldown */

/* ---- queue.c ---- */

/* Whether a new run of p may start at once instead of waiting its turn. */
bool queue_has_slot(const struct engine *e, const struct pipeline *p, struct mono now);
/* Takes a slot and puts the run into the table of those being carried out. Takes `lease`, NULL when it is carried out here. */
void queue_occupy(struct engine *e, struct pipeline *p, const struct run_start *s,
                  struct wall started_at, struct lease *lease);
/* The same without a way back, for what the store says at start. */
void queue_adopt(struct engine *e, struct pipeline *p, const struct run_start *s,
                 struct wall started_at, struct lease *lease);
/* A pending run is pending no more: takes it out of the queue, occupies a slot with it, records that. */
void queue_begin(struct engine *e, struct now now, struct pipeline *p, const struct run_start *s,
                 struct lease *lease);
struct run_start queue_keep_start(struct engine *e, const struct run_start *s);
/* An attempt of p has ended. */
void queue_note_end(struct pipeline *p, struct mono now);
/* How many more runs of p may be carried out here; may be leased, where workers take them. */
uint32_t queue_free_slots(const struct engine *e, const struct pipeline *p, struct mono now);
uint32_t queue_free_leases(const struct engine *e, const struct pipeline *p);
/* Records that a run moves from one state to another. */
void queue_move_run(struct engine *e, enum run_status from, const struct effect_move_run *m);
/* Asks for at most so many of p's pending runs; how many those are. p->claim says whom for. */
uint32_t queue_fetch(struct engine *e, struct pipeline *p, uint32_t slots);
void queue_put(struct engine *e, struct pipeline *p, int ready); /* into one of the lists of pipelines, or none */
void queue_add_pending(struct engine *e, struct pipeline *p);
void queue_change_pending(struct engine *e, struct pipeline *p, int64_t delta);
void queue_delay_until(struct engine *e, struct now now, struct pipeline *p, struct wall due);
void queue_note_moved(struct engine *e, struct pipeline *p, struct uuid run);
void queue_note_all_moved(struct engine *e, struct pipeline *p); /* none of p's pending runs is pending any more */
bool queue_has_moved(const struct engine *e, struct uuid run);
bool queue_is_certain(const struct engine *e, struct uuid run); /* a look-up that says PENDING is right */
void queue_make_ready(struct engine *e, struct pipeline *p);
void queue_sort(struct engine *e, struct pipeline *p);  /* its definition has changed: into the right list */
void queue_leave(struct engine *e, struct pipeline *p); /* out of every list and timer */
void queue_relink(struct engine *e, struct run *r);     /* undo of a run's end */
void queue_unlink(struct engine *e, struct run *r);     /* its end, or the undo of its start */
void queue_fetch_done(struct engine *e, struct pipeline *p);
void queue_looked_up(struct engine *e);                /* after a look-up */
void queue_settled(struct engine *e);                  /* after a batch was settled, either way */
void queue_schedule(struct engine *e, struct now now); /* starts, or asks for, what may start */
undo_fn queue_undo_pending, queue_undo_start;

/* ---- concurrency.c ---- */

/* The one place that decides whether an event may make one more run of p: FIRED, or CONCURRENCY with what is full. The second: of
 * all the targets of t, which exist. */
bool concurrency_admits_replay(const struct pipeline *p);
enum verdict concurrency_judge(struct engine *e, const struct pipeline *p, struct slice *ret_detail);
enum verdict concurrency_judge_targets(struct engine *e, const struct trigger *t,
                                       struct slice *ret_detail);
bool concurrency_has_room(const struct engine *e, const struct trigger *t); /* the same as a yes or no */
bool concurrency_must_replace(const struct pipeline *p); /* a new run would take the place of those under way */
/* Ends those, if so; more may be decided in there. False: there was nothing to do. */
bool concurrency_replace(struct engine *e, struct now now, struct pipeline *p);
bool concurrency_make_room(struct engine *e, struct now now, const struct trigger *t);

/* ---- pause.c ---- */

bool pause_holds(const struct engine *e, const struct pipeline *p);     /* nothing of p may start */
bool pause_holds_run(const struct engine *e, const struct run_start *s); /* its trigger's runs may not */
undo_fn pause_undo;
/* They go: what their pause put aside comes back, as far as it stays. */
void pause_drop_trigger(struct engine *e, struct trigger *t);
void pause_drop_pipeline(struct engine *e, struct pipeline *p);

/* ---- ends.c ---- */

/* A newer run takes its place. */
void ends_replace(struct engine *e, struct now now, struct run *run);

/* An attempt in the table has ended. */
void ends_attempt(struct engine *e, struct now now, struct run *run, const struct run_result *r,
                  struct ticket *t);
/* A run that was never in the table has. */
void ends_pending(struct engine *e, struct now now, struct pipeline *p, const struct run *run,
                  const struct run_result *r);
undo_fn ends_undo_cancel, ends_undo_end;
undo_done_fn ends_done_end;

/* ---- claim.c ---- */

bool claim_has_work(const struct engine *e); /* for claim_schedule */
void claim_schedule(struct engine *e);       /* asks for the runs that somebody waits for */
void claim_hold(struct engine *e);           /* nothing is leased any more: whoever waits is told */
void claim_due(struct engine *e, struct wheel_timer *w);
/* A run of p's fetch for a claim. */
void claim_take(struct engine *e, struct now now, struct pipeline *p, const struct offered_run *o);
/* p's fetch has come back, or never will. */
void claim_fetched(struct engine *e, struct pipeline *p);
void claim_void(struct engine *e, struct pipeline *p);
void claim_destroy(struct claim *c);

/* ---- lease.c ---- */

struct lease *lease_make(struct now now, struct lease_hash hash, uint64_t ms);
void lease_record(struct engine *e, const struct lease *l);
void lease_arm(struct engine *e, struct lease *l);
void lease_due(struct engine *e, struct now now, struct wheel_timer *w);
undo_fn lease_undo_extend, lease_undo_entrust;

#endif
