/* conn.c - a connection's life: its states are drawn in internal.h.
 *
 * The happy path: read_done() -> parse() -> intake_head(), intake_body(), intake_done() -> a
 * handler, which answers at once or later -> conn_pump() -> conn_flush(). Callbacks store what
 * happened and end in conn_pump(), the one place that writes, reads what was held back, and moves
 * on to LINGER. uv_close() is called in one place, conn_close(), and memory goes back in one place,
 * the callback of that. */
#include "io/http/internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/check.h"
#include "base/mem.h"

static const struct refusal head_too_large = {
    431, "REQUEST_HEADER_FIELDS_TOO_LARGE",
    "the request line and headers are larger than what is accepted"};
static const struct refusal crowd = {503, "UNAVAILABLE", "too many connections"};

/* ---- reading ---- */

static void read_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = container_of(h, struct conn, tcp);

    *buf = uv_buf_init(c->server->read_buf, HTTP_READ_BYTES);
}

static void read_done(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void read_start(struct conn *c)
{
    c->paused = false;
    if (!c->eof && uv_read_start((uv_stream_t *)&c->tcp, read_alloc, read_done) != 0)
        conn_close(c);
}

static void read_stop(struct conn *c)
{
    c->paused = true;
    (void)uv_read_stop((uv_stream_t *)&c->tcp);
}

static bool crowded(const struct conn *c)
{
    const struct http_limits *l = &c->server->opt.limits;

    return c->queued >= l->pipelined_max || c->unsent >= l->unsent_bytes_max;
}

/* Reading goes on at half of what stopped it, so that it does not stop and go with every answer. */
static bool roomy(const struct conn *c)
{
    const struct http_limits *l = &c->server->opt.limits;

    return c->queued <= l->pipelined_max / 2 && c->unsent <= l->unsent_bytes_max / 2;
}

static void refuse_malformed(struct conn *c)
{
    char message[160] = "malformed request: ";
    size_t at = strlen(message), len = strlen(c->parse.why);
    llhttp_errno_t err = llhttp_get_errno(&c->parse.llhttp);

    if (err == HPE_INVALID_VERSION || err == HPE_PAUSED_H2_UPGRADE) {
        intake_refuse(c, &refusal_version);
        return;
    }
    if (len > sizeof(message) - at - 1)
        len = sizeof(message) - at - 1;
    memcpy(message + at, c->parse.why, len);
    message[at + len] = '\0';
    intake_refuse(c, &(struct refusal){400, "INVALID_ARGUMENT", message});
}

static void step(struct conn *c, enum parse_event event)
{
    switch (event) {
    case PARSE_HEAD:
        intake_head(c);
        break;
    case PARSE_BODY:
        intake_body(c, c->parse.piece);
        break;
    case PARSE_DONE:
        intake_done(c);
        break;
    case PARSE_BAD:
        refuse_malformed(c);
        break;
    case PARSE_TOO_LARGE:
        intake_refuse(c, &head_too_large);
        break;
    case PARSE_MORE:
        break;
    }
}

static void begin_request(struct conn *c)
{
    c->reading = request_acquire(c->server, c);
    parse_begin(&c->parse, &c->reading->head);
    c->since_ms = conn_now(c);
}

void conn_hold(struct conn *c)
{
    CHECK(c->state == CONN_BODY && !c->held);
    c->held = true;
    c->held_since_ms = conn_now(c);
    read_stop(c);
}

/* The time we took is not the client's. */
void conn_unhold(struct conn *c)
{
    const uint64_t now = conn_now(c);

    c->held = false;
    c->since_ms += now - c->held_since_ms;
    c->progress_ms = now;
    server_flush_later(c);
}

/* Goes through the bytes request by request. Returns how many were used: fewer than all when
 * reading was paused on the way, or when the rest is not wanted any more. */
static size_t parse(struct conn *c, const char *data, size_t len)
{
    enum parse_event event = PARSE_DONE;
    size_t at = 0, used;

    c->busy = true;
    while (event != PARSE_MORE && c->state < CONN_LAST && !c->held) {
        if (c->state == CONN_HEAD && c->reading == NULL) {
            if (at == len)
                break;
            if (crowded(c)) {
                read_stop(c);
                break;
            }
            begin_request(c);
        }
        event = parse_feed(&c->parse, data + at, len - at, &used);
        at += used;
        step(c, event);
    }
    c->busy = false;
    return at;
}

static void keep_rest(struct conn *c, const char *data, size_t len)
{
    c->rest = len > 0 ? mem_dup(data, len) : NULL;
    c->rest_len = len;
}

/* Reads on after a pause. True when it did, and so there may be new answers. */
static bool resume(struct conn *c)
{
    char *rest = c->rest;
    size_t len = c->rest_len, used;

    if (!c->paused || c->held || c->state > CONN_BODY || (c->state == CONN_HEAD && !roomy(c)))
        return false;
    c->rest = NULL;
    c->rest_len = 0;
    c->paused = false;
    used = parse(c, rest != NULL ? rest : "", len);
    if (c->paused)
        keep_rest(c, rest != NULL ? rest + used : NULL, len - used);
    else
        read_start(c);
    free(rest);
    return true;
}

/* The peer has sent all it will. Half a request is dropped; what is complete is still answered. */
static void read_end(struct conn *c)
{
    struct request *r = c->reading;

    c->eof = true;
    if (c->state == CONN_LINGER) {
        conn_close(c);
        return;
    }
    c->reading = NULL;
    if (r != NULL && r->queued)
        conn_unqueue_last(c);
    if (r != NULL)
        request_release(r);
    for (r = c->first; r != NULL; r = r->next)
        if (r->state == REQUEST_HANDLING)
            request_client_gone(r);
    stream_note(c, NEWS_SHUT);
    conn_last(c);
    conn_pump(c);
}

static void discard(struct conn *c, size_t len)
{
    c->discarded += len;
    if (c->discarded <= HTTP_DISCARD_BYTES_MAX)
        return;
    if (c->state == CONN_LINGER)
        conn_close(c);
    else
        read_stop(c);
}

static void read_done(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct conn *c = container_of(stream, struct conn, tcp);
    size_t used;

    if (len == 0 || c->state == CONN_CLOSING)
        return;
    if (len == UV_EOF) {
        read_end(c);
    } else if (len < 0) {
        if (len == UV_ETIMEDOUT)
            stream_note_cut(c);
        conn_close(c);
    } else if (c->state >= CONN_LAST) {
        discard(c, (size_t)len);
    } else {
        used = parse(c, buf->base, (size_t)len);
        if (c->paused)
            keep_rest(c, buf->base + used, (size_t)len - used);
        conn_pump(c);
    }
}

/* ---- moving on ---- */

void conn_last(struct conn *c)
{
    CHECK(c->reading == NULL);
    if (c->state < CONN_LAST)
        c->state = CONN_LAST;
}

/* The peer sees the end of our answers at once and has some time to take them. shutdown() directly:
 * everything is written, there is nothing to wait for. */
static void linger(struct conn *c)
{
    uv_os_fd_t fd;

    if (c->eof || uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        conn_close(c);
        return;
    }
    c->state = CONN_LINGER;
    c->since_ms = conn_now(c);
    c->discarded = 0;
    if (c->paused)
        read_start(c);
}

void conn_pump(struct conn *c)
{
    if (c->busy)
        return; /* parse()'s caller does it */
    do
        conn_flush(c);
    while (resume(c));
    stream_tell(c);
    if (c->state == CONN_LAST && c->first == NULL && !c->writing)
        linger(c);
    if (c->state != CONN_CLOSING)
        conn_deadline_arm(c);
}

void conn_answered(struct conn *c, size_t bytes)
{
    c->unsent += bytes;
    if (!c->busy)
        server_flush_later(c);
}

void conn_stop(struct conn *c)
{
    stream_note(c, NEWS_STOP);
    if (c->state == CONN_HEAD && c->reading == NULL) {
        if (c->first == NULL && !c->busy) {
            conn_close(c); /* idle */
            return;
        }
        conn_last(c);
    }
    conn_pump(c);
}

/* ---- beginning and end ---- */

static void closed(uv_handle_t *h)
{
    struct conn *c = container_of(h, struct conn, tcp);

    CHECK(c->first == NULL && c->reading == NULL && !c->writing);
    server_conn_gone(c->server, c);
}

/* What libuv is writing is let go of in write_done(), which comes before closed(). */
void conn_abandon_queue(struct conn *c)
{
    struct request **link = &c->first, *r, *next;

    c->last = NULL;
    for (unsigned i = 0; i < c->writing_count; i++) {
        c->last = *link;
        link = &(*link)->next;
    }
    r = *link;
    *link = NULL;
    c->queued = c->writing_count;
    if (c->last != NULL)
        request_client_gone(c->last); /* of those only the last one can have a handler */
    for (; r != NULL; r = next) {
        next = r->next;
        request_let_go(r);
    }
}

void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSING)
        return;
    c->state = CONN_CLOSING;
    conn_deadline_cancel(c);
    server_flush_forget(c);
    if (c->reading != NULL && !c->reading->queued)
        request_release(c->reading);
    c->reading = NULL;
    conn_abandon_queue(c);
    free(c->rest);
    c->rest = NULL;
    uv_close((uv_handle_t *)&c->tcp, closed);
}

