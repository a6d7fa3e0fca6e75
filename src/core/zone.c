/* zone.c - the zones of the catalog change: at once in memory, with an undo that lasts until the change is on disk.
 *
 * Each change is followed by EFFECT_ARM, before the reply: whoever watches the directories compares what it watches with the
 * catalog. So is the undoing of one, because the watching may have begun on the word of a change that did not come to be.
 */
#include "core/zone.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <errno.h>

static void record_zone(struct engine *e, const struct zone *z)
{
    emit(e, EFFECT_PUT_ZONE)->put_zone = (struct effect_put_zone){
        .id = z->id,
        .key = z->key,
        .path = keep(e, slice_of(z->path)),
        .directory = keep(e, slice_of(z->directory)),
        .spec = keep(e, slice_of(z->def->spec)),
        .made_by_us = z->made_by_us,
        .primed = z->primed,
        .new_since = z->new_since,
        .created_at = z->created_at,
        .updated_at = z->def->updated_at,
    };
}

static void finish(struct engine *e, struct ticket *t)
{
    emit(e, EFFECT_ARM);
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

void engine_load_zone(struct engine *e, struct zone *z)
{
    catalog_link_zone(&e->catalog, z);
}

struct zone *engine_add_zone(struct engine *e, struct now now, struct slice path,
                             struct slice directory, bool made_by_us, struct zone_def *def,
                             struct ticket *t)
{
    CHECK(catalog_zone_at(&e->catalog, path) == NULL);
    struct zone *z = mem_zalloc(sizeof(*z));
    def->updated_at = now.wall;
    *z = (struct zone){
        .id = uuid_next(&e->ids, now.wall, &e->prng),
        .key = e->catalog.zone_key_last + 1,
        .path = mem_dup(path.p, path.len),
        .directory = mem_dup(directory.p, directory.len),
        .made_by_us = made_by_us,
        .primed = def->fire_existing,
        .new_since = now.wall,
        .def = def,
        .created_at = now.wall,
    };
    catalog_link_zone(&e->catalog, z);
    undo_add(e, UNDO_ADD_ZONE)->zone = z;
    record_zone(e, z);
    finish(e, t);
    return z;
}

/* What a wider definition finds was there before it: it is recorded, not fired. */
void engine_change_zone(struct engine *e, struct now now, struct zone *z, struct zone_def *def,
                        struct ticket *t)
{
    struct undo *u = undo_add(e, UNDO_CHANGE_ZONE);
    u->zone = z;
    u->old_zone_def = z->def;
    u->was_primed = z->primed;
    u->was_new_since = z->new_since;
    def->updated_at = now.wall;
    if (z->primed && !zone_def_same_files(z->def, def)) {
        z->primed = false;
        z->new_since = now.wall;
    }
    z->def = def;
    record_zone(e, z);
    finish(e, t);
}

void engine_prime_zone(struct engine *e, struct now now, struct zone *z, struct ticket *t)
{
    struct undo *u = undo_add(e, UNDO_PRIME_ZONE);
    u->zone = z;
    u->was_primed = z->primed;
    z->primed = true;
    record_zone(e, z);
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

void engine_drop_zone(struct engine *e, struct now now, struct zone *z, struct ticket *t)
{
    applied_object_dropped(e, z->id);
    catalog_unlink_zone(&e->catalog, z);
    undo_add(e, UNDO_DROP_ZONE)->zone = z;
    emit(e, EFFECT_DROP_ZONE)->drop = (struct effect_drop){.key = z->key, .at = now.wall};
    finish(e, t);
}

/* ---- files ---- */

void zone_record_file(struct engine *e, struct now now, const struct ledger_file *f, struct uuid id)
{
    emit(e, EFFECT_PUT_FILE)->put_file = (struct effect_put_file){
        .id = id,
        .zone_key = f->zone_key,
        .path = keep(e, f->path),
        .name = keep(e, f->name),
        .content_type = keep(e, f->content_type),
        .inode = f->inode,
        .size = f->size,
        .mtime_ns = f->mtime_ns,
        .ctime_ns = f->ctime_ns,
        .at = now.wall,
    };
}

int engine_note_file(struct engine *e, struct now now, const struct ledger_file *f,
                     struct ticket *t)
{
    if (batch_is_full(e))
        return -ENOBUFS;
    zone_record_file(e, now, f, uuid_next(&e->ids, now.wall, &e->prng));
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return 0;
}

int engine_keep_file(struct engine *e, struct now now, const struct ledger_file *f,
                     struct ticket *t)
{
    if (batch_is_full(e))
        return -ENOBUFS;
    emit(e, EFFECT_KEEP_FILE)->keep_file = (struct effect_keep_file){
        .zone_key = f->zone_key,
        .path = keep(e, f->path),
        .mtime_ns = f->mtime_ns,
        .ctime_ns = f->ctime_ns,
    };
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return 0;
}

int engine_drop_file(struct engine *e, struct now now, int64_t zone_key, struct slice path,
                     struct ticket *t)
{
    if (batch_is_full(e))
        return -ENOBUFS;
    emit(e, EFFECT_DROP_FILE)->drop_file =
        (struct effect_drop_file){.zone_key = zone_key, .path = keep(e, path), .at = now.wall};
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return 0;
}

/* ---- undo ---- */

void zone_undo_add(struct engine *e, struct now now, struct undo *u)
{
    catalog_unlink_zone(&e->catalog, u->zone);
    zone_destroy(u->zone);
    e->arm_undone = true;
}

void zone_undo_change(struct engine *e, struct now now, struct undo *u)
{
    zone_def_unref(u->zone->def);
    u->zone->def = u->old_zone_def;
    u->zone->primed = u->was_primed;
    u->zone->new_since = u->was_new_since;
    e->arm_undone = true;
}

void zone_done_change(struct undo *u)
{
    zone_def_unref(u->old_zone_def);
}

void zone_undo_prime(struct engine *e, struct now now, struct undo *u)
{
    u->zone->primed = u->was_primed;
    e->arm_undone = true;
}

void zone_undo_drop(struct engine *e, struct now now, struct undo *u)
{
    catalog_link_zone(&e->catalog, u->zone);
    e->arm_undone = true;
}

void zone_done_drop(struct undo *u)
{
    zone_destroy(u->zone);
}
