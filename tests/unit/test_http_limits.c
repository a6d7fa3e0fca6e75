/* test_http_limits.c - too much, too many, too slow: each limit with its documented answer. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "http/fixture.h"

#define HOST "Host: x\r\n"
#define ASK_ECHO "GET /echo HTTP/1.1\r\n" HOST "\r\n"

static struct fixture f;

static int setup(void **state)
{
    fixture_start(&f, *state);
    return 0;
}

static int teardown(void **state)
{
    fixture_end(&f);
    return 0;
}

static struct http_stats stats(void)
{
    return http_server_stats(f.server);
}

/* ---- time ---- */

static const struct http_limits quick = {
    .header_bytes_max = 4096,
    .body_bytes_max = 1 << 20,
    .buffered_bytes_max = 4 << 20,
    .connections_max = 4096,
    .pipelined_max = 4,
    .unsent_bytes_max = 64 << 10,
    .header_ms_max = 200,
    .body_ms_max = 250,
    .idle_ms_max = 1000, /* a busy machine stands still for longer than one would think */
    .write_ms_max = 300,
};

/* Says something, stops, and waits for the end. Returns how long it took. */
static uint64_t stall(const char *text, int status, const char *body_part)
{
    uint64_t began = fixture_clock();
    struct client c;

    client_open(&c, &f);
    client_say(&c, text);
    if (status != 0)
        client_expect(&c, status, body_part);
    client_expect_end(&c);
    client_close(&c);
    return fixture_clock() - began;
}

static void test_slow_head(void **state)
{
    assert_true(stall("G", 408, "headers") >= quick.header_ms_max);
    assert_true(stall("GET /echo HTTP/1.1\r\nHost: x\r\n", 408, "headers") >= quick.header_ms_max);
    assert_true(stall("\r\n", 408, "headers") >= quick.header_ms_max);
    assert_int_equal(f.handled, 0);
}

/* The time of a head does not begin anew with each byte. */
static void test_trickled_head(void **state)
{
    uint64_t began = fixture_clock(), next = began;
    struct client c;

    client_open(&c, &f);
    client_say(&c, "GET /echo HTTP/1.1\r\n");
    while (!c.eof) {
        fixture_await(&f, (client_poll(&c), c.eof || fixture_clock() >= next));
        next = fixture_clock() + 10;
        (void)send(c.fd, "a", 1, MSG_NOSIGNAL);
    }
    assert_true(fixture_clock() - began >= quick.header_ms_max);
    client_expect(&c, 408, "REQUEST_TIMEOUT");
    client_close(&c);
}

static void test_slow_body(void **state)
{
    static const char head[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n";

    assert_true(stall(head, 408, "body") >= quick.body_ms_max);
    assert_int_equal(f.handled, 0);
    assert_int_equal(stats().buffered_bytes, 0);
}

/* Always some progress, but less than 1 KiB a second: it would go on for ten seconds. */
static void test_trickled_body(void **state)
{
    uint64_t next = 0, began = fixture_clock();
    struct client c;

    client_open(&c, &f);
    client_say(&c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    while (!c.eof) {
        fixture_await(&f, (client_poll(&c), c.eof || fixture_clock() >= next));
        next = fixture_clock() + 10;
        (void)send(c.fd, "a", 1, MSG_NOSIGNAL);
    }
    assert_true(fixture_clock() - began >= quick.body_ms_max);
    client_expect(&c, 408, "REQUEST_TIMEOUT");
    assert_int_equal(f.handled, 0);
    client_close(&c);
}

static void test_idle(void **state)
{
    struct client c;
    uint64_t asked;

    assert_true(stall("", 0, "") >= quick.idle_ms_max);
    client_open(&c, &f);
    asked = fixture_clock();
    client_say(&c, ASK_ECHO);
    client_expect(&c, 200, "");
    client_expect_end(&c);
    assert_true(fixture_clock() - asked >= quick.idle_ms_max);
    client_close(&c);
}

/* The rest of a body that nobody wants: closed, without another answer. */
static void test_slow_rest(void **state)
{
    static const char head[] = "POST /nothing HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc";

    assert_true(stall(head, 404, "NOT_FOUND") >= quick.body_ms_max);
}

/* Waiting for a handler has no limit here, and idling begins after the answer. */
static void test_handlers_have_time(void **state)
{
    uint64_t until = fixture_clock() + quick.idle_ms_max + 200;
    struct client c;

    client_open(&c, &f);
    client_say(&c, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    fixture_await_held(&f, 1);
    fixture_await(&f, fixture_clock() >= until);
    fixture_answer(&f, 0, "late");
    client_expect(&c, 200, "late");
    client_say(&c, ASK_ECHO);
    client_expect(&c, 200, "");
    client_close(&c);
}

/* A client that does not take its answer is cut. */
static void test_slow_reader(void **state)
{
    static const char text[] = "GET /big HTTP/1.1\r\n" HOST "\r\n";
    struct client c;
    uint64_t began;

    client_open(&c, &f);
    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)), 0);
    for (int i = 0; i < 100; i++)
        assert_true(send(c.fd, text, sizeof(text) - 1, MSG_NOSIGNAL) > 0);
    fixture_await(&f, stats().connections == 1);
    began = fixture_clock();
    fixture_await(&f, stats().connections == 0);
    assert_true(fixture_clock() - began >= quick.write_ms_max / 2);
    client_close(&c);
}

