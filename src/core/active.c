/* active.c - the runs of ArkEvents that forbid another firing while these are under way.
 *
 * A run is remembered from its making to its end for good, whichever way it takes in between: waiting, delayed, carried out here or
 * by a worker. Only events that forbid pay for it, and such an event has one firing's runs at most.
 */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <stdlib.h>

static void link_run(struct engine *e, struct active_run *r)
{
    HASH_ADD(hh, e->active, run, sizeof(r->run), r);
    r->ark->active++;
}

static void unlink_run(struct engine *e, struct active_run *r)
{
    HASH_DEL(e->active, r);
    r->ark->active--;
}

static struct active_run *make(struct arkevent *a, struct uuid run, const struct pipeline *p)
{
    struct active_run *r = mem_zalloc(sizeof(*r));
    *r = (struct active_run){.run = run, .ark = a, .pipeline = p};
    return r;
}

void active_started(struct engine *e, struct arkevent *a, struct uuid run, const struct pipeline *p)
{
    struct active_run *r = make(a, run, p);
    link_run(e, r);
    undo_add(e, UNDO_ACTIVE_STARTED)->active = r;
}

static void ended(struct engine *e, struct active_run *r)
{
    unlink_run(e, r);
    undo_add(e, UNDO_ACTIVE_ENDED)->active = r;
}

void active_ended(struct engine *e, struct uuid run)
{
    struct active_run *r;
    if (e->active == NULL)
        return;
    HASH_FIND(hh, e->active, &run, sizeof(run), r);
    if (r != NULL)
        ended(e, r);
}

void active_pipeline_dropped(struct engine *e, const struct pipeline *p)
{
    struct active_run *r, *tmp;
    HASH_ITER (hh, e->active, r, tmp)
        if (r->pipeline == p)
            ended(e, r);
}

void active_pending_dropped(struct engine *e, const struct pipeline *p)
{
    struct active_run *r, *tmp;
    HASH_ITER (hh, e->active, r, tmp) {
        const struct run *going;
        HASH_FIND(hh, e->runs, &r->run, sizeof(r->run), going);
        if (r->pipeline == p && going == NULL)
            ended(e, r);
    }
}

void active_forget(struct engine *e, const struct arkevent *a)
{
    struct active_run *r, *tmp;
    HASH_ITER (hh, e->active, r, tmp)
        if (r->ark == a)
            ended(e, r);
}

void engine_load_active(struct engine *e, struct trigger *t, struct uuid run,
                        const struct pipeline *p)
{
    link_run(e, make(ark_of(t), run, p));
}

/* ---- undo ---- */

void active_undo_start(struct engine *e, struct now now, struct undo *u)
{
    unlink_run(e, u->active);
    free(u->active);
}

void active_undo_end(struct engine *e, struct now now, struct undo *u)
{
    link_run(e, u->active);
}

void active_done_end(struct undo *u)
{
    free(u->active);
}

void active_release(struct engine *e)
{
    struct active_run *r, *tmp;
    HASH_ITER (hh, e->active, r, tmp) {
        HASH_DEL(e->active, r);
        free(r);
    }
}
