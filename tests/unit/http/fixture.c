#include "fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/check.h"

/* ---- handlers ---- */

static void echo(struct http_request *req, void *ctx)
{
    struct fixture *f = ctx;
    struct str s = {0};

    f->handled++;
    str_printf(&s, "%s %.*s", req->method, (int)req->path.len, req->path.p);
    if (req->query.p != NULL)
        str_printf(&s, " query=%.*s", (int)req->query.len, req->query.p);
    for (int i = 0; i < HTTP_PARAMS_MAX && req->params[i].p != NULL; i++)
        str_printf(&s, " %.*s", (int)req->params[i].len, req->params[i].p);
    if (req->body.len > 0)
        str_printf(&s, " body=%.*s", (int)req->body.len, req->body.p);
    if (http_header(req, "x-show").p != NULL) {
        struct slice v = http_header(req, "x-show");

        str_printf(&s, " show=%.*s", (int)v.len, v.p);
    }
    http_respond(req, 200, "text/plain", str_slice(&s));
    str_release(&s);
}

static void query(struct http_request *req, void *ctx)
{
    struct slice a = SLICE("absent");

    ((struct fixture *)ctx)->handled++;
    (void)http_query(req, "a", &a);
    http_respond(req, 200, "text/plain", a);
}

static void hold(struct http_request *req, void *ctx)
{
    struct fixture *f = ctx;

    f->handled++;
    CHECK(f->held_count < FIXTURE_HELD_MAX);
    f->held[f->held_count++] = req;
}

static void none(struct http_request *req, void *ctx)
{
    ((struct fixture *)ctx)->handled++;
    http_response_header(req, "X-Extra", "yes");
    http_respond(req, 204, NULL, SLICE(""));
}

static void big(struct http_request *req, void *ctx)
{
    char *p = malloc(FIXTURE_BIG_BYTES);

    ((struct fixture *)ctx)->handled++;
    CHECK(p != NULL);
    for (int i = 0; i < FIXTURE_BIG_BYTES; i++)
        p[i] = (char)('a' + i % 26);
    http_respond(req, 200, "text/plain", (struct slice){p, FIXTURE_BIG_BYTES});
    free(p);
}

static const struct http_route routes[] = {
    {"GET", "/echo", echo, SCOPE_PUBLIC, 0},      {"POST", "/echo", echo, SCOPE_PUBLIC, 0},
    {"PUT", "/echo", echo, SCOPE_PUBLIC, 0},      {"OPTIONS", "/echo", echo, SCOPE_PUBLIC, 0},
    {"GET", "/p/{a}/{b}", echo, SCOPE_PUBLIC, 0}, {"GET", "/p/{a}/fixed", echo, SCOPE_PUBLIC, 0},
    {"POST", "/small", echo, SCOPE_PUBLIC, 8},    {"POST", "/api", echo, SCOPE_API, 0},
    {"GET", "/hold", hold, SCOPE_PUBLIC, 0},      {"POST", "/hold", hold, SCOPE_PUBLIC, 0},
    {"GET", "/none", none, SCOPE_PUBLIC, 0},      {"GET", "/big", big, SCOPE_PUBLIC, 0},
    {"GET", "/query", query, SCOPE_PUBLIC, 0},    {"GET", "/", echo, SCOPE_PUBLIC, 0},
};

static bool authorize(void *arg, const struct http_request *req, struct diag *why)
{
    if (slice_is(http_header(req, "x-key"), "good"))
        return true;
    diag_set(why, DIAG_UNAUTHENTICATED, "an API key is needed for %.*s", (int)req->path.len,
             req->path.p);
    return false;
}

/* ---- the server ---- */

uint64_t fixture_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void fixture_start(struct fixture *f, const struct http_limits *limits)
{
    struct http_server_options opt = {.loop = &f->loop,
                                      .timers = &f->timers,
                                      .limits = limits ? *limits : http_limits_default,
                                      .authorize = authorize};

    memset(f, 0, sizeof(*f));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    timers_init(&f->timers, &f->loop);
    f->server = http_server_create(&opt);
    http_server_route(f->server, routes, ARRAY_SIZE(routes), f);
    assert_int_equal(http_server_listen(f->server, "127.0.0.1", 0, &f->port), 0);
    assert_true(f->port > 0);
}

