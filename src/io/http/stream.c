/* stream.c - answers in pieces. The head is the request's `answer`, the pieces queue behind it, and
 * write.c sends both as far as they are there.
 *
 * A handler is told things at the end of conn_pump() only, when its connection is in order, so that
 * it may do anything from there; gone() is the exception, and must not touch the connection because
 * there is none. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include "base/check.h"
#include "io/http/internal.h"

/* A client that vanished without a word is noticed although nothing, or too little to fill a
 * buffer, is sent to it. Where that cannot be set it is noticed late. */
static void probe_client(struct conn *c)
{
    const int timeout_ms = (int)c->server->opt.limits.write_ms_max;
    uv_os_fd_t fd;

    (void)uv_tcp_keepalive(&c->tcp, 1, HTTP_STREAM_PROBE_S);
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* The end of the connection will be the end of the answer: what is behind it in the queue, or on
 * its way in, gets none. */
static void close_behind(struct conn *c, struct request *r)
{
    struct request *reading = c->reading;

    c->reading = NULL;
    c->held = false;
    if (reading != NULL && !reading->queued)
        request_release(reading);
    conn_forget_behind(c, r);
    conn_last(c);
}

static bool is_head(const struct request *r)
{
    return strcmp(r->pub.method, "HEAD") == 0;
}

bool http_stream_begin(struct http_request *req, int status, const char *content_type,
                       const struct http_stream_ops *ops)
{
    struct request *r = request_of(req);
    struct http_server *s = r->server;
    struct conn *c = r->conn;

    CHECK(r->state == REQUEST_HANDLING && status != 204 && status != 304);
    if (c == NULL || s->stopping) {
        http_respond(req, status, content_type, SLICE(""));
        return false;
    }
    if (s->stream_count >= s->opt.limits.streams_max) {
        http_respond_error(req, DIAG_UNAVAILABLE, 1, "too many streamed answers are open");
        return false;
    }
    s->stats.responses_by_class[status / 100]++;
    s->stream_count++;
    r->state = REQUEST_STREAMED;
    r->ops = ops;
    r->chunked = r->head.minor > 0;
    if (!r->chunked && !is_head(r))
        close_behind(c, r);
    request_drop_body(r);
    respond_head(r, status, content_type);
    conn_answered(c, r->answer.len);
    if (is_head(r)) {
        http_stream_end(req);
        return false;
    }
    if (c->eof)
        r->news |= NEWS_SHUT;
    probe_client(c);
    return true;
}

static bool reaches_client(const struct request *r)
{
    return r->conn != NULL && r->conn->state != CONN_CLOSING;
}

static void queue(struct request *r, struct http_piece *p)
{
    conn_answered(r->conn, piece_queue_add(&r->pieces, r->chunked, p));
}

bool http_stream_has_room(struct http_request *req)
{
    struct request *r = request_of(req);

    CHECK(r->state == REQUEST_STREAMED);
    if (!reaches_client(r) || r->pieces.cost < r->server->opt.limits.stream_bytes_max)
        return true;
    r->news |= NEWS_ROOM;
    return false;
}

bool http_stream_write(struct http_request *req, struct http_piece *p)
{
    struct request *r = request_of(req);

    if (!http_stream_has_room(req))
        return false;
    if (reaches_client(r))
        queue(r, http_piece_keep(p));
    return true;
}

size_t http_stream_queued(const struct http_request *req)
{
    return request_of(req)->pieces.cost;
}

void http_stream_end(struct http_request *req)
{
    struct request *r = request_of(req);
    struct http_server *s = r->server;

    CHECK(r->state == REQUEST_STREAMED);
    r->state = REQUEST_ANSWERED;
    r->ops = NULL;
    if (reaches_client(r) && r->chunked && !is_head(r))
        queue(r, piece_make_last());
    if (reaches_client(r))
        conn_answered(r->conn, 0);
    request_drop_input(r);
    if (r->conn == NULL)
        request_release(r);
    s->stream_count--;
    s->requests_open--;
    server_maybe_free(s);
}

/* ---- what handlers are told ---- */

void stream_note(struct conn *c, enum stream_news news)
{
    for (struct request *r = c->first; r != NULL; r = r->next)
        if (r->state == REQUEST_STREAMED)
            r->news |= (uint8_t)news;
}

void stream_gone(struct request *r)
{
    const struct http_stream_ops *ops = r->ops;

    r->ops = NULL;
    if (ops != NULL)
        ops->gone(&r->pub);
}

void stream_note_cut(struct conn *c)
{
    if (c->first != NULL && c->first->state == REQUEST_STREAMED)
        c->server->stats.streams_cut++;
}

static bool take(struct request *r, enum stream_news news)
{
    const bool ret = r->state == REQUEST_STREAMED && (r->news & news) != 0;

    r->news &= (uint8_t)~news;
    return ret;
}

static bool has_room(const struct request *r)
{
    return r->pieces.cost <= r->server->opt.limits.stream_bytes_max / 2;
}

static void tell(struct request *r)
{
    const struct http_stream_ops *ops = r->ops;

    if (take(r, NEWS_STOP))
        ops->stop(&r->pub);
    if (take(r, NEWS_SHUT) && ops->shut != NULL)
        ops->shut(&r->pub);
    if (has_room(r) && take(r, NEWS_ROOM) && ops->room != NULL)
        ops->room(&r->pub);
}

/* The queue stays as it is meanwhile: a request that a handler ends leaves it in conn_flush(). */
void stream_tell(struct conn *c)
{
    if (c->state == CONN_CLOSING)
        return;
    for (struct request *r = c->first; r != NULL; r = r->next)
        if (r->news != 0)
            tell(r);
}
