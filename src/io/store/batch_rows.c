#include "io/store/batch_rows.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/store/run_state.h"
#include <stdlib.h>

/* ---- values ---- */

static void give_text(sqlite3_context *c, struct slice s)
{
    if (s.p != NULL)
        sqlite3_result_text64(c, s.p, s.len, SQLITE_STATIC, SQLITE_UTF8);
}

static void give_blob(sqlite3_context *c, struct slice s)
{
    if (s.p != NULL)
        sqlite3_result_blob64(c, s.p, s.len, SQLITE_STATIC);
}

static void give_id(sqlite3_context *c, const struct uuid *id)
{
    if (!uuid_is_nil(*id))
        sqlite3_result_blob(c, id->b, sizeof(id->b), SQLITE_STATIC);
}

static struct row_key key_of(struct uuid id)
{
    struct row_key k;
    CHECK(row_key_of(id, &k));
    return k;
}

/* What is not given is NULL. */
static void event_column(const struct effect_put_event *e, sqlite3_context *c, int i)
{
    switch (i) {
    case 0:
        sqlite3_result_int64(c, key_of(e->id).key);
        break;
    case 1:
        sqlite3_result_int64(c, key_of(e->id).rest);
        break;
    case 2:
        sqlite3_result_int64(c, e->time.ms);
        break;
    case 3:
        give_text(c, slice_of(e->source));
        break;
    case 4:
        give_text(c, e->type);
        break;
    case 5:
        give_text(c, e->subject);
        break;
    case 6:
        give_text(c, e->content_type);
        break;
    case 7:
        give_id(c, &e->lineage.root);
        break;
    case 8:
        give_id(c, &e->lineage.parent);
        break;
    case 9:
        sqlite3_result_int64(c, e->lineage.depth);
        break;
    case 10:
        if (e->zone_key != 0)
            sqlite3_result_int64(c, e->zone_key);
        break;
    case 11:
        give_blob(c, e->decisions);
        break;
    case 12:
        if (e->message != 0)
            sqlite3_result_int64(c, e->message);
        break;
    case 13:
        give_blob(c, e->message_key);
        break;
    case 14:
        give_blob(c, e->payload);
        break;
    }
}

static void message_column(const struct effect_put_event *e, sqlite3_context *c, int i)
{
    const int64_t values[] = {e->message, key_of(e->id).key, (int64_t)e->message_total};
    sqlite3_result_int64(c, values[i]);
}

static void run_column(const struct effect_put_run *r, sqlite3_context *c, int i)
{
    const bool started = r->status != RUN_PENDING && wall_is_set(r->started_at);
    switch (i) {
    case 0:
        sqlite3_result_int64(c, key_of(r->id).key);
        break;
    case 1:
        sqlite3_result_int64(c, key_of(r->id).rest);
        break;
    case 2:
        sqlite3_result_blob(c, r->event.b, sizeof(r->event.b), SQLITE_STATIC);
        break;
    case 3:
        sqlite3_result_int64(c, r->pipeline_key);
        break;
    case 4:
        sqlite3_result_int64(c, r->version);
        break;
    case 5:
        sqlite3_result_int64(c, r->trigger_key);
        break;
    case 6:
        sqlite3_result_text(c, r->waits ? "w" : run_states_of(r->status), 1, SQLITE_STATIC);
        break;
    case 7:
        sqlite3_result_int64(c, r->attempt);
        break;
    case 8:
        sqlite3_result_int64(c, started ? r->started_at.ms : UNSET_MS);
        break;
    case 9:
        sqlite3_result_int64(c, UNSET_MS);
        break;
    case 10:
        give_id(c, &r->held_from);
        break;
    }
}

/* ---- the virtual tables ---- */

struct rows_table {
    sqlite3_vtab base;
    struct db *db;
};

struct rows_cursor {
    sqlite3_vtab_cursor base;
    const struct effect *at; /* NULL behind the last */
    int64_t number;
    bool messages; /* only the events that are, as rows of that table */
};

static const struct effect *find(const struct effect *f, enum effect_type type)
{
    while (f != NULL && f->type != type)
        f = f->next;
    return f;
}

static const struct effect *find_message(const struct effect *f)
{
    while (f != NULL && (f->type != EFFECT_PUT_EVENT || f->put_event.message == 0))
        f = f->next;
    return f;
}

static int rows_connect(sqlite3 *sql, struct db *db, const char *columns, sqlite3_vtab **ret)
{
    const int rc = sqlite3_declare_vtab(sql, columns);
    if (rc != SQLITE_OK)
        return rc;
    struct rows_table *t = mem_zalloc(sizeof(*t));
    t->db = db;
    *ret = &t->base;
    return SQLITE_OK;
}

static int events_connect(sqlite3 *sql, void *db, int argc, const char *const *argv,
                          sqlite3_vtab **ret, char **ret_error)
{
    return rows_connect(sql, db, "CREATE TABLE x (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)",
                        ret);
}

static int runs_connect(sqlite3 *sql, void *db, int argc, const char *const *argv,
                        sqlite3_vtab **ret, char **ret_error)
{
    return rows_connect(sql, db, "CREATE TABLE x (a, b, c, d, e, f, g, h, i, j, k)", ret);
}

