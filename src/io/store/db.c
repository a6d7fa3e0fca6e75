#include "io/store/db.h"
#include "base/mem.h"
#include "io/store/schema.h"
#include "io/store/stmt.h"
#include "io/store/wal_vfs.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int db_errno(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_IOERR:
        return code == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_INTERRUPT:
        return -EINTR;
    default:
        return -EPROTO;
    }
}

const char *db_strerror(int err)
{
    switch (err) {
    case -EBADMSG:
        return "the database is damaged: stop, and restore it from a backup";
    case -EBUSY:
        return "another process holds the database";
    default:
        return strerror(-err);
    }
}

const char *db_error_text(struct db *db)
{
    return sqlite3_errmsg(db->sql);
}

static int remember_frames(void *arg, sqlite3 *sql, const char *name, int frames)
{
    struct db *db = arg;
    db->wal_frames = (uint64_t)frames;
    return SQLITE_OK;
}

/* Without counting its memory SQLite takes no lock for each allocation. Refused, and harmless, when
 * it is in use already. */
static void prepare_sqlite(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static void configure(struct db *db)
{
    sqlite3_extended_result_codes(db->sql, 1);
    sqlite3_busy_timeout(db->sql, DB_BUSY_MS_MAX);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
}

static void say_cannot_open(struct db *db, int rc, struct diag *reterr)
{
    const int os = db->sql != NULL ? sqlite3_system_errno(db->sql) : 0;
    diag_set(reterr, DIAG_UNAVAILABLE, "%s cannot be opened: %s", db->path,
             os != 0 ? strerror(os) : sqlite3_errstr(rc));
}

static struct db *open_file(const char *dir, int flags, struct diag *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare_sqlite);
    struct db *db = mem_zalloc(sizeof(*db));
    db->dir = mem_strdup(dir);
    db->path = mem_printf("%s/pawl.db", dir);
    const int rc = sqlite3_open_v2(db->path, &db->sql, flags | SQLITE_OPEN_NOMUTEX, wal_vfs_name());
    if (rc != SQLITE_OK) {
        say_cannot_open(db, rc, reterr);
        db_close(db);
        return NULL;
    }
    configure(db);
    return db;
}

/* SQLite makes the log and its index with the mode of the database file. */
static int make_private(struct db *db, struct diag *reterr)
{
    if (sqlite3_db_readonly(db->sql, "main") == 1) {
        diag_set(reterr, DIAG_UNAVAILABLE, "%s is read-only: make it writable for this user",
                 db->path);
        return -EROFS;
    }
    struct stat st;
    if (stat(db->path, &st) == 0 && (st.st_mode & 0077) == 0)
        return 0;
    if (chmod(db->path, 0600) == 0)
        return 0;
    const int err = -errno;
    diag_set(reterr, DIAG_UNAVAILABLE, "%s: cannot make it private: %s", db->path, strerror(-err));
    return err;
}

struct db *db_open(const char *dir, struct diag *reterr)
{
    struct db *db = open_file(dir, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, reterr);
    if (db == NULL)
        return NULL;
    int err = make_private(db, reterr);
    if (err == 0)
        err = schema_prepare(db, reterr);
    if (err == 0)
        err = db_errno(sqlite3_exec(
            db->sql, "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY", NULL, NULL, NULL));
    if (err != 0) {
        db_close(db);
        return NULL;
    }
    sqlite3_wal_hook(db->sql, remember_frames, db); /* in place of automatic checkpoints */
    return db;
}

struct db *db_open_reader(const char *dir, struct diag *reterr)
{
    struct db *db = open_file(dir, SQLITE_OPEN_READWRITE, reterr); /* WAL readers write its index */
    if (db == NULL)
        return NULL;
    if (schema_check(db, reterr) == 0 &&
        sqlite3_exec(db->sql, "PRAGMA query_only = 1", NULL, NULL, NULL) == SQLITE_OK)
        return db;
    db_close(db);
    return NULL;
}

struct db *db_open_background(const char *dir)
{
    return open_file(dir, SQLITE_OPEN_READWRITE, NULL);
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < db->prepared.len; i++)
        sqlite3_finalize(db->prepared.items[i].stmt);
    vec_release(&db->prepared);
    sqlite3_close(db->sql);
    free(db->path);
    free(db->dir);
    free(db);
}
