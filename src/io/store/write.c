/* write.c - one batch, one transaction: each type of record has its writer. */
#include "base/check.h"
#include "core/topic.h"
#include "io/store/batch_rows.h"
#include "io/store/journal.h"
#include "io/store/namespaces.h"
#include "io/store/run_state.h"
#include "io/store/stmt.h"
#include "io/store/write_ark.h"
#include "io/store/write_replay.h"
#include <errno.h>

/* ---- events ---- */

static int remember_request(struct db *db, const struct effect_put_event *e, struct row_key k)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO dedupe (event, rest, run, key) VALUES (?1, ?2, ?3, "
                   "?4)") == 0) {
        bind_int(&q, 1, k.key);
        bind_int(&q, 2, k.rest);
        bind_blob(&q, 3, (struct slice){(const char *)e->dedupe_run.b, sizeof(e->dedupe_run.b)});
        bind_blob(&q, 4, (struct slice){(const char *)e->dedupe_key.b, sizeof(e->dedupe_key.b)});
    }
    return stmt_finish(&q);
}

/* batch_rows.c has made the row. */
static int put_event(struct db *db, const struct effect *f)
{
    const struct effect_put_event *e = &f->put_event;
    struct row_key k;
    if (!e->dedupe)
        return 0;
    CHECK(row_key_of(e->id, &k));
    return remember_request(db, e, k);
}

/* ---- runs ---- */

/* batch_rows.c has made the row. */
static int put_run(struct db *db, const struct effect *f)
{
    const int err = write_run_input(db, f);
    return err == 0 && !uuid_is_nil(f->put_run.replay_of) ? write_replay(db, &f->put_run) : err;
}

static char state_letter(enum run_status status, struct wall due_at)
{
    return status == RUN_PENDING && wall_is_set(due_at) ? STATE_DELAYED : run_states_of(status)[0];
}

static int put_output(struct db *db, const struct effect_move_run *r, struct row_key k)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO run_outputs (run, error, output, log, steps)"
                   " VALUES (?1, ?2, ?3, ?4, ?5)") == 0) {
        bind_int(&q, 1, k.key);
        bind_text(&q, 2, r->error);
        bind_blob(&q, 3, r->output);
        bind_blob(&q, 4, r->log);
        bind_text(&q, 5, r->steps);
    }
    return stmt_finish(&q);
}

static bool has_output(const struct effect_move_run *r)
{
    return r->output.p != NULL || r->error.p != NULL || r->log.p != NULL || r->steps.p != NULL;
}

/* What goes back into the queue waits there, if its trigger is paused. */
#define WAITS_IF_PAUSED                                                                            \
    "CASE WHEN ?2 IN ('p', 'd') AND trigger IN (SELECT key FROM pauses WHERE kind = 't')"          \
    " THEN 'w' ELSE ?2 END"

static int move_run(struct db *db, const struct effect *f)
{
    const struct effect_move_run *r = &f->move_run;
    const char state = state_letter(r->status, r->due_at);
    struct row_key k;
    CHECK(row_key_of(r->id, &k));
    struct stmt q;
    if (stmt_begin(&q, db,
                   "UPDATE runs SET state = " WAITS_IF_PAUSED
                   ", attempt = ?3, started_at = ?4, finished_at = ?5,"
                   " due_at = ?6 WHERE key = ?1") == 0) {
        bind_int(&q, 1, k.key);
        bind_text(&q, 2, (struct slice){&state, 1});
        bind_int(&q, 3, r->attempt);
        bind_fixed_time(&q, 4, r->started_at);
        bind_fixed_time(&q, 5, r->finished_at);
        bind_time(&q, 6, r->status == RUN_PENDING ? r->due_at : WALL_UNSET);
    }
    const int err = stmt_finish(&q);
    return err == 0 && has_output(r) ? put_output(db, r, k) : err;
}

