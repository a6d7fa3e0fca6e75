#include "source/zone_spool.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0644

void spool_init(struct spool *sp, const char *directory)
{
    *sp = (struct spool){.directory = directory, .fd = -1};
}

/* Beside the zone's directory: on the same file system, unless that is a mount of its own, and not watched. */
static int open_named(struct spool *sp, const char *name)
{
    const char *slash = strrchr(sp->directory, '/');
    sp->path =
        mem_printf("%.*s/.pawl-upload-%s", (int)(slash - sp->directory), sp->directory, name);
    return open(sp->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
}

static int open_file(struct spool *sp, const char *name)
{
    if (sp->fd >= 0)
        return 0;
    sp->fd = open(sp->directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, FILE_MODE);
    if (sp->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        sp->fd = open_named(sp, name);
    return sp->fd >= 0 ? 0 : -errno;
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        const ssize_t n = write(fd, bytes.p, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes.p += n;
        bytes.len -= (size_t)n;
    }
    return 0;
}

int spool_write(struct spool *sp, const char *name, struct slice bytes)
{
    const int err = open_file(sp, name);
    return err != 0 ? err : write_all(sp->fd, bytes);
}

/* Nobody has it open for writing when it gets its name. */
static int stop_writing(struct spool *sp)
{
    char path[32];
    if (fsync(sp->fd) < 0)
        return -errno;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sp->fd);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int err = close(sp->fd) < 0 ? -errno : 0;
    sp->fd = fd;
    return err;
}

static int give_name(struct spool *sp, int dir, const char *name)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sp->fd);
    if (sp->path == NULL)
        return linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
    if (renameat(AT_FDCWD, sp->path, dir, name) < 0)
        return -errno;
    free(sp->path);
    sp->path = NULL;
    return 0;
}

static int put_in_place(struct spool *sp, const char *name)
{
    int err = open_file(sp, name); /* an empty one has not been opened yet */
    if (err == 0)
        err = stop_writing(sp);
    const int dir = err == 0 ? zone_fs_root(&(struct zone_root){.directory = sp->directory}) : err;
    if (dir < 0)
        return dir;
    err = give_name(sp, dir, name);
    if (err == 0) {
        sp->path = mem_printf("%s/%s", sp->directory, name);
        zone_fs_look_at(dir, name, &sp->look);
        err = fsync(dir) < 0 ? -errno : 0;
    }
    close(dir);
    return err;
}

static void close_file(struct spool *sp)
{
    if (sp->fd >= 0)
        close(sp->fd);
    sp->fd = -1;
}

int spool_place(struct spool *sp, const char *name)
{
    const int err = put_in_place(sp, name);
    close_file(sp);
    return err;
}

void spool_discard(struct spool *sp)
{
    close_file(sp);
    if (sp->path != NULL)
        unlink(sp->path);
}

void spool_release(struct spool *sp)
{
    free(sp->path);
    sp->path = NULL;
}
