/* pause.c - runs that wait because somebody said so: all of them, those of a pipeline, or those of a trigger.
 *
 * Events are accepted and decided as ever, runs are made and wait. A pipeline that is paused, alone or with all others, has no free
 * slot (queue.c), so nothing of it is started or leased. The runs of a paused trigger are put aside in the durable queue,
 * where the pipeline's other runs go past them: EFFECT_PAUSE moves those that wait already, new ones and retries go there by
 * themselves. They count as pending wherever they are. What is running goes on.
 */
#include "core/engine_internal.h"

bool pause_holds(const struct engine *e, const struct pipeline *p)
{
    return e->paused || e->not_yet || p->paused;
}

bool pause_holds_run(const struct engine *e, const struct run_start *s)
{
    if (uuid_is_nil(s->trigger))
        return false;
    const struct trigger *t = catalog_trigger(&e->catalog, s->trigger);
    return t != NULL && t->paused;
}

bool engine_is_paused(const struct engine *e)
{
    return e->paused;
}

/* What was put aside comes back: a fetch that is out may not have seen it. */
static void wake(struct engine *e, struct pipeline *p)
{
    p->queued_since_fetch = true;
    queue_make_ready(e, p);
}

static void wake_all(struct engine *e)
{
    struct pipeline *p, *tmp;
    HASH_ITER (by_id, e->catalog.pipelines_by_id, p, tmp)
        queue_make_ready(e, p);
}

/* ---- the state in memory ---- */

static bool is_paused(const struct engine *e, const struct pause_target *x)
{
    if (x->trigger != NULL)
        return x->trigger->paused;
    return x->pipeline != NULL ? x->pipeline->paused : e->paused;
}

static void set(struct engine *e, const struct pause_target *x, bool paused)
{
    if (x->trigger != NULL) {
        struct pipeline *p = x->trigger->pipeline;
        x->trigger->paused = paused;
        p->paused_triggers += paused ? 1 : -1;
        e->stats.paused_triggers += paused ? 1 : -1;
        wake(e, p);
    } else if (x->pipeline != NULL) {
        x->pipeline->paused = paused;
        e->stats.paused_pipelines += paused ? 1 : -1;
        wake(e, x->pipeline);
    } else {
        e->paused = e->stats.paused = paused;
        wake_all(e);
    }
}

void pause_undo(struct engine *e, struct now now, struct undo *u)
{
    set(e, &u->pause, !is_paused(e, &u->pause));
}

void engine_load_pause(struct engine *e, const struct pause_target *x)
{
    set(e, x, true);
}

/* ---- changes ---- */

static void record(struct engine *e, const struct pause_target *x, struct wall at,
                   struct slice reason)
{
    emit(e, EFFECT_PAUSE)->pause = (struct effect_pause){
        .kind = x->trigger != NULL    ? PAUSE_TRIGGER
                : x->pipeline != NULL ? PAUSE_PIPELINE
                                      : PAUSE_ALL,
        .key = x->trigger != NULL    ? x->trigger->key
               : x->pipeline != NULL ? x->pipeline->key
                                     : 0,
        .pipeline_key = x->trigger != NULL ? x->trigger->pipeline->key : 0,
        .at = at,
        .reason = keep(e, reason),
    };
}

static bool change(struct engine *e, const struct pause_target *x, bool paused, struct wall at,
                   struct slice reason)
{
    if (is_paused(e, x) == paused)
        return false;
    undo_add(e, UNDO_PAUSE)->pause = *x;
    set(e, x, paused);
    record(e, x, at, reason);
    return true;
}

bool engine_pause(struct engine *e, struct now now, const struct pause_target *x,
                  struct slice reason, struct ticket *t)
{
    const bool changed = change(e, x, true, now.wall, reason);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return changed;
}

bool engine_resume(struct engine *e, struct now now, const struct pause_target *x, struct ticket *t)
{
    const bool changed = change(e, x, false, WALL_UNSET, SLICE_NONE);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    queue_schedule(e, now);
    return changed;
}

void pause_drop_trigger(struct engine *e, struct trigger *t)
{
    if (t->paused)
        change(e, &(struct pause_target){.trigger = t}, false, WALL_UNSET, SLICE_NONE);
}

void pause_drop_pipeline(struct engine *e, struct pipeline *p)
{
    if (p->paused)
        change(e, &(struct pause_target){.pipeline = p}, false, WALL_UNSET, SLICE_NONE);
}

/* ---- at start ---- */

void engine_wait(struct engine *e)
{
    e->not_yet = true;
}

void engine_go(struct engine *e, struct now now)
{
    e->not_yet = false;
    emit(e, EFFECT_SWEPT);
    wake_all(e);
    queue_schedule(e, now);
}
