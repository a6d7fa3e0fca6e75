/* retention.h - old events and final runs go, a few at a time. For io/store only.
 *
 * A plan, made on the background's connection, says up to which key what goes; it may have to count
 * for long. The steps, on the writer's, are short transactions: a batch waits for one at most.
 */
#ifndef IO_STORE_RETENTION_H
#define IO_STORE_RETENTION_H
#include "io/store/journal.h"
#include "io/store/stmt.h"

#define RETENTION_ROWS_MAX 256 /* looked at in one step */

enum retention_stage { RETAIN_RUNS, RETAIN_MESSAGES, RETAIN_EVENTS, RETAIN_DEDUPE, RETAIN_FILES, RETAIN_CATALOG, RETAIN_DONE };

struct retention_plan {
    enum retention_stage stage;
    int64_t at; /* the stage's rows up to this key are done */
    int64_t runs_before, events_before, dedupe_before;
    struct retention topics; /* what those keep that do not say */
    struct wall now;
    struct wall gone_before; /* files that have been gone since then; unset: none */
};

/* 0 or a negative errno. */
int retention_plan(struct db *db, const struct retention *r, struct wall now,
                   struct retention_plan *ret);

/* Goes one step on, in a transaction of its own. 0 or a negative errno; then nothing happened. Call
 * it until the stage is RETAIN_DONE. */
int retention_step(struct db *db, struct retention_plan *p);

#endif
