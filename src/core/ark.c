#include "core/ark.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

const char *ark_reason_name(enum ark_reason r)
{
    static const char *const names[] = {
        [ARK_WEBHOOK_READY] = "WebhookReady",
        [ARK_ACTIVE] = "Active",
        [ARK_WATCHING] = "Watching",
        [ARK_SUSPENDED] = "Suspended",
        [ARK_TARGET_NOT_FOUND] = "TargetNotFound",
        [ARK_INVALID_CRON] = "InvalidCron",
    };
    return names[r];
}

bool ark_is_ready(enum ark_reason r)
{
    return r <= ARK_WATCHING;
}

void ark_token_set(struct ark_token *t, struct slice hash, struct slice sealed)
{
    *t = (struct ark_token){0};
    if (hash.len != sizeof(t->hash) || sealed.len > sizeof(t->sealed))
        return;
    memcpy(t->hash, hash.p, hash.len);
    if (sealed.len > 0)
        memcpy(t->sealed, sealed.p, sealed.len);
    t->sealed_len = sealed.len;
}

bool ark_is_webhook(const struct arkevent *a)
{
    const struct rule *r = &a->trigger.def->rule;
    return r->key != NULL && r->ends == 0;
}

struct arkevent *ark_of(const struct trigger *t)
{
    CHECK(t->pipeline == NULL);
    return container_of((struct trigger *)t, struct arkevent, trigger);
}

struct arkevent *catalog_ark(const struct catalog *c, struct slice path)
{
    struct arkevent *a;
    HASH_FIND(hh, c->arks, path.p, path.len, a);
    return a;
}

const char *ark_missing_target(const struct catalog *c, const struct trigger *t)
{
    const struct rule_targets *all = t->def->rule.targets;
    for (size_t i = 0; i < all->count; i++)
        if (catalog_pipeline_at(c, slice_of(all->items[i].path)) == NULL)
            return all->items[i].path;
    return NULL;
}

enum ark_reason ark_judge(const struct catalog *c, const struct arkevent *a,
                          const char **ret_missing)
{
    const struct trigger_def *d = a->trigger.def;
    *ret_missing = NULL;
    if (d->rule.key == NULL && d->rule.schedule == NULL)
        return ARK_INVALID_CRON;
    if (!d->enabled)
        return ARK_SUSPENDED;
    if ((*ret_missing = ark_missing_target(c, &a->trigger)) != NULL)
        return ARK_TARGET_NOT_FOUND;
    if (d->rule.schedule != NULL)
        return ARK_ACTIVE;
    return d->rule.ends != 0 ? ARK_WATCHING : ARK_WEBHOOK_READY;
}

void arkevent_destroy(struct arkevent *a)
{
    if (a == NULL)
        return;
    trigger_def_destroy(a->trigger.def);
    free(a->trigger.trail);
    free(a->path);
    free(a);
}

struct ark_view ark_view_of(const struct arkevent *a, enum ark_change what)
{
    const struct trigger *t = &a->trigger;
    return (struct ark_view){
        .what = what,
        .id = t->id,
        .path = slice_of(a->path),
        .config = slice_of(t->def->config),
        .missing = slice_of(a->state.missing),
        .version = a->state.version,
        .generation = a->state.generation,
        .fired = a->state.fired,
        .reason = a->state.reason,
        .ready_since = a->state.ready_since,
        .created_at = t->created_at,
        .last_fired = t->state.last_fired,
        .last_due = t->state.last_due,
    };
}

/* ---- changes ---- */

/* It is different from now on: the next number, and those who watch are told. `previous` is its config if that has changed. */
static void change(struct engine *e, struct arkevent *a, const struct ark_state *next,
                   enum ark_change what, struct slice previous)
{
    struct undo *u = undo_add(e, UNDO_ARK);
    u->ark = a;
    u->ark_state = a->state;
    a->state = *next;
    a->state.version = ++e->ark_version;
    struct ark_view v = ark_view_of(a, what);
    v.path = keep(e, v.path);
    v.config = keep(e, v.config);
    v.missing = keep(e, v.missing);
    v.previous = keep(e, previous);
    emit(e, EFFECT_ARK_CHANGED)->ark_changed = v;
}

void ark_undo(struct engine *e, struct now now, struct undo *u)
{
    u->ark->state = u->ark_state;
}

