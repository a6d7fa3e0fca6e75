/* plan.h - what a pipeline's JSON says is to be carried out, read once for many runs.
 *
 *     struct plan *p = plans_get(&plans, s->spec);
 *     ... p->steps, unless p->refused says why there are none ...
 *     plan_unref(p);
 */
#ifndef EXECUTOR_PLAN_H
#define EXECUTOR_PLAN_H
#include "pawl/executor.h"
#include <uthash.h>

#define PLANS_KEPT_MAX 64           /* beyond those that are in use; the oldest is forgotten first */
#define PLAN_BYTES_KEPT_MAX 16384   /* a longer spec is read for each run */

struct plan {
    struct step_list steps;
    struct diag refused; /* why it cannot be carried out; msg empty: it can */
    unsigned refs;
    char *spec; /* NULL: not kept */
    UT_hash_handle hh;
};

/* {0} is an empty one. */
struct plans {
    struct plan *by_spec;
};

/* A new reference; never NULL. */
struct plan *plans_get(struct plans *l, struct slice spec);
void plan_unref(struct plan *p);
void plans_release(struct plans *l); /* those in use live on until their last plan_unref() */

#endif
