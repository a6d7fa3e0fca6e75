/* report_log.h - what a worker outside says that a run wrote: the `logs` of its report. */
#ifndef API_REPORT_LOG_H
#define API_REPORT_LOG_H
#include "base/json.h"
#include "base/str.h"
#include "pawl/time.h"

/* Takes `logs` if it is there: [{message, stream?, time?}], as GET .../logs shows them. The text that is kept of it is appended to
 * ret, cut as any run's (io/process/run_log.h). A line without a time is of now. */
void report_take_logs(struct json_fields *f, struct wall now, struct str *ret);

#endif
