#include "io/store/retention.h"
#include "base/arena.h"
#include "base/check.h"
#include "core/decision.h"
#include "core/topic.h"
#include "io/store/held_files.h"
#include "io/store/page.h"
#include "io/store/run_state.h"

/* ---- the plan ---- */

/* The key below which a table's rows are beyond its newest n. */
static int key_beyond(struct db *db, const char *sql, uint64_t n, int64_t *ret)
{
    struct stmt q;
    *ret = 0;
    if (stmt_begin(&q, db, sql) == 0)
        bind_int(&q, 1, n > INT64_MAX ? INT64_MAX : (int64_t)n);
    if (stmt_row(&q))
        *ret = column_int(&q, 0) + 1;
    return stmt_end(&q);
}

static int64_t key_older(struct wall now, uint64_t age_ms)
{
    if (age_ms == 0 || age_ms > (uint64_t)now.ms)
        return 0;
    return row_key_at((struct wall){now.ms - (int64_t)age_ms});
}

int retention_plan(struct db *db, const struct retention *r, struct wall now,
                   struct retention_plan *ret)
{
    const int64_t older = key_older(now, r->age_ms);
    int64_t runs = 0, events = 0;
    int err = 0;
    if (r->count_max > 0)
        err = key_beyond(db, "SELECT key FROM runs ORDER BY key DESC LIMIT 1 OFFSET ?1",
                         r->count_max, &runs);
    if (err == 0 && r->count_max > 0)
        err = key_beyond(db, "SELECT key FROM events ORDER BY key DESC LIMIT 1 OFFSET ?1",
                         r->count_max, &events);
    *ret = (struct retention_plan){
        .at = -1,
        .runs_before = runs > older ? runs : older,
        .events_before = events > older ? events : older,
        .topics = *r,
        .now = now,
        .dedupe_before = key_older(now, (uint64_t)DEDUPE_MS),
        .gone_before = r->age_ms > 0 ? (struct wall){now.ms - (int64_t)r->age_ms} : WALL_UNSET,
    };
    return err;
}

/* ---- the steps ---- */

/* What a step looks at. */
struct rows {
    int64_t keys[RETENTION_ROWS_MAX];
    bool goes[RETENTION_ROWS_MAX];
    size_t n;
};

static int delete_one(struct db *db, const char *sql, int64_t key)
{
    struct stmt q;
    if (stmt_begin(&q, db, sql) == 0)
        bind_int(&q, 1, key);
    return stmt_finish(&q);
}

static int delete_rows(struct db *db, const struct rows *rows, const char *const *sql)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < rows->n; i++)
        for (size_t k = 0; err == 0 && rows->goes[i] && sql[k] != NULL; k++)
            err = delete_one(db, sql[k], rows->keys[i]);
    return err;
}

static bool letter_is_final(struct slice letter)
{
    return letter.len == 1 && run_status_is_final(run_state_status(letter.p[0]));
}

/* True also when the run is gone. */
static bool run_has_ended(struct db *db, struct uuid run)
{
    struct row_key k;
    if (!row_key_of(run, &k))
        return true;
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT state FROM runs WHERE key = ?1") == 0)
        bind_int(&q, 1, k.key);
    const bool ended = !stmt_row(&q) || letter_is_final(column_slice(&q, 0));
    return stmt_end(&q) == 0 && ended;
}

static bool event_is_unneeded(struct db *db, struct slice decisions)
{
    struct arena a = {0};
    struct decision d;
    bool unneeded = true;
    while (unneeded && decision_decode(&decisions, &a, &d))
        for (size_t i = 0; unneeded && i < d.run_count; i++)
            unneeded = run_has_ended(db, d.runs[i]);
    arena_release(&a);
    return unneeded;
}

/* Runs that were made again for an event are not among its decisions. */
static int is_unreplayed(struct db *db, int64_t event, bool *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT 1 FROM replays y JOIN runs r ON r.key = y.run"
                   " WHERE y.event = ?1 AND r.state IN " SQL_NOT_ENDED) == 0)
        bind_int(&q, 1, event);
    *ret = !stmt_row(&q);
    return stmt_end(&q);
}

static bool run_goes(struct db *db, struct stmt *q)
{
    return letter_is_final(column_slice(q, 1));
}

static bool message_is_kept(struct db *db, int64_t number)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT 1 FROM messages WHERE key = ?1") == 0)
        bind_int(&q, 1, number);
    const bool kept = stmt_row(&q);
    return stmt_end(&q) != 0 || kept;
}

