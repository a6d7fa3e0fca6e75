/* db.h - the one SQLite database: opening it, its schema, and errors as errno.
 *
 * WAL mode, synchronous=FULL. The journal's thread owns the one writing connection; readers have their own, read-only. Nothing
 * outside io/store sees sqlite3.h.
 */
#ifndef IO_STORE_DB_H
#define IO_STORE_DB_H
#include "pawl/err.h"
#include <stdbool.h>

struct db;
struct sqlite3;

/* Takes the data directory for this process (DIR/pawl.lock; our pid is written into it), making the directory (mode 0700) if
 * needed. Returns the lock's descriptor, or a negative errno with *reterr: another daemon (with its pid) has it, not a directory,
 * not permitted, read-only. */
int db_lock_dir(const char *dir, struct diag *reterr);
void db_unlock_dir(int fd);

/* The pid of the daemon that holds the directory, or 0. */
int db_lock_holder(const char *dir);

/* Opens DIR/pawl.db for writing: creates it (mode 0600), checks it, migrates an older schema. NULL with *reterr when it is corrupt,
 * made by a newer pawl, on a read-only or full disk: the message says which file and what to do. */
struct db *db_open(const char *dir, struct diag *reterr);

/* Opens it for reading; it must exist. */
struct db *db_open_reader(const char *dir, struct diag *reterr);

void db_close(struct db *db); /* NULL is fine */

/* A SQLite result code as 0 or a negative errno: FULL -ENOSPC, IOERR -EIO, BUSY -EBUSY, READONLY -EROFS, CORRUPT -EBADMSG, ... */
int db_errno(int sqlite_code);

/* What such an errno means for a database; never NULL. Static memory, or strerror()'s. */
const char *db_strerror(int err);

/* The text of the last error on this connection, for a log. Static until the next call on it. */
const char *db_error_text(struct db *db);

#endif
