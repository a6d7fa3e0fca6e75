/* internal.h - the parts of the server that its own files share: server, connection, request.
 *
 *     server.c   listening, accepting, limits, stopping; owns everything
 *     conn.c     what a connection does: the state machine, its reads, its end
 *     write.c    its answers on their way out, in order
 *     deadline.c its time limits
 *     intake.c   from a complete head to a handler, or to the reason why not
 *     request.c  the request a handler sees, and its pool
 *     respond.c  making answers
 *     stream.c   answers in pieces
 *     piece.c    the pieces, and the queue of them
 *
 * Lifetimes: a conn lives until its uv_close callback. A request lives until its answer is written, or, when the client has
 * gone, until the handler has answered. Both go back to bounded pools.
 */
#ifndef IO_HTTP_INTERNAL_H
#define IO_HTTP_INTERNAL_H
#include "base/arena.h"
#include "base/str.h"
#include "io/http/date.h"
#include "io/http/http.h"
#include "io/http/parse.h"
#include "io/http/piece.h"
#include "io/http/router.h"
#include "io/http/rules.h"
#include "io/loop/timers.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_READ_BYTES 65536            /* the loop's one read buffer */
#define HTTP_RESPONSE_HEADERS_MAX 8      /* that a handler may add */
#define HTTP_REQUEST_POOL_MAX 512        /* requests kept for the next ones */
#define HTTP_REQUEST_KEPT_BYTES_MAX 4096 /* of each buffer of a pooled request */
#define HTTP_CONN_POOL_MAX 512           /* connections kept for the next ones */
#define HTTP_REFUSED_MAX                                                                           \
    128 /* connections beyond connections_max that are told so; more are just closed */
#define HTTP_WRITE_PARTS_MAX 64 /* answers, or pieces of them, in one write */
#define HTTP_STREAM_PROBE_S 30  /* a silent stream's client is asked this often, by TCP, whether it is there */
#define HTTP_DRAIN_BYTES_MAX                                                                       \
    65536 /* an unwanted body up to this is read, so that the connection can go on */
#define HTTP_DISCARD_BYTES_MAX                                                                     \
    (16u << 20) /* read and thrown away after the last answer, so that the client can take it */
#define HTTP_LINGER_MS_MAX 5000         /* and the time for that */
#define HTTP_LINGER_STOPPING_MS_MAX 500 /* the same while the server stops */
#define HTTP_LISTEN_BACKLOG 4096

/* ---- request ---- */

enum request_state {
    REQUEST_READING,  /* not complete yet; belongs to conn->reading */
    REQUEST_HANDLING, /* a handler has it */
    REQUEST_STREAMED, /* a handler has it, and pieces of its answer go out */
    REQUEST_ANSWERED, /* the rest of the answer waits in the connection's queue */
};

/* What a streamed answer's handler has not been told yet. */
enum stream_news { NEWS_ROOM = 1, NEWS_SHUT = 2, NEWS_STOP = 4 };

struct response_header {
    const char *name, *value;
};

struct request {
    struct http_request pub;
    struct http_server *server;
    struct conn *conn;    /* NULL: the client has gone */
    struct request *next; /* in the connection's queue, or in the pool */
    void (*gone)(struct http_request *req); /* to be called when the client goes; NULL: nobody asked */
    enum request_state state;
    bool queued;       /* in the connection's queue */
    bool streaming;    /* its body goes to the route's sink */
    bool continue_due; /* waits for 100 Continue */
    uint8_t header_count;
    size_t buffered; /* body bytes counted in server->buffered_bytes */
    uint64_t body_max;
    uint64_t length; /* Content-Length */
    struct arena arena;
    struct str body, answer;
    size_t sent; /* bytes of the answer that are out */

    /* a streamed answer: `answer` has its head */
    struct piece_queue pieces;
    const struct http_stream_ops *ops; /* NULL before it begins, and once gone() was called */
    uint8_t news;                      /* enum stream_news; NEWS_ROOM: wants to be told */
    bool chunked;
    struct response_header headers[HTTP_RESPONSE_HEADERS_MAX];
    struct head head;
};

struct request *request_of(const struct http_request *req);
struct request *request_acquire(struct http_server *s, struct conn *c);
void request_release(struct request *r);    /* to the pool; out of any queue already */
void request_client_gone(struct request *r); /* tells the handler, if it has one, once */
void request_let_go(struct request *r); /* leaves its connection: on its own when it has a handler, to the pool otherwise */
void request_drop_body(struct request *r);
void request_drop_input(struct request *r); /* body and arena are not needed any more */
void request_cut(struct request *r); /* the sink, if there is one, is told that no more comes */
void request_pool_release(struct http_server *s);

/* Writes status line and headers of a streamed answer to r->answer. */
void respond_head(struct request *r, int status, const char *content_type);

/* Tells the handlers of the connection's streams what there is to tell. */
void stream_tell(struct conn *c);
void stream_note(struct conn *c, enum stream_news news); /* to be told to all of them */
void stream_note_cut(struct conn *c);    /* because its client takes nothing; counted when it is a stream's */
void stream_gone(struct request *r);

/* Answers a request in any state with the envelope; message is ASCII or UTF-8 and copied. */
void respond_code(struct request *r, int status, const char *code, unsigned retry_after_s,
                  const char *message);

/* ---- connection ---- */

