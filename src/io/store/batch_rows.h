/* batch_rows.h - a batch's new events and runs as rows that SQLite reads itself. For io/store only.
 *
 * The two tables that grow with every webhook are not filled by one statement per row but by one
 * per batch, `INSERT ... SELECT` from a virtual table over the batch's effects: the cursors stay at
 * the tables' ends, and nothing is bound, stepped and reset row by row. That takes a third off.
 */
#ifndef IO_STORE_BATCH_ROWS_H
#define IO_STORE_BATCH_ROWS_H
#include "core/effect.h"
#include "io/store/stmt.h"

/* Inserts the events and runs that b's PUT_EVENT and PUT_RUN records make, in a transaction of the
 * caller's. 0 or a negative errno: then the transaction must be given up. */
int batch_rows_insert(struct db *db, const struct batch *b);

#endif
