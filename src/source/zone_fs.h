/* zone_fs.h - looking at a zone's directory without leaving it. Blocking: for worker threads.
 *
 * Paths below the zone are walked component by component and no symbolic link is followed, so nothing outside is ever opened. The
 * zone's own directory may be reached through links: the operator named it.
 */
#ifndef SOURCE_ZONE_FS_H
#define SOURCE_ZONE_FS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which directory is watched; the path may lead elsewhere one day. */
struct zone_root {
    const char *directory;
    uint64_t dev, ino; /* 0: any */
};

/* Opens it for reading. A descriptor, or a negative errno; -ESTALE when it is another directory than the one watched. */
int zone_fs_root(const struct zone_root *r);

/* Makes a directory and those above it, mode 0700. 0 or a negative errno. */
int zone_fs_make(const char *directory);

/* Removes a directory with everything in it, as far as that goes. */
void zone_fs_remove(const char *directory);

/* Whether the file system tells of changes wherever they are made and knows who has a file open. Network file systems and FUSE do not. */
bool zone_fs_is_local(int fd);

/* Opens a directory below root. Descriptor or negative errno. */
int zone_fs_open_dir(int root, const char *path);

enum zone_look_kind {
    LOOK_GONE,
    LOOK_OTHER,  /* a directory, a link, a device, ...: never an arrival */
    LOOK_BUSY,   /* somebody has it open for writing */
    LOOK_FAILED, /* cannot be told now */
    LOOK_FILE,
};

struct zone_look {
    enum zone_look_kind kind;
    uint64_t inode, size;
    int64_t mtime_ns, ctime_ns;
    int64_t born_ns; /* when the inode was made; 0 where the file system does not tell */
};

/* Looks at files below root; the directory of the last one is kept open for the next. */
struct zone_lookout {
    int root;
    int parent; /* -1: none */
    char *parent_path;
};
void zone_lookout_init(struct zone_lookout *l, int root);
void zone_lookout_release(struct zone_lookout *l); /* closes the parent, not the root */

/* writers: also finds out whether it is open for writing, where the file system can tell. */
void zone_fs_look(struct zone_lookout *l, const char *path, bool writers, struct zone_look *ret);

/* The same without writers, for a name in an open directory. */
void zone_fs_look_at(int parent, const char *name, struct zone_look *ret);

#endif
