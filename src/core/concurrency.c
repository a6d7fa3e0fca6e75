/* concurrency.c - whether one more run of a pipeline may come into being, and what makes room for it.
 *
 * Under way is what is running, here or at a worker, and what is pending, retries that wait for their backoff included. Both
 * numbers are in memory and exact: loaded at start, taken back when a commit fails. A retry is never refused: its run came in
 * long ago.
 */
#include "core/engine_internal.h"
#include <utlist.h>

static uint64_t under_way(const struct pipeline *p)
{
    return p->running + p->pending;
}

static bool has_room(const struct pipeline *p)
{
    const struct pipeline_def *d = p->def;
    if (d->policy == CONCURRENCY_QUEUE)
        return d->queue_max == 0 || p->pending < d->queue_max;
    return d->policy == CONCURRENCY_REPLACE || under_way(p) < d->running_max;
}

static void explain(const struct pipeline *p, struct str *ret)
{
    const bool queue = p->def->policy == CONCURRENCY_QUEUE;
    const uint64_t n = queue ? p->pending : under_way(p);
    str_printf(ret, "%llu %s %s, %s is %u", (unsigned long long)n, n == 1 ? "run" : "runs",
               queue    ? n == 1 ? "waits" : "wait"
               : n == 1 ? "is under way"
                        : "are under way",
               queue ? "max_queue" : "max_runs", queue ? p->def->queue_max : p->def->running_max);
}

static enum verdict judge(struct engine *e, const struct pipeline *p, const char *path,
                          struct slice *ret_detail)
{
    if (has_room(p))
        return VERDICT_FIRED;
    struct str why = {0};
    if (path != NULL)
        str_printf(&why, "the target %s: ", path);
    explain(p, &why);
    *ret_detail = keep(e, str_slice(&why));
    str_release(&why);
    return VERDICT_CONCURRENCY;
}

enum verdict concurrency_judge(struct engine *e, const struct pipeline *p, struct slice *ret_detail)
{
    return judge(e, p, NULL, ret_detail);
}

static struct pipeline *target_at(const struct engine *e, const struct trigger *t, size_t i)
{
    return catalog_pipeline_at(&e->catalog, slice_of(t->def->rule.targets->items[i].path));
}

/* No two targets are the same pipeline (ark_spec.h). */
enum verdict concurrency_judge_targets(struct engine *e, const struct trigger *t,
                                       struct slice *ret_detail)
{
    const struct rule_targets *all = t->def->rule.targets;
    enum verdict v = VERDICT_FIRED;
    for (size_t i = 0; v == VERDICT_FIRED && i < all->count; i++) {
        const struct pipeline *p = target_at(e, t, i);
        v = judge(e, p, p->path, ret_detail);
    }
    return v;
}

bool concurrency_has_room(const struct engine *e, const struct trigger *t)
{
    if (t->pipeline != NULL)
        return has_room(t->pipeline);
    for (size_t i = 0; i < t->def->rule.targets->count; i++) {
        const struct pipeline *p = target_at(e, t, i);
        if (p != NULL && !has_room(p))
            return false;
    }
    return true;
}

/* What is made again is old: it ends nobody, so it needs a free place also where new ones replace. */
bool concurrency_admits_replay(const struct pipeline *p)
{
    if (p->def->policy == CONCURRENCY_QUEUE)
        return has_room(p);
    return under_way(p) < p->def->running_max;
}

/* ---- replacing ---- */

/* What pends is on disk only, so it ends as a whole; nobody here knows the ids. */
static void replace_pending(struct engine *e, struct now now, struct pipeline *p)
{
    if (p->pending == 0)
        return;
    emit(e, EFFECT_DROP_PENDING)->drop = (struct effect_drop){.key = p->key, .at = now.wall};
    e->stats.runs_ended[RUN_CANCELLED] += p->pending;
    queue_change_pending(e, p, -(int64_t)p->pending);
    queue_note_all_moved(e, p);
    active_pending_dropped(e, p);
}

/* The ids are collected first: the end of a worker's run is an event, and whoever follows may come back here. */
static void replace_running(struct engine *e, struct now now, struct pipeline *p)
{
    struct uuid *ids = arena_alloc(&e->filling->arena, p->running * sizeof(*ids));
    struct run *r;
    size_t n = 0;
    DL_FOREACH (p->runs, r)
        if (!r->cancelled)
            ids[n++] = r->id;
    for (size_t i = 0; i < n; i++) {
        HASH_FIND(hh, e->runs, &ids[i], sizeof(ids[i]), r);
        if (r != NULL && !r->cancelled)
            ends_replace(e, now, r);
    }
}

/* Those that have been asked to end already are no longer in anybody's way. */
bool concurrency_must_replace(const struct pipeline *p)
{
    return p->def->policy == CONCURRENCY_REPLACE && under_way(p) - p->ending >= p->def->running_max;
}

bool concurrency_replace(struct engine *e, struct now now, struct pipeline *p)
{
    if (!concurrency_must_replace(p))
        return false;
    replace_pending(e, now, p); /* first: what the ends of the others fire is newer */
    if (p->running > p->ending)
        replace_running(e, now, p);
    return true;
}

bool concurrency_make_room(struct engine *e, struct now now, const struct trigger *t)
{
    bool replaced = false;
    if (t->pipeline != NULL)
        return concurrency_replace(e, now, t->pipeline);
    for (size_t i = 0; i < t->def->rule.targets->count; i++)
        replaced = concurrency_replace(e, now, target_at(e, t, i)) || replaced;
    return replaced;
}