void fixture_turn(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void server_closed(void *arg)
{
    struct fixture *f = arg;

    f->server = NULL;
}

void fixture_stop(struct fixture *f, uint64_t grace_ms)
{
    f->stopping = true;
    http_server_stop(f->server, grace_ms, server_closed, f);
}

void fixture_end(struct fixture *f)
{
    if (!f->stopping)
        fixture_stop(f, 0);
    for (unsigned i = 0; i < f->held_count; i++)
        if (f->held[i] != NULL)
            fixture_answer(f, i, "at the end");
    fixture_await(f, f->server == NULL);
    timers_close(&f->timers, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

void fixture_await_held(struct fixture *f, unsigned count)
{
    fixture_await(f, f->held_count >= count);
    assert_int_equal(f->held_count, count);
}

void fixture_answer(struct fixture *f, unsigned i, const char *body)
{
    struct http_request *req = f->held[i];

    assert_non_null(req);
    f->held[i] = NULL;
    http_respond(req, 200, "text/plain", slice_of(body));
}

/* ---- clients ---- */

void client_open(struct client *c, struct fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(f->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *c = (struct client){.f = f, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

void client_send(struct client *c, struct slice bytes)
{
    uint64_t give_up = fixture_clock() + FIXTURE_WAIT_MS;

    while (bytes.len > 0) {
        ssize_t n = send(c->fd, bytes.p, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            break;
        if (n > 0)
            bytes = (struct slice){bytes.p + n, bytes.len - (size_t)n};
        fixture_turn(c->f);
        client_poll(c);
        assert_true(fixture_clock() < give_up);
    }
}

void client_say(struct client *c, const char *text)
{
    client_send(c, slice_of(text));
}

void client_shut(struct client *c)
{
    (void)shutdown(c->fd, SHUT_WR);
}

void client_poll(struct client *c)
{
    char buf[65536];
    ssize_t n;

    while (!c->eof && (n = recv(c->fd, buf, sizeof(buf), 0)) != -1) {
        if (n == 0)
            c->eof = true;
        else
            str_add(&c->in, buf, (size_t)n);
    }
    if (!c->eof && errno != EAGAIN)
        c->eof = c->reset = true;
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    str_release(&c->in);
}

void client_reset(struct client *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    client_close(c);
}

/* The bytes of the answer at the front of c->in, or 0 when it is not complete. */
static size_t answer_bytes(const struct client *c, bool head_only, size_t *ret_head)
{
    const char *end = c->in.len > 0 ? strstr(c->in.p, "\r\n\r\n") : NULL;
    const char *length = c->in.len > 0 ? strstr(c->in.p, "Content-Length: ") : NULL;
    size_t body = 0;

    if (end == NULL)
        return 0;
    *ret_head = (size_t)(end - c->in.p) + 4;
    if (length != NULL && length < end && !head_only)
        body = strtoul(length + 16, NULL, 10);
    return c->in.len >= *ret_head + body ? *ret_head + body : 0;
}

/* The last answer's text, kept so that its user need not free it. */
static struct str taken_head, taken_body;

void client_answer(struct client *c, bool head_only, struct answer *ret)
{
    size_t head = 0, all = 0;

    *ret = (struct answer){0};
    client_poll(c);
    fixture_await(c->f, (client_poll(c), (all = answer_bytes(c, head_only, &head)) > 0 || c->eof));
    if (all == 0)
        return;
    str_reset(&taken_head);
    str_reset(&taken_body);
    str_add(&taken_head, c->in.p, head);
    str_add(&taken_body, c->in.p + head, all - head);
    memmove(c->in.p, c->in.p + all, c->in.len - all + 1);
    c->in.len -= all;
    assert_memory_equal(taken_head.p, "HTTP/1.1 ", 9);
    *ret = (struct answer){.status = atoi(taken_head.p + 9),
                           .close = strstr(taken_head.p, "\r\nConnection: close\r\n") != NULL,
                           .head = taken_head.p,
                           .body = taken_body.p,
                           .body_len = taken_body.len};
}

void client_expect(struct client *c, int status, const char *body_part)
{
    struct answer a;

    client_answer(c, false, &a);
    assert_int_equal(a.status, status);
    if (strstr(a.body, body_part) == NULL)
        fail_msg("no `%s` in `%s`", body_part, a.body);
}

void client_expect_end(struct client *c)
{
    fixture_await(c->f, (client_poll(c), c->eof));
    if (c->in.len > 0)
        fail_msg("more came: %s", c->in.p);
    assert_false(c->reset);
}
