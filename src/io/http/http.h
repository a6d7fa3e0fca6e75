/* http.h - an HTTP/1.1 server on the loop: requests in, one response each, in order.
 *
 * The parser is llhttp in its strict mode; this module adds what a parser does not do (contracts/http.md): limits, deadlines,
 * framing rules, pipelining, Expect, HEAD, draining or closing after an early answer, back-pressure, graceful stop.
 *
 * A handler is called when the whole request is there. It answers with http_respond() once, at once or later, or streams its
 * answer piece by piece; until then the request and its arena stay valid, also when the client is gone (then the answer goes
 * nowhere). Nothing a handler does can change the order of answers on a connection.
 *
 *     static const struct http_route routes[] = {
 *         {"GET", "/api/v1/pipelines/{ns}/{layer}/{name}", pipelines_get, SCOPE_API},
 *     };
 */
#ifndef IO_HTTP_HTTP_H
#define IO_HTTP_HTTP_H
#include "base/arena.h"
#include "base/str.h"
#include "io/loop/timers.h"
#include "pawl/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct http_server;
struct http_request;

enum http_scope {
    SCOPE_PUBLIC, /* anybody: /health */
    SCOPE_TOKEN,  /* the handler checks the caller's token itself: webhooks */
    SCOPE_API,    /* needs an API key where any are configured */
};

typedef void (*http_handler)(struct http_request *req, void *ctx);

enum http_flow {
    HTTP_ON,     /* the next piece may come */
    HTTP_HOLD,   /* not before http_body_resume(); the client is not read from meanwhile */
    HTTP_REFUSE, /* *why is the answer; cut() follows */
};

/* Takes a body as it comes, instead of having it in memory.
 *
 *     begin ──> data, data, ... ──> the route's handler     the whole body was there; the request's `body` is empty
 *         \────────┴──> cut                                  the rest will never come: the client has gone, or got another answer
 */
struct http_sink {
    uint64_t (*body_bytes_max)(void *ctx); /* beyond it: 413 */
    /* The headers are there and in order. 0, or -EINVAL with *why: then nothing else is called. */
    int (*begin)(struct http_request *req, void *ctx, struct diag *why);
    enum http_flow (*data)(struct http_request *req, struct slice piece, struct diag *why);
    void (*cut)(struct http_request *req); /* req is not to be answered, and gone afterwards */
};

struct http_route {
    const char *method; /* "GET"; GET also serves HEAD */
    const char *
        pattern; /* literal segments and {names}; a trailing slash in a request's path is ignored */
    http_handler handler;
    enum http_scope scope;
    size_t body_bytes_max;        /* 0: the server's default */
    const struct http_sink *sink; /* NULL: the body comes in one piece, with the request */
};

#define HTTP_PARAMS_MAX 6

struct http_request {
    const char *method; /* "POST"; static memory */
    struct slice path;  /* as sent, without the query */
    struct slice query; /* as sent, without '?'; absent when there was none */
    struct slice body;  /* the whole body, unchunked; empty when there is none */
    struct slice
        params[HTTP_PARAMS_MAX]; /* percent-decoded, in the order of the pattern's {names} */
    const struct http_route *route;
    struct arena *arena; /* dies with the request */
    void *ctx;           /* the route's context, as given to http_server_route */
    void *stream;        /* the sink's */
    void *handling;      /* the handler's, for gone() */
};

/* The first header of that name (lower case), trimmed; SLICE_NONE when there is none. */
struct slice http_header(const struct http_request *req, const char *name);

/* A query parameter, percent-decoded into the arena ('+' is a blank). False when absent; the first one counts. */
bool http_query(struct http_request *req, const char *name, struct slice *ret);

/* Adds a header to the coming response. Name and value are static or arena memory and must not come from a request: CHECKed to
 * hold no control characters. */
void http_response_header(struct http_request *req, const char *name, const char *value);

/* Calls gone once if the client closes its side, or the connection breaks, before the answer. Such a request is answered all the
 * same, later; gone() must not do it. */
void http_on_gone(struct http_request *req, void (*gone)(struct http_request *req));

/* For an answer that will take its time: lets go of the request's body, which is empty afterwards and no longer counted. */
void http_body_forget(struct http_request *req);

/* Answers. The body is copied. content_type may be NULL when the body is empty. Content-Length, Date and Connection are added;
 * HEAD gets the headers only; 204 and 304 have no body. req is gone afterwards. */
void http_respond(struct http_request *req, int status, const char *content_type,
                  struct slice body);

/* The same with "application/json". */
void http_respond_json(struct http_request *req, int status, struct slice body);

/* Answers with the error envelope {"error":{"code","message"}} and the code's status. 429 and 503 carry Retry-After: the given
 * seconds, at least 1. */
void http_respond_error(struct http_request *req, enum diag_code code, unsigned retry_after_s,
                        const char *message);
void http_respond_diag(struct http_request *req, const struct diag *d);

/* ---- an answer in pieces ----
 *
 *     http_stream_begin ──> write, write, ... ──> http_stream_end     once, whatever happens in between
 *
 * For answers whose end is far away: logs as they are written, watches. HTTP/1.1 gets it chunked; HTTP/1.0 until the connection
 * closes. It has its place among the answers of its connection: while those before it are not out it waits, those behind it wait
 * for its end. An idle stream is not cut; a client that takes nothing of what is queued for write_ms_max is.
 *
 * Nothing here calls back from inside: what there is to tell comes at the end of the loop's turn, except for gone().
 */