#define SLOW_CLIENTS 2000

/* As many as descriptors allow: each client takes two here. */
static unsigned slow_clients(void)
{
    struct rlimit l;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
    l.rlim_cur = l.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
    return l.rlim_cur > 2 * SLOW_CLIENTS + 100 ? SLOW_CLIENTS : (unsigned)(l.rlim_cur - 100) / 2;
}

/* Thousands of slow clients do not make a fast one wait: what it says is answered within a few turns of the loop. */
static void test_fast_among_slow(void **state)
{
    static struct client slow[SLOW_CLIENTS], fast;
    unsigned n = slow_clients();

    for (unsigned i = 0; i < n; i++) {
        client_open(&slow[i], &f);
        client_say(&slow[i], i % 2 ? "POST /echo HTTP/1.1\r\nHo"
                                   : "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc");
    }
    fixture_await(&f, stats().connections == n);
    client_open(&fast, &f);
    fixture_await(&f, stats().connections == n + 1);
    for (int i = 0; i < 100; i++) {
        assert_true(send(fast.fd, ASK_ECHO, strlen(ASK_ECHO), MSG_NOSIGNAL) > 0);
        for (int turns = 0; fast.in.len == 0; turns++) {
            assert_in_range(turns, 0, 10);
            fixture_turn(&f);
            client_poll(&fast);
        }
        client_expect(&fast, 200, "GET /echo");
    }
    assert_int_equal(stats().connections, n + 1);
    client_close(&fast);
    for (unsigned i = 0; i < n; i++)
        client_close(&slow[i]);
}

/* ---- room ---- */

static const struct http_limits tiny = {
    .header_bytes_max = 4096,
    .body_bytes_max = 1000,
    .buffered_bytes_max = 1500,
    .connections_max = 2,
    .pipelined_max = 4,
    .unsent_bytes_max = 64 << 10,
    .header_ms_max = 600000,
    .body_ms_max = 600000,
    .idle_ms_max = 600000,
    .write_ms_max = 600000,
};

