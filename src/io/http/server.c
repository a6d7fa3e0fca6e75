/* server.c - listening, accepting, limits, stopping.
 *
 * Stopping: listeners close, idle connections close, begun requests go on; after the grace time
 * what is left is cut. The server is freed when its last handle is closed and its last request is
 * answered, in the close callback of its own idle handle, so never from inside of a call somebody
 * else makes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>
#include "base/check.h"
#include "base/mem.h"
#include "io/http/internal.h"

const struct http_limits http_limits_default = {
    .header_bytes_max = 16 << 10,
    .body_bytes_max = 1 << 20,
    .buffered_bytes_max = 256 << 20,
    .connections_max = 16384,
    .pipelined_max = 64,
    .unsent_bytes_max = 1 << 20,
    .streams_max = 8192,
    .stream_bytes_max = 128 << 10,
    .header_ms_max = 10000,
    .body_ms_max = 30000,
    .idle_ms_max = 75000,
    .write_ms_max = 30000,
};

static void flush_all(uv_idle_t *idle)
{
    struct http_server *s = container_of(idle, struct http_server, flush);

    /* Those that have more to write afterwards wait for the next turn: a stream whose client takes all it gets must not keep the
     * loop. */
    for (unsigned n = s->dirty_count; n > 0 && s->dirty != NULL; n--) {
        struct conn *c = s->dirty;

        server_flush_forget(c);
        conn_pump(c);
    }
    if (s->dirty == NULL)
        (void)uv_idle_stop(idle);
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

struct http_server *http_server_create(const struct http_server_options *opt)
{
    struct http_server *s = mem_zalloc(sizeof(*s));

    s->opt = *opt;
    s->spare_fd = open_spare();
    CHECK(opt->limits.pipelined_max > 0 && opt->limits.header_bytes_max > 0);
    CHECK(uv_idle_init(opt->loop, &s->flush) == 0);
    return s;
}

void http_server_route(struct http_server *s, const struct http_route *routes, size_t n, void *ctx)
{
    for (size_t i = 0; i < n; i++)
        router_add(&s->router, &routes[i], ctx);
}

struct http_stats http_server_stats(const struct http_server *s)
{
    struct http_stats ret = s->stats;

    ret.connections = s->conn_count;
    ret.buffered_bytes = s->buffered_bytes;
    ret.streams = s->stream_count;
    return ret;
}

/* ---- answers made outside of a read ---- */

void server_flush_later(struct conn *c)
{
    struct http_server *s = c->server;

    if (c->dirty || c->state == CONN_CLOSING)
        return;
    c->dirty = true;
    s->dirty_count++;
    DL_APPEND2(s->dirty, c, dirty_prev, dirty_next);
    CHECK(uv_idle_start(&s->flush, flush_all) == 0);
}

void server_flush_forget(struct conn *c)
{
    if (!c->dirty)
        return;
    DL_DELETE2(c->server->dirty, c, dirty_prev, dirty_next);
    c->server->dirty_count--;
    c->dirty = false;
}

/* ---- connections ---- */

void server_conn_came(struct http_server *s, struct conn *c)
{
    DL_APPEND(s->conns, c);
    s->handle_count++;
    s->stats.connections_total++;
    c->refused = s->stopping || s->conn_count >= s->opt.limits.connections_max;
    if (c->refused)
        s->refused_count++;
    else
        s->conn_count++;
}

void server_conn_gone(struct http_server *s, struct conn *c)
{
    DL_DELETE(s->conns, c);
    s->handle_count--;
    if (c->refused)
        s->refused_count--;
    else
        s->conn_count--;
    if (s->conn_pool_count < HTTP_CONN_POOL_MAX) {
        c->next = s->conn_pool;
        s->conn_pool = c;
        s->conn_pool_count++;
    } else {
        free(c);
    }
    server_maybe_free(s);
}

bool server_fd_spared(struct http_server *s, struct conn *c)
{
    if (s->spare_fd >= 0 || (s->spare_fd = open_spare()) >= 0)
        return false; /* there are descriptors again */
    conn_close(c);
    s->spare_fd = open_spare();
    return true;
}

/* Without a free descriptor libuv closes the waiting connections through a spare one of its own.
 * Where even that fails, it would ask again and again: our spare one lets it accept, and
 * server_fd_spared() closes what came. */
