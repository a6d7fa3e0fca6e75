/* fault_vfs.h - a SQLite VFS over the default one whose writes and syncs fail when they are told to.
 *
 * Faults hit the database file and its log, of every connection that is opened after
 * fault_vfs_register(). In a program that is merely linked with this, naming a file in
 * $PAWL_FAULT_FILE registers it at start; the fault is then what stands in that file at each write
 * or sync, and lasts as long as it stands there: enospc, eio, torn, fsync, or nothing.
 */
#ifndef LIB_FAULT_VFS_H
#define LIB_FAULT_VFS_H
#include <stdbool.h>

enum fault {
    FAULT_NONE,
    FAULT_ENOSPC, /* a write finds no room */
    FAULT_EIO,    /* a write fails */
    FAULT_TORN,   /* a write fails after half of its bytes */
    FAULT_SYNC    /* a sync fails */
};

void fault_vfs_register(void);

/* The nth (1 is the next) write or sync from now on fails, and all after it if it lasts. */
void fault_arm(enum fault f, unsigned nth, bool lasts);

/* No more faults. Returns how many there were since fault_arm(). */
unsigned fault_disarm(void);

#endif
