/* arks.h - what the files of the simulation of ArkEvents share: arks.c (what happens), arks_store.c (the disk, which judges). */
#ifndef SIM_ARKS_H
#define SIM_ARKS_H
#include "base/prng.h"
#include "base/vec.h"
#include "core/engine.h"
#include "seeds.h"

#define NAMESPACES 2
#define TEAMS 3
#define KINDS 5
#define TEXT_MAX 32

/* What the events of each namespace are. */
struct kind {
    char follows; /* a team; 0: it is called */
    uint8_t ends;
    const char *targets; /* teams */
    bool forbids;
    uint64_t cooldown_ms;
};
extern const struct kind kinds[KINDS];

/* An ArkEvent as it is on disk. */
struct row {
    int slot; /* namespace * KINDS + kind */
    int64_t key;
    struct uuid id;
    bool enabled, dropped;
    uint64_t version, generation, fired;
    int reason;
    struct wall since, created_at, last_fired;
    uint64_t firings; /* counted here, by decisions */
};

/* A run that has not ended, as it is on disk; also one that has, where that is said. */
struct going {
    struct uuid id, event;
    int64_t pipeline_key, trigger_key;
    struct wall started_at;
    bool pending;
    bool started;  /* the executor was told */
    bool replayed; /* it has failed and was made again */
};

/* What is read for the engine, on its way. */
struct fetching {
    struct pipeline *pipeline;
    uint32_t count_max;
};

/* Of one transaction. */
struct due {
    struct uuid run;
    int64_t trigger_key, pipeline_key;
};
struct over {
    struct going run;
    enum run_status status;
    bool told;
};

struct sim {
    struct prng rng;
    struct now now;
    struct engine *engine;
    struct batch *out;
    VEC(struct row) rows;
    VEC(struct going) runs, dead; /* dead: failed */
    VEC(struct fetching) fetching;
    VEC(struct replay) lookups; /* runs to be made again */
    bool paused, team_paused[NAMESPACES * TEAMS];
    struct uuid pipelines[NAMESPACES * TEAMS]; /* of key i + 1 */
    VEC(struct due) due;
    VEC(struct over) over;
    uint64_t version;
    uint64_t fired, chained, refused, replays, waited;
    unsigned failures, crashes;
    struct digest digest;
};

static inline uint64_t below(struct sim *s, uint64_t n)
{
    return prng_below(&s->rng, n);
}

/* ---- arks_store.c ---- */

void arks_event_path(int slot, char ret[TEXT_MAX]);
struct trigger_def *arks_def(int slot, bool enabled);
void arks_apply(struct sim *s, const struct batch *b); /* it is on disk, if that is right */
void arks_start(struct sim *s, struct uuid run);       /* its executor is told, if that is right */
struct going *arks_run(struct sim *s, struct uuid run);
size_t arks_pending(struct sim *s, const struct pipeline *p, struct offered_run *ret, size_t max);
void arks_judge_memory(struct sim *s);
void arks_load(struct sim *s); /* a new engine with what is on disk; what became of interrupted runs is its first batch */

#endif