static void connection_waits(uv_stream_t *stream, int status)
{
    struct listener *l = container_of(stream, struct listener, tcp);
    struct http_server *s = l->server;

    if (status == 0) {
        conn_accept(s, stream);
    } else if ((status == UV_EMFILE || status == UV_ENFILE) && s->spare_fd >= 0) {
        close(s->spare_fd);
        s->spare_fd = -1;
    }
}

/* ---- listening ---- */

static void listener_closed(uv_handle_t *h)
{
    struct listener *l = container_of(h, struct listener, tcp);
    struct http_server *s = l->server;

    s->handle_count--;
    free(l);
    server_maybe_free(s);
}

static int bind_and_listen(struct listener *l, const struct sockaddr *addr, uint16_t *ret_port)
{
    struct sockaddr_storage bound;
    int len = sizeof(bound), err;

    err = uv_tcp_bind(&l->tcp, addr, 0);
    if (err == 0)
        err = uv_listen((uv_stream_t *)&l->tcp, HTTP_LISTEN_BACKLOG, connection_waits);
    if (err == 0)
        err = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&bound, &len);
    if (err != 0)
        return err;
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

int http_server_listen(struct http_server *s, const char *address, uint16_t port,
                       uint16_t *ret_port)
{
    struct sockaddr_storage addr;
    struct listener *l;
    int err;

    CHECK(!s->stopping);
    if (uv_ip4_addr(address, port, (struct sockaddr_in *)&addr) != 0 &&
        uv_ip6_addr(address, port, (struct sockaddr_in6 *)&addr) != 0)
        return -EINVAL;
    l = mem_zalloc(sizeof(*l));
    l->server = s;
    CHECK(uv_tcp_init(s->opt.loop, &l->tcp) == 0);
    s->handle_count++;
    err = bind_and_listen(l, (struct sockaddr *)&addr, ret_port);
    if (err != 0) {
        uv_close((uv_handle_t *)&l->tcp, listener_closed);
        return err;
    }
    LL_PREPEND(s->listeners, l);
    return 0;
}

/* ---- stopping ---- */

static void freed(uv_handle_t *h)
{
    struct http_server *s = container_of(h, struct http_server, flush);
    void (*callback)(void *arg) = s->closed;
    void *arg = s->closed_arg;

    CHECK(s->buffered_bytes == 0);
    router_release(&s->router);
    request_pool_release(s);
    conn_pool_release(s);
    str_release(&s->scratch);
    if (s->spare_fd >= 0)
        close(s->spare_fd);
    free(s);
    if (callback != NULL)
        callback(arg);
}

void server_maybe_free(struct http_server *s)
{
    if (!s->stopping || s->freeing || s->handle_count > 0 || s->requests_open > 0)
        return;
    s->freeing = true;
    timer_cancel(s->opt.timers, &s->grace);
    uv_close((uv_handle_t *)&s->flush, freed);
}

static void grace_over(struct timer *t)
{
    struct http_server *s = container_of(t, struct http_server, grace);
    struct conn *c;

    DL_FOREACH (s->conns, c)
        conn_close(c);
}

void http_server_stop(struct http_server *s, uint64_t grace_ms, void (*closed)(void *arg),
                      void *arg)
{
    struct listener *l;
    struct conn *c;

    CHECK(!s->stopping);
    s->stopping = true;
    s->closed = closed;
    s->closed_arg = arg;
    LL_FOREACH (s->listeners, l)
        uv_close((uv_handle_t *)&l->tcp, listener_closed);
    s->listeners = NULL;
    DL_FOREACH (s->conns, c)
        if (c->state != CONN_CLOSING)
            conn_stop(c);
    s->grace.fired = grace_over;
    timer_set(s->opt.timers, &s->grace, grace_ms);
    server_maybe_free(s);
}

void http_server_refuse(struct http_server *s)
{
    static const struct refusal closing = {503, "UNAVAILABLE", "the server is stopping"};
    struct conn *c;

    CHECK(s->stopping);
    DL_FOREACH (s->conns, c) {
        if (c->reading == NULL || c->state == CONN_CLOSING)
            continue;
        CHECK(!c->busy);
        c->held = false;
        intake_refuse(c, &closing);
    }
}