static int put_attempt(struct db *db, const struct effect *f)
{
    const struct effect_put_attempt *a = &f->put_attempt;
    struct row_key k;
    struct stmt q;
    CHECK(row_key_of(a->run, &k));
    if (stmt_begin(&q, db,
                   "INSERT INTO run_attempts (run, attempt, started_at, finished_at, interrupted,"
                   " error, log, steps) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)") == 0) {
        bind_int(&q, 1, k.key);
        bind_int(&q, 2, a->attempt);
        bind_fixed_time(&q, 3, a->started_at);
        bind_fixed_time(&q, 4, a->finished_at);
        bind_int(&q, 5, a->interrupted);
        bind_text(&q, 6, a->error);
        bind_blob(&q, 7, a->log);
        bind_text(&q, 8, a->steps);
    }
    return stmt_finish(&q);
}

/* ---- pausing ---- */

/* Puts the pending runs of a trigger (?1) of a pipeline (?2) aside, or back. */
static int set_aside(struct db *db, const struct effect_pause *p)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   wall_is_set(p->at)
                       ? "UPDATE runs SET state = 'w' WHERE pipeline = ?2 AND state IN ('p', 'd')"
                         " AND trigger = ?1"
                       : "UPDATE runs SET state = CASE WHEN due_at IS NULL THEN 'p' ELSE 'd' END"
                         " WHERE pipeline = ?2 AND state = 'w' AND trigger = ?1") == 0) {
        bind_int(&q, 1, p->key);
        bind_int(&q, 2, p->pipeline_key);
    }
    return stmt_finish(&q);
}

static int put_pause(struct db *db, const struct effect *f)
{
    const struct effect_pause *p = &f->pause;
    const char kind = (char)p->kind;
    struct stmt q;
    if (stmt_begin(&q, db,
                   wall_is_set(p->at) ? "INSERT OR REPLACE INTO pauses (kind, key, at, reason)"
                                        " VALUES (?1, ?2, ?3, ?4)"
                                      : "DELETE FROM pauses WHERE kind = ?1 AND key = ?2") == 0) {
        bind_text(&q, 1, (struct slice){&kind, 1});
        bind_int(&q, 2, p->key);
        if (wall_is_set(p->at)) {
            bind_int(&q, 3, p->at.ms);
            bind_text(&q, 4, p->reason);
        }
    }
    const int err = stmt_finish(&q);
    return err == 0 && p->kind == PAUSE_TRIGGER ? set_aside(db, p) : err;
}

static int swept(struct db *db, const struct effect *f)
{
    return stmt_exec(db, "DELETE FROM unswept");
}

/* ---- leases ---- */

static int put_lease(struct db *db, const struct effect *f)
{
    const struct effect_put_lease *l = &f->put_lease;
    struct row_key k;
    struct stmt q;
    CHECK(row_key_of(l->run, &k));
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO leases (run, expires_at, hash) VALUES (?1, ?2, ?3)") ==
        0) {
        bind_int(&q, 1, k.key);
        bind_int(&q, 2, l->expires_at.ms);
        bind_blob(&q, 3, (struct slice){(const char *)l->hash.b, sizeof(l->hash.b)});
    }
    return stmt_finish(&q);
}

