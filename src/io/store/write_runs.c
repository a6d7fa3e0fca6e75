/* write_runs.c - events and what becomes of runs. */
#include "base/check.h"
#include "io/store/run_state.h"
#include "io/store/stmt.h"
#include "io/store/write_ark.h"
#include "io/store/write_replay.h"
#include "io/store/write_rows.h"

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
int write_put_event(struct db *db, const struct effect *f)
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
int write_put_run(struct db *db, const struct effect *f)
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

/* ---- logs of attempts that go on ---- */

int write_put_log_part(struct db *db, const struct effect *f)
{
    const struct effect_put_log_part *l = &f->put_log_part;
    struct row_key k;
    struct stmt q;
    CHECK(row_key_of(l->run, &k));
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO log_parts (run, attempt, at, text)"
                   " VALUES (?1, ?2, ?3, ?4)") == 0) {
        bind_int(&q, 1, k.key);
        bind_int(&q, 2, l->attempt);
        bind_int(&q, 3, (int64_t)l->at);
        bind_blob(&q, 4, l->text);
    }
    return stmt_finish(&q);
}

static int drop_log_parts(struct db *db, struct row_key k, uint32_t attempt)
{
    struct stmt q;
    if (stmt_begin(&q, db, "DELETE FROM log_parts WHERE run = ?1 AND attempt = ?2") == 0) {
        bind_int(&q, 1, k.key);
        bind_int(&q, 2, attempt);
    }
    return stmt_finish(&q);
}

/* ---- how attempts end ---- */

static bool has_output(const struct effect_move_run *r)
{
    return r->output.p != NULL || r->error.p != NULL || r->log.p != NULL || r->steps.p != NULL;
}

/* What goes back into the queue waits there, if its trigger is paused. */
#define WAITS_IF_PAUSED                                                                            \
    "CASE WHEN ?2 IN (" SQL_PENDING ", " SQL_DELAYED                                               \
    ") AND trigger IN (SELECT key FROM pauses WHERE kind = 't')"                                   \
    " THEN " SQL_WAITING " ELSE ?2 END"

int write_move_run(struct db *db, const struct effect *f)
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
    int err = stmt_finish(&q);
    if (err == 0 && has_output(r))
        err = put_output(db, r, k);
    return err == 0 && r->log_is_whole ? drop_log_parts(db, k, r->attempt) : err;
}

int write_put_attempt(struct db *db, const struct effect *f)
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
    const int err = stmt_finish(&q);
    return err == 0 && a->log_is_whole ? drop_log_parts(db, k, a->attempt) : err;
}

/* ---- pausing ---- */

/* Puts the pending runs of a trigger (?1) of a pipeline (?2) aside, or back. */
static int set_aside(struct db *db, const struct effect_pause *p)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   wall_is_set(p->at)
                       ? "UPDATE runs SET state = " SQL_WAITING
                         " WHERE pipeline = ?2 AND state IN (" SQL_PENDING ", " SQL_DELAYED ")"
                         " AND trigger = ?1"
                       : "UPDATE runs SET state = CASE WHEN due_at IS NULL THEN " SQL_PENDING
                         " ELSE " SQL_DELAYED " END"
                         " WHERE pipeline = ?2 AND state = " SQL_WAITING
                         " AND trigger = ?1") == 0) {
        bind_int(&q, 1, p->key);
        bind_int(&q, 2, p->pipeline_key);
    }
    return stmt_finish(&q);
}

int write_put_pause(struct db *db, const struct effect *f)
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

int write_swept(struct db *db, const struct effect *f)
{
    return stmt_exec(db, "DELETE FROM unswept");
}

/* ---- leases ---- */

int write_put_lease(struct db *db, const struct effect *f)
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

int write_drop_lease(struct db *db, const struct effect *f)
{
    struct row_key k;
    struct stmt q;
    CHECK(row_key_of(f->drop_lease, &k));
    if (stmt_begin(&q, db, "DELETE FROM leases WHERE run = ?1") == 0)
        bind_int(&q, 1, k.key);
    return stmt_finish(&q);
}
