/* schema.h - what is in the database, and how an older one becomes today's. For io/store only. */
#ifndef IO_STORE_SCHEMA_H
#define IO_STORE_SCHEMA_H
#include "io/store/stmt.h"

/* PRAGMA user_version of the databases this program writes. */
#define SCHEMA_VERSION 1

/* How long a statement waits for another process (`pawl key`) to finish its transaction. */
#define DB_BUSY_MS_MAX 5000

/* Checks that db is ours and not newer, and makes or migrates its tables in one transaction.
 * 0, or a negative errno with *reterr. */
int schema_prepare(struct db *db, struct diag *reterr);

/* Only checks: for readers, which need today's schema. */
int schema_check(struct db *db, struct diag *reterr);

#endif
