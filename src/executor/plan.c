#include "executor/plan.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>

static struct plan *read_plan(struct slice spec)
{
    struct plan *p = mem_zalloc(sizeof(*p));
    p->refs = 1;
    json_t *pipeline = json_parse_object(spec, &p->refused);
    if (pipeline == NULL)
        return p;
    if (steps_read(pipeline, &p->steps, &p->refused) == 0 && p->steps.items[0].type->pull)
        diag_set(&p->refused, DIAG_INTERNAL, "executor.type: %s runs are taken by workers",
                 p->steps.items[0].type->name);
    json_decref(pipeline);
    return p;
}

void plan_unref(struct plan *p)
{
    CHECK(p->refs > 0);
    if (--p->refs > 0)
        return;
    steps_release(&p->steps);
    free(p->spec);
    free(p);
}

static void forget(struct plans *l, struct plan *p)
{
    HASH_DEL(l->by_spec, p);
    plan_unref(p);
}

static void keep(struct plans *l, struct plan *p, struct slice spec)
{
    if (HASH_COUNT(l->by_spec) == PLANS_KEPT_MAX)
        forget(l, l->by_spec); /* the oldest stands first */
    p->spec = mem_dup(spec.p, spec.len);
    p->refs++;
    HASH_ADD_KEYPTR(hh, l->by_spec, p->spec, spec.len, p);
}

struct plan *plans_get(struct plans *l, struct slice spec)
{
    struct plan *p = NULL;
    if (spec.len > PLAN_BYTES_KEPT_MAX)
        return read_plan(spec);
    HASH_FIND(hh, l->by_spec, spec.p, spec.len, p);
    if (p != NULL) {
        p->refs++;
        return p;
    }
    p = read_plan(spec);
    keep(l, p, spec);
    return p;
}

void plans_release(struct plans *l)
{
    struct plan *p, *next;
    HASH_ITER (hh, l->by_spec, p, next)
        forget(l, p);
}
