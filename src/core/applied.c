#include "core/applied.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <stdlib.h>
#include <string.h>

struct applied *catalog_applied(const struct catalog *c, struct slice key)
{
    struct applied *a;
    HASH_FIND(by_key, c->applied_by_key, key.p, key.len, a);
    return a;
}

struct applied *catalog_applied_object(const struct catalog *c, struct uuid object)
{
    struct applied *a;
    HASH_FIND(by_object, c->applied_by_object, &object, sizeof(object), a);
    return a;
}

static void link_mark(struct catalog *c, struct applied *a)
{
    HASH_ADD_KEYPTR(by_key, c->applied_by_key, a->key, strlen(a->key), a);
    HASH_ADD(by_object, c->applied_by_object, object, sizeof(a->object), a);
}

static void unlink_mark(struct catalog *c, struct applied *a)
{
    HASH_DELETE(by_key, c->applied_by_key, a);
    HASH_DELETE(by_object, c->applied_by_object, a);
}

static struct applied *make(struct slice key, struct slice owner, struct uuid object)
{
    struct applied *a = mem_zalloc(sizeof(*a));
    a->object = object;
    a->key = mem_dup(key.p, key.len);
    a->owner = mem_dup(owner.p, owner.len);
    return a;
}

static void destroy(struct applied *a)
{
    if (a == NULL)
        return;
    free(a->key);
    free(a->owner);
    free(a);
}

void applied_release(struct catalog *c)
{
    struct applied *a, *tmp;
    HASH_ITER (by_key, c->applied_by_key, a, tmp) {
        unlink_mark(c, a);
        destroy(a);
    }
}

void engine_load_applied(struct engine *e, struct slice key, struct slice owner, struct uuid object)
{
    link_mark(&e->catalog, make(key, owner, object));
}

void engine_mark_applied(struct engine *e, struct slice key, struct slice owner, struct uuid object)
{
    struct applied *old = catalog_applied(&e->catalog, key);
    if (old != NULL && slice_is(owner, old->owner) && uuid_cmp(old->object, object) == 0)
        return;
    CHECK(old == NULL || uuid_cmp(old->object, object) == 0); /* a mark goes with its object */
    struct applied *a = make(key, owner, object);
    if (old != NULL)
        unlink_mark(&e->catalog, old);
    link_mark(&e->catalog, a);
    struct undo *u = undo_add(e, UNDO_APPLIED);
    u->applied = a;
    u->old_applied = old;
    emit(e, EFFECT_PUT_APPLIED)->put_applied =
        (struct effect_put_applied){.object = object, .key = keep(e, key), .owner = keep(e, owner)};
}

void applied_object_dropped(struct engine *e, struct uuid object)
{
    struct applied *a = catalog_applied_object(&e->catalog, object);
    if (a == NULL)
        return;
    unlink_mark(&e->catalog, a);
    struct undo *u = undo_add(e, UNDO_APPLIED);
    u->applied = NULL;
    u->old_applied = a;
    emit(e, EFFECT_DROP_APPLIED)->drop_applied = object;
}

void applied_done(struct undo *u)
{
    destroy(u->old_applied);
}

void applied_undo(struct engine *e, struct now now, struct undo *u)
{
    if (u->applied != NULL) {
        unlink_mark(&e->catalog, u->applied);
        destroy(u->applied);
    }
    if (u->old_applied != NULL)
        link_mark(&e->catalog, u->old_applied);
}
