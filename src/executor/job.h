/* job.h - one attempt of a run that is being carried out here: its steps, one after the other.
 *
 *                        +--> job_refuse() ... ended
 *     job_create() ------+
 *                        +--> job_begin() --> [step 1] --success--> (a turn of the loop) --> [step 2] ... ended
 *                                                |
 *                                                +-- anything else, or job_stop(): ended
 *
 * The run_start is a copy that lives as long as the job: executors, and their threads, read it. The
 * run's time limit counts for all steps together; a run with one step leaves it to the executor.
 */
#ifndef EXECUTOR_JOB_H
#define EXECUTOR_JOB_H
#include "base/arena.h"
#include "executor/log_saver.h"
#include "executor/plan.h"
#include "executor/progress.h"
#include "io/process/run_log.h"
#include "io/loop/timers.h"
#include "pawl/executor.h"
#include <uthash.h>

/* Why a job ends before its steps have. */
enum job_stop { JOB_GOES_ON, JOB_CANCELLED, JOB_INTERRUPTED, JOB_TIMED_OUT };

struct job {
    struct dispatcher *dispatcher;
    struct host *host;
    struct uuid run;
    struct run_start start; /* of the present step; its texts are in the arena */
    struct arena arena;
    uint64_t timeout_ms; /* of the run; 0: none */
    struct plan *plan;
    const struct step_list *steps; /* the plan's */
    struct progress progress;
    struct run_log *log;
    struct log_save save;

    size_t current;              /* step */
    struct execution *execution; /* of it; NULL between two steps */
    struct str previous;         /* the output of the step before */
    struct timer later;          /* begins the current step, or ends the job */
    struct timer deadline;
    enum job_stop stop; /* the first reason counts */
    UT_hash_handle hh;   /* the dispatcher's, by run */
};

/* Copies what it needs and takes the reference to the plan over; job_begin() follows. A plan that is
 * refused makes a job that fails with the reason. */
struct job *job_create(struct dispatcher *d, struct host *h, const struct run_start *s,
                       struct plan *plan);
void job_destroy(struct job *j);

/* Carries it out, or lets it fail with its reason. Either ends with dispatcher_job_ended(), later,
 * never from inside. */
void job_begin(struct job *j);

/* What the executor of the present step says. */
void job_step_ended(struct job *j, const struct run_result *r);

/* Ends it early, unless it was told to end before. */
void job_stop(struct job *j, enum job_stop why);

/* Leaves nothing running outside, at once. */
void job_kill(struct job *j);

/* Appends the states of its steps; false when the pipeline has no `steps`. */
bool job_add_steps(const struct job *j, bool over, struct str *ret);

/* The dispatcher's: lines were added to its log, and it goes on. */
void dispatcher_job_wrote(struct job *j);

/* The dispatcher's: r is complete; j may be destroyed, and is gone afterwards. */
void dispatcher_job_ended(struct job *j, const struct run_result *r);

#endif
