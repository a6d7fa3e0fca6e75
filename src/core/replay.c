/* replay.c - runs that have ended are made again, for the same events.
 *
 * Which runs those are is read off the loop, so it may be old when it arrives. Two requests that read the same dead run must not both
 * make it again: what is made again while such a read is out is remembered like any run that moves (queue.c).
 */
#include "core/engine_internal.h"
#include <errno.h>

void engine_replay_begin(struct engine *e)
{
    e->lookups++;
}

static struct uuid make(struct engine *e, struct now now, struct pipeline *p,
                        const struct replay *r)
{
    const struct uuid id = uuid_next(&e->ids, now.wall, &e->prng);
    const struct trigger *t = catalog_trigger(&e->catalog, r->trigger);
    emit(e, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){
        .id = id,
        .event = r->event,
        .pipeline_key = p->key,
        .version = r->version != 0 ? r->version : p->def->version,
        .trigger_key = r->trigger_key,
        .status = RUN_PENDING,
        .attempt = 1,
        .held_from = r->held_from,
        .started_at = WALL_UNSET,
        .waits = t != NULL && t->paused,
        .replay_of = r->run,
    };
    if (t != NULL && t->pipeline == NULL && t->def->rule.targets->forbids)
        active_started(e, ark_of(t), id, p);
    queue_note_moved(e, p, r->run);
    queue_add_pending(e, p); /* what it needs to start is on disk only */
    return id;
}

int engine_replay(struct engine *e, struct now now, struct replay *r, size_t n, struct ticket *t)
{
    const bool full = n > 0 && batch_is_full(e);
    int made = 0;
    for (size_t i = 0; i < n; i++) {
        struct pipeline *p = full ? NULL : catalog_pipeline(&e->catalog, r[i].pipeline);
        r[i].made = UUID_NIL;
        if (p == NULL || queue_has_moved(e, r[i].run))
            continue;
        r[i].refused = !concurrency_admits_replay(p);
        if (r[i].refused)
            continue;
        r[i].made = make(e, now, p, &r[i]);
        made++;
    }
    queue_looked_up(e);
    if (made > 0) {
        emit_reply(e, t, UUID_NIL, NULL, 0);
        queue_schedule(e, now);
    }
    return full ? -ENOBUFS : made;
}
