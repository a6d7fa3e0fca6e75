/* sweep.h - before anything is started: what an earlier life of the daemon has left running is ended (io/process/orphans.h).
 *
 * A file in the data directory says that a daemon is, or was, running: it is removed in the end, so if it is there at start, that end
 * was a crash. Then, or if runs were in flight, the engine waits until the sweep is over; everything else goes on meanwhile.
 */
#ifndef APP_SWEEP_H
#define APP_SWEEP_H
#include "base/uuid.h"
#include "pawl/host.h"
#include <stdbool.h>
#include <stddef.h>

struct engine;

struct sweep {
    char *marker;             /* the file's path */
    char instance[64];        /* what processes that this life starts on this data directory carry as PAWL_INSTANCE */
    bool crashed;             /* there may be workers */
    struct uuid *runs;        /* there may be processes of these */
    size_t run_count;
    struct host *host;
    struct orphans *orphans;  /* NULL: none is going on */
};

void sweep_prepare(struct sweep *s, const char *data); /* the directory is locked */
/* Lets the engine wait if there is anything to do. Before the store is loaded: the ends of interrupted runs are events, too, and what they
 * fire must not start while nobody carries it out. */
void sweep_hold(const struct sweep *s, struct engine *e);
void sweep_start(struct sweep *s, struct host *h); /* takes s->runs */
void sweep_close(struct sweep *s, void (*closed)(void *arg), void *arg); /* closed is called in any case */
void sweep_deinit(struct sweep *s); /* the daemon ends in order */

#endif
