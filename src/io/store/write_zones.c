/* write_zones.c - landing zones and the ledger of their files. */
#include "base/check.h"
#include "io/store/stmt.h"
#include "io/store/write_rows.h"

static int put_totals(struct db *db, int64_t zone)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR IGNORE INTO zone_totals (zone, files, bytes) VALUES (?1, 0, 0)") == 0)
        bind_int(&q, 1, zone);
    return stmt_finish(&q);
}

int write_put_zone(struct db *db, const struct effect *f)
{
    const struct effect_put_zone *z = &f->put_zone;
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "INSERT INTO zones (key, id, path, directory, spec, made_by_us, primed, created_at, "
            "updated_at, new_since)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            " ON CONFLICT (key) DO UPDATE SET spec = excluded.spec, primed = excluded.primed,"
            " updated_at = excluded.updated_at, new_since = excluded.new_since") == 0) {
        bind_int(&q, 1, z->key);
        bind_uuid(&q, 2, &z->id);
        bind_text(&q, 3, z->path);
        bind_text(&q, 4, z->directory);
        bind_text(&q, 5, z->spec);
        bind_int(&q, 6, z->made_by_us);
        bind_int(&q, 7, z->primed);
        bind_int(&q, 8, z->created_at.ms);
        bind_int(&q, 9, z->updated_at.ms);
        bind_int(&q, 10, z->new_since.ms);
    }
    const int err = stmt_finish(&q);
    return err != 0 ? err : put_totals(db, z->key);
}

/* Its files go later, a few at a time (retention.c). */
int write_drop_zone(struct db *db, const struct effect *f)
{
    return write_drop(db, "UPDATE zones SET deleted_at = ?2 WHERE key = ?1", &f->drop);
}

/* What was at the path before has been overwritten. */
static int forget_file(struct db *db, const struct effect_put_file *p)
{
    struct stmt q;
    if (stmt_begin(&q, db, "DELETE FROM files WHERE zone = ?1 AND path = ?2") == 0) {
        bind_int(&q, 1, p->zone_key);
        bind_blob(&q, 2, p->path);
    }
    return stmt_finish(&q);
}

int write_put_file(struct db *db, const struct effect *f)
{
    const struct effect_put_file *p = &f->put_file;
    struct row_key k;
    CHECK(row_key_of(p->id, &k));
    const int err = forget_file(db, p);
    if (err != 0)
        return err;
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "INSERT INTO files (key, rest, zone, inode, size, mtime_ns, ctime_ns, arrived_at, "
            "name, content_type, path)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)") == 0) {
        bind_int(&q, 1, k.key);
        bind_int(&q, 2, k.rest);
        bind_int(&q, 3, p->zone_key);
        bind_int(&q, 4, (int64_t)p->inode);
        bind_int(&q, 5, (int64_t)p->size);
        bind_int(&q, 6, p->mtime_ns);
        bind_int(&q, 7, p->ctime_ns);
        bind_int(&q, 8, p->at.ms);
        bind_blob(&q, 9, p->name);
        bind_text(&q, 10, p->content_type);
        bind_blob(&q, 11, p->path);
    }
    return stmt_finish(&q);
}

int write_keep_file(struct db *db, const struct effect *f)
{
    const struct effect_keep_file *k = &f->keep_file;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "UPDATE files SET mtime_ns = ?3, ctime_ns = ?4, gone_at = NULL"
                   " WHERE zone = ?1 AND path = ?2") == 0) {
        bind_int(&q, 1, k->zone_key);
        bind_blob(&q, 2, k->path);
        bind_int(&q, 3, k->mtime_ns);
        bind_int(&q, 4, k->ctime_ns);
    }
    return stmt_finish(&q);
}

int write_drop_file(struct db *db, const struct effect *f)
{
    const struct effect_drop_file *d = &f->drop_file;
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "UPDATE files SET gone_at = ?3 WHERE zone = ?1 AND path = ?2 AND gone_at IS NULL") ==
        0) {
        bind_int(&q, 1, d->zone_key);
        bind_blob(&q, 2, d->path);
        bind_int(&q, 3, d->at.ms);
    }
    return stmt_finish(&q);
}
