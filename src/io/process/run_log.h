/* run_log.h - what the two streams of one attempt of a run said: one JSON object a line of text.
 *
 *     {"time":"2026-02-13T10:05:00.123Z","stream":"stdout","message":"hello"}
 *     {"time":"2026-02-13T10:05:00.124Z","stream":"stderr","step":"load","message":"hello"}
 *
 * A line longer than RUN_LOG_LINE_BYTES_MAX becomes several objects. When the log is full an object
 * says so: {"time":...,"stream":...,"message":"[log truncated at 1048576 bytes]","truncated":true}.
 * A step may fill half of what those before it have left, the last one all of it: however much the
 * first ones say, there is room for what the later ones do.
 *
 * The attempt adds to it while others read what is there: it lives as long as the last of them.
 */
#ifndef IO_PROCESS_RUN_LOG_H
#define IO_PROCESS_RUN_LOG_H
#include "base/str.h"
#include "pawl/time.h"
#include <stdbool.h>

#define RUN_LOG_BYTES_MAX (1 << 20) /* of JSON, the last object not counted */
#define RUN_LOG_LINE_BYTES_MAX (16 << 10)

struct run_log {
    uint32_t attempt;
    struct str text;       /* whole lines, each an object and a newline; it only grows */
    size_t bytes_max;      /* of the text, with what is added now */
    struct slice step;     /* of what is added now; absent: lines do not name it. Borrowed */
    struct str partial[2]; /* a last line of stdout, stderr that has no newline yet */
    bool full;
    bool left; /* the attempt was handed over: whoever has it now brings its whole log in the end */
    unsigned refs;
};

struct run_log *run_log_create(uint32_t attempt); /* one reference, the caller's */
struct run_log *run_log_ref(struct run_log *l);
void run_log_unref(struct run_log *l); /* NULL is fine */

/* What is added from now on is of this step; absent: of a run that has no others. */
void run_log_begin_step(struct run_log *l, struct slice step, bool is_last);

/* Takes what a stream delivered; fd is STDOUT_FILENO or STDERR_FILENO. True when lines were added. */
bool run_log_add(struct run_log *l, int fd, struct slice bytes, struct wall now);

/* Lines without a newline at the end become complete. True when there were some. */
bool run_log_flush(struct run_log *l, struct wall now);

#endif
