#include "io/store/wal_vfs.h"
#include "base/mem.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* SQLite's unix VFS takes less than 128 KiB at once. */
#define BUFFER_BYTES_MAX (31 * 4096)

/* A log that gets longer is made longer still: by its own length within these bounds. */
#define GROWTH_BYTES_MIN (64 << 10)
#define GROWTH_BYTES_MAX (4 << 20)

struct wal_file {
    sqlite3_file base;
    char *buffer; /* from the first write on: only the writer's connection has one */
    int len;
    sqlite3_int64 at;       /* the buffer's place in the file */
    sqlite3_int64 size;     /* of the file, 0 when not known */
    sqlite3_int64 unsynced; /* where what was written since the last sync begins; -1: nothing was */
};

static sqlite3_vfs *below;
static sqlite3_vfs wal_vfs;

static sqlite3_file *inner(sqlite3_file *f)
{
    return (sqlite3_file *)((struct wal_file *)f + 1);
}

static sqlite3_int64 growth(sqlite3_int64 size)
{
    if (size < GROWTH_BYTES_MIN)
        return GROWTH_BYTES_MIN;
    return size < GROWTH_BYTES_MAX ? size : GROWTH_BYTES_MAX;
}

/* Zeros behind the end, so that the next syncs find blocks that are there already and need not
 * write the file's size and map: that makes them a third cheaper. Recovery stops at zeros. If there
 * is no room for them, so be it. */
static void grow(sqlite3_file *f, sqlite3_int64 end)
{
    static const char zeros[GROWTH_BYTES_MIN];
    struct wal_file *w = (struct wal_file *)f;
    if (w->size == 0 && inner(f)->pMethods->xFileSize(inner(f), &w->size) != SQLITE_OK)
        return;
    if (end <= w->size)
        return;
    const sqlite3_int64 target = end + growth(end);
    w->size = end;
    while (w->size < target &&
           inner(f)->pMethods->xWrite(inner(f), zeros, sizeof(zeros), w->size) == SQLITE_OK)
        w->size += (sqlite3_int64)sizeof(zeros);
}

static void note_unsynced(struct wal_file *w, sqlite3_int64 at)
{
    if (w->unsynced < 0 || at < w->unsynced)
        w->unsynced = at;
}

/* A commit whose sync failed is refused, but its frames are in the file and valid: a crash now, and
 * recovery would find it committed. Its first frame (or the log's header) is made invalid, as well
 * as that can be done; SQLite writes the next commit over it. */
static void void_unsynced(sqlite3_file *f)
{
    static const char zeros[32];
    struct wal_file *w = (struct wal_file *)f;
    if (w->unsynced >= 0)
        inner(f)->pMethods->xWrite(inner(f), zeros, sizeof(zeros), w->unsynced);
}

/* What could not be written is forgotten: SQLite gives the transaction up and writes its frames'
 * place again. */
static int flush(sqlite3_file *f)
{
    struct wal_file *w = (struct wal_file *)f;
    const int len = w->len;
    if (len == 0)
        return SQLITE_OK;
    w->len = 0;
    const int rc = inner(f)->pMethods->xWrite(inner(f), w->buffer, len, w->at);
    note_unsynced(w, w->at);
    if (rc == SQLITE_OK)
        grow(f, w->at + len);
    return rc;
}

static int wal_close(sqlite3_file *f)
{
    const int rc = flush(f);
    const int rc_close = inner(f)->pMethods->xClose(inner(f));
    free(((struct wal_file *)f)->buffer);
    return rc != SQLITE_OK ? rc : rc_close;
}

static int wal_read(sqlite3_file *f, void *p, int len, sqlite3_int64 at)
{
    const int rc = flush(f);
    return rc != SQLITE_OK ? rc : inner(f)->pMethods->xRead(inner(f), p, len, at);
}

static int wal_write(sqlite3_file *f, const void *p, int len, sqlite3_int64 at)
{
    struct wal_file *w = (struct wal_file *)f;
    if (w->len > 0 && (at != w->at + w->len || len > BUFFER_BYTES_MAX - w->len)) {
        const int rc = flush(f);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (len > BUFFER_BYTES_MAX) {
        note_unsynced(w, at);
        return inner(f)->pMethods->xWrite(inner(f), p, len, at);
    }
    if (w->buffer == NULL)
        w->buffer = mem_alloc(BUFFER_BYTES_MAX);
    if (w->len == 0)
        w->at = at;
    memcpy(w->buffer + w->len, p, (size_t)len);
    w->len += len;
    return SQLITE_OK;
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    const int rc = flush(f);
    ((struct wal_file *)f)->size = 0;
    return rc != SQLITE_OK ? rc : inner(f)->pMethods->xTruncate(inner(f), size);
}

static int wal_sync(sqlite3_file *f, int flags)
{
    int rc = flush(f);
    if (rc == SQLITE_OK)
        rc = inner(f)->pMethods->xSync(inner(f), flags);
    if (rc != SQLITE_OK)
        void_unsynced(f);
    ((struct wal_file *)f)->unsynced = -1;
    return rc;
}

static int wal_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    const int rc = flush(f);
    return rc != SQLITE_OK ? rc : inner(f)->pMethods->xFileSize(inner(f), ret);
}

static int wal_lock(sqlite3_file *f, int level)
{
    return inner(f)->pMethods->xLock(inner(f), level);
}

static int wal_unlock(sqlite3_file *f, int level)
{
    return inner(f)->pMethods->xUnlock(inner(f), level);
}

static int wal_check_lock(sqlite3_file *f, int *ret)
{
    return inner(f)->pMethods->xCheckReservedLock(inner(f), ret);
}

static int wal_control(sqlite3_file *f, int op, void *arg)
{
    return inner(f)->pMethods->xFileControl(inner(f), op, arg);
}

static int wal_sector_size(sqlite3_file *f)
{
    return inner(f)->pMethods->xSectorSize(inner(f));
}

static int wal_characteristics(sqlite3_file *f)
{
    return inner(f)->pMethods->xDeviceCharacteristics(inner(f));
}

static const sqlite3_io_methods wal_methods = {
    .iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_check_lock,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector_size,
    .xDeviceCharacteristics = wal_characteristics,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    if (!(flags & SQLITE_OPEN_WAL))
        return below->xOpen(below, name, f, flags, ret_flags);
    memset(f, 0, sizeof(struct wal_file));
    const int rc = below->xOpen(below, name, inner(f), flags, ret_flags);
    ((struct wal_file *)f)->unsynced = -1;
    if (rc == SQLITE_OK)
        f->pMethods = &wal_methods;
    return rc;
}

static void register_once(void)
{
    below = sqlite3_vfs_find(NULL);
    wal_vfs = *below;
    wal_vfs.pNext = NULL;
    wal_vfs.szOsFile += (int)sizeof(struct wal_file);
    wal_vfs.zName = "pawl";
    wal_vfs.xOpen = vfs_open;
    sqlite3_vfs_register(&wal_vfs, 0);
}

const char *wal_vfs_name(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_once);
    return wal_vfs.zName;
}
