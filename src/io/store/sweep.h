/* sweep.h - the pending runs of deleted pipelines are cancelled, a few at a time. For io/store only.
 *
 * Deleting a pipeline marks it (pipelines.sweeping), however many runs wait; from then on they are shown as cancelled
 * (RUN_STATE in run_state.h). Their rows follow in short transactions between batches, also after a restart: a batch waits for one
 * step at most.
 */
#ifndef IO_STORE_SWEEP_H
#define IO_STORE_SWEEP_H
#include "io/store/stmt.h"

#define SWEEP_ROWS_MAX 256 /* in one step */

/* Goes one step on, in a transaction of its own. *ret_more: there is more to do. 0 or a negative errno; then nothing happened. */
int sweep_step(struct db *db, bool *ret_more);

#endif
