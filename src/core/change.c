/* change.c - the catalog changes: at once in memory, with an undo that lasts until the change is on
 * disk. */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <string.h>
#include <utlist.h>

static void record_pipeline(struct engine *e, const struct pipeline *p)
{
    struct arena *a = &e->filling->arena;
    emit(e, EFFECT_PUT_PIPELINE)->put_pipeline = (struct effect_put_pipeline){
        .id = p->id,
        .key = p->key,
        .path = arena_copy(a, slice_of(p->path)),
        .spec = arena_copy(a, slice_of(p->def->spec)),
        .given_id = p->given_id != NULL ? arena_copy(a, slice_of(p->given_id)) : SLICE_NONE,
        .version = p->def->version,
        .created_at = p->created_at,
        .updated_at = p->def->updated_at,
    };
}

struct pipeline *engine_add_pipeline_as(struct engine *e, struct now now, struct slice path,
                                        struct slice given_id, struct pipeline_def *def,
                                        struct ticket *t)
{
    CHECK(catalog_pipeline_at(&e->catalog, path) == NULL);
    CHECK(given_id.p == NULL || catalog_pipeline_given(&e->catalog, given_id) == NULL);
    struct pipeline *p = mem_zalloc(sizeof(*p));
    def->version = 1;
    def->updated_at = now.wall;
    *p = (struct pipeline){
        .id = uuid_next(&e->ids, now.wall, &e->prng),
        .key = e->catalog.pipeline_key_last + 1,
        .path = mem_dup(path.p, path.len),
        .given_id = given_id.p != NULL ? mem_dup(given_id.p, given_id.len) : NULL,
        .def = def,
        .created_at = now.wall,
    };
    catalog_link_pipeline(&e->catalog, p);
    undo_add(e, UNDO_ADD_PIPELINE)->pipeline = p;
    record_pipeline(e, p);
    ark_pipeline_changed(e, now, p->path);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return p;
}

void change_undo_add_pipeline(struct engine *e, struct now now, struct undo *u)
{
    queue_leave(e, u->pipeline);
    catalog_unlink_pipeline(&e->catalog, u->pipeline);
    pipeline_destroy(u->pipeline);
}

struct pipeline *engine_add_pipeline(struct engine *e, struct now now, struct slice path,
                                     struct pipeline_def *def, struct ticket *t)
{
    return engine_add_pipeline_as(e, now, path, SLICE_NONE, def, t);
}

void engine_change_pipeline(struct engine *e, struct now now, struct pipeline *p,
                            struct pipeline_def *def, struct ticket *t)
{
    struct undo *u = undo_add(e, UNDO_CHANGE_PIPELINE);
    u->pipeline = p;
    u->old_pipeline_def = p->def;
    def->version = p->def->version + 1;
    def->updated_at = now.wall;
    p->def = def;
    record_pipeline(e, p);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    queue_sort(e, p); /* the limit may have been raised, or workers pull them now */
    queue_schedule(e, now);
}

void change_undo_pipeline(struct engine *e, struct now now, struct undo *u)
{
    pipeline_def_destroy(u->pipeline->def);
    u->pipeline->def = u->old_pipeline_def;
    queue_sort(e, u->pipeline);
}

void change_done_pipeline(struct undo *u)
{
    pipeline_def_destroy(u->old_pipeline_def);
}

void change_drop_trigger(struct engine *e, struct now now, struct trigger *t)
{
    pause_drop_trigger(e, t);
    applied_object_dropped(e, t->id);
    timing_disarm(e, t);
    catalog_unlink_trigger(&e->catalog, t);
    undo_add(e, UNDO_DROP_TRIGGER)->trigger = t;
    emit(e, EFFECT_DROP_TRIGGER)->drop = (struct effect_drop){.key = t->key, .at = now.wall};
    topic_note_rule(e, &t->def->rule);
}

/* As topic_note_rule(), when what it noted did not come to be. */
static void undo_note_rule(struct engine *e, const struct trigger_def *def)
{
    e->arm_undone |= rule_topic(&def->rule) != NULL;
}

void change_undo_drop_trigger(struct engine *e, struct now now, struct undo *u)
{
    undo_note_rule(e, u->trigger->def);
    catalog_link_trigger(&e->catalog, u->trigger);
    timing_arm(e, now, u->trigger);
}

void change_done_drop_trigger(struct undo *u)
{
    trigger_destroy(u->trigger);
}

static void cancel_running(struct engine *e, struct now now, const struct pipeline *p)
{
    struct run *r, *next;
    DL_FOREACH_SAFE (p->runs, r, next)
        engine_cancel(e, now, r->id, NULL);
}