static int drop_lease(struct db *db, const struct effect *f)
{
    struct row_key k;
    struct stmt q;
    CHECK(row_key_of(f->drop_lease, &k));
    if (stmt_begin(&q, db, "DELETE FROM leases WHERE run = ?1") == 0)
        bind_int(&q, 1, k.key);
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

static int trigger_state(struct db *db, const struct effect *f)
{
    return write_state(db,
                       "UPDATE trigger_states SET last_fired = ?2, last_due = ?4, held = ?5,"
                       " last_run = ifnull(nullif(?3, zeroblob(16)), last_run),"
                       " held_from = ?6, fired = ?7, version = max(version, ?8) WHERE trigger = ?1",
                       &f->trigger_state);
}

static int put_trigger(struct db *db, const struct effect *f)
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

/* Runs a statement about one thing (?1) at one time (?2). */
static int mark(struct db *db, const char *sql, const struct effect_drop *d)
{
    struct stmt q;
    if (stmt_begin(&q, db, sql) == 0) {
        bind_int(&q, 1, d->key);
        bind_int(&q, 2, d->at.ms);
    }
    return stmt_finish(&q);
}

static int drop_trigger(struct db *db, const struct effect *f)
{
    return mark(db, "UPDATE triggers SET deleted_at = ?2 WHERE key = ?1", &f->drop);
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

static int put_pipeline(struct db *db, const struct effect *f)
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

static int drop_pending(struct db *db, const struct effect *f)
{
    static const char *const statements[] = {
        "INSERT OR REPLACE INTO run_outputs (run, error) SELECT key, '" RUN_REPLACED "'"
        " FROM runs WHERE pipeline = ?1 AND state IN ('p', 'd', 'w') AND ?2 NOT NULL"
        " AND key NOT BETWEEN ?3 AND ?4",
        "UPDATE runs SET state = 'c', finished_at = ?2, due_at = NULL"
        " WHERE pipeline = ?1 AND state IN ('p', 'd', 'w') AND key NOT BETWEEN ?3 AND ?4",
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
static int drop_pipeline(struct db *db, const struct effect *f)
{
    static const char *const statements[] = {
        "UPDATE pipelines SET deleted_at = ?2, sweeping = EXISTS"
        " (SELECT 1 FROM runs WHERE pipeline = ?1 AND state IN ('p', 'd', 'w')) WHERE key = ?1",
        "UPDATE triggers SET deleted_at = ?2 WHERE pipeline = ?1 AND deleted_at IS NULL",
    };
    int err = 0;
    for (size_t i = 0; err == 0 && i < ARRAY_SIZE(statements); i++)
        err = mark(db, statements[i], &f->drop);
    return err;
}

/* ---- zones and files ---- */

static int put_totals(struct db *db, int64_t zone)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR IGNORE INTO zone_totals (zone, files, bytes) VALUES (?1, 0, 0)") == 0)
        bind_int(&q, 1, zone);
    return stmt_finish(&q);
}

static int put_zone(struct db *db, const struct effect *f)
{
    const struct effect_put_zone *z = &f->put_zone;
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "INSERT INTO zones (key, id, path, directory, spec, made_by_us, primed, created_at, "
            "updated_at)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
            " ON CONFLICT (key) DO UPDATE SET spec = excluded.spec, primed = excluded.primed,"
            " updated_at = excluded.updated_at") == 0) {
        bind_int(&q, 1, z->key);
        bind_uuid(&q, 2, &z->id);
        bind_text(&q, 3, z->path);
        bind_text(&q, 4, z->directory);
        bind_text(&q, 5, z->spec);
        bind_int(&q, 6, z->made_by_us);
        bind_int(&q, 7, z->primed);
        bind_int(&q, 8, z->created_at.ms);
        bind_int(&q, 9, z->updated_at.ms);
    }
    const int err = stmt_finish(&q);
    return err != 0 ? err : put_totals(db, z->key);
}

/* Its files go later, a few at a time (retention.c). */
static int drop_zone(struct db *db, const struct effect *f)
{
    return mark(db, "UPDATE zones SET deleted_at = ?2 WHERE key = ?1", &f->drop);
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

static int put_file(struct db *db, const struct effect *f)
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

static int keep_file(struct db *db, const struct effect *f)
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

static int drop_file(struct db *db, const struct effect *f)
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

/* ---- topics ---- */

static void bind_retention(struct stmt *q, int i, uint64_t n)
{
    if (n == RETENTION_DEFAULT)
        bind_null(q, i); /* bindings outlive their use */
    else
        bind_int(q, i, (int64_t)n);
}

static int put_topic(struct db *db, const struct effect *f)
{
    const struct effect_put_topic *t = &f->put_topic;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT INTO topics (key, name, age_ms, bytes_max, first_offset, first_total,"
                   " created_at, updated_at) VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6)"
                   " ON CONFLICT (key) DO UPDATE SET age_ms = excluded.age_ms,"
                   " bytes_max = excluded.bytes_max, updated_at = excluded.updated_at") == 0) {
        bind_int(&q, 1, t->key);
        bind_text(&q, 2, t->name);
        bind_retention(&q, 3, t->age_ms);
        bind_retention(&q, 4, t->bytes_max);
        bind_int(&q, 5, t->created_at.ms);
        bind_int(&q, 6, t->updated_at.ms);
    }
    return stmt_finish(&q);
}

/* Its messages go later, a few at a time (retention.c). */
static int drop_topic(struct db *db, const struct effect *f)
{
    return mark(db, "UPDATE topics SET deleted_at = ?2 WHERE key = ?1", &f->drop);
}

static int put_position(struct db *db, const struct effect *f)
{
    const struct effect_put_position *p = &f->put_position;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO positions (subscription, partition, at)"
                   " VALUES (?1, ?2, ?3)") == 0) {
        bind_text(&q, 1, p->subscription);
        bind_int(&q, 2, p->partition);
        bind_int(&q, 3, (int64_t)p->at);
    }
    return stmt_finish(&q);
}

