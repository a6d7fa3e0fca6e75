/* run_log.h - what a run's process wrote: its output, and the log of both streams; each bounded,
 * with a mark where it was cut.
 *
 * The output is the bytes of stdout. The log is one JSON object a line of text:
 *
 *     {"time":"2026-02-13T10:05:00.123Z","stream":"stdout","message":"hello"}
 *
 * A line longer than RUN_LOG_LINE_BYTES_MAX becomes several objects. When the log is full its last
 * object says so:
 * {"time":...,"stream":...,"message":"[log truncated at 1048576 bytes]","truncated":true}.
 */
#ifndef IO_PROCESS_RUN_LOG_H
#define IO_PROCESS_RUN_LOG_H
#include "base/str.h"
#include "pawl/time.h"
#include <stdbool.h>

#define RUN_OUTPUT_BYTES_MAX (1 << 20)
#define RUN_LOG_BYTES_MAX (1 << 20) /* of JSON, the last object not counted */
#define RUN_LOG_LINE_BYTES_MAX (16 << 10)

/* {0} is an empty one. */
struct run_log {
    struct str output, log;
    struct str partial[2]; /* a last line of stdout, stderr that has no newline yet */
    bool output_full, log_full;
};

/* Takes what a stream delivered; fd is STDOUT_FILENO or STDERR_FILENO. */
void run_log_add(struct run_log *l, int fd, struct slice bytes, struct wall now);

/* Lines without a newline at the end become complete. Output and log can be read now. */
void run_log_end(struct run_log *l, struct wall now);

void run_log_release(struct run_log *l);

#endif