static void test_buffered_bytes(void **state)
{
    struct str post = {0};
    struct client a, b;

    str_add_cstr(&post, "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    for (int i = 0; i < 1000; i++)
        str_add_char(&post, 'x');
    client_open(&a, &f);
    client_open(&b, &f);
    client_send(&a, str_slice(&post));
    fixture_await_held(&f, 1);
    assert_int_equal(stats().buffered_bytes, 1000);
    client_send(&b, str_slice(&post));
    client_expect(&b, 503, "UNAVAILABLE");
    client_say(&b, ASK_ECHO); /* without a body there is room */
    client_expect(&b, 200, "");
    fixture_answer(&f, 0, "done");
    client_expect(&a, 200, "done");
    assert_int_equal(stats().buffered_bytes, 0);
    client_send(&b, str_slice(&post));
    fixture_await_held(&f, 2);
    fixture_answer(&f, 1, "done");
    client_expect(&b, 200, "done");
    client_close(&a);
    client_close(&b);
    str_release(&post);
}

/* Without a length it is only known on the way. */
static void test_buffered_bytes_chunked(void **state)
{
    char chunk[900];
    struct client a, b;

    memset(chunk, 'x', sizeof(chunk));
    client_open(&a, &f);
    client_open(&b, &f);
    client_say(&a, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n384\r\n");
    client_send(&a, (struct slice){chunk, sizeof(chunk)});
    fixture_await(&f, stats().buffered_bytes == 900);
    client_say(&b, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n384\r\n");
    client_send(&b, (struct slice){chunk, sizeof(chunk)});
    client_expect(&b, 503, "UNAVAILABLE");
    client_expect_end(&b);
    client_say(&a, "\r\n0\r\n\r\n");
    client_expect(&a, 200, "body=xxx");
    assert_int_equal(stats().buffered_bytes, 0);
    assert_int_equal(f.handled, 1);
    client_close(&a);
    client_close(&b);
}

static void test_retry_after(void **state)
{
    struct client a, b, c;
    struct answer answer;

    client_open(&a, &f);
    client_open(&b, &f);
    fixture_await(&f, stats().connections == 2);
    client_open(&c, &f);
    client_answer(&c, false, &answer);
    assert_int_equal(answer.status, 503);
    assert_true(answer.close);
    assert_non_null(strstr(answer.head, "\r\nRetry-After: 1\r\n"));
    client_expect_end(&c);
    client_close(&c);
    client_say(&a, ASK_ECHO); /* those that are there go on */
    client_expect(&a, 200, "");
    client_close(&a);
    fixture_await(&f, stats().connections == 1);
    client_open(&c, &f);
    client_say(&c, ASK_ECHO);
    client_expect(&c, 200, "");
    client_close(&b);
    client_close(&c);
}

/* Many that are too many: all of them end, whether they were told why or not. */
static void test_connection_flood(void **state)
{
    struct client in[2], out[300];

    for (int i = 0; i < 2; i++)
        client_open(&in[i], &f);
    fixture_await(&f, stats().connections == 2);
    for (int i = 0; i < 300; i++)
        client_open(&out[i], &f);
    for (int i = 0; i < 300; i++)
        fixture_await(&f, (client_poll(&out[i]), out[i].eof));
    assert_int_equal(stats().connections, 2);
    client_expect(&out[0], 503, "too many connections");
    for (int i = 0; i < 300; i++)
        client_close(&out[i]);
    for (int i = 0; i < 2; i++)
        client_close(&in[i]);
}

/* ---- descriptors ---- */

/* Allows no new descriptor, and turns the loop for a while, which would not come back from a spin. */
static void run_without_descriptors(struct client *a, struct client *more, unsigned count)
{
    struct rlimit old, none;
    int probe = dup(0);
    uint64_t until = fixture_clock() + 50;

    close(probe);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)probe, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    fixture_await(&f, fixture_clock() >= until);
    client_say(a, ASK_ECHO);
    client_expect(a, 200, "");
    for (unsigned i = 0; i < count; i++)
        fixture_await(&f, (client_poll(&more[i]), more[i].eof));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void without_descriptors(bool spare_lost)
{
    struct client a, more[20];

    client_open(&a, &f);
    client_say(&a, ASK_ECHO);
    client_expect(&a, 200, "");
    for (int i = 0; i < 20; i++)
        client_open(&more[i], &f); /* in the backlog */
    if (spare_lost) {
        close(f.loop.emfile_fd);
        f.loop.emfile_fd = -1;
    }
    run_without_descriptors(&a, more, 20);
    for (int i = 0; i < 20; i++)
        client_close(&more[i]);
    client_open(&more[0], &f);
    client_say(&more[0], ASK_ECHO);
    client_expect(&more[0], 200, "");
    client_close(&more[0]);
    client_close(&a);
}

/* Without free descriptors nothing spins, what is connected goes on, and later connections work
 * again. */
static void test_no_descriptors(void **state)
{
    without_descriptors(false);
}

/* The same when libuv's own remedy has failed, which leaves its accept loop to us. */
static void test_no_descriptors_at_all(void **state)
{
    without_descriptors(true);
}

/* A command that the daemon starts gets none of its sockets. */
static void test_close_on_exec(void **state)
{
    struct client c;
    struct stat st;
    int sockets = 0;

    client_open(&c, &f);
    client_say(&c, ASK_ECHO);
    client_expect(&c, 200, "");
    for (int fd = 3; fd < 256; fd++) {
        if (fd == c.fd || fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
            continue;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        sockets++;
    }
    assert_true(sockets >= 2); /* the listener and the connection */
    client_close(&c);
}

static void test_listen(void **state)
{
    uint16_t port;
    int err;

    assert_int_equal(http_server_listen(f.server, "127.0.0.1", f.port, &port), -EADDRINUSE);
    assert_int_equal(http_server_listen(f.server, "localhost", 0, &port), -EINVAL);
    assert_int_equal(http_server_listen(f.server, "192.0.2.1", 0, &port), -EADDRNOTAVAIL);
    err = http_server_listen(f.server, "::1", 0, &port);
    assert_true(err == 0 || err == -EADDRNOTAVAIL ||
                err == -EAFNOSUPPORT); /* not every machine has it */
    assert_int_equal(http_server_listen(f.server, "127.0.0.1", 0, &port), 0);
    assert_true(port != 0 && port != f.port);
}

#define ROW(name, limits)                                                                          \
    {                                                                                              \
#name, name, setup, teardown, (void *)(uintptr_t)(limits)                                  \
    }

int main(void)
{
    static struct http_limits lasting;
    lasting = http_limits_default;
    lasting.header_ms_max = lasting.body_ms_max = 3600000;
    const struct CMUnitTest tests[] = {
        ROW(test_slow_head, &quick),
        ROW(test_trickled_head, &quick),
        ROW(test_slow_body, &quick),
        ROW(test_trickled_body, &quick),
        ROW(test_idle, &quick),
        ROW(test_slow_rest, &quick),
        ROW(test_handlers_have_time, &quick),
        ROW(test_slow_reader, &quick),
        ROW(test_fast_among_slow, &lasting),
        ROW(test_buffered_bytes, &tiny),
        ROW(test_buffered_bytes_chunked, &tiny),
        ROW(test_retry_after, &tiny),
        ROW(test_connection_flood, &tiny),
        ROW(test_no_descriptors, NULL),
        ROW(test_no_descriptors_at_all, NULL),
        ROW(test_close_on_exec, NULL),
        ROW(test_listen, NULL),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
