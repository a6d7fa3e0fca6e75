/* catalog.h - pipelines, triggers and zones in memory, and how to find them in O(1).
 *
 * An object has an identity that never changes and a definition that is replaced as a whole: an
 * update swaps one pointer, so undoing it swaps it back. The catalog is changed by the engine only
 * (engine.h), which keeps the old definition until the change is on disk.
 */
#ifndef CORE_CATALOG_H
#define CORE_CATALOG_H
#include "base/str.h"
#include "base/uuid.h"
#include "core/rule.h"
#include "core/topic.h"
#include "core/trigger_table.h"
#include "core/wheel.h"
#include "core/zone.h"
#include "pawl/event.h"
#include "pawl/time.h"
#include <uthash.h>

struct effect;

/* How failed attempts are repeated. */
struct retry_policy {
    uint32_t max_attempts; /* 1: never repeated */
    uint64_t backoff_ms;   /* before the second attempt */
    double backoff_factor; /* each further wait is this much longer */
    uint64_t backoff_ms_max;
    double jitter; /* 0..1: up to this part of a wait is taken off it, by chance */
};

/* What becomes of an event for a pipeline that has as much to do as it may (concurrency.c). */
enum concurrency_policy {
    CONCURRENCY_QUEUE,   /* its run waits, if there is room in the queue */
    CONCURRENCY_SKIP,    /* it starts nothing */
    CONCURRENCY_REPLACE, /* its run takes the place of those under way */
};

/* What a pipeline is at one version. Immutable, owned by the pipeline. */
struct pipeline_def {
    uint32_t version;
    char *spec; /* JSON object: everything the client gave, checked; kept and returned as it is */
    uint32_t running_max; /* 0: no limit of its own */
    uint32_t queue_max;   /* runs that wait; 0: any number */
    enum concurrency_policy policy;
    bool gets_ready;      /* its executor is told of it before there is a run */
    uint32_t capacity;    /* of its executor: so many runs are worked on at the same time; 0: all that are started */
    bool pull;            /* runs wait for a worker that asks for them; pawl starts none */
    uint64_t timeout_ms;  /* 0: none */
    struct retry_policy retry;
    struct wall updated_at;
};

/* What the engine waits for: the tag of a timer in its wheel, which says what it is embedded in. */
enum deadline {
    DEADLINE_RUNS,     /* struct pipeline's delayed */
    DEADLINE_TICK,     /* struct trigger's tick */
    DEADLINE_COOLDOWN, /* struct trail */
    DEADLINE_CLAIM,    /* struct claim's wait */
    DEADLINE_LEASE,    /* struct lease's time */
};

struct pipeline {
    struct uuid id;
    int64_t key; /* row key, small */
    char *path;  /* "namespace.layer.name" */
    char *given_id; /* what its maker calls it instead of the UUID; NULL: nothing else */
    struct pipeline_def *def;
    struct wall created_at;
    struct trigger *triggers; /* utlist DL over prev, next: those that nest under it */
    uint32_t trigger_count;

    /* the engine's bookkeeping of runs (queue.c) */
    uint32_t running;
    uint32_t ending;         /* of those, asked to end */
    struct run *runs;        /* those that are running, DL */
    bool fetch_stale;        /* pending runs were replaced while that FETCH_RUNS was on its way */
    uint32_t ended, ended_before; /* attempts: in the span of time that began at ended_since, in the one before; with a capacity */
    uint64_t ended_since;         /* monotonic ms */
    uint32_t reserved;       /* slots held for the FETCH_RUNS on its way; 0: none is */
    uint64_t pending;        /* durable, waiting */
    bool paused;             /* its runs wait (pause.c) */
    uint32_t paused_triggers;
    bool queued_since_fetch; /* pending grew after that FETCH_RUNS was asked for */
    enum {             /* which of the engine's lists of pipelines that may have something to do it is in */
        READY_NOT,
        READY_TO_START,
        READY_TO_LEASE, /* to be compared with the claims that wait */
        READY_OFFERED,  /* no claim that waits wants it */
    } ready;
    struct pipeline *ready_prev, *ready_next;
    struct claim *claim;        /* that its FETCH_RUNS is for; NULL: for none */
    struct wheel_timer delayed; /* when the next delayed run is due */
    struct wall last_success;   /* 1970: none that is known (completion.c) */
    uint32_t refs; /* runs and fetches that point here; a dropped pipeline lives until it is 0 */
    bool dropped;
    uint64_t search; /* cycle.c's: the last search that came by */

    UT_hash_handle by_id, by_path, by_given_id;
};

/* What a trigger asks for. Immutable, owned by the trigger, in one piece of memory: there may be a million. */
struct trigger_def {
    const char *config; /* JSON object text */
    uint64_t enabled : 1, cooldown_ms : 63;
    struct wall updated_at;
    struct rule rule; /* what the config means */
};

/* What firing changes. */
struct trigger_state {
    struct wall last_fired; /* WALL_UNSET: never */
    int64_t
        fired_ms; /* last_fired on the monotonic clock, which the cooldown is kept by; may lie before its start */
    struct wall last_due; /* of a schedule: the last due time that was dealt with */
    uint64_t held;        /* events held back by the cooldown since then, where they matter later */
    struct uuid held_from; /* the first of them */
};

/* The fields are packed for a million of them: 184 bytes. */
struct trigger {
    struct uuid id;
    int64_t key;               /* row key, small */
    const char *type;          /* static memory: the trigger type's name */
    struct pipeline *pipeline; /* the one it nests under, and its target; NULL: its rule has targets */
    struct trigger_def *def;
    struct wall created_at;
    struct trigger_state state;
    uint64_t paused : 1;       /* its runs wait (pause.c) */
    uint64_t state_batch : 63; /* the batch that holds state_effect */
    struct effect *state_effect;
    struct trail *trail; /* NULL: nobody has waited for the end of its cooldown yet */

