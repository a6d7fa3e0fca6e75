/* write_catalog.c - triggers and pipelines, and what was made by applying manifests. */
#include "base/check.h"
#include "io/store/run_state.h"
#include "io/store/stmt.h"
#include "io/store/write_rows.h"

int write_drop(struct db *db, const char *sql, const struct effect_drop *d)
{
    struct stmt q;
    if (stmt_begin(&q, db, sql) == 0) {
        bind_int(&q, 1, d->key);
        bind_int(&q, 2, d->at.ms);
    }
    return stmt_finish(&q);
}

/* ---- triggers ---- */

static int write_state(struct db *db, const char *sql, const struct effect_trigger_state *t)
{
    struct stmt q;
    if (stmt_begin(&q, db, sql) == 0) {
        bind_int(&q, 1, t->trigger_key);
        bind_fixed_time(&q, 2, t->last_fired);
        bind_blob(&q, 3, (struct slice){(const char *)t->last_run.b, sizeof(t->last_run.b)});
        bind_time(&q, 4, t->last_due);
        bind_int(&q, 5, (int64_t)t->held);
        bind_uuid(&q, 6, &t->held_from);
        bind_int(&q, 7, (int64_t)t->fired);
        bind_int(&q, 8, (int64_t)t->version);
    }
    return stmt_finish(&q);
}

int write_trigger_state(struct db *db, const struct effect *f)
{
    return write_state(db,
                       "UPDATE trigger_states SET last_fired = ?2, last_due = ?4, held = ?5,"
                       " last_run = ifnull(nullif(?3, zeroblob(16)), last_run),"
                       " held_from = ?6, fired = ?7, version = max(version, ?8) WHERE trigger = ?1",
                       &f->trigger_state);
}

int write_put_trigger(struct db *db, const struct effect *f)
{
    const struct effect_put_trigger *t = &f->put_trigger;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT INTO triggers (key, id, pipeline, type, label, enabled, cooldown_ms,"
                   " created_at, updated_at, config)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                   " ON CONFLICT (key) DO UPDATE SET label = excluded.label,"
                   " enabled = excluded.enabled, cooldown_ms = excluded.cooldown_ms,"
                   " updated_at = excluded.updated_at, config = excluded.config") == 0) {
        bind_int(&q, 1, t->key);
        bind_uuid(&q, 2, &t->id);
        bind_int(&q, 3, t->pipeline_key);
        bind_text(&q, 4, t->type);
        bind_text(&q, 5, t->label);
        bind_int(&q, 6, t->enabled);
        bind_int(&q, 7, (int64_t)t->cooldown_ms);
        bind_int(&q, 8, t->created_at.ms);
        bind_int(&q, 9, t->updated_at.ms);
        bind_text(&q, 10, t->config);
    }
    const int err = stmt_finish(&q);
    const struct effect_trigger_state never = {
        .trigger_key = t->key, .last_fired = WALL_UNSET, .last_due = WALL_UNSET};
    return err != 0 ? err
                    : write_state(db,
                                  "INSERT OR IGNORE INTO trigger_states (trigger, last_fired, "
                                  "last_run, last_due, held, held_from, fired, version)"
                                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                                  &never);
}

int write_drop_trigger(struct db *db, const struct effect *f)
{
    return write_drop(db, "UPDATE triggers SET deleted_at = ?2 WHERE key = ?1", &f->drop);
}

/* ---- pipelines ---- */

static int put_version(struct db *db, const struct effect_put_pipeline *p)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT INTO pipeline_versions (pipeline, version, created_at, spec)"
                   " VALUES (?1, ?2, ?3, ?4)") == 0) {
        bind_int(&q, 1, p->key);
        bind_int(&q, 2, p->version);
        bind_int(&q, 3, p->updated_at.ms);
        bind_text(&q, 4, p->spec);
    }
    return stmt_finish(&q);
}