static void record(struct engine *e, const struct arkevent *a, bool dropped)
{
    emit(e, EFFECT_PUT_ARK)->put_ark = (struct effect_put_ark){
        .key = a->trigger.key,
        .path = keep(e, slice_of(a->path)),
        .missing = keep(e, slice_of(a->state.missing)),
        .version = a->state.version,
        .generation = a->state.generation,
        .reason = a->state.reason,
        .ready_since = a->state.ready_since,
        .token_hash = keep(e, (struct slice){(const char *)a->token.hash, sizeof(a->token.hash)}),
        .token_sealed = keep(e, (struct slice){(const char *)a->token.sealed, a->token.sealed_len}),
        .dropped = dropped,
    };
}

static void move_reason(struct now now, const struct arkevent *a, enum ark_reason reason,
                        struct ark_state *next)
{
    next->reason = reason;
    if (ark_is_ready(reason) != ark_is_ready(a->state.reason))
        next->ready_since = now.wall;
}

/* What its condition is now. True when it is another one than before. */
static bool judge_again(const struct engine *e, struct now now, const struct arkevent *a,
                        struct ark_state *next)
{
    move_reason(now, a, ark_judge(&e->catalog, a, &next->missing), next);
    return next->reason != a->state.reason ||
           !slice_eq(slice_of(next->missing), slice_of(a->state.missing));
}

struct arkevent *engine_add_ark(struct engine *e, struct now now, struct slice path,
                                const char *type, struct trigger_def *def, struct slice label,
                                const struct ark_token *token, struct ticket *t)
{
    CHECK(catalog_ark(&e->catalog, path) == NULL);
    struct arkevent *a = mem_zalloc(sizeof(*a));
    a->path = mem_dup(path.p, path.len);
    a->token = *token;
    change_add_trigger(e, now, &a->trigger, NULL, type, def, label);
    struct ark_state first = {.generation = 1, .ready_since = now.wall};
    judge_again(e, now, a, &first);
    change(e, a, &first, ARK_ADDED, SLICE_NONE);
    record(e, a, false);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return a;
}

void engine_change_ark(struct engine *e, struct now now, struct arkevent *a,
                       struct trigger_def *def, struct slice label, bool other_spec,
                       struct ticket *t)
{
    struct ark_state next = a->state;
    const char *previous = a->trigger.def->config; /* kept until the batch is settled */
    change_trigger_def(e, now, &a->trigger, def, label);
    next.generation += other_spec;
    judge_again(e, now, a, &next);
    change(e, a, &next, ARK_MODIFIED, slice_of(previous));
    record(e, a, false);
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

void engine_drop_ark(struct engine *e, struct now now, struct arkevent *a, struct ticket *t)
{
    const struct ark_state last = a->state;
    change(e, a, &last, ARK_DELETED, SLICE_NONE);
    record(e, a, true);
    active_forget(e, a);
    change_drop_trigger(e, now, &a->trigger);
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

/* ---- what happens to it ---- */

void ark_fired(struct engine *e, struct trigger *t)
{
    struct arkevent *a = ark_of(t);
    struct ark_state next = a->state;
    next.fired++;
    change(e, a, &next, ARK_MODIFIED, SLICE_NONE);
    t->state_effect->trigger_state.fired = a->state.fired;
    t->state_effect->trigger_state.version = a->state.version;
}

void ark_passed(struct engine *e, struct trigger *t)
{
    struct arkevent *a = ark_of(t);
    const struct ark_state same = a->state;
    change(e, a, &same, ARK_MODIFIED, SLICE_NONE);
    feed_set_state(e, t, &t->state);
}

void ark_pipeline_changed(struct engine *e, struct now now, const char *path)
{
    struct followed *f = catalog_followed(&e->catalog, slice_of(path));
    struct rule_target *target;
    if (f == NULL)
        return;
    DL_FOREACH (f->targeters, target) {
        struct arkevent *a = ark_of(target->trigger);
        struct ark_state next = a->state;
        if (!judge_again(e, now, a, &next))
            continue;
        change(e, a, &next, ARK_MODIFIED, SLICE_NONE);
        record(e, a, false);
    }
}

/* ---- at start ---- */

void engine_load_ark(struct engine *e, struct now now, struct arkevent *a)
{
    engine_load_trigger(e, now, &a->trigger);
    if (a->state.version > e->ark_version)
        e->ark_version = a->state.version;
}

void engine_loaded_arks(struct engine *e, struct now now, uint64_t version)
{
    struct arkevent *a, *tmp;
    if (version > e->ark_version)
        e->ark_version = version;
    HASH_ITER (hh, e->catalog.arks, a, tmp) {
        struct ark_state next = a->state;
        move_reason(now, a, ark_judge(&e->catalog, a, &next.missing), &next);
        if (next.reason != a->state.reason) {
            change(e, a, &next, ARK_MODIFIED, SLICE_NONE);
            record(e, a, false);
        }
        a->state.missing = next.missing;
    }
}