void engine_drop_pipeline(struct engine *e, struct now now, struct pipeline *p, struct ticket *t)
{
    struct trigger *tr, *tmp;
    DL_FOREACH_SAFE (p->triggers, tr, tmp)
        change_drop_trigger(e, now, tr);
    pause_drop_pipeline(e, p);
    applied_object_dropped(e, p->id);
    queue_leave(e, p);
    catalog_unlink_pipeline(&e->catalog, p);
    struct undo *u = undo_add(e, UNDO_DROP_PIPELINE);
    u->pipeline = p;
    u->delta = (int64_t)p->pending;
    e->stats.pending -= p->pending;
    e->stats.runs_ended[RUN_CANCELLED] += p->pending;
    p->pending = 0;
    p->dropped = true;
    p->refs++; /* the undo log's */
    emit(e, EFFECT_DROP_PIPELINE)->drop = (struct effect_drop){.key = p->key, .at = now.wall};
    active_pipeline_dropped(e, p);
    ark_pipeline_changed(e, now, p->path);
    cancel_running(e, now, p);
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

void change_undo_drop_pipeline(struct engine *e, struct now now, struct undo *u)
{
    struct pipeline *p = u->pipeline;
    p->dropped = false;
    p->refs--;
    p->pending = (uint64_t)u->delta;
    e->stats.pending += p->pending;
    catalog_link_pipeline(&e->catalog, p);
    queue_make_ready(e, p);
}

void change_done_drop_pipeline(struct undo *u)
{
    pipeline_unref(u->pipeline); /* the log's own reference */
}

static void record_trigger(struct engine *e, const struct trigger *t, struct slice label)
{
    struct arena *a = &e->filling->arena;
    emit(e, EFFECT_PUT_TRIGGER)->put_trigger = (struct effect_put_trigger){
        .id = t->id,
        .key = t->key,
        .pipeline_key = t->pipeline != NULL ? t->pipeline->key : 0,
        .type = slice_of(t->type),
        .config = arena_copy(a, slice_of(t->def->config)),
        .label = arena_copy(a, label),
        .enabled = t->def->enabled,
        .cooldown_ms = t->def->cooldown_ms,
        .created_at = t->created_at,
        .updated_at = t->def->updated_at,
    };
}

void change_add_trigger(struct engine *e, struct now now, struct trigger *tr, struct pipeline *p,
                        const char *type, struct trigger_def *def, struct slice label)
{
    def->updated_at = now.wall;
    *tr = (struct trigger){
        .id = uuid_next(&e->ids, now.wall, &e->prng),
        .key = e->catalog.trigger_key_last + 1,
        .type = type,
        .pipeline = p,
        .def = def,
        .created_at = now.wall,
        .state = {.last_fired = WALL_UNSET, .last_due = WALL_UNSET},
    };
    catalog_link_trigger(&e->catalog, tr);
    completion_need(e, tr);
    tr->created_at = completion_since(e, tr, now.wall);
    undo_add(e, UNDO_ADD_TRIGGER)->trigger = tr;
    timing_adopt(e, now, tr, false);
    record_trigger(e, tr, label);
    if (def->rule.schedule != NULL)
        feed_set_state(e, tr,
                       &tr->state); /* its first due time counts from here, also after a restart */
    topic_note_rule(e, &def->rule);
}

struct trigger *engine_add_trigger(struct engine *e, struct now now, struct pipeline *p,
                                   const char *type, struct trigger_def *def, struct slice label,
                                   struct ticket *t)
{
    struct trigger *tr = mem_zalloc(sizeof(*tr));
    change_add_trigger(e, now, tr, p, type, def, label);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return tr;
}

void change_undo_add_trigger(struct engine *e, struct now now, struct undo *u)
{
    undo_note_rule(e, u->trigger->def);
    timing_disarm(e, u->trigger);
    catalog_unlink_trigger(&e->catalog, u->trigger);
    trigger_destroy(u->trigger);
}

/* What a disabled one or another schedule passed over was not missed. Other changes leave what is due as it is. */
static bool counts_anew(const struct trigger_def *old, const struct trigger_def *def)
{
    return old->enabled != def->enabled || strcmp(old->config, def->config) != 0;
}

void change_trigger_def(struct engine *e, struct now now, struct trigger *tr,
                        struct trigger_def *def, struct slice label)
{
    const bool anew = counts_anew(tr->def, def);
    struct undo *u = undo_add(e, UNDO_CHANGE_TRIGGER);
    u->trigger = tr;
    u->old_trigger_def = tr->def;
    topic_note_rule(e, &tr->def->rule);
    catalog_unlink_match(&e->catalog, tr);
    def->updated_at = now.wall;
    tr->def = def;
    catalog_link_match(&e->catalog, tr);
    completion_need(e, tr);
    record_trigger(e, tr, label);
    topic_note_rule(e, &def->rule);
    if (def->rule.schedule != NULL && anew) {
        struct trigger_state next = tr->state;
        next.last_due = now.wall;
        feed_set_state(e, tr, &next);
    }
    timing_adopt(e, now, tr, false);
}

void change_undo_trigger(struct engine *e, struct now now, struct undo *u)
{
    struct trigger *t = u->trigger;
    undo_note_rule(e, t->def);
    undo_note_rule(e, u->old_trigger_def);
    catalog_unlink_match(&e->catalog, t);
    trigger_def_destroy(t->def);
    t->def = u->old_trigger_def;
    catalog_link_match(&e->catalog, t);
    timing_arm(e, now, t);
}

void change_done_trigger(struct undo *u)
{
    trigger_def_destroy(u->old_trigger_def);
}

void engine_change_trigger(struct engine *e, struct now now, struct trigger *tr,
                           struct trigger_def *def, struct slice label, struct ticket *t)
{
    change_trigger_def(e, now, tr, def, label);
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

void engine_drop_trigger(struct engine *e, struct now now, struct trigger *tr, struct ticket *t)
{
    change_drop_trigger(e, now, tr);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    queue_schedule(e, now); /* what its pause put aside */
}
