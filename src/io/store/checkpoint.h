/* checkpoint.h - keeps the write-ahead log short without keeping commits waiting. For io/store.
 *
 *     commits ──> [log has CHECKPOINT_FRAMES]
 *                        │ background: passes that copy what is in the log so far; each finds less
 *                        v
 *                 [CHECKPOINT_REST or fewer are left, or CHECKPOINT_PASSES_MAX passes made]
 *                        │ writer, between two batches: copies the rest
 *                        v
 *                 the next commit starts the log over, in the room it already has
 *
 * Only the last step holds commits up. Without it the log would never be empty at any instant, and
 * so grow for ever under load.
 */
#ifndef IO_STORE_CHECKPOINT_H
#define IO_STORE_CHECKPOINT_H
#include "io/loop/worker.h"
#include "io/store/stmt.h"

#define CHECKPOINT_FRAMES 256
#define CHECKPOINT_REST 64
#define CHECKPOINT_PASSES_MAX 4

struct checkpoint {
    struct worker *writer, *background; /* a background thread's state is a struct db, or NULL */
    struct db *db;                      /* the writer's */
    bool running, closing;
    unsigned passes;
    uint64_t log_frames; /* after the last commit */
    uint64_t next_at;    /* begin when the log has this many */

    /* the job's thread while one runs */
    struct worker_job job;
    int rc, frames, copied;
};

void checkpoint_init(struct checkpoint *c, struct worker *writer, struct worker *background,
                     struct db *db);

/* On the loop, after each commit. */
void checkpoint_committed(struct checkpoint *c, uint64_t log_frames);

/* On the loop: a pass is under way. Whatever is written now makes what remains for the writer larger. */
bool checkpoint_is_passing(const struct checkpoint *c);

#endif