int write_put_pipeline(struct db *db, const struct effect *f)
{
    const struct effect_put_pipeline *p = &f->put_pipeline;
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "INSERT INTO pipelines (key, id, path, version, created_at, updated_at, given_id)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            " ON CONFLICT (key) DO UPDATE SET version = excluded.version,"
            " updated_at = excluded.updated_at") == 0) {
        bind_int(&q, 1, p->key);
        bind_uuid(&q, 2, &p->id);
        bind_text(&q, 3, p->path);
        bind_int(&q, 4, p->version);
        bind_int(&q, 5, p->created_at.ms);
        bind_int(&q, 6, p->updated_at.ms);
        bind_text(&q, 7, p->given_id);
    }
    const int err = stmt_finish(&q);
    return err != 0 ? err : put_version(db, p);
}

/* Runs made in the same batch after this effect stay. They stand in the table already, with the keys between. */
static void find_stayers(const struct effect *f, int64_t *ret_first, int64_t *ret_last)
{
    struct row_key k;
    *ret_first = INT64_MAX;
    *ret_last = INT64_MIN;
    for (f = f->next; f != NULL; f = f->next) {
        if (f->type != EFFECT_PUT_RUN)
            continue;
        CHECK(row_key_of(f->put_run.id, &k));
        if (*ret_first == INT64_MAX)
            *ret_first = k.key;
        *ret_last = k.key;
    }
}

int write_drop_pending(struct db *db, const struct effect *f)
{
    static const char *const statements[] = {
        "INSERT OR REPLACE INTO run_outputs (run, error) SELECT key, '" RUN_REPLACED "'"
        " FROM runs WHERE pipeline = ?1 AND state IN " SQL_ALL_PENDING " AND ?2 NOT NULL"
        " AND key NOT BETWEEN ?3 AND ?4",
        "UPDATE runs SET state = " SQL_CANCELLED ", finished_at = ?2, due_at = NULL"
        " WHERE pipeline = ?1 AND state IN " SQL_ALL_PENDING " AND key NOT BETWEEN ?3 AND ?4",
    };
    int64_t first, last;
    int err = 0;
    find_stayers(f, &first, &last);
    for (size_t i = 0; err == 0 && i < ARRAY_SIZE(statements); i++) {
        struct stmt q;
        if (stmt_begin(&q, db, statements[i]) == 0) {
            bind_int(&q, 1, f->drop.key);
            bind_int(&q, 2, f->drop.at.ms);
            bind_int(&q, 3, first);
            bind_int(&q, 4, last);
        }
        err = stmt_finish(&q);
    }
    return err;
}

/* Its pending runs follow later, a few at a time (sweep.h). */
int write_drop_pipeline(struct db *db, const struct effect *f)
{
    static const char *const statements[] = {
        "UPDATE pipelines SET deleted_at = ?2, sweeping = EXISTS"
        " (SELECT 1 FROM runs WHERE pipeline = ?1 AND state IN " SQL_ALL_PENDING ") WHERE key = ?1",
        "UPDATE triggers SET deleted_at = ?2 WHERE pipeline = ?1 AND deleted_at IS NULL",
    };
    int err = 0;
    for (size_t i = 0; err == 0 && i < ARRAY_SIZE(statements); i++)
        err = write_drop(db, statements[i], &f->drop);
    return err;
}

/* ---- manifests ---- */

int write_put_applied(struct db *db, const struct effect *f)
{
    const struct effect_put_applied *a = &f->put_applied;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO applied (object, key, owner) VALUES (?1, ?2, ?3)") ==
        0) {
        bind_uuid(&q, 1, &a->object);
        bind_text(&q, 2, a->key);
        bind_text(&q, 3, a->owner);
    }
    return stmt_finish(&q);
}

int write_drop_applied(struct db *db, const struct effect *f)
{
    struct stmt q;
    if (stmt_begin(&q, db, "DELETE FROM applied WHERE object = ?1") == 0)
        bind_uuid(&q, 1, &f->drop_applied);
    return stmt_finish(&q);
}

int write_success(struct db *db, const struct effect *f)
{
    struct stmt q;
    if (stmt_begin(&q, db, "INSERT OR REPLACE INTO successes (path, at) VALUES (?1, ?2)") == 0) {
        bind_text(&q, 1, f->success.path);
        bind_int(&q, 2, f->success.at.ms);
    }
    return stmt_finish(&q);
}