/* ---- manifests ---- */

static int put_applied(struct db *db, const struct effect *f)
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

static int drop_applied(struct db *db, const struct effect *f)
{
    struct stmt q;
    if (stmt_begin(&q, db, "DELETE FROM applied WHERE object = ?1") == 0)
        bind_uuid(&q, 1, &f->drop_applied);
    return stmt_finish(&q);
}

/* ---- the transaction ---- */

typedef int writer(struct db *db, const struct effect *f);

static int success(struct db *db, const struct effect *f)
{
    struct stmt q;
    if (stmt_begin(&q, db, "INSERT OR REPLACE INTO successes (path, at) VALUES (?1, ?2)") == 0) {
        bind_text(&q, 1, f->success.path);
        bind_int(&q, 2, f->success.at.ms);
    }
    return stmt_finish(&q);
}

/* clang-format off */
static writer *const writers[] = {
    [EFFECT_PUT_EVENT] = put_event,
    [EFFECT_PUT_RUN] = put_run,
    [EFFECT_MOVE_RUN] = move_run,
    [EFFECT_TRIGGER_STATE] = trigger_state,
    [EFFECT_PUT_PIPELINE] = put_pipeline,
    [EFFECT_DROP_PIPELINE] = drop_pipeline,
    [EFFECT_PUT_TRIGGER] = put_trigger,
    [EFFECT_DROP_TRIGGER] = drop_trigger,
    [EFFECT_PUT_ZONE] = put_zone,
    [EFFECT_DROP_ZONE] = drop_zone,
    [EFFECT_PUT_FILE] = put_file,
    [EFFECT_DROP_FILE] = drop_file,
    [EFFECT_KEEP_FILE] = keep_file,
    [EFFECT_SUCCESS] = success,
    [EFFECT_PAUSE] = put_pause,
    [EFFECT_SWEPT] = swept,
    [EFFECT_PUT_LEASE] = put_lease,
    [EFFECT_DROP_LEASE] = drop_lease,
    [EFFECT_PUT_ATTEMPT] = put_attempt,
    [EFFECT_PUT_ARK] = write_ark,
    [EFFECT_DROP_PENDING] = drop_pending,
    [EFFECT_PUT_TOPIC] = put_topic,
    [EFFECT_DROP_TOPIC] = drop_topic,
    [EFFECT_PUT_POSITION] = put_position,
    [EFFECT_PUT_APPLIED] = put_applied,
    [EFFECT_DROP_APPLIED] = drop_applied,
    [EFFECT_PUT_NAMESPACE] = write_namespace,
    [EFFECT_DROP_NAMESPACE] = write_namespace_drop,
};
/* clang-format on */

/* New events and runs come first: no other record has to be there before them. */
static int write_records(struct db *db, const struct batch *b)
{
    int err = batch_rows_insert(db, b);
    for (const struct effect *f = b->first; err == 0 && f != NULL; f = f->next)
        if (EFFECT_IS_RECORD(f->type))
            err = writers[f->type](db, f);
    return err;
}

int journal_write(struct db *db, const struct batch *b)
{
    if (b->record_count == 0)
        return 0;
    int err = stmt_exec(db, "BEGIN IMMEDIATE");
    if (err == 0)
        err = write_records(db, b);
    if (err == 0)
        err = stmt_exec(db, "COMMIT");
    if (err != 0 && !sqlite3_get_autocommit(db->sql))
        stmt_exec(db, "ROLLBACK");
    return err;
}
