/* pump.h - moves batches: out of the engine, through the journal, and into the world.
 *
 * Once per turn of the loop, before it sleeps, the batch that has filled up is handed to the journal, unless one is still being committed.
 * When a commit comes back the next batch goes out first, so that the disk is busy again, and then the committed one's deeds are done.
 * The pump also keeps the one timer that wakes the engine.
 */
#ifndef APP_PUMP_H
#define APP_PUMP_H
#include "executor/dispatcher.h"
#include "io/loop/timers.h"
#include "io/store/journal.h"
#include "io/store/reader.h"
#include "pawl/host.h"
#include <uv.h>

struct pump {
    struct host *host;
    struct engine *engine;
    struct journal *journal;
    struct dispatcher *dispatcher;
    void (*run_moved)(struct pump *p, const struct effect_move_run *r); /* a state is on disk */
    void (*run_ended)(struct pump *p,
                      const struct effect_move_run *r); /* a final state is on disk */
    void (*pending_dropped)(struct pump *p, struct slice why); /* the pending runs of some pipeline are cancelled: on disk */
    void (*settled)(struct pump *p, int err);           /* after each batch's deeds */
    uv_prepare_t before_sleep;
    struct timer alarm;
    uint64_t alarm_at; /* the engine's wake_at that alarm is set for */

    /* when a small batch had better wait for company */
    struct timer wait_over;
    uint64_t waits_since;                /* ms; 0: it does not wait */
    uint64_t pace_since;                 /* ms */
    size_t pace, pace_before;            /* records since then, and in the span before */
};

/* The fields up to `settled` are set by the caller, `journal` with pump_committed as its callback and the pump as its argument. */
void pump_start(struct pump *p);
void pump_committed(void *pump, struct batch *b, int err);
bool pump_idle(const struct pump *p); /* everything that was said is on disk */
void pump_close(struct pump *p, void (*closed)(uv_handle_t *h));

#endif
