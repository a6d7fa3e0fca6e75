/* sync.h - `?mode=sync&timeout=30s`: the caller's connection stays open until the run has ended.
 *
 *     200 {"status":"succeeded","output":...,"durationMs":12}
 *     500 {"status":"failed","error":"...","durationMs":12}          also "cancelled"
 *     200 {"status":"succeeded","results":[{"team","status","output"|"error","durationMs"}]}    of several: when all of them have,
 *     500 {"status":"failed","results":[...]}                                                 and when not
 *     504 {"error":"timed out after 30s ...","durationMs":30000,"runs":["..."]}
 *
 * After 504 the run goes on; it is also the answer when the daemon stops waiting because it stops.
 *
 * `output` is as core/output_doc.h says. Those of several runs are held until the last one has ended: beyond SYNC_HELD_BYTES_MAX for
 * all callers together there is "output":null,"output_truncated":true,"run":"..." instead. durationMs counts from the event's commit.
 * A caller that closes its side is waited for a little longer only: most likely nobody is there any more.
 */
#ifndef SOURCE_SYNC_H
#define SOURCE_SYNC_H
#include "io/http/http.h"
#include "pawl/host.h"

#define SYNC_TIMEOUT_MS_DEFAULT (60 * 1000)
#define SYNC_TIMEOUT_MS_MAX (5 * 60 * 1000) /* longer ones are shortened to it */
#define SYNC_GONE_MS (5 * 1000)             /* for callers that have closed their side */
#define SYNC_HELD_BYTES_MAX ((size_t)64 << 20)

struct sync_mode {
    bool wanted;
    uint64_t timeout_ms;
};

/* Reads `mode` (async, sync) and `timeout` from the query. 0, or -EINVAL with *reterr. */
int sync_mode_parse(struct http_request *req, struct sync_mode *ret, struct diag *reterr);

/* A run to wait for. With several, or to be answered as one of several, each has a name; it must live as long as the request. */
struct sync_run {
    struct uuid run;
    struct slice name; /* SLICE_NONE: the answer is about this run alone */
};

struct sync_wait;

/* Those who wait. {.host = h} is a valid empty one. */
struct sync_waits {
    struct host *host;
    struct sync_wait *waits;
    size_t held_bytes;           /* results of those that wait for others */
    bool cut;                    /* nobody waits any more */
    void (*answered)(void *arg); /* after each answer; may be NULL */
    void *arg;
};

/* Answers req, whose body is let go of, when all of the runs have ended or the time is over. Call it from the ticket that reported
 * their making. */
void sync_wait_start(struct sync_waits *l, struct http_request *req, const struct sync_run *runs,
                     size_t n, uint64_t timeout_ms);

/* Answers everybody now, and who comes later at once, with 504: the daemon stops, the runs go on.
 */
void sync_waits_cut(struct sync_waits *l);

#endif