/* What its topic keeps stays, however old it is, and a file that a run is still to be told of. */
static bool event_goes(struct db *db, struct stmt *q)
{
    if (!column_is_null(q, 2) && message_is_kept(db, column_int(q, 2)))
        return false;
    if (!column_is_null(q, 3) && held_file_is_owed(db, column_row_id(q, 4), column_slice(q, 1)))
        return false;
    return event_is_unneeded(db, column_slice(q, 1));
}

/* Reads the next rows (key, and what `goes` looks at, from column 1 on) from p->at on. */
static int look(struct db *db, const struct retention_plan *p, const char *sql, int64_t before,
                bool (*goes)(struct db *db, struct stmt *q), struct rows *ret)
{
    struct stmt q;
    ret->n = 0;
    if (stmt_begin(&q, db, sql) == 0) {
        bind_int(&q, 1, p->at);
        bind_int(&q, 2, before);
        bind_int(&q, 3, RETENTION_ROWS_MAX);
    }
    while (ret->n < RETENTION_ROWS_MAX && stmt_row(&q)) {
        ret->keys[ret->n] = column_int(&q, 0);
        ret->goes[ret->n] = goes(db, &q);
        ret->n++;
    }
    return stmt_end(&q);
}

static void advance(struct retention_plan *p, const struct rows *rows)
{
    if (rows->n == RETENTION_ROWS_MAX) {
        p->at = rows->keys[rows->n - 1];
    } else {
        p->stage++;
        p->at = -1;
    }
}

static int step_runs(struct db *db, struct retention_plan *p)
{
    static const char *const sql[] = {"DELETE FROM runs WHERE key = ?1",
                                      "DELETE FROM run_outputs WHERE run = ?1",
                                      "DELETE FROM run_attempts WHERE run = ?1",
                                      "DELETE FROM run_inputs WHERE run = ?1",
                                      "DELETE FROM log_parts WHERE run = ?1",
                                      "DELETE FROM replays WHERE run = ?1",
                                      NULL};
    struct rows rows;
    int err =
        look(db, p, "SELECT key, state FROM runs WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3",
             p->runs_before, run_goes, &rows);
    if (err == 0)
        err = delete_rows(db, &rows, sql);
    if (err == 0)
        advance(p, &rows);
    return err;
}

static int step_events(struct db *db, struct retention_plan *p)
{
    static const char *const sql[] = {"DELETE FROM events WHERE key = ?1", NULL};
    struct rows rows;
    int err = look(
        db, p,
        "SELECT key, decisions, message, zone, key, rest FROM events WHERE key > ?1 AND key < ?2"
        " ORDER BY key LIMIT ?3",
        p->events_before, event_goes, &rows);
    for (size_t i = 0; err == 0 && i < rows.n; i++)
        if (rows.goes[i])
            err = is_unreplayed(db, rows.keys[i], &rows.goes[i]);
    if (err == 0)
        err = delete_rows(db, &rows, sql);
    if (err == 0)
        advance(p, &rows);
    return err;
}

/* ---- messages ---- */

/* A topic, and what of it must go. */
struct topic_rule {
    int64_t key;
    uint64_t first_offset, first_total, last_total;
    uint64_t bytes_max;  /* 0: any number */
    int64_t event_older; /* messages whose events have smaller keys go */
    bool deleted;        /* all of them go */
};

static uint64_t limit_of(struct stmt *q, int i, uint64_t otherwise)
{
    return column_is_null(q, i) ? otherwise : (uint64_t)column_int(q, i);
}

/* The first topic behind p->at; false when there is none. */
static bool next_topic(struct db *db, const struct retention_plan *p, struct topic_rule *ret,
                       int *ret_err)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT t.key, t.first_offset, t.first_total, t.age_ms, t.bytes_max,"
                   " t.deleted_at IS NOT NULL, ifnull((SELECT m.total FROM messages m"
                   " WHERE m.key >= t.key << 40 AND m.key < (t.key + 1) << 40"
                   " ORDER BY m.key DESC LIMIT 1), t.first_total)"
                   " FROM topics t WHERE t.key > ?1 ORDER BY t.key LIMIT 1") == 0)
        bind_int(&q, 1, p->at);
    const bool found = stmt_row(&q);
    if (found)
        *ret = (struct topic_rule){
            .key = column_int(&q, 0),
            .first_offset = (uint64_t)column_int(&q, 1),
            .first_total = (uint64_t)column_int(&q, 2),
            .event_older = key_older(p->now, limit_of(&q, 3, p->topics.topic_age_ms)),
            .bytes_max = limit_of(&q, 4, p->topics.topic_bytes_max),
            .deleted = column_int(&q, 5) != 0,
            .last_total = (uint64_t)column_int(&q, 6),
        };
    *ret_err = stmt_end(&q);
    return found && *ret_err == 0;
}

