/* progress.h - how far a run is: the state of each of its steps.
 *
 * As JSON, one object a step:
 *
 *     {"name":"load","status":"failed","started_at":"2026-02-13T10:05:00.123Z",
 *      "finished_at":"2026-02-13T10:05:02.000Z","duration_ms":1877,"exit_status":3,
 *      "error":"exit status 3"}
 *
 * status is pending, running, success, failed, cancelled or, once the run has ended before it,
 * skipped. What is not known (yet) is null; exit_status is there for processes that exited.
 */
#ifndef EXECUTOR_PROGRESS_H
#define EXECUTOR_PROGRESS_H
#include "pawl/executor.h"
#include "pawl/run.h"

struct step_progress {
    enum run_status status; /* PENDING: not begun */
    struct wall started_at, finished_at;
    int exit_status; /* -1: none */
    char *error;     /* ours; NULL: none */
};

struct progress {
    struct step_progress *steps; /* as many as the list has */
    size_t count;
};

void progress_init(struct progress *p, size_t count);
void progress_release(struct progress *p); /* {0} is fine */
void progress_begin(struct progress *p, size_t i, struct wall now);
void progress_end(struct progress *p, size_t i, const struct run_result *r, struct wall now);

/* Appends the array. over: what has not begun never will. */
void progress_add(const struct progress *p, const struct step_list *steps, bool over,
                  struct str *ret);

#endif
