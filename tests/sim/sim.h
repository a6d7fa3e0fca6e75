/* sim.h - the engine through simulated days in a second: what the files of this simulation share.
 *
 *     sim.c       a step, and what is printed
 *     moves.c     what disturbs: events, changes of the catalog, pauses, clock steps
 *     lookups.c   cancellations and replays, which read the store first
 *     shell.c     commits and what follows them, crashes
 *     runs.c      runs that are carried out here, and those that are handed over to somebody outside
 *     logs.c      what runs write while they go on
 *     judge.c     what must hold
 *     store.c     what is on disk
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H
#include "base/prng.h"
#include "base/vec.h"
#include "core/engine.h"
#include "seeds.h"
#include "store.h"

#define RUNNING_MAX 6
#define PIPELINES 5
#define TOKENS 12
#define NEVER UINT64_MAX

/* A run that an executor has. */
struct going {
    struct uuid run;
    uint32_t attempt;
    bool asks;              /* somebody outside, and has promised it to whoever has this: */
    struct lease_hash hash;
    bool hands_over;        /* that is what it does in the end */
    uint64_t acts_at;       /* then it ends, or is handed over; NEVER: that is on its way to the disk */
    bool cancelled;
    bool over; /* its end is certain and not on disk yet: */
    enum run_status status;
    size_t written, kept; /* bytes of its log; of which acknowledged */
    bool keeping;         /* a part is on its way */
};

/* Somebody outside who was asked for an attempt; survives crashes. */
struct outside {
    struct uuid run;
    uint32_t attempt;
    struct lease_hash hash;
    uint64_t calls_at;      /* NEVER: it has died */
    uint64_t safe_until;    /* its time is not over before that; 0: it has none yet */
    bool heard;             /* its report is on its way to the disk, */
    bool accepted;          /* and there */
    enum run_status status; /* that it has reported */
};

/* The oldest pending runs of a pipeline, on their way. */
struct fetching {
    struct pipeline *pipeline;
    struct offered_run runs[RUNNING_MAX];
    size_t n;
    struct wall next_due;
    uint64_t comes_at;
};

/* A run's row, on its way. */
struct lookup {
    struct uuid run;
    int64_t pipeline_key;
    enum run_status status;
    uint32_t attempt;
    struct ticket *ticket;
    uint64_t comes_at;
    bool replay; /* to make it again, not to cancel it */
};

/* The last firing the simulator saw acknowledged, by trigger key. */
struct firing {
    int64_t trigger_key;
    uint64_t mono;
    int64_t wall;
    unsigned life; /* how many crashes before */
};

/* A trigger's definition was changed. */
struct recool {
    int64_t trigger_key;
    uint64_t mono;
    uint64_t cooldown_ms; /* before */
};

/* What a pipeline had under way when it was last looked at. */
struct bound {
    int64_t key;
    uint32_t version;
    size_t n;
};

struct sim {
    struct prng rng;
    struct engine *engine;
    struct sim_store store;
    struct now now, born; /* born: when this life of the engine began */
    struct batch *out;
    uint64_t commit_at;
    bool commit_fails;
    bool in_doubt; /* what fills now is worth failing: it does so more often than others */
    bool calm; /* no more disturbances: everything must come to rest */
    VEC(struct going) going;
    VEC(struct outside) outside;
    VEC(struct fetching) fetching;
    VEC(struct lookup) lookups;
    VEC(struct firing) firings;
    VEC(struct recool) recools;
    struct bound bounds[PIPELINES];
    unsigned life, tickets_open;
    struct digest digest;
    /* for the last line */
    unsigned crashes, failures;
    uint64_t acknowledged, refused, starts, replays, handed_over, reported, expired;
};

static inline uint64_t below(struct sim *s, uint64_t n)
{
    return prng_below(&s->rng, n);
}

static inline uint64_t soon(struct sim *s, uint64_t ms)
{
    return s->now.mono.ms + below(s, ms);
}

/* ---- judge.c ---- */

/* A ticket whose redemption is judged. One that will not be redeemed is forgotten. */
struct ticket *promise(struct sim *s);
void promise_forget(struct sim *s, struct ticket *t);
bool is_promise(const struct ticket *t);

void judge_memory(struct sim *s);                      /* everything is on disk: memory says the same */
void judge_bounds(struct sim *s);                      /* of pipelines; everything is on disk */
void judge_running(struct sim *s);                     /* the same: somebody is at work on what is running */
void judge_ends(struct sim *s, const struct batch *b); /* before it is written */

/* ---- runs.c ---- */

void runs_start(struct sim *s, const struct run_start *r);
void runs_cancel(struct sim *s, struct uuid run);
void runs_go_on(struct sim *s);
void runs_crash(struct sim *s); /* executors are gone, those outside are not */
/* NULL: no executor has it; nobody outside was asked. */
struct going *runs_find(const struct sim *s, struct uuid run, uint32_t attempt);
struct outside *runs_find_outside(const struct sim *s, struct uuid run, uint32_t attempt);

/* ---- logs.c ---- */

void logs_go_on(struct sim *s);
struct slice logs_whole(const struct going *g);
void logs_judge(struct sim *s); /* before executors are forgotten: what was acknowledged is on disk */

/* ---- shell.c ---- */

void shell_start(struct sim *s); /* with an empty store */
void shell_commit(struct sim *s);
void shell_deliver(struct sim *s); /* what was fetched */
void shell_crash(struct sim *s);
void shell_end(struct sim *s);

/* ---- lookups.c ---- */

void lookups_cancel(struct sim *s);
void lookups_replay(struct sim *s);
void lookups_deliver(struct sim *s, bool all);

/* ---- moves.c ---- */

void moves_make(struct sim *s);
void moves_resume_all(struct sim *s);

#endif