/* A part of one or of many answers: bytes with a count of their references. A thousand streams can queue the same piece. */
struct http_piece;
struct http_piece *http_piece_make(struct slice bytes); /* copies them; at least one byte. One reference, the caller's */
struct http_piece *http_piece_keep(struct http_piece *p); /* one more; returns p */
void http_piece_release(struct http_piece *p);            /* takes one back; the last one frees */
struct slice http_piece_bytes(const struct http_piece *p);

/* What a stream is told. Each may end its own stream, and write to and end those of other connections. */
struct http_stream_ops {
    /* After a write that was refused: what is queued has fallen to half of the limit. NULL: who writes does not care. */
    void (*room)(struct http_request *req);
    /* The client has closed its side, once. It has gone, or just has nothing more to say: only writing tells. NULL: does not
     * matter. */
    void (*shut)(struct http_request *req);
    /* The connection broke or was cut, once: what is written goes nowhere. The stream is still to be ended. */
    void (*gone)(struct http_request *req);
    /* The server stops, once: end the stream now. */
    void (*stop)(struct http_request *req);
};

/* Begins; the request's body is gone afterwards, everything else stays until the end. False when there is nothing to stream and
 * req is gone: a HEAD got its headers, the client has left, the server stops (an empty answer), or there are streams_max already
 * (503). ops is static memory. */
bool http_stream_begin(struct http_request *req, int status, const char *content_type,
                       const struct http_stream_ops *ops);

/* Queues a piece, with a reference of its own. False, and nothing is queued, when stream_bytes_max or more are queued already;
 * room() follows. To a client that has gone it is true: there is nothing to wait for. */
bool http_stream_write(struct http_request *req, struct http_piece *p);

/* Whether a piece would be queued now. False counts as a refusal: room() follows. */
bool http_stream_has_room(struct http_request *req);

/* Bytes that the client has not taken, with what they cost to keep. */
size_t http_stream_queued(const struct http_request *req);

/* What is queued still goes out; req is gone. */
void http_stream_end(struct http_request *req);

/* For sinks, between begin() and the handler or cut(), not from inside data(): the next pieces may come; the request is answered now,
 * and cut() has been called when this returns. */
void http_body_resume(struct http_request *req);
void http_body_refuse(struct http_request *req, const struct diag *why);

/* ---- the server ---- */

struct http_limits {
    size_t header_bytes_max;   /* request line and headers: 431. Default 16 KiB */
    size_t body_bytes_max;     /* default per route: 413. Default 1 MiB */
    size_t buffered_bytes_max; /* request bodies in memory, all connections: 503. Default 256 MiB */
    unsigned connections_max;  /* beyond it: 503 and close. Default 16384 */
    unsigned
        pipelined_max; /* requests of one connection waiting for answers; then reading pauses. Default 64 */
    size_t
        unsent_bytes_max; /* answers of one connection not yet taken by the client; then reading pauses. Default 1 MiB */
    unsigned streams_max;    /* streamed answers at a time: 503. Default 8192 */
    size_t stream_bytes_max; /* queued for one streamed answer; then writes are refused. Default 128 KiB */
    uint64_t
        header_ms_max; /* from the first byte of a request to the end of its headers: 408. Default 10 s */
    uint64_t
        body_ms_max; /* without any progress of the body: 408; a body must also average 1 KiB/s. Default 30 s */
    uint64_t idle_ms_max;  /* between requests: closed. Default 75 s */
    uint64_t write_ms_max; /* without any progress of the answer: closed. Default 30 s */
};
extern const struct http_limits http_limits_default;

struct http_server_options {
    uv_loop_t *loop;
    struct timers *timers;
    struct http_limits limits;
    /* Asked before a handler of SCOPE_API runs, and before a body is wanted. True lets it pass; otherwise it has filled *why (UNAUTHENTICATED,
     * PERMISSION_DENIED). NULL lets everybody pass. */
    bool (*authorize)(void *arg, const struct http_request *req, struct diag *why);
    /* Words an error for some requests otherwise than with the envelope: appends the body, JSON, and returns true. The request's
     * route is absent when there is none for it. NULL: the envelope for all. */
    bool (*word_error)(const struct http_request *req, int status, const char *code, const char *message,
                       struct str *ret);
    void *arg;
};

struct http_server *http_server_create(const struct http_server_options *opt);

/* Adds routes; the rows must outlive the server. Two rows that match the same requests are a bug (CHECK). */
void http_server_route(struct http_server *s, const struct http_route *routes, size_t n, void *ctx);

/* Listens on a numeric address and port (0: any). Returns 0 and the real port, or a negative errno (-EADDRINUSE, -EACCES, -EINVAL, ...).
 * May be called several times. */
int http_server_listen(struct http_server *s, const char *address, uint16_t port,
                       uint16_t *ret_port);

/* Stops accepting, closes idle connections, tells streams to end, lets begun requests finish for grace_ms, then cuts the rest; frees s and calls closed.
 * Answers sent while stopping say "Connection: close". Handlers must answer what they hold; cut ones get no callback, their
 * http_respond() stays valid until closed is called, so closed comes only after every request was answered. */
void http_server_stop(struct http_server *s, uint64_t grace_ms, void (*closed)(void *arg),
                      void *arg);

/* While it stops: requests that have not come as a whole by now are answered with 503 and not read any further. No handler and no
 * sink is called any more afterwards, so what they work with may go. */
void http_server_refuse(struct http_server *s);

struct http_stats {
    uint64_t connections, connections_total, requests_total;
    uint64_t responses_by_class[6]; /* [2]: 2xx, ... */
    uint64_t buffered_bytes;
    uint64_t streams;     /* streamed answers that are not ended */
    uint64_t streams_cut; /* those whose client did not take what was queued, in all */
};
struct http_stats http_server_stats(const struct http_server *s);

#endif
