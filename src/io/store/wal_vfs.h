/* wal_vfs.h - a SQLite VFS over the default one that writes the write-ahead log in few, large
 * pieces.
 *
 * SQLite writes each page of a commit with two system calls, 24 and 4096 bytes. This layer collects
 * the contiguous ones and hands them down together: before every sync, read or other look at the
 * file, and when its buffer is full. Nobody can see the difference: SQLite announces frames to other
 * connections only after the sync. All other files are the default VFS's own.
 */
#ifndef IO_STORE_WAL_VFS_H
#define IO_STORE_WAL_VFS_H

/* Registers it over what is the default VFS then; later calls do nothing. Returns its name. */
const char *wal_vfs_name(void);

#endif