static bool message_goes(const struct topic_rule *t, int64_t event, uint64_t total_before)
{
    return t->deleted || event < t->event_older ||
           (t->bytes_max > 0 && t->last_total - total_before > t->bytes_max);
}

/* The topic's oldest messages that go, as far as one step goes: their events. first_offset and first_total move behind them. */
static int find_messages(struct db *db, struct topic_rule *t, struct rows *ret)
{
    struct stmt q;
    const int64_t from = message_number(t->key, t->first_offset);
    if (stmt_begin(&q, db,
                   "SELECT event, total FROM messages WHERE key >= ?1 AND key < ?2 ORDER BY key"
                   " LIMIT ?3") == 0) {
        bind_int(&q, 1, from);
        bind_int(&q, 2, (t->key + 1) << TOPIC_OFFSET_BITS);
        bind_int(&q, 3, RETENTION_ROWS_MAX);
    }
    ret->n = 0;
    while (ret->n < RETENTION_ROWS_MAX && stmt_row(&q) &&
           message_goes(t, column_int(&q, 0), t->first_total)) {
        ret->keys[ret->n++] = column_int(&q, 0);
        t->first_offset++;
        t->first_total = (uint64_t)column_int(&q, 1);
    }
    return stmt_end(&q);
}

/* The event goes with its message, unless a run of it has not ended: then it goes with the other events. */
static int drop_message_event(struct db *db, int64_t event)
{
    struct stmt q;
    bool goes = false;
    if (stmt_begin(&q, db, "SELECT decisions FROM events WHERE key = ?1") == 0)
        bind_int(&q, 1, event);
    if (stmt_row(&q))
        goes = event_is_unneeded(db, column_slice(&q, 0));
    const int err = stmt_end(&q);
    return err == 0 && goes ? delete_one(db, "DELETE FROM events WHERE key = ?1", event) : err;
}

static int drop_messages(struct db *db, const struct topic_rule *t, const struct rows *rows)
{
    struct stmt q;
    int err = 0;
    for (size_t i = 0; err == 0 && i < rows->n; i++)
        err = drop_message_event(db, rows->keys[i]);
    if (err == 0 && stmt_begin(&q, db, "DELETE FROM messages WHERE key >= ?1 AND key < ?2") == 0) {
        bind_int(&q, 1, t->key << TOPIC_OFFSET_BITS);
        bind_int(&q, 2, message_number(t->key, t->first_offset));
        err = stmt_finish(&q);
    }
    if (err == 0 && stmt_begin(&q, db,
                               "UPDATE topics SET first_offset = ?2, first_total = ?3"
                               " WHERE key = ?1") == 0) {
        bind_int(&q, 1, t->key);
        bind_int(&q, 2, (int64_t)t->first_offset);
        bind_int(&q, 3, (int64_t)t->first_total);
        err = stmt_finish(&q);
    }
    return err;
}

static int step_messages(struct db *db, struct retention_plan *p)
{
    struct topic_rule t;
    struct rows rows = {.n = 0};
    int err;
    if (!next_topic(db, p, &t, &err)) {
        p->stage++;
        p->at = -1;
        return err;
    }
    err = find_messages(db, &t, &rows);
    if (err == 0 && rows.n > 0)
        err = drop_messages(db, &t, &rows);
    if (rows.n < RETENTION_ROWS_MAX)
        p->at = t.key; /* the next topic's turn */
    return err;
}

static int step_dedupe(struct db *db, struct retention_plan *p)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "DELETE FROM dedupe WHERE event IN"
                   " (SELECT event FROM dedupe WHERE event < ?1 ORDER BY event LIMIT ?2)") == 0) {
        bind_int(&q, 1, p->dedupe_before);
        bind_int(&q, 2, RETENTION_ROWS_MAX);
    }
    const int err = stmt_finish(&q);
    if (err == 0 && sqlite3_changes(db->sql) < RETENTION_ROWS_MAX)
        p->stage++;
    return err;
}

