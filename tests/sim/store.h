/* store.h - a store in memory for the simulator: takes a batch's records as one transaction, like the journal does.
 *
 * It also is the judge of what may be written: a final state never changes, ids never repeat, rows refer to rows.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H
#include "base/vec.h"
#include "core/effect.h"
#include "core/engine.h"
#include <uthash.h>

struct sim_run {
    struct uuid id, event, trigger_id;
    int64_t pipeline_key, trigger_key;
    enum run_status status;
    uint32_t attempt;
    struct wall due_at, started_at;
    uint32_t version;
    uint32_t former; /* attempts that are kept */
    size_t log_bytes; /* of its present attempt, in parts */
    bool replayed;   /* it failed and was made again */
    bool leased; /* a worker has it, with this: */
    struct lease_hash hash;
    struct wall expires_at;
    UT_hash_handle hh;
};

struct sim_event {
    struct uuid id;
    char *decisions;
    size_t decisions_len;
    struct wall time;
    UT_hash_handle hh;
};

struct sim_pipeline {
    int64_t key;
    struct uuid id;
    char path[64];
    uint32_t version, running_max, max_attempts, queue_max;
    enum concurrency_policy policy;
    bool pull, paused, dropped;
    UT_hash_handle hh;
};

struct sim_trigger {
    int64_t key, pipeline_key;
    struct uuid id;
    uint8_t token;
    bool enabled, paused, dropped;
    uint64_t cooldown_ms;
    struct wall last_fired;
    struct uuid last_run;
    UT_hash_handle hh;
};

struct sim_store {
    bool paused; /* everything is */
    struct sim_run *runs; /* in the order of their making */
    struct sim_event *events;
    struct sim_pipeline *pipelines;
    struct sim_trigger *triggers;
};

/* A spec and a config are a few numbers in a text, so that they survive the round trip through the store. */
struct pipeline_def *sim_pipeline_def(uint32_t running_max, uint32_t max_attempts, bool pull);
struct pipeline_def *sim_pipeline_def_bounded(uint32_t running_max, uint32_t max_attempts, bool pull,
                                              enum concurrency_policy policy, uint32_t queue_max);
struct trigger_def *sim_trigger_def(uint8_t token, bool enabled, uint64_t cooldown_ms);

void sim_store_apply(struct sim_store *s, const struct batch *b);
struct sim_run *sim_store_run(const struct sim_store *s, struct uuid id);
struct sim_event *sim_store_event(const struct sim_store *s, struct uuid id);
/* What a pipeline's queue holds; 0: all of them. `fresh`: of the pending, those in their first attempt; `leased`: of those that run. */
struct sim_tally {
    size_t pending, fresh, running, leased;
};
struct sim_tally sim_store_tally(const struct sim_store *s, int64_t pipeline_key);
size_t sim_store_count(const struct sim_store *s, enum run_status status, bool pull);

/* The pending queue of a pipeline, as io/store/query.h's query_pending reads it. */
size_t sim_store_pending(const struct sim_store *s, int64_t pipeline_key, struct wall now,
                         uint32_t max, struct offered_run *ret, struct wall *ret_next_due);

/* Fills a new engine, as io/store/query.h's store_load does. */
void sim_store_load(const struct sim_store *s, struct engine *e, struct now now);
void sim_store_deinit(struct sim_store *s);

#endif
