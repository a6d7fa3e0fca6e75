/* test_http_stream.c - bodies that go to a sink as they come: every one ends with its handler or with a cut, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "http/fixture.h"

#define HOST "Host: x\r\n"
#define POST(length) "POST /sink HTTP/1.1\r\n" HOST "Content-Length: " #length "\r\n\r\n"
#define CHUNKED "POST /sink HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define ASK_ECHO "GET /echo HTTP/1.1\r\n" HOST "\r\n"
#define SINK_BYTES_MAX 1000

static struct fixture f;
static struct client c;

/* What the sink was told, and what it is to do. */
static struct {
    unsigned begun, cut, completed;
    struct str got;
    struct http_request *req;
    bool refuse_begin, hold, refuse_data;
} sink;

static uint64_t body_bytes_max(void *ctx)
{
    return SINK_BYTES_MAX;
}

static int begin(struct http_request *req, void *ctx, struct diag *why)
{
    assert_ptr_equal(ctx, &sink);
    if (sink.refuse_begin)
        return diag_set(why, DIAG_NOT_FOUND, "no such sink");
    sink.begun++;
    sink.req = req;
    req->stream = &sink;
    return 0;
}

static enum http_flow data(struct http_request *req, struct slice piece, struct diag *why)
{
    assert_ptr_equal(req->stream, &sink);
    assert_true(piece.len > 0);
    str_add_slice(&sink.got, piece);
    if (sink.refuse_data)
        diag_set(why, DIAG_UNAVAILABLE, "the disk is full");
    return sink.refuse_data ? HTTP_REFUSE : sink.hold ? HTTP_HOLD : HTTP_ON;
}

static void cut(struct http_request *req)
{
    assert_ptr_equal(req, sink.req);
    sink.cut++;
    sink.req = NULL;
}

static void complete(struct http_request *req, void *ctx)
{
    assert_ptr_equal(req, sink.req);
    assert_int_equal(req->body.len, 0);
    sink.completed++;
    http_respond(req, 201, "text/plain", str_slice(&sink.got));
}

static const struct http_sink ops = {
    .body_bytes_max = body_bytes_max, .begin = begin, .data = data, .cut = cut};
static const struct http_route routes[] = {{"POST", "/sink", complete, SCOPE_PUBLIC, 0, &ops}};

static int setup(void **state)
{
    memset(&sink, 0, sizeof(sink));
    fixture_start(&f, *state);
    http_server_route(f.server, routes, 1, &sink);
    client_open(&c, &f);
    return 0;
}

static int teardown(void **state)
{
    client_close(&c);
    fixture_end(&f);
    assert_int_equal(sink.begun, sink.cut + sink.completed);
    str_release(&sink.got);
    return 0;
}

static void test_pieces(void **state)
{
    client_say(&c, POST(10) "hello");
    fixture_await(&f, sink.got.len == 5);
    assert_int_equal(sink.completed, 0);
    client_say(&c, "world" ASK_ECHO);
    client_expect(&c, 201, "helloworld");
    client_expect(&c, 200, "GET /echo");
    str_reset(&sink.got);
    client_say(&c, CHUNKED "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n" CHUNKED "0\r\n\r\n");
    client_expect(&c, 201, "abc");
    client_expect(&c, 201, "");
    assert_int_equal(sink.completed, 3);
}

static void test_nothing_to_stream(void **state)
{
    client_say(&c, POST(0) ASK_ECHO);
    client_expect(&c, 201, "");
    client_expect(&c, 200, "GET /echo");
}

