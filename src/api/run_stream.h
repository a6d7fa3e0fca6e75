/* run_stream.h - a run's log and its changes of status as server-sent events, for as long as it takes.
 *
 * A reader pulls from the run's log at its own pace (pawl/host.h, run_follower): nothing is queued for it but what its connection
 * takes (stream_bytes_max), and nobody waits for it.
 */
#ifndef API_RUN_STREAM_H
#define API_RUN_STREAM_H
#include "api/api.h"
#include "base/uuid.h"

#define RUN_STREAMS_MAX 2000         /* at a time: 503 */
#define RUN_STREAM_BEAT_MS 15000     /* a comment after so much silence, so that proxies keep the connection */
#define RUN_STREAM_DOUBT_MS 1000     /* the same once the client has closed its side: it shows whether it is there */
#define RUN_STREAM_BATCH_BYTES 16384 /* events that go into one piece */

/* True when the request accepts text/event-stream. */
bool run_stream_wanted(const struct http_request *req);

/* Answers. `missing` is what a 404 says; static memory. */
void run_stream_start(struct api *a, struct http_request *req, struct uuid run, const char *missing);

#endif
