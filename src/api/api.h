/* api.h - the REST resources under /api/v1, and /health and /metrics. One file per resource; its
 * routes are rows.
 *
 * Reads run on a read connection, off the loop; writes go to the engine and are answered after
 * their commit. See work.h.
 */
#ifndef API_API_H
#define API_API_H
#include "io/http/http.h"
#include "pawl/host.h"
#include <stdbool.h>

struct auth; /* api/auth.h */
struct journal; /* io/store/journal.h */

/* What the handlers work with. app fills it in and keeps it until the server is closed. */
struct api {
    struct host *host;
    struct http_server *http;
    struct journal *journal; /* NULL once it is closed */
    struct auth *auth;
    bool stopping; /* /health/ready says so */

    /* kube_feed.c's; NULL: nobody watches */
    struct kube_feed *kube_feed;

    struct manifest_state *manifests; /* of the directory that is watched; NULL: none is */

    /* run_stream.c's: how many there are, and the last piece made while there are any */
    unsigned run_streams;
    struct http_piece *run_piece;

    /* health.c's: when a commit last failed */
    uint64_t failures_seen;
    struct mono failed_at;
};

/* Adds all routes. */
void api_routes(struct api *a, struct http_server *s);

#endif
