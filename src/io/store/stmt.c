#include "io/store/stmt.h"
#include <errno.h>
#include <string.h>

static sqlite3_stmt *find(struct db *db, const char *sql)
{
    for (size_t i = 0; i < db->prepared.len; i++)
        if (db->prepared.items[i].sql == sql)
            return db->prepared.items[i].stmt;
    return NULL;
}

int stmt_begin(struct stmt *q, struct db *db, const char *sql)
{
    *q = (struct stmt){.s = find(db, sql), .db = db, .rc = SQLITE_OK};
    if (q->s != NULL)
        return 0;
    q->rc = sqlite3_prepare_v3(db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->s, NULL);
    if (q->rc != SQLITE_OK)
        return db_errno(q->rc);
    const struct prepared p = {sql, q->s};
    vec_push(&db->prepared, p);
    return 0;
}

bool stmt_row(struct stmt *q)
{
    if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
        return false;
    q->rc = sqlite3_step(q->s);
    return q->rc == SQLITE_ROW;
}

int stmt_end(struct stmt *q)
{
    if (q->s != NULL)
        sqlite3_reset(q->s);
    return q->rc == SQLITE_ROW || q->rc == SQLITE_DONE ? 0 : db_errno(q->rc);
}

int stmt_finish(struct stmt *q)
{
    while (stmt_row(q))
        ;
    return stmt_end(q);
}

int stmt_exec(struct db *db, const char *sql)
{
    struct stmt q;
    stmt_begin(&q, db, sql);
    return stmt_finish(&q);
}

static void bound(struct stmt *q, int rc)
{
    if (q->rc == SQLITE_OK)
        q->rc = rc;
}

void bind_int(struct stmt *q, int i, int64_t n)
{
    bound(q, sqlite3_bind_int64(q->s, i, n));
}

void bind_null(struct stmt *q, int i)
{
    bound(q, sqlite3_bind_null(q->s, i));
}

void bind_text(struct stmt *q, int i, struct slice s)
{
    bound(q, sqlite3_bind_text64(q->s, i, s.p, s.len, SQLITE_STATIC, SQLITE_UTF8));
}

void bind_blob(struct stmt *q, int i, struct slice s)
{
    bound(q, sqlite3_bind_blob64(q->s, i, s.p, s.len, SQLITE_STATIC));
}

void bind_uuid(struct stmt *q, int i, const struct uuid *id)
{
    if (uuid_is_nil(*id))
        bind_null(q, i);
    else
        bound(q, sqlite3_bind_blob(q->s, i, id->b, sizeof(id->b), SQLITE_STATIC));
}

void bind_time(struct stmt *q, int i, struct wall t)
{
    if (wall_is_set(t))
        bind_int(q, i, t.ms);
    else
        bind_null(q, i);
}

void bind_fixed_time(struct stmt *q, int i, struct wall t)
{
    bind_int(q, i, wall_is_set(t) ? t.ms : UNSET_MS);
}

int64_t column_int(struct stmt *q, int i)
{
    return sqlite3_column_int64(q->s, i);
}

bool column_is_null(struct stmt *q, int i)
{
    return sqlite3_column_type(q->s, i) == SQLITE_NULL;
}

struct slice column_slice(struct stmt *q, int i)
{
    if (column_is_null(q, i))
        return SLICE_NONE;
    const char *p = sqlite3_column_blob(q->s, i);
    return (struct slice){p != NULL ? p : "", (size_t)sqlite3_column_bytes(q->s, i)};
}

struct uuid column_uuid(struct stmt *q, int i)
{
    struct uuid id = UUID_NIL;
    const struct slice s = column_slice(q, i);
    if (s.len == sizeof(id.b))
        memcpy(id.b, s.p, sizeof(id.b));
    return id;
}

struct wall column_time(struct stmt *q, int i)
{
    const int64_t ms = column_int(q, i);
    return column_is_null(q, i) || ms == UNSET_MS ? WALL_UNSET : (struct wall){ms};
}

struct uuid column_row_id(struct stmt *q, int i)
{
    return row_key_uuid((struct row_key){column_int(q, i), column_int(q, i + 1)});
}
