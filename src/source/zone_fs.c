/* zone_fs.c
 *
 * Whether a file is open for writing: a read lease can be had only while nobody has (fcntl(2), F_SETLEASE). It is given back at once. The
 * kernel grants it to the file's owner and to the privileged; on files of others, and where the file system has no leases, nobody
 * can tell, and the close that was seen, or the rename, has to do. A lease may be broken while we hold it, which raises SIGIO:
 * the source ignores that signal.
 */
#include "source/zone_fs.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define REMOVE_DEPTH_MAX 256

/* ---- directories ---- */

int zone_fs_root(const struct zone_root *r)
{
    struct stat st;
    const int fd = open(r->directory, DIR_FLAGS);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && (r->ino == 0 || (st.st_ino == r->ino && st.st_dev == r->dev)))
        return fd;
    close(fd);
    return -ESTALE;
}

int zone_fs_make(const char *directory)
{
    char *path = mem_strdup(directory);
    int err = 0;
    for (char *slash = strchr(path + 1, '/'); err == 0; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            err = -errno;
        if (slash == NULL)
            break;
        *slash = '/';
    }
    free(path);
    return err;
}

static void remove_below(int parent, const char *name, unsigned depth)
{
    if (unlinkat(parent, name, 0) == 0 || depth == REMOVE_DEPTH_MAX)
        return;
    const int fd = openat(parent, name, DIR_FLAGS | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_below(fd, e->d_name, depth + 1);
    closedir(dir);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void zone_fs_remove(const char *directory)
{
    remove_below(AT_FDCWD, directory, 0);
}

bool zone_fs_is_local(int fd)
{
    static const uint32_t remote[] = {
        0x6969,     /* NFS */
        0x517b,     /* SMB */
        0xff534d42, /* CIFS */
        0xfe534d42, /* SMB2 */
        0x65735546, /* FUSE */
        0x01021997, /* 9P */
        0x00c36400, /* Ceph */
        0x5346414f, /* AFS */
        0x73757245, /* Coda */
        0x0bd00bd0, /* Lustre */
        0x47504653, /* GPFS */
        0x786f4256, /* VirtualBox shared folders */
    };
    struct statfs st;
    if (fstatfs(fd, &st) < 0)
        return true;
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
        if ((uint32_t)st.f_type == remote[i])
            return false;
    return true;
}

int zone_fs_open_dir(int root, const char *path)
{
    char name[NAME_MAX + 1];
    int fd = openat(root, ".", DIR_FLAGS);
    while (fd >= 0 && *path != '\0') {
        const size_t len = strcspn(path, "/");
        if (len == 0 || len > NAME_MAX || (len == 2 && memcmp(path, "..", 2) == 0)) {
            close(fd);
            return -ENOENT;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        const int next = openat(fd, name, DIR_FLAGS | O_NOFOLLOW), err = errno;
        close(fd);
        errno = err;
        fd = next;
        path += len + (path[len] == '/');
    }
    return fd >= 0 ? fd : -errno;
}

/* ---- files ---- */

#define WANTED (STATX_BASIC_STATS | STATX_BTIME)

static int64_t ns_of(const struct statx_timestamp *t)
{
    return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static void fill(const struct statx *st, struct zone_look *ret)
{
    *ret = (struct zone_look){
        .kind = S_ISREG(st->stx_mode) ? LOOK_FILE : LOOK_OTHER,
        .inode = st->stx_ino,
        .size = st->stx_size,
        .mtime_ns = ns_of(&st->stx_mtime),
        .ctime_ns = ns_of(&st->stx_ctime),
        .born_ns = st->stx_mask & STATX_BTIME ? ns_of(&st->stx_btime) : 0,
    };
}

static enum zone_look_kind kind_of_error(int err)
{
    return err == ENOENT || err == ENOTDIR || err == ELOOP || err == ENAMETOOLONG ? LOOK_GONE
                                                                                  : LOOK_FAILED;
}

void zone_fs_look_at(int parent, const char *name, struct zone_look *ret)
{
    struct statx st;
    if (statx(parent, name, AT_SYMLINK_NOFOLLOW, WANTED, &st) == 0)
        fill(&st, ret);
    else
        *ret = (struct zone_look){.kind = kind_of_error(errno)};
}

/* Only while nobody writes is what statx() says the last word. */
static void look_for_writers(int parent, const char *name, struct zone_look *ret)
{
    struct statx st;
    const int fd = openat(parent, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == EWOULDBLOCK)
            ret->kind = LOOK_BUSY; /* another program has a lease of its own on it */
        else if (errno != EACCES && errno != EPERM)
            ret->kind = kind_of_error(errno);
        return;
    }
    const bool leased = fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
    if (!leased && errno == EAGAIN)
        ret->kind = LOOK_BUSY;
    else if (statx(fd, "", AT_EMPTY_PATH, WANTED, &st) == 0)
        fill(&st, ret);
    if (leased)
        fcntl(fd, F_SETLEASE, F_UNLCK);
    close(fd);
}

void zone_lookout_init(struct zone_lookout *l, int root)
{
    *l = (struct zone_lookout){.root = root, .parent = -1};
}

void zone_lookout_release(struct zone_lookout *l)
{
    if (l->parent >= 0)
        close(l->parent);
    free(l->parent_path);
    *l = (struct zone_lookout){.root = -1, .parent = -1};
}

/* The directory of a path, which is the last one's for most. */
static int parent_of(struct zone_lookout *l, const char *path, size_t dir_len)
{
    if (dir_len == 0)
        return l->root;
    if (l->parent >= 0 && strlen(l->parent_path) == dir_len &&
        memcmp(l->parent_path, path, dir_len) == 0)
        return l->parent;
    if (l->parent >= 0)
        close(l->parent);
    free(l->parent_path);
    l->parent_path = mem_dup(path, dir_len);
    l->parent = zone_fs_open_dir(l->root, l->parent_path);
    return l->parent;
}

void zone_fs_look(struct zone_lookout *l, const char *path, bool writers, struct zone_look *ret)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const int parent = parent_of(l, path, slash != NULL ? (size_t)(slash - path) : 0);
    if (parent < 0) {
        *ret = (struct zone_look){.kind = kind_of_error(-parent)};
        return;
    }
    zone_fs_look_at(parent, name, ret);
    if (writers && ret->kind == LOOK_FILE)
        look_for_writers(parent, name, ret);
}
