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
#include <uthash.h>

struct dispatcher;
struct executor_type;

/* A run being carried out. Executors embed it first in their own struct. */
struct execution {
    const struct executor_type *type;
    struct dispatcher *dispatcher;
    struct uuid run;
    UT_hash_handle hh; /* the dispatcher's, by run */
};

struct executor_type {
    const char *name; /* "command" */
    const char *help; /* one line */
    const struct option_doc *options; /* what stands beside `type`; ends with a NULL name */
    bool pull;    /* runs stay pending until a worker asks for them; start and cancel are NULL */

    /* Checks the executor object of a pipeline. 0, or -EINVAL with *reterr naming the field as
     * `executor.<field>: ...`. */
    int (*check)(json_t *config, struct diag *reterr);

    /* Starts one attempt. Cannot fail: whatever goes wrong becomes the result. Ends with exactly
     * one execution_ended(), later, never from inside. Fills in x->run etc. through
     * execution_init(). Everything passed is borrowed for the call. */
    struct execution *(*start)(struct dispatcher *d, const struct run_start *s, json_t *config);

    /* Ends it early; execution_ended() follows with status CANCELLED, or FAILED and interrupted
     * when `interrupted` is set. When it was ending already, it keeps the result it has. */
    void (*cancel)(struct execution *x, bool interrupted);

    /* Leaves nothing running outside, at once, waiting for nobody: the daemon is about to exit.
     * NULL when nothing does. */
    void (*kill)(struct execution *x);
};

extern const struct executor_type *const executor_types[]; /* sorted by name, ends with NULL */
const struct executor_type *executor_type_find(const char *name);

/* Checks the `executor` object of a pipeline: type known, fields right. *ret_type is set on
 * success. */
int executor_check(json_t *executor, const struct executor_type **ret_type, struct diag *reterr);

/* The same for a `steps` array. For now exactly one step is taken, {"name", "executor": {...}} or
 * {"name", "argv": [...]}, which is short for a command. Messages begin with `steps`. */
int steps_check(json_t *steps, const struct executor_type **ret_type, struct diag *reterr);

/* The executor object of a pipeline's JSON object, checked: its `executor`, or that of its only
 * step. A new reference; NULL with *reterr when it has neither, both, or a wrong one. */
json_t *executor_of(json_t *pipeline, const struct executor_type **ret_type, struct diag *reterr);

/* For executors. */
void execution_init(struct execution *x, const struct executor_type *type, struct dispatcher *d,
                    const struct run_start *s);
/* x is out of the table afterwards; the caller frees it. */
void execution_ended(struct execution *x, const struct run_result *r);
struct host *execution_host(const struct execution *x);

#endif