static void test_continue(void **state)
{
    client_say(&c,
               "POST /sink HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    client_expect(&c, 100, "");
    client_say(&c, "hi");
    client_expect(&c, 201, "hi");
}

static void test_holding(void **state)
{
    sink.hold = true;
    client_say(&c, POST(10) "hello");
    fixture_await(&f, sink.got.len == 5);
    client_say(&c, "wor");
    for (int i = 0; i < 20; i++)
        fixture_turn(&f);
    assert_int_equal(sink.got.len, 5);
    http_body_resume(sink.req);
    fixture_await(&f, sink.got.len == 8);
    sink.hold = false;
    http_body_resume(sink.req);
    http_body_resume(sink.req); /* is not held any more: nothing to do */
    client_say(&c, "ld");
    client_expect(&c, 201, "helloworld");
}

/* What comes behind a piece in the same read waits with it, be it the next piece, the end, or the next request. */
static void test_holding_what_is_there(void **state)
{
    sink.hold = true;
    client_say(&c, CHUNKED "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n" ASK_ECHO);
    fixture_await(&f, sink.got.len == 2);
    for (int i = 0; i < 20; i++)
        fixture_turn(&f);
    assert_int_equal(sink.got.len, 2);
    http_body_resume(sink.req);
    fixture_await(&f, sink.got.len == 4);
    assert_int_equal(sink.completed, 0);
    http_body_resume(sink.req);
    client_expect(&c, 201, "abcd");
    client_expect(&c, 200, "GET /echo");
}

/* While it is held, the time is not the client's. */
static void test_holding_is_not_slowness(void **state)
{
    sink.hold = true;
    client_say(&c, POST(3) "a");
    fixture_await(&f, sink.got.len == 1);
    const uint64_t begin_ms = fixture_clock();
    while (fixture_clock() < begin_ms + 1200) /* twice as long as a body may pause here */
        fixture_turn(&f);
    sink.hold = false;
    http_body_resume(sink.req);
    client_say(&c, "bc");
    client_expect(&c, 201, "abc");
}

static void test_a_slow_client_is_cut(void **state)
{
    client_say(&c, POST(3) "a");
    client_expect(&c, 408, "too long");
    assert_int_equal(sink.cut, 1);
}

static void test_refused_at_the_head(void **state)
{
    sink.refuse_begin = true;
    client_say(&c, POST(2) "hi" ASK_ECHO);
    client_expect(&c, 404, "no such sink");
    client_expect(&c, 200, "GET /echo");
    assert_int_equal(sink.begun, 0);
}

static void test_refused_in_the_middle(void **state)
{
    sink.refuse_data = true;
    client_say(&c, POST(500) "hi");
    client_expect(&c, 503, "the disk is full");
    assert_int_equal(sink.cut, 1);
    client_expect_end(&c);
}

static void test_refused_while_held(void **state)
{
    struct diag why;
    sink.hold = true;
    client_say(&c, POST(500) "hi");
    fixture_await(&f, sink.got.len == 2);
    diag_set(&why, DIAG_UNAVAILABLE, "the disk is full");
    http_body_refuse(sink.req, &why);
    assert_int_equal(sink.cut, 1);
    client_expect(&c, 503, "the disk is full");
    client_expect_end(&c);
}

static void test_too_large(void **state)
{
    char chunk[512];
    client_say(&c, POST(1001));
    client_expect(&c, 413, "larger");
    assert_int_equal(sink.begun, 0);
    client_close(&c);
    client_open(&c, &f);
    memset(chunk, 'x', sizeof(chunk));
    client_say(&c, CHUNKED);
    for (int i = 0; i < 2; i++) {
        client_say(&c, "200\r\n");
        client_send(&c, (struct slice){chunk, sizeof(chunk)});
        client_say(&c, "\r\n");
    }
    client_expect(&c, 413, "larger");
    assert_int_equal(sink.cut, 1);
}

static void test_a_client_that_goes(void **state)
{
    client_say(&c, POST(10) "hello");
    fixture_await(&f, sink.got.len == 5);
    client_reset(&c);
    fixture_await(&f, sink.cut == 1);
    client_open(&c, &f);
    client_say(&c, POST(10) "hello");
    fixture_await(&f, sink.begun == 2);
    client_shut(&c);
    fixture_await(&f, sink.cut == 2);
}

static void test_broken_chunks(void **state)
{
    client_say(&c, CHUNKED "2\r\nab\r\nzz\r\n");
    client_expect(&c, 400, "malformed");
    assert_int_equal(sink.cut, 1);
}

static void test_stopping(void **state)
{
    client_say(&c, POST(10) "hello");
    fixture_await(&f, sink.got.len == 5);
    fixture_stop(&f, 0);
    fixture_await(&f, sink.cut == 1);
}

/* The sink is told before what it works with goes. */
static void refuse_half_way(bool held)
{
    sink.hold = held;
    client_say(&c, POST(10) "12345");
    fixture_await(&f, sink.got.len == 5);
    fixture_stop(&f, 3600000);
    http_server_refuse(f.server);
    assert_null(sink.req);
    client_expect(&c, 503, "UNAVAILABLE");
    client_expect_end(&c);
    assert_int_equal(sink.begun, 1);
    assert_int_equal(sink.cut, 1);
}

static void test_the_server_refuses(void **state)
{
    refuse_half_way(false);
}

static void test_the_server_refuses_while_held(void **state)
{
    refuse_half_way(true);
}

int main(void)
{
    static struct http_limits hurried;
    hurried = http_limits_default;
    hurried.body_ms_max = 600;
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_pieces),
        CASE(test_nothing_to_stream),
        CASE(test_continue),
        CASE(test_holding),
        CASE(test_holding_what_is_there),
        cmocka_unit_test_prestate_setup_teardown(test_holding_is_not_slowness, setup, teardown,
                                                 &hurried),
        cmocka_unit_test_prestate_setup_teardown(test_a_slow_client_is_cut, setup, teardown,
                                                 &hurried),
        CASE(test_refused_at_the_head),
        CASE(test_refused_in_the_middle),
        CASE(test_refused_while_held),
        CASE(test_too_large),
        CASE(test_a_client_that_goes),
        CASE(test_broken_chunks),
        CASE(test_stopping),
        CASE(test_the_server_refuses),
        CASE(test_the_server_refuses_while_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
