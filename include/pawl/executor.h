/* executor.h - how to add an executor: code that carries a run out.
 *
 * An executor is one file in src/executor ending in `const struct executor_type executor_foo =
 * {...}` and its name in the list in src/executor/meson.build. The dispatcher finds it by the
 * pipeline's `executor.type`.
 */
#ifndef PAWL_EXECUTOR_H
#define PAWL_EXECUTOR_H
#include "pawl/err.h"
#include "pawl/host.h"
#include "pawl/run.h"
#include "pawl/source.h" /* struct option_doc */
#include <jansson.h>
#include <stdbool.h>

struct dispatcher;
struct executor_type;
struct job;

/* A run, or one step of it, being carried out. Executors embed it first in their own struct. */
struct execution {
    const struct executor_type *type;
    struct dispatcher *dispatcher;
    struct uuid run;
    struct job *job; /* the dispatcher's record of the run */
};

/* For types that keep something between runs. It is made when it is needed first. */
struct executor_keeper {
    void *(*open)(struct dispatcher *d, struct host *h);

    /* There is such a version of a pipeline, with this executor in a step: at start, and when it was made. Of *s only pipeline,
     * pipeline_key, version and step_number are set. */
    void (*provide)(void *kept, const struct run_start *s, json_t *config);

    /* Runs of a pipeline are not expected any more, or only of that version (0: of none). They may come all the same. Pipeline 0: of
     * no pipeline, the daemon stops. */
    void (*withdraw)(void *kept, int64_t pipeline_key, uint32_t except_version);

    void (*kill)(void *kept); /* as executor_type's, of what is kept */

    /* No run is left, and none will come. Frees it, then calls closed, maybe from inside. */
    void (*close)(void *kept, void (*closed)(void *arg), void *arg);
};

struct executor_type {
    const char *name; /* "command" */
    const char *help; /* one line */
    const struct option_doc *options; /* what stands beside `type`; ends with a NULL name */
    bool pull;    /* runs stay pending until a worker asks for them; start and cancel are NULL */

    /* Whether the runs of such a config may be handed over to somebody outside: it is the only step of
     * its pipeline then. NULL: never. */
    bool (*hands_over)(const json_t *config);

    /* Checks the executor object of a pipeline. 0, or -EINVAL with *reterr naming the field as
     * `executor.<field>: ...`. */
    int (*check)(json_t *config, struct diag *reterr);

    /* How many runs it carries out at the same time. NULL: as many as it is given. */
    uint32_t (*capacity)(json_t *config);

    /* Starts it. Cannot fail: whatever goes wrong becomes the result. Ends with exactly one
     * execution_ended(), later, never from inside. Fills in x->run etc. through execution_init().
     * s and config stay as they are until then; threads may read them too. s->timeout_ms is the
     * executor's to keep. */
    struct execution *(*start)(struct dispatcher *d, const struct run_start *s, json_t *config);

    /* Ends it early; execution_ended() follows with status CANCELLED, or FAILED and interrupted
     * when `interrupted` is set; sooner or later, also from inside. When it was ending already, it
     * keeps the result it has. May be called more than once. */
    void (*cancel)(struct execution *x, bool interrupted);

    /* Leaves nothing running outside, at once, waiting for nobody: the daemon is about to exit.
     * NULL when nothing does. */
    void (*kill)(struct execution *x);

    const struct executor_keeper *keeper; /* NULL: nothing is kept between runs */
};

extern const struct executor_type *const executor_types[]; /* sorted by name, ends with NULL */
const struct executor_type *executor_type_find(const char *name);

/* Checks the `executor` object of a pipeline: type known, fields right. *ret_type is set on
 * success. */
int executor_check(json_t *executor, const struct executor_type **ret_type, struct diag *reterr);

/* ---- steps: how a pipeline says what is to be carried out, one after the other ---- */

#define STEPS_MAX 100

struct step {
    struct slice name; /* a slug; absent: the pipeline has an `executor`, not `steps` */
    const struct executor_type *type;
    json_t *config;      /* its executor object */
    uint64_t timeout_ms; /* 0: none but the run's */
};

struct step_list {
    struct step *items;
    size_t count; /* 1 when it is an `executor` */
};

/* Reads and checks the `executor` or the `steps` of a pipeline's JSON object: {"name"?, "executor":
 * {...}, "timeout_seconds"?}, or "argv" in place of the executor, which is short for a command. 0,
 * or -EINVAL with *reterr naming the field; ret is empty then. The JSON may go, ret keeps what it
 * needs. */
int steps_read(json_t *pipeline, struct step_list *ret, struct diag *reterr);
void steps_release(struct step_list *l); /* {0} is fine */

/* The executor object of a pipeline's JSON object, all of it checked: its `executor`, or that of its
 * first step. When *ret_type is pull, it is the only one. A new reference; NULL with *reterr. */
json_t *executor_of(json_t *pipeline, const struct executor_type **ret_type, struct diag *reterr);

/* How many runs of a pipeline, as its checked JSON object says, can be carried out at the same time: the sum over its steps; 0 when
 * there is no limit but the daemon's. */
uint32_t executor_capacity(json_t *pipeline);

/* Whether an executor of such a pipeline has to be told of it before there is a run. */
bool executor_gets_ready(json_t *pipeline);

/* For executors. */
void execution_init(struct execution *x, const struct executor_type *type, struct dispatcher *d,
                    const struct run_start *s);

/* What it writes, as it comes: kept as the run's log, whole lines of it on disk a second later, shown to those who follow the run. fd is
 * STDOUT_FILENO or STDERR_FILENO. */
void execution_log(struct execution *x, int fd, struct slice bytes);

/* r without its log, which the dispatcher has. x is out of the table afterwards, and what start()
 * was given is gone; the caller frees it. */
void execution_ended(struct execution *x, const struct run_result *r);

/* Somebody outside carries the run out from now on: the engine has it on disk (engine_entrust). Only of a run with one step. As
 * after execution_ended, but nothing is reported. */
void execution_handed_over(struct execution *x);
struct host *execution_host(const struct execution *x);

#endif
