/* answer.h - what a worker process says on its stdout: one line of JSON for each event that it was given.
 *
 *     {"id": "<the event line's id>", "status": "success" | "failed", "output": ..., "error": "...", "retry": false}
 *
 * `output` may be any JSON value: a string is its text, anything else stays JSON as it was written. `error` is a string, for `failed`;
 * `"retry": false` there means that no further attempt is made. Other members are ignored. A line that does not begin with `{` is no
 * answer.
 */
#ifndef EXECUTOR_ANSWER_H
#define EXECUTOR_ANSWER_H
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"
#include <stdbool.h>

#define ANSWER_BYTES_MAX (1 << 20) /* of one line */

/* {0} is an empty one. */
struct answer {
    struct uuid id;
    bool success, conclusive;
    struct slice output, error; /* absent when there are none; valid until the next answer_read */
    struct str text;
    json_t *decoded[2]; /* strings with escapes in them */
};

/* Whether a line is to be read as an answer. */
bool answer_is(struct slice line);

/* 0, or -EINVAL with *reterr: it is not an answer as it should be. Releases what *a held, keeps its memory. */
int answer_read(struct answer *a, struct slice line, struct diag *reterr);

void answer_release(struct answer *a);

#endif