    struct trigger *prev, *next; /* of_pipeline */
    struct trigger *table_next;  /* trigger_table.c's */
    union {
        struct {
            struct trigger *match_prev, *match_next; /* those with the same match key */
        };
        struct wheel_timer tick; /* when the schedule is due next */
    };
};

/* Waits for the end of a trigger's cooldown. */
struct trail {
    struct wheel_timer w; /* first */
    struct trigger *trigger;
    struct lineage lineage; /* of the event state.held_from: the firing that makes up for it is of the same chain */
};

/* A pipeline that some trigger's rule follows, or starts by its path. So it outlives the pipeline. */
struct followed {
    char *path;
    struct catalog *catalog;
    struct upstream *upstreams;    /* DL: where the rules of triggers in the catalog say so */
    struct rule_target *targeters; /* DL, likewise */
    uint32_t needers;           /* those of them that need it to have succeeded */
    uint32_t refs;              /* rules, in the catalog or not, and undo entries */
    struct wall last_success;   /* kept for those who need it; WALL_UNSET: never */
    UT_hash_handle hh;
};

/* Triggers with one match key. */
struct match_bucket {
    struct match_key key;
    struct trigger *triggers; /* DL over match_prev, match_next */
    UT_hash_handle hh;
};

struct catalog {
    struct pipeline *pipelines_by_id, *pipelines_by_path, *pipelines_by_given_id;
    struct trigger_table triggers;
    struct match_bucket *matches;
    struct zone *zones_by_id, *zones_by_path;
    struct arkevent *arks;     /* by path */
    struct followed *followed; /* by path */
    struct topic *topics;      /* embedded ones, by name */
    struct subscribed *subscribed; /* topics of any kind that triggers listen to, by name */
    struct stream_position *positions;
    struct namespace *namespaces; /* that somebody has made */
    struct applied *applied_by_key, *applied_by_object; /* what came from manifests */
    uint64_t search;           /* cycle.c's */
    int64_t pipeline_key_last, trigger_key_last,
        zone_key_last, topic_key_last; /* row keys in use are at most these */
};

/* Lookups: NULL when there is none. Dropped objects are not found. */
struct pipeline *catalog_pipeline(const struct catalog *c, struct uuid id);
struct pipeline *catalog_pipeline_at(const struct catalog *c,
                                     struct slice path); /* "namespace.layer.name" */
struct pipeline *catalog_pipeline_given(const struct catalog *c, struct slice given_id);
struct trigger *catalog_trigger(const struct catalog *c, struct uuid id);
struct match_bucket *catalog_match(const struct catalog *c, const struct match_key *key);

struct zone *catalog_zone(const struct catalog *c, struct uuid id);
struct zone *catalog_zone_at(const struct catalog *c, struct slice path); /* "namespace.name" */

struct topic *catalog_topic(const struct catalog *c, struct slice name);

/* A topic that triggers listen to, or NULL. */
const struct subscribed *catalog_subscribed(const struct catalog *c, struct slice topic);

/* The key of events about files in a zone; their scope is its path. */
struct match_key zone_match_key(struct slice path);

/* A trigger that fires for a zone's files, or NULL. */
const struct trigger *catalog_zone_user(const struct catalog *c, struct slice path);

/* A pipeline that is followed, or NULL. */
struct followed *catalog_followed(const struct catalog *c, struct slice path);
void followed_unref(struct followed *f); /* NULL is fine */

/* Whether p, made to run by these upstreams, would lead back to itself. Appends the way to *ret_cycle, such as
 * "a.b.x -> a.b.y -> a.b.x". */
bool catalog_has_cycle(struct catalog *c, struct pipeline *p, const struct rule *rule,
                       struct str *ret_cycle);

/* A trigger of another pipeline whose rule follows p, or NULL. Looks past p's own triggers, no others. */
const struct trigger *catalog_follower(const struct catalog *c, const struct pipeline *p);

/* Links and unlinks. The catalog does not own what is unlinked. */
void catalog_link_pipeline(struct catalog *c, struct pipeline *p);
void catalog_unlink_pipeline(struct catalog *c, struct pipeline *p);
void catalog_link_zone(struct catalog *c, struct zone *z);
void catalog_unlink_zone(struct catalog *c, struct zone *z);
void catalog_link_trigger(struct catalog *c, struct trigger *t);
void catalog_unlink_trigger(struct catalog *c, struct trigger *t);

void catalog_link_topic(struct catalog *c, struct topic *t);
void catalog_unlink_topic(struct catalog *c, struct topic *t);

/* The match index alone, around a change of the trigger's definition. */
void catalog_link_match(struct catalog *c, struct trigger *t);
void catalog_unlink_match(struct catalog *c, struct trigger *t);

void pipeline_def_destroy(struct pipeline_def *d); /* NULL is fine */
/* A definition with copies of config and of what the rule holds; *rule is released. The caller may set updated_at. */
struct trigger_def *trigger_def_create(struct slice config, bool enabled, uint64_t cooldown_ms,
                                       struct rule *rule);
void trigger_def_destroy(struct trigger_def *d);
void pipeline_destroy(struct pipeline *p); /* with its definition, not its triggers */
void trigger_destroy(struct trigger *t);
void catalog_deinit(struct catalog *c); /* destroys everything in it */

#endif
