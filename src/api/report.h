/* report.h - what a worker outside says of one run, as it is read out of a request.
 *
 *     {"lease_token", "lease_seconds"}                                              a heartbeat
 *     {"lease_token", "output", "logs"}                                             complete
 *     {"lease_token", "error", "retry", "output", "logs"}                           fail
 *     {"status", "lease_token"?, "lease_seconds", "error", "retry", "output", ...}  status: any of these
 *     {"run_id", "status", "lease_token", ...}                                      one of many
 */
#ifndef API_REPORT_H
#define API_REPORT_H
#include "base/json.h"
#include "base/str.h"
#include "core/engine.h"
#include "io/http/http.h"
#include "io/process/run_output.h"
#include "io/store/query.h"
#include "pawl/err.h"

#define REPORT_ERROR_BYTES_MAX 4096 /* more of an error is cut */

enum report_form { REPORT_HEARTBEAT, REPORT_COMPLETE, REPORT_FAIL, REPORT_STATUS, REPORT_ONE_OF_MANY };

/* All zero is a valid one. */
struct report {
    struct uuid run;
    bool has_token;
    struct lease_hash hash;
    struct run_result result; /* RUNNING: a heartbeat */
    struct str json;          /* what result.output points into, if it is not a string */
    struct run_output cut;    /* or if it is too long */
    struct str log;           /* what result.log points into */
    uint64_t lease_ms;        /* 0: as before */

    /* what becomes of it: reports.c */
    bool is_status;
    bool no_key; /* the token is all that its sender has: he learns nothing else */
    enum lease_answer answer;
    struct wall expires_at;
    int err; /* of reading the row */
    struct run_row row;
};

/* Reads the body into r, which borrows its texts. `path`: where in the request it is, "" for the whole. Lines of a log without a time are
 * of now. 0, or -EINVAL with *reterr naming the field; r is to be released either way. */
int report_take(json_t *body, const char *path, enum report_form form, struct wall now,
                struct report *r, struct diag *reterr);

/* Takes the token in the headers, if there was none in the body: who was asked to call back has it from the request that asked him. A bearer
 * that is no token is left alone: it may be an API key. */
void report_take_header(const struct http_request *req, struct report *r);

void report_release(struct report *r);

#endif