static int messages_connect(sqlite3 *sql, void *db, int argc, const char *const *argv,
                            sqlite3_vtab **ret, char **ret_error)
{
    return rows_connect(sql, db, "CREATE TABLE x (a, b, c)", ret);
}

static int rows_disconnect(sqlite3_vtab *t)
{
    free(t);
    return SQLITE_OK;
}

static int rows_best_index(sqlite3_vtab *t, sqlite3_index_info *info)
{
    info->estimatedCost = 100;
    info->estimatedRows = 100;
    return SQLITE_OK;
}

static int rows_open(sqlite3_vtab *t, sqlite3_vtab_cursor **ret)
{
    struct rows_cursor *c = mem_zalloc(sizeof(*c));
    *ret = &c->base;
    return SQLITE_OK;
}

static int rows_close(sqlite3_vtab_cursor *c)
{
    free(c);
    return SQLITE_OK;
}

static const struct effect *first_effect(sqlite3_vtab_cursor *c)
{
    return ((struct rows_table *)c->pVtab)->db->batch->first;
}

static int events_filter(sqlite3_vtab_cursor *base, int index, const char *name, int argc,
                         sqlite3_value **argv)
{
    struct rows_cursor *c = (struct rows_cursor *)base;
    c->at = find(first_effect(base), EFFECT_PUT_EVENT);
    return SQLITE_OK;
}

static int runs_filter(sqlite3_vtab_cursor *base, int index, const char *name, int argc,
                       sqlite3_value **argv)
{
    struct rows_cursor *c = (struct rows_cursor *)base;
    c->at = find(first_effect(base), EFFECT_PUT_RUN);
    return SQLITE_OK;
}

static int messages_filter(sqlite3_vtab_cursor *base, int index, const char *name, int argc,
                           sqlite3_value **argv)
{
    struct rows_cursor *c = (struct rows_cursor *)base;
    c->messages = true;
    c->at = find_message(first_effect(base));
    return SQLITE_OK;
}

static int rows_next(sqlite3_vtab_cursor *base)
{
    struct rows_cursor *c = (struct rows_cursor *)base;
    c->at = c->messages ? find_message(c->at->next) : find(c->at->next, c->at->type);
    c->number++;
    return SQLITE_OK;
}

static int rows_eof(sqlite3_vtab_cursor *base)
{
    return ((struct rows_cursor *)base)->at == NULL;
}

static int rows_column(sqlite3_vtab_cursor *base, sqlite3_context *ret, int i)
{
    const struct rows_cursor *cursor = (struct rows_cursor *)base;
    const struct effect *f = cursor->at;
    if (cursor->messages)
        message_column(&f->put_event, ret, i);
    else if (f->type == EFFECT_PUT_EVENT)
        event_column(&f->put_event, ret, i);
    else
        run_column(&f->put_run, ret, i);
    return SQLITE_OK;
}

static int rows_number(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = ((struct rows_cursor *)base)->number;
    return SQLITE_OK;
}

/* Without xCreate the name of the module is a table. */
#define MODULE(connect, filter)                                                                    \
    {                                                                                              \
        .xConnect = (connect), .xBestIndex = rows_best_index, .xDisconnect = rows_disconnect,      \
        .xDestroy = rows_disconnect, .xOpen = rows_open, .xClose = rows_close,                     \
        .xFilter = (filter), .xNext = rows_next, .xEof = rows_eof, .xColumn = rows_column,         \
        .xRowid = rows_number,                                                                     \
    }

static const sqlite3_module events_module = MODULE(events_connect, events_filter);
static const sqlite3_module runs_module = MODULE(runs_connect, runs_filter);
static const sqlite3_module messages_module = MODULE(messages_connect, messages_filter);

static int register_modules(struct db *db)
{
    if (db->has_batch_rows)
        return 0;
    int rc = sqlite3_create_module(db->sql, "batch_events", &events_module, db);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_module(db->sql, "batch_runs", &runs_module, db);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_module(db->sql, "batch_messages", &messages_module, db);
    db->has_batch_rows = rc == SQLITE_OK;
    return db_errno(rc);
}

/* OR FAIL: the caller gives the transaction up, so SQLite need not keep what it overwrites. */
int batch_rows_insert(struct db *db, const struct batch *b)
{
    int err = register_modules(db);
    db->batch = b;
    if (err == 0 && find(b->first, EFFECT_PUT_EVENT) != NULL)
        err = stmt_exec(db, "INSERT OR FAIL INTO events (key, rest, time, source, type, subject,"
                            " content_type, root, parent, depth, zone, decisions, message,"
                            " message_key, payload)"
                            " SELECT * FROM batch_events");
    if (err == 0 && find(b->first, EFFECT_PUT_RUN) != NULL)
        err = stmt_exec(
            db, "INSERT OR FAIL INTO runs (key, rest, event, pipeline, version, trigger,"
                " state, attempt, started_at, finished_at, held_from) SELECT * FROM batch_runs");
    if (err == 0 && find_message(b->first) != NULL)
        err = stmt_exec(db, "INSERT OR FAIL INTO messages (key, event, total)"
                            " SELECT * FROM batch_messages");
    db->batch = NULL;
    return err;
}