/* Files that have been gone for long, and those of deleted zones. */
static int step_files(struct db *db, struct retention_plan *p)
{
    struct stmt q;
    int deleted = 0, err = 0;
    if (stmt_begin(&q, db,
                   "DELETE FROM files WHERE key IN"
                   " (SELECT key FROM files WHERE gone_at < ?1 ORDER BY gone_at LIMIT ?2)") == 0) {
        bind_time(&q, 1, p->gone_before);
        bind_int(&q, 2, RETENTION_ROWS_MAX);
    }
    err = stmt_finish(&q);
    deleted = sqlite3_changes(db->sql);
    if (err == 0 && deleted < RETENTION_ROWS_MAX) {
        if (stmt_begin(&q, db,
                       "DELETE FROM files WHERE key IN"
                       " (SELECT f.key FROM zones z JOIN files f ON f.zone = z.key"
                       " WHERE z.deleted_at IS NOT NULL LIMIT ?1)") == 0)
            bind_int(&q, 1, RETENTION_ROWS_MAX);
        err = stmt_finish(&q);
        deleted = sqlite3_changes(db->sql);
    }
    if (err == 0 && deleted < RETENTION_ROWS_MAX)
        p->stage++;
    return err;
}

/* The oldest row tells when the oldest thing was made that may refer to a deleted trigger or
 * pipeline: whatever was deleted before that is named by nothing. */
#define OLDEST                                                                                     \
    "(SELECT min(ifnull((SELECT min(key) FROM runs), 9e18),"                                       \
    " ifnull((SELECT min(key) FROM events), 9e18)) / 2097152)"

static int step_catalog(struct db *db, struct retention_plan *p)
{
    static const char *const sql[] = {
        /* who watches from before these has missed their end */
        "INSERT OR REPLACE INTO meta (name, value) SELECT 'ark_trimmed', max(version) FROM "
        "arkevents"
        " WHERE trigger IN (SELECT key FROM triggers WHERE deleted_at < " OLDEST
        ") HAVING max(version) > ifnull((SELECT value FROM meta WHERE name = 'ark_trimmed'), 0)",
        "DELETE FROM arkevents WHERE trigger IN"
        " (SELECT key FROM triggers WHERE deleted_at < " OLDEST ")",
        "DELETE FROM trigger_states WHERE trigger IN"
        " (SELECT key FROM triggers WHERE deleted_at < " OLDEST ")",
        /* A run that was made again may be younger than its trigger's end, and outlive what it repeats. */
        "DELETE FROM triggers WHERE deleted_at < " OLDEST
        " AND key NOT IN (SELECT r.trigger FROM replays y JOIN runs r ON r.key = y.run)",
        "DELETE FROM pipeline_versions WHERE pipeline IN"
        " (SELECT key FROM pipelines WHERE deleted_at < " OLDEST ")",
        "DELETE FROM pipelines WHERE deleted_at < " OLDEST,
        "DELETE FROM zone_totals WHERE zone IN"
        " (SELECT key FROM zones WHERE deleted_at < " OLDEST ")",
        "DELETE FROM zones WHERE deleted_at < " OLDEST,
        /* Keys of topics are never used again: events say them. */
        "DELETE FROM topics WHERE deleted_at IS NOT NULL AND key < (SELECT max(key) FROM topics)"
        " AND NOT EXISTS (SELECT 1 FROM messages m"
        " WHERE m.key >= topics.key << 40 AND m.key < (topics.key + 1) << 40)",
    };
    int err = 0;
    for (size_t i = 0; err == 0 && i < ARRAY_SIZE(sql); i++)
        err = stmt_exec(db, sql[i]);
    if (err == 0)
        p->stage++;
    return err;
}

int retention_step(struct db *db, struct retention_plan *p)
{
    static int (*const stages[])(struct db * db, struct retention_plan * p) = {
        [RETAIN_RUNS] = step_runs,     [RETAIN_MESSAGES] = step_messages,
        [RETAIN_EVENTS] = step_events, [RETAIN_DEDUPE] = step_dedupe,
        [RETAIN_FILES] = step_files,   [RETAIN_CATALOG] = step_catalog,
    };
    const struct retention_plan before = *p;
    int err = stmt_exec(db, "BEGIN IMMEDIATE");
    if (err == 0)
        err = stages[p->stage](db, p);
    if (err == 0)
        err = stmt_exec(db, "COMMIT");
    if (err != 0 && !sqlite3_get_autocommit(db->sql))
        stmt_exec(db, "ROLLBACK");
    if (err != 0)
        *p = before;
    return err;
}
