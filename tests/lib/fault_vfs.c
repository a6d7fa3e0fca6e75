#include "fault_vfs.h"
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULTY_FILES (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)

static sqlite3_vfs *below;
static sqlite3_vfs vfs;
static const char *fault_file;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    enum fault fault;
    unsigned countdown; /* 0: hits now */
    bool lasts;
    unsigned hits;
} armed;

static const struct {
    const char *name;
    enum fault fault;
} names[] = {
    {"enospc", FAULT_ENOSPC}, {"eio", FAULT_EIO}, {"torn", FAULT_TORN}, {"fsync", FAULT_SYNC}};

static enum fault fault_in_file(void)
{
    char text[16] = "";
    const int fd = open(fault_file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof(text) - 1) < 0)
            text[0] = '\0';
        close(fd);
    }
    text[strcspn(text, "\r\n ")] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i].name) == 0)
            return names[i].fault;
    return FAULT_NONE;
}

/* What hits this operation. */
static enum fault next_fault(bool sync)
{
    if (fault_file != NULL) {
        const enum fault f = fault_in_file();
        return f != FAULT_NONE && (f == FAULT_SYNC) == sync ? f : FAULT_NONE;
    }
    enum fault f = FAULT_NONE;
    pthread_mutex_lock(&lock);
    if (armed.fault != FAULT_NONE && (armed.fault == FAULT_SYNC) == sync) {
        if (armed.countdown > 1) {
            armed.countdown--;
        } else if (armed.lasts || armed.hits == 0) {
            armed.hits++;
            f = armed.fault;
        }
    }
    pthread_mutex_unlock(&lock);
    return f;
}

void fault_arm(enum fault f, unsigned nth, bool lasts)
{
    pthread_mutex_lock(&lock);
    armed.fault = f;
    armed.countdown = nth;
    armed.lasts = lasts;
    armed.hits = 0;
    pthread_mutex_unlock(&lock);
}

unsigned fault_disarm(void)
{
    pthread_mutex_lock(&lock);
    const unsigned hits = armed.hits;
    armed.fault = FAULT_NONE;
    pthread_mutex_unlock(&lock);
    return hits;
}

/* ---- the file ---- */

struct file {
    sqlite3_file base;
};

static sqlite3_file *inner(sqlite3_file *f)
{
    return (sqlite3_file *)((struct file *)f + 1);
}

static int f_close(sqlite3_file *f)
{
    return inner(f)->pMethods->xClose(inner(f));
}

static int f_read(sqlite3_file *f, void *p, int len, sqlite3_int64 at)
{
    return inner(f)->pMethods->xRead(inner(f), p, len, at);
}

static int f_write(sqlite3_file *f, const void *p, int len, sqlite3_int64 at)
{
    switch (next_fault(false)) {
    case FAULT_ENOSPC:
        return SQLITE_FULL;
    case FAULT_EIO:
        return SQLITE_IOERR_WRITE;
    case FAULT_TORN:
        inner(f)->pMethods->xWrite(inner(f), p, len / 2, at);
        return SQLITE_IOERR_WRITE;
    default:
        return inner(f)->pMethods->xWrite(inner(f), p, len, at);
    }
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return inner(f)->pMethods->xTruncate(inner(f), size);
}

static int f_sync(sqlite3_file *f, int flags)
{
    if (next_fault(true) != FAULT_NONE)
        return SQLITE_IOERR_FSYNC;
    return inner(f)->pMethods->xSync(inner(f), flags);
}

static int f_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return inner(f)->pMethods->xFileSize(inner(f), ret);
}

static int f_lock(sqlite3_file *f, int level)
{
    return inner(f)->pMethods->xLock(inner(f), level);
}

static int f_unlock(sqlite3_file *f, int level)
{
    return inner(f)->pMethods->xUnlock(inner(f), level);
}

static int f_check_lock(sqlite3_file *f, int *ret)
{
    return inner(f)->pMethods->xCheckReservedLock(inner(f), ret);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
    return inner(f)->pMethods->xFileControl(inner(f), op, arg);
}

static int f_sector_size(sqlite3_file *f)
{
    return inner(f)->pMethods->xSectorSize(inner(f));
}

static int f_characteristics(sqlite3_file *f)
{
    return inner(f)->pMethods->xDeviceCharacteristics(inner(f));
}

static int f_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
    return inner(f)->pMethods->xShmMap(inner(f), region, size, extend, ret);
}

static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return inner(f)->pMethods->xShmLock(inner(f), offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *f)
{
    inner(f)->pMethods->xShmBarrier(inner(f));
}

static int f_shm_unmap(sqlite3_file *f, int remove)
{
    return inner(f)->pMethods->xShmUnmap(inner(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no memory mapping: every write comes by here */
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_check_lock,
    .xFileControl = f_control,
    .xSectorSize = f_sector_size,
    .xDeviceCharacteristics = f_characteristics,
    .xShmMap = f_shm_map,
    .xShmLock = f_shm_lock,
    .xShmBarrier = f_shm_barrier,
    .xShmUnmap = f_shm_unmap,
};

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    if (!(flags & FAULTY_FILES))
        return below->xOpen(below, name, f, flags, ret_flags);
    memset(f, 0, sizeof(struct file));
    const int rc = below->xOpen(below, name, inner(f), flags, ret_flags);
    if (rc == SQLITE_OK)
        f->pMethods = &methods;
    return rc;
}

void fault_vfs_register(void)
{
    if (below != NULL)
        return;
    below = sqlite3_vfs_find(NULL);
    vfs = *below;
    vfs.pNext = NULL;
    vfs.szOsFile += (int)sizeof(struct file);
    vfs.zName = "faulty";
    vfs.xOpen = vfs_open;
    sqlite3_vfs_register(&vfs, 1);
}

__attribute__((constructor)) static void register_for_program(void)
{
    fault_file = getenv("PAWL_FAULT_FILE");
    if (fault_file != NULL)
        fault_vfs_register();
}
