/* outbound.h - HTTP requests on a loop, through libcurl's multi socket interface.
 *
 * Connections are kept for the next request to the same server, at most OUTBOUND_IDLE_MAX of them and OUTBOUND_LINGER_MS after the
 * last request. Names are resolved on threads of libcurl's; the library is loaded, and what is long to prepare is prepared, on a
 * thread of this module. Redirections are not followed: they are answers. What else holds for every request: libcurl.h.
 *
 *     struct outbound *o = outbound_create(loop, timers);
 *     outbound_start(o, &x->request, &(struct outbound_options){.method = "POST", .url = url, .ended = ended, ...});
 *     ...
 *     outbound_close(o, closed, arg);
 */
#ifndef IO_CURL_OUTBOUND_H
#define IO_CURL_OUTBOUND_H
#include "base/str.h"
#include "io/loop/timers.h"
#include "io/loop/worker.h"
#include "pawl/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define OUTBOUND_IDLE_MAX 1024      /* connections kept open */
#define OUTBOUND_LINGER_MS 60000    /* without a request: then they are closed */
#define OUTBOUND_SPARE_MAX 1024      /* handles of libcurl that are kept for the next requests, as long as the connections */
#define OUTBOUND_WAITING_MAX 65536  /* requests that wait to be prepared */
#define OUTBOUND_HEADER_BYTES_MAX (256 << 10) /* of an answer, with the answers before it (1xx) and what comes behind its body */
#define OUTBOUND_DETAIL_SIZE 256    /* CURL_ERROR_SIZE */

struct outbound;
struct outbound_request;

/* How it ended. Borrowed for the call. */
struct outbound_end {
    int err; /* 0: there was an answer, of whatever status. -ECANCELED: outbound_cancel(). -EMSGSIZE: the body of a 2xx is longer than
                body_bytes_max. -ETIMEDOUT; else -EIO */
    struct diag why;         /* with err: one sentence that names the server */
    int status;              /* 200; 0 when there was no answer */
    uint64_t retry_after_ms; /* what Retry-After says, as seconds or as a date; 0: nothing */
    const char *redirect_url; /* of a 3xx: where to, absolute; NULL: nowhere */
    struct slice body;        /* the first body_bytes_max of it, unless it is a 2xx */
    uint64_t duration_ms;
};

/* All of it is borrowed until the request has ended. */
struct outbound_options {
    const char *method, *url;
    const char *const *headers; /* "Name: value", or "Name;" without a value; ends with NULL. Without a User-Agent pawl's own is sent */
    struct slice body;
    uint64_t connect_ms; /* to find and reach the server */
    uint64_t total_ms;   /* for all of it; 0: as long as it takes */
    uint64_t spent_ms;   /* so much of that was gone before it began */
    size_t body_bytes_max;
    const char *ca_file; /* trusted instead of the system's roots; NULL: those */
    /* On a thread of this module's, before anything is sent: may set the request's options' headers and body. NULL: nothing to do. */
    void (*prepare)(struct outbound_request *r);
    void (*ended)(struct outbound_request *r, const struct outbound_end *e); /* once, the last call; may free r, may start others */
};

/* Embed it. */
struct outbound_request {
    struct outbound_options options;
    /* the module's */
    struct outbound *outbound;
    struct worker_job job;
    int state;
    bool too_long;
    bool headers_whole; /* of the answer */
    size_t header_bytes;
    void *handle;  /* CURL */
    void *headers; /* array of struct curl_slist */
    uint64_t began_ms;
    struct str body; /* of the answer */
    struct timer later;
    int err;
    struct diag why;
    char detail[OUTBOUND_DETAIL_SIZE];
};

struct outbound *outbound_create(uv_loop_t *loop, struct timers *timers); /* nothing is loaded before the first request */
void outbound_close(struct outbound *o, void (*closed)(void *arg), void *arg); /* no request may be left. Frees o */

/* Cannot fail at once: ended() follows exactly once, later, never from inside. Copies the options' struct. */
void outbound_start(struct outbound *o, struct outbound_request *r, const struct outbound_options *opt);

/* Ends it early: ended() follows, with -ECANCELED unless it was ending already. Harmless at any time before ended(). */
void outbound_cancel(struct outbound_request *r);

#endif
