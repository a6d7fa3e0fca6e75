/* deadline.c - the time limits of a connection, on one timer that is hardly ever touched.
 *
 * The deadline follows from the connection's state. Setting a timer for each request would cost
 * more than parsing it, so the timer is only moved when it would fire too late; when it fires too
 * early it is set again for what is left. An answer takes its progress from libuv's queue size,
 * looked at when the timer fires: a stalled client is cut after one to two write_ms_max. */
#include "io/http/internal.h"
#include "base/check.h"

#define NEVER UINT64_MAX
#define BODY_BYTES_PER_S_MIN 1024

static const struct refusal head_late = {408, "REQUEST_TIMEOUT",
                                         "the request's headers took too long to arrive"};
static const struct refusal body_late = {408, "REQUEST_TIMEOUT",
                                         "the request's body took too long to arrive"};

uint64_t conn_now(const struct conn *c)
{
    return uv_now(c->server->opt.loop);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t body_deadline(const struct conn *c, const struct http_limits *l)
{
    uint64_t paid_ms = c->parse.body_bytes * 1000 / BODY_BYTES_PER_S_MIN;

    return earlier(c->progress_ms + l->body_ms_max, c->since_ms + l->body_ms_max + paid_ms);
}

static uint64_t read_deadline(const struct conn *c)
{
    const struct http_limits *l = &c->server->opt.limits;

    switch (c->state) {
    case CONN_HEAD:
        if (c->reading != NULL)
            return c->since_ms + l->header_ms_max;
        return c->first == NULL ? c->since_ms + l->idle_ms_max : NEVER;
    case CONN_BODY:
    case CONN_DRAIN:
        return c->held ? NEVER : body_deadline(c, l);
    case CONN_LINGER:
        return c->since_ms +
               (c->server->stopping ? HTTP_LINGER_STOPPING_MS_MAX : HTTP_LINGER_MS_MAX);
    case CONN_LAST:
    case CONN_CLOSING:
        break;
    }
    return NEVER;
}

static uint64_t write_deadline(const struct conn *c)
{
    return c->writing ? c->write_progress_ms + c->server->opt.limits.write_ms_max : NEVER;
}

static void expire(struct conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
        if (c->reading == NULL) {
            conn_close(c); /* idle */
            return;
        }
        intake_refuse(c, &head_late);
        break;
    case CONN_BODY:
        intake_refuse(c, &body_late);
        break;
    case CONN_DRAIN:
        conn_last(c);
        break;
    case CONN_LINGER:
        conn_close(c);
        return;
    case CONN_LAST:
    case CONN_CLOSING:
        CHECK(!"a state without a deadline");
    }
    conn_pump(c);
}

static void fired(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, timer);
    uint64_t now = conn_now(c);

    if (c->writing) {
        size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);

        if (left != c->write_left) {
            c->write_left = left;
            c->write_progress_ms = now;
        }
    }
    if (now >= write_deadline(c)) {
        stream_note_cut(c);
        conn_close(c);
    } else if (now >= read_deadline(c)) {
        expire(c);
    } else {
        conn_deadline_arm(c);
    }
}

void conn_deadline_arm(struct conn *c)
{
    uint64_t at = earlier(read_deadline(c), write_deadline(c)), now = conn_now(c);

    if (at == NEVER || (wheel_is_set(&c->timer.w) && c->timer.w.expires <= at))
        return;
    c->timer.fired = fired;
    timer_set(c->server->opt.timers, &c->timer, at > now ? at - now : 0);
}

void conn_deadline_cancel(struct conn *c)
{
    timer_cancel(c->server->opt.timers, &c->timer);
}
