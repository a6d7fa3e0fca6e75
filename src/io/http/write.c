/* write.c - a connection's queue of requests, and their answers on the way out.
 *
 * Requests stand in the queue in the order they came in. Those at its front that are answered go
 * out, as many as possible in one system call, straight from the requests' buffers. What the socket
 * does not take is left to one uv_write; while it is under way nothing else is written, and its
 * requests stay in the queue because libuv reads their buffers. A streamed answer goes out as it
 * grows; what is behind it waits for its end. */
#include "base/check.h"
#include "io/http/internal.h"

static bool is_going_out(const struct request *r)
{
    return r != NULL && r->state >= REQUEST_STREAMED;
}

void conn_enqueue(struct conn *c, struct request *r)
{
    CHECK(!r->queued);
    r->next = NULL;
    r->queued = true;
    if (c->last != NULL)
        c->last->next = r;
    else
        c->first = r;
    c->last = r;
    c->queued++;
}

void conn_unqueue_last(struct conn *c)
{
    struct request *r = c->last, *before = NULL;

    CHECK(r != NULL && !is_going_out(r));
    for (struct request *at = c->first; at != r; at = at->next)
        before = at;
    if (before != NULL)
        before->next = NULL;
    else
        c->first = NULL;
    c->last = before;
    r->queued = false;
    c->queued--;
}

void conn_forget_behind(struct conn *c, struct request *r)
{
    struct request *next = r->next;

    r->next = NULL;
    c->last = r;
    while ((r = next) != NULL) {
        next = r->next;
        c->queued--;
        if (is_going_out(r))
            c->unsent -= r->answer.len + piece_queue_bytes(&r->pieces, r->chunked);
        request_let_go(r);
    }
}

static void release_first(struct conn *c)
{
    struct request *r = c->first;

    c->first = r->next;
    if (c->first == NULL)
        c->last = NULL;
    if (c->first == NULL && c->state == CONN_HEAD && c->reading == NULL)
        c->since_ms = conn_now(c); /* idle from here on */
    c->queued--;
    r->queued = false;
    request_release(r);
}

/* Takes note of bytes that are out, and lets go of what is out as a whole. */
static void sent(struct conn *c, size_t bytes)
{
    c->unsent -= bytes;
    while (is_going_out(c->first)) {
        struct request *r = c->first;
        size_t left = r->answer.len - r->sent, part = bytes < left ? bytes : left;

        r->sent += part;
        bytes -= part;
        bytes -= piece_queue_sent(&r->pieces, r->chunked, bytes);
        if (r->state == REQUEST_STREAMED || r->sent < r->answer.len || r->pieces.count > 0)
            break;
        release_first(c);
    }
    CHECK(bytes == 0);
}

/* What is to go out, from the front of the queue up to an answer that is not there, or not there as
 * a whole: *ret_count requests. */
static unsigned collect(const struct conn *c, uv_buf_t bufs[HTTP_WRITE_PARTS_MAX],
                        unsigned *ret_count)
{
    unsigned n = 0;
    const struct request *r = c->first;

    *ret_count = 0;
    for (; is_going_out(r) && n < HTTP_WRITE_PARTS_MAX; r = r->next) {
        ++*ret_count;
        if (r->sent < r->answer.len)
            bufs[n++] = uv_buf_init(r->answer.p + r->sent, (unsigned)(r->answer.len - r->sent));
        n += piece_queue_collect(&r->pieces, r->chunked, bufs + n, HTTP_WRITE_PARTS_MAX - n);
        if (r->state == REQUEST_STREAMED)
            break;
    }
    return n;
}

static size_t total_bytes(const uv_buf_t *bufs, unsigned n)
{
    size_t ret = 0;

    for (unsigned i = 0; i < n; i++)
        ret += bufs[i].len;
    return ret;
}

static void write_done(uv_write_t *w, int status)
{
    struct conn *c = container_of(w, struct conn, write);

    c->writing = false;
    c->writing_count = 0;
    if (c->state == CONN_CLOSING) {
        conn_abandon_queue(c);
    } else if (status < 0) {
        conn_close(c);
    } else {
        sent(c, c->writing_bytes);
        conn_pump(c);
    }
}

static void write_rest(struct conn *c, const uv_buf_t *bufs, unsigned n)
{
    c->writing = true;
    c->write_progress_ms = conn_now(c);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, bufs, n, write_done) != 0) {
        c->writing = false;
        c->writing_count = 0;
        conn_close(c);
        return;
    }
    c->write_left = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
}

/* One round: false when there is nothing (more) to write now. */
static bool flush_some(struct conn *c)
{
    uv_buf_t bufs[HTTP_WRITE_PARTS_MAX];
    unsigned count, n;
    size_t total;
    int done;

    sent(c, 0); /* a stream may have ended with everything out */
    n = collect(c, bufs, &count);
    if (n == 0)
        return false;
    total = total_bytes(bufs, n);
    done = uv_try_write((uv_stream_t *)&c->tcp, bufs, n);
    if (done < 0 && done != UV_EAGAIN) {
        conn_close(c);
        return false;
    }
    if (done > 0)
        sent(c, (size_t)done);
    if (done >= 0 && (size_t)done == total)
        return true;
    n = collect(c, bufs, &c->writing_count);
    c->writing_bytes = total_bytes(bufs, n);
    write_rest(c, bufs, n);
    return false;
}

/* 100 Continue is part of the stream of answers: it waits until everything before its request is
 * out. */
static void flush_continue(struct conn *c)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init(text, sizeof(text) - 1);
    int done;

    if (c->state != CONN_BODY || c->writing || c->first != c->reading || !c->reading->continue_due)
        return;
    c->reading->continue_due = false;
    done = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (done < 0 && done != UV_EAGAIN) {
        conn_close(c);
        return;
    }
    if (done < 0)
        done = 0;
    buf = uv_buf_init(text + done, (unsigned)(sizeof(text) - 1 - (size_t)done));
    c->writing_bytes = 0; /* none of an answer */
    if (buf.len > 0)
        write_rest(c, &buf, 1);
}

void conn_flush(struct conn *c)
{
    while (c->state != CONN_CLOSING && !c->writing && flush_some(c))
        continue;
    flush_continue(c);
}
