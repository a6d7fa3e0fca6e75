/* pipeline_spec.h - what a client may say about a pipeline, and what the engine has to know of it.
 *
 * A spec is the pipeline's JSON object without its path: `executor` or `steps`, `options`,
 * `concurrency`, `retry`, `timeout_seconds`, and the descriptive `description`, `type`, `source`,
 * `unique_key`, `owner`. It is kept and returned as it was given. Here its fields are checked and
 * those the engine acts on are read. `executor` and `steps` are checked further by executor_of()
 * (pawl/executor.h), which also says what `pull` is.
 *
 *     "concurrency": 4                  or {"max_runs": 4, "policy": "queue", "max_queue": 100};
 *                                       the policies "skip" and "replace" need max_runs and have no queue
 *     "retry": {"max_attempts": 3, "backoff_seconds": 1, "backoff_factor": 2,
 *               "max_backoff_seconds": 300, "jitter": 0}          core/retry.h says what they mean
 *     "timeout_seconds": 60             0 or absent: none
 */
#ifndef CORE_PIPELINE_SPEC_H
#define CORE_PIPELINE_SPEC_H
#include "base/str.h"
#include "core/catalog.h"
#include "pawl/err.h"
#include "base/json.h"

#define PIPELINE_ATTEMPTS_MAX 100
#define PIPELINE_BACKOFF_S_MAX 86400
#define PIPELINE_TIMEOUT_S_MAX (30 * 86400)
#define PIPELINE_RUNNING_MAX 100000
#define PIPELINE_QUEUE_MAX 100000000

/* Checks a spec and sets running_max, queue_max, policy, timeout_ms and retry in *ret; nothing else there is touched.
 * 0, or -EINVAL with *reterr naming the field; *ret is untouched then. */
int pipeline_spec_check(json_t *spec, struct pipeline_def *ret, struct diag *reterr);

/* The same from a text. *ret_spec, unless NULL, gets the parsed object, which the caller releases.
 */
int pipeline_spec_parse(struct slice text, struct pipeline_def *ret, json_t **ret_spec,
                        struct diag *reterr);

#endif
