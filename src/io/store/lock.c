/* lock.c - one daemon per data directory: a lock file that also says who has it. */
#include "base/mem.h"
#include "io/store/db.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *lock_path(const char *dir)
{
    return mem_printf("%s/pawl.lock", dir);
}

static int make_dir(const char *dir)
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        return 0;
    return -errno;
}

/* Makes the directory and those above it that are missing. */
static int make_dirs(const char *dir)
{
    char *path = mem_strdup(dir);
    int err = 0;
    for (char *p = path + 1; err == 0 && path[0] != '\0' && *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        err = make_dir(path);
        *p = '/';
    }
    if (err == 0)
        err = make_dir(path);
    free(path);
    return err;
}

static void explain(const char *dir, int err, struct diag *reterr)
{
    if (err == -ENOTDIR || err == -EEXIST)
        diag_set(reterr, DIAG_UNAVAILABLE, "the data directory %s is not a directory", dir);
    else if (err == -EACCES || err == -EPERM)
        diag_set(reterr, DIAG_UNAVAILABLE,
                 "the data directory %s is not writable for this user: change its owner or "
                 "permissions, or choose another with --data",
                 dir);
    else if (err == -EROFS)
        diag_set(reterr, DIAG_UNAVAILABLE,
                 "the data directory %s is on a read-only file system: choose another with --data",
                 dir);
    else if (err == -ENOSPC || err == -EDQUOT)
        diag_set(reterr, DIAG_UNAVAILABLE, "the data directory %s is on a full disk: make room",
                 dir);
    else
        diag_set(reterr, DIAG_UNAVAILABLE, "the data directory %s cannot be used: %s", dir,
                 strerror(-err));
}

static int open_lock(const char *dir)
{
    int err = make_dirs(dir);
    struct stat st;
    if (err == 0 && stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
        err = -ENOTDIR;
    if (err != 0)
        return err;
    char *path = lock_path(dir);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    err = -errno;
    free(path);
    return fd >= 0 ? fd : err;
}

static int write_pid(int fd)
{
    char text[32];
    const int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0)
        return -errno;
    const ssize_t n = pwrite(fd, text, (size_t)len, 0);
    return n == len ? 0 : n < 0 ? -errno : -ENOSPC;
}

/* A record lock (fcntl), not flock(): it belongs to this process alone. A child that is between fork and exec when we are killed
 * would go on holding an flock, and the next daemon would be turned away. */
static int take(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &whole) == 0)
        return 0;
    return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

int db_lock_dir(const char *dir, struct diag *reterr)
{
    const int fd = open_lock(dir);
    if (fd < 0) {
        explain(dir, fd, reterr);
        return fd;
    }
    int err = take(fd);
    if (err == 0)
        err = write_pid(fd);
    if (err == 0)
        return fd;
    if (err == -EBUSY)
        diag_set(reterr, DIAG_UNAVAILABLE,
                 "the data directory %s is in use by another pawl (pid %d): stop it first, or "
                 "choose another with --data",
                 dir, db_lock_holder(dir));
    else
        explain(dir, err, reterr);
    close(fd);
    return err;
}

void db_unlock_dir(int fd)
{
    close(fd);
}

int db_lock_holder(const char *dir)
{
    char *path = lock_path(dir);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return 0;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const bool held = fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    close(fd);
    return held ? (int)whole.l_pid : 0;
}
