/* journal.h - the single writer: batches of effects become transactions, in order, off the loop.
 *
 * One worker thread commits one batch at a time with synchronous=FULL. While batch N syncs, the engine fills N+1. The journal
 * also keeps the write-ahead log short: when it has grown, a background thread copies it to the database; the writer is held up
 * for the rest of it only (checkpoint.h).
 */
#ifndef IO_STORE_JOURNAL_H
#define IO_STORE_JOURNAL_H
#include "core/effect.h"
#include "io/store/db.h"
#include <uv.h>

struct journal;

/* On the loop, after the commit (err 0) or when nothing of the batch was written (negative errno). */
typedef void (*journal_committed)(void *arg, struct batch *b, int err);

/* Takes db over. */
struct journal *journal_create(uv_loop_t *loop, struct db *db, journal_committed committed, void *arg);

bool journal_busy(const struct journal *j);

/* Commits b; the journal must not be busy. A batch without records comes back too, later, without touching the disk. */
void journal_commit(struct journal *j, struct batch *b);

/* Writes one batch on the calling thread; for start-up, tools and tests. 0 or a negative errno: then nothing was written. */
int journal_write(struct db *db, const struct batch *b);

struct journal_stats {
    uint64_t commits, failures, records;
    uint64_t commit_us_sum; /* time spent in transactions, sync included */
    uint64_t wal_bytes;
    int last_err;           /* of the last commit */
};
struct journal_stats journal_stats(const struct journal *j);

/* Deletes, in small transactions between batches, events and final runs that are older than age_ms (0: any age) or beyond the newest
 * count_max (0: any number), and messages that their topics do not keep. Runs that are not final and the events they need stay. Asked for meanwhile, it begins again when it is done. */
struct retention {
    uint64_t age_ms;
    uint64_t count_max;
    uint64_t topic_age_ms, topic_bytes_max; /* of topics that do not say otherwise; 0: any */
};
void journal_retain(struct journal *j, const struct retention *r, struct wall now);

/* Cancels, in small transactions between batches, what pipelines that were deleted have left pending. Call it at start and whenever
 * one was. */
void journal_sweep(struct journal *j);

/* When not busy: checkpoints, closes the database, frees j and calls closed. */
void journal_close(struct journal *j, void (*closed)(void *arg), void *arg);

#endif