static struct conn *conn_new(struct http_server *s)
{
    struct conn *c = s->conn_pool;

    if (c != NULL) {
        s->conn_pool = c->next;
        s->conn_pool_count--;
        memset(c, 0, sizeof(*c));
    } else {
        c = mem_zalloc(sizeof(*c));
    }
    c->server = s;
    c->since_ms = uv_now(s->opt.loop);
    parse_init(&c->parse, s->opt.limits.header_bytes_max);
    return c;
}

/* Says why to some of those that are too many; a flood of them is just closed. */
static void refuse_connection(struct conn *c)
{
    if (c->server->refused_count > HTTP_REFUSED_MAX || c->server->stopping) {
        conn_close(c);
        return;
    }
    begin_request(c);
    c->busy = true;
    intake_refuse(c, &crowd);
    c->busy = false;
}

void conn_accept(struct http_server *s, uv_stream_t *listener)
{
    struct conn *c = conn_new(s);

    CHECK(uv_tcp_init(s->opt.loop, &c->tcp) == 0);
    server_conn_came(s, c);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
        conn_close(c);
        return;
    }
    if (server_fd_spared(s, c))
        return;
    (void)uv_tcp_nodelay(&c->tcp, 1);
    read_start(c);
    if (c->refused && c->state != CONN_CLOSING)
        refuse_connection(c);
    if (c->state != CONN_CLOSING)
        conn_pump(c);
}

void conn_pool_release(struct http_server *s)
{
    struct conn *c, *next;

    for (c = s->conn_pool; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    s->conn_pool = NULL;
    s->conn_pool_count = 0;
}
