/* file.h - a file in a landing zone, as the ledger knows it.
 *
 * Path, inode, size and time of modification together are one arrival: the same four again are the same file, seen again. The time of
 * the last change of the inode helps to tell a file that was written again from one whose times were set.
 */
#ifndef PAWL_FILE_H
#define PAWL_FILE_H
#include "base/str.h"
#include <stdint.h>

/* Borrowed for the call it is handed to. */
struct ledger_file {
    int64_t zone_key;  /* the zone's row key */
    struct slice path; /* below the zone's directory: the bytes the file system has */
    struct slice name; /* as its sender gave it, where that is not the end of path; else absent */
    struct slice content_type; /* as its sender gave it; may be absent */
    uint64_t inode, size;
    int64_t mtime_ns, ctime_ns; /* since 1970 */
};

#endif