/*
 *                  +------------------------------+ request complete
 *                  v                              |
 *    accepted -> HEAD --head wanted-----------> BODY -> handler
 *                  |  \--answered early------> DRAIN (rest small)
 *                  |                              |
 *                  +---------------+--------------+ Connection: close, error, 408, EOF, stop, rest too big to drain
 *                                  v
 *                                LAST --every answer is out--> LINGER --EOF, enough bytes, enough time--> CLOSING
 *                                                                                          ^
 *                 from any state: write or read error, write deadline, idle deadline ------+
 *
 *  HEAD     the parser is between requests (reading == NULL) or in a head. Complete requests may be waiting for their answers.
 *  BODY     reading is in the queue, not answered; its body grows.
 *  DRAIN    reading == NULL: the request was answered already, the parser goes over its body.
 *  LAST     no request is begun any more; answers are due. Input is discarded, so that a reset is noticed.
 *  LINGER   our side is shut; input is discarded until the client has seen it. Closing at once would send a reset, which
 *           may overtake the answer in the client's kernel.
 *  CLOSING  uv_close() was called; requests with handlers are on their own.
 *
 * Independent of it, `paused`: reading is stopped because of too many requests or bytes in the queue; `rest` has what was read
 * but not parsed. Only between requests, or, when `held` is set, within a body whose sink asked for it.
 */
enum conn_state { CONN_HEAD, CONN_BODY, CONN_DRAIN, CONN_LAST, CONN_LINGER, CONN_CLOSING };

struct conn {
    uv_tcp_t tcp;
    struct http_server *server;
    struct conn *prev, *next;             /* all of the server's, or the pool */
    struct conn *dirty_prev, *dirty_next; /* those with answers to write at the turn's end */
    enum conn_state state;
    bool refused; /* beyond connections_max: not counted as a connection */
    bool eof, dirty;
    bool busy; /* input is being parsed: answers wait for its end */
    bool paused;
    bool held; /* by the sink of what is being read */
    uint64_t held_since_ms;

    struct parse parse;
    struct request *reading;
    char *rest;
    size_t rest_len;
    size_t discarded; /* in LAST and LINGER */

    struct request *first, *last; /* the queue, oldest first */
    unsigned queued;
    size_t unsent; /* bytes of answers in the queue */
    uv_write_t write;
    bool writing;           /* a uv_write is under way */
    unsigned writing_count; /* whole or in part: the first so many of the queue */
    size_t writing_bytes;   /* of their answers */

    struct timer timer;   /* set at or before the deadline, see deadline.c */
    uint64_t since_ms;    /* start of the head, the body, the idling or the lingering */
    uint64_t progress_ms; /* last part of the body */
    uint64_t write_progress_ms;
    size_t write_left; /* when write_progress_ms was taken */
};

void conn_accept(struct http_server *s, uv_stream_t *listener);
void conn_close(struct conn *c); /* cuts; answers go nowhere */
void conn_pump(struct conn *c); /* writes what can be written, reads what was held back, moves on */
void conn_abandon_queue(struct conn *c); /* nothing more goes out, except for what libuv is writing */
void conn_stop(struct conn *c); /* finishes what was begun, then closes */
void conn_last(struct conn *c); /* no further requests */
void conn_answered(struct conn *c, size_t bytes); /* so many more are to go out */
void conn_hold(struct conn *c);   /* stops reading within a body */
void conn_unhold(struct conn *c); /* reads on, soon */
void conn_pool_release(struct http_server *s);

void conn_enqueue(struct conn *c, struct request *r);
void conn_unqueue_last(struct conn *c); /* the newest of the queue, back to being read only */
void conn_forget_behind(struct conn *c, struct request *r); /* r is the last one that can be answered */
void conn_flush(struct conn *c);

void conn_deadline_arm(struct conn *c);
void conn_deadline_cancel(struct conn *c);
uint64_t conn_now(const struct conn *c);

/* The request's head is complete: decides, and moves the connection to BODY, DRAIN or LAST. */
void intake_head(struct conn *c);
void intake_body(struct conn *c, struct slice piece);
void intake_done(struct conn *c); /* the message is complete */

/* Answers what is being read, if anything still needs an answer, and makes it the connection's last. */
void intake_refuse(struct conn *c, const struct refusal *why);

/* ---- server ---- */

struct listener {
    uv_tcp_t tcp;
    struct http_server *server;
    struct listener *next;
};

struct http_server {
    struct http_server_options opt;
    struct router router;
    struct listener *listeners;
    struct conn *conns; /* open or closing */
    struct conn *conn_pool;
    struct conn *dirty;
    struct request *request_pool;
    unsigned conn_pool_count, request_pool_count;
    unsigned conn_count, refused_count; /* accepted ones; those told to go */
    unsigned handle_count;              /* listeners and connections not closed yet */
    unsigned dirty_count;
    unsigned stream_count;              /* streamed answers not ended */
    uint64_t requests_open;             /* handlers owe an answer, or the end of one */
    uint64_t buffered_bytes;
    int spare_fd; /* given up to accept and close a connection when there is no other descriptor */
    uv_idle_t flush; /* active while dirty is not empty: writes before the loop sleeps */
    struct date date;
    struct str scratch; /* bodies of error answers */
    struct timer grace;
    bool stopping, freeing;
    void (*closed)(void *arg);
    void *closed_arg;
    struct http_stats stats;
    char read_buf[HTTP_READ_BYTES];
};

void server_conn_came(struct http_server *s, struct conn *c);
bool server_fd_spared(struct http_server *s,
                      struct conn *c); /* true: closed it, its descriptor was needed back */
void server_conn_gone(struct http_server *s,
                      struct conn *c); /* its handle is closed; frees or pools it */
void server_flush_later(struct conn *c);
void server_flush_forget(struct conn *c);
void server_maybe_free(struct http_server *s);

#endif
