/* log_saver.h - what runs have written goes to disk while they go on, so that it is there if a crash cuts them off.
 *
 *               lines come                  DELAY_MS later                  step                     on disk
 *     [idle] --------------> [waiting] -----------------------> [in turn] ------> [out] -----------------------------> [idle]
 *                                ^                                  ^               |
 *                                |                                  +-- there was more than one part, or the commit failed
 *                                +--------------------------------------------------+ more lines have come since
 *
 * A run that ends within LOG_SAVE_DELAY_MS of its first line costs nothing: it is forgotten before its turn. The others share steps,
 * LOG_SAVE_STEP_MS apart at least and never two at a time: each run in turn gives a part of its log, of whole lines, until the step
 * has LOG_SAVE_STEP_BYTES. So 5 MiB a second are written for all runs together, or 1280 parts; when they write more, or more of them
 * write, each waits for its turn for longer, and a crash takes what it has written since. The disk is everybody's: behind a step there
 * is a rest of LOG_SAVE_REST times what its commit took.
 */
#ifndef EXECUTOR_LOG_SAVER_H
#define EXECUTOR_LOG_SAVER_H
#include "io/loop/timers.h"
#include "io/process/run_log.h"
#include "pawl/host.h"

#define LOG_SAVE_DELAY_MS 1000
#define LOG_SAVE_STEP_MS 50
#define LOG_SAVE_REST 9           /* so a tenth of the time goes to steps */
#define LOG_SAVE_REST_MS_MAX 1000 /* however slow the disk is */
#define LOG_SAVE_RETRY_MS 5000    /* after a commit that failed: others want to write, too, and lose nothing */
#define LOG_SAVE_STEP_BYTES (256 << 10)
#define LOG_SAVE_PART_BYTES_MAX (128 << 10)   /* of one run in one step; any line is shorter */
#define LOG_SAVE_PART_BYTES_COUNTED (4 << 10) /* at least, of a step: it dirties a page */

enum log_save_state { LOG_SAVE_IDLE, LOG_SAVE_WAITING, LOG_SAVE_IN_TURN, LOG_SAVE_OUT, LOG_SAVE_STATES };

/* One attempt's. Embed it. */
struct log_save {
    struct uuid run;
    struct run_log *log; /* borrowed; of its text */
    size_t saved;        /* so many bytes are on disk, */
    size_t out;          /* these many behind them are being written, */
    size_t seen;         /* and this long it was when they were handed in */
    uint64_t due_ms;     /* WAITING */
    enum log_save_state state;
    struct log_save *prev, *next; /* of that state's list */
};

struct log_saver {
    struct host *host;
    struct timer timer;
    struct ticket ticket;
    struct log_save *lists[LOG_SAVE_STATES]; /* DLs; IDLE is none */
    uint64_t out_ms;  /* the last step was handed in */
    uint64_t step_ms; /* no step before */
    uint64_t wake_ms; /* what the timer is set for; UINT64_MAX: nothing */
    bool is_out;      /* a step's commit has not come back */
};

/* Of the host now(), timers, keep_log() and confirm() are used. */
void log_saver_init(struct log_saver *s, struct host *h);
void log_saver_deinit(struct log_saver *s); /* all have been forgotten, and no commit is out */

/* Begins with an attempt that has written nothing. */
void log_save_init(struct log_save *l, struct uuid run, struct run_log *log);

/* Lines have been added to its log. */
void log_saver_note(struct log_saver *s, struct log_save *l);

/* The attempt has ended, or is in somebody else's hands. */
void log_saver_forget(struct log_saver *s, struct log_save *l);

#endif
