/* zone_spool.h - a file on its way into a zone's directory, from the first byte to its name. Blocking: for worker threads.
 *
 * It has no name while it is written (O_TMPFILE), or, where the file system has no such files, one beside the zone's directory.
 *
 *     spool_init(&sp, directory);
 *     while (...) err = spool_write(&sp, name, bytes);
 *     err = spool_place(&sp, name);                    it is synced and has its name; sp.look says what it looks like
 *     spool_release(&sp), and before it, if nothing is to be kept: spool_discard(&sp);
 */
#ifndef SOURCE_ZONE_SPOOL_H
#define SOURCE_ZONE_SPOOL_H
#include "base/str.h"
#include "source/zone_fs.h"

struct spool {
    const char *directory; /* borrowed */
    int fd;                /* -1: not open */
    char *path;            /* by which it can be removed; NULL: it has no name */
    struct zone_look look;
};

void spool_init(struct spool *sp, const char *directory);

/* 0 or a negative errno; what was written so far is still to be discarded. `name` serves for the one beside the directory. */
int spool_write(struct spool *sp, const char *name, struct slice bytes);
int spool_place(struct spool *sp, const char *name);

void spool_discard(struct spool *sp); /* also when it has its name already */
void spool_release(struct spool *sp); /* memory only; does not block */

#endif
