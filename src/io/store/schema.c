#include "io/store/schema.h"
#include "base/check.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#define RETRY_MS 5

/* "pawl" in ASCII, in the file's header: tells our databases from others. */
#define APPLICATION_ID 0x7061776c

static const char schema_sql[] =
#include "schema.inc"
    ;

/* Step i turns user_version i into i + 1. The first makes everything from nothing; a later change
 * adds a step here and is made in schema.sql as well, and the test compares both ways. */
static const char *const steps[] = {
    schema_sql,
};
_Static_assert(ARRAY_SIZE(steps) == SCHEMA_VERSION, "one step per version");

static int failed(struct db *db, struct diag *reterr, int rc)
{
    int err = db_errno(rc);
    if (err == -EIO && sqlite3_system_errno(db->sql) == ENOSPC)
        err = -ENOSPC; /* no room for the log's index */
    const char *advice = "restore it from a backup, or move it away to start anew";
    if (err == -ENOSPC)
        advice = "the disk is full: make room and start again";
    else if (err == -EROFS)
        advice = "make it and its directory writable";
    else if (err == -EBUSY)
        advice = "another process holds it";
    else if (err == -EIO)
        advice = "the disk does not read or write it: see the system's log";
    diag_set(reterr, DIAG_UNAVAILABLE, "%s: %s: %s", db->path, sqlite3_errmsg(db->sql), advice);
    return err;
}

static int read_pragma(struct db *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Reads the header and the schema. *ret_version is 0 for a database without tables. */
static int examine(struct db *db, int64_t *ret_version, struct diag *reterr)
{
    int64_t version = 0, application = 0, tables = 0;
    int rc = read_pragma(db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = read_pragma(db, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = read_pragma(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc == SQLITE_NOTADB) {
        diag_set(reterr, DIAG_UNAVAILABLE,
                 "%s is not a database, or its first page is damaged: restore it from a backup, or "
                 "move it away to start anew",
                 db->path);
        return -EBADMSG;
    }
    if (rc != SQLITE_OK)
        return failed(db, reterr, rc);
    if (tables > 0 && application != APPLICATION_ID) {
        diag_set(reterr, DIAG_UNAVAILABLE, "%s is a database of another program: move it away",
                 db->path);
        return -EBADMSG;
    }
    if (version < 0) {
        diag_set(reterr, DIAG_UNAVAILABLE,
                 "%s: its first page is damaged: restore it from a backup, or move it away to "
                 "start anew",
                 db->path);
        return -EBADMSG;
    }
    if (version > SCHEMA_VERSION) {
        diag_set(reterr, DIAG_UNAVAILABLE,
                 "%s was made by a newer pawl (schema %lld, this one knows up to %d): run that "
                 "version or a later one",
                 db->path, (long long)version, SCHEMA_VERSION);
        return -EBADMSG;
    }
    *ret_version = version;
    return 0;
}

static int exec(struct db *db, const char *sql, struct diag *reterr)
{
    const int rc = sqlite3_exec(db->sql, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : failed(db, reterr, rc);
}

static int migrate(struct db *db, struct diag *reterr)
{
    int64_t version;
    int err = exec(db, "BEGIN IMMEDIATE", reterr);
    if (err == 0)
        err = examine(db, &version, reterr); /* again: another process may have been faster */
    for (; err == 0 && version < SCHEMA_VERSION; version++)
        err = exec(db, steps[version], reterr);
    if (err == 0) {
        char mark[96];
        snprintf(mark, sizeof(mark), "PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
                 SCHEMA_VERSION, APPLICATION_ID);
        err = exec(db, mark, reterr);
    }
    if (err != 0 && !sqlite3_get_autocommit(db->sql))
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

/* In one transaction: another process may be making the database at this moment, and half of what it did says the wrong thing. */
static int examine_whole(struct db *db, int64_t *ret_version, struct diag *reterr)
{
    int err = exec(db, "BEGIN", reterr);
    if (err == 0)
        err = examine(db, ret_version, reterr);
    if (!sqlite3_get_autocommit(db->sql))
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

int schema_check(struct db *db, struct diag *reterr)
{
    int64_t version;
    const int err = examine_whole(db, &version, reterr);
    if (err == 0 && version < SCHEMA_VERSION) {
        diag_set(reterr, DIAG_UNAVAILABLE, "%s was made by an older pawl and not migrated yet",
                 db->path);
        return -EBADMSG;
    }
    return err;
}

static int prepare(struct db *db, struct diag *reterr)
{
    int64_t version;
    int err = examine_whole(db, &version, reterr);
    if (err == 0)
        err = exec(db, "PRAGMA journal_mode = WAL", reterr);
    if (err == 0 && version < SCHEMA_VERSION)
        err = migrate(db, reterr);
    return err;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* SQLite waits for others, except where two that wait could keep each other waiting, as in the change to WAL: there it says at once
 * that the database is locked. */
int schema_prepare(struct db *db, struct diag *reterr)
{
    const int64_t until = now_ms() + DB_BUSY_MS_MAX;
    int err;
    while ((err = prepare(db, reterr)) == -EBUSY && now_ms() < until)
        poll(NULL, 0, RETRY_MS);
    return err;
}
