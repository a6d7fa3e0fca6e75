/* stmt.h - a connection with its prepared statements, and values in and out of them.
 *
 * For the files of io/store only. A statement is prepared at its first use and kept for the life of
 * the connection; it is found by the address of its SQL, which must be a literal. Between uses it
 * is always reset.
 *
 *     struct stmt q;
 *     int err = stmt_begin(&q, db, "SELECT ... WHERE key = ?1");
 *     bind_int(&q, 1, key);
 *     while (err == 0 && stmt_row(&q)) ... column_int(&q, 0) ...
 *     err = stmt_end(&q);                                0, or the first thing that went wrong
 */
#ifndef IO_STORE_STMT_H
#define IO_STORE_STMT_H
#include "base/str.h"
#include "base/uuid.h"
#include "base/vec.h"
#include "io/store/db.h"
#include "io/store/row_key.h"
#include "pawl/time.h"
#include <sqlite3.h>

/* What a time that is not set is stored as where a row must not grow when it gets set: SQLite takes
 * 6 bytes for it, as for a real one. */
#define UNSET_MS (-((int64_t)1 << 46))

struct batch;

struct prepared {
    const char *sql;
    sqlite3_stmt *stmt;
};

struct db {
    sqlite3 *sql;
    char *dir, *path;
    VEC(struct prepared) prepared;
    uint64_t wal_frames; /* in the log after this connection's last commit */

    const struct batch *batch; /* what batch_rows.c reads */
    bool has_batch_rows;
};

/* A connection without checks for the journal's background thread, NULL when it cannot be had. */
struct db *db_open_background(const char *dir);

/* One use of a statement. After a failure everything is ignored until stmt_end(). */
struct stmt {
    sqlite3_stmt *s;
    struct db *db;
    int rc; /* SQLITE_OK, SQLITE_ROW, SQLITE_DONE, or the first error */
};

int stmt_begin(struct stmt *q, struct db *db, const char *sql);
bool stmt_row(struct stmt *q); /* steps; false when there are no more rows, or on an error */
int stmt_end(struct stmt *q);  /* resets */

/* Runs to the end a statement that gives no rows. */
int stmt_finish(struct stmt *q);

/* The same for a statement without parameters. */
int stmt_exec(struct db *db, const char *sql);

/* Bound memory must stay until stmt_end(). Absent slices, nil ids and unset times are NULL. */
void bind_int(struct stmt *q, int i, int64_t n);
void bind_null(struct stmt *q, int i);
void bind_text(struct stmt *q, int i, struct slice s);
void bind_blob(struct stmt *q, int i, struct slice s);
void bind_uuid(struct stmt *q, int i, const struct uuid *id);
void bind_time(struct stmt *q, int i, struct wall t);       /* NULL when not set */
void bind_fixed_time(struct stmt *q, int i, struct wall t); /* UNSET_MS when not set */

int64_t column_int(struct stmt *q, int i);
bool column_is_null(struct stmt *q, int i);
struct slice column_slice(struct stmt *q,
                          int i); /* text or blob, until the next step; absent for NULL */
struct uuid column_uuid(struct stmt *q, int i);   /* nil for NULL or a blob of another size */
struct wall column_time(struct stmt *q, int i);   /* unset for NULL and UNSET_MS */
struct uuid column_row_id(struct stmt *q, int i); /* columns i and i+1: key and rest */

#endif
