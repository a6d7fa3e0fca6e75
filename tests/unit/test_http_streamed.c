/* test_http_streamed.c - answers in pieces: their framing, their place, their limits, and every way they end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "http/fixture.h"

#define HOST "Host: x\r\n"
#define STREAM "GET /stream HTTP/1.1\r\n" HOST "\r\n"
#define ASK_ECHO "GET /echo HTTP/1.1\r\n" HOST "\r\n"
#define ASK_HOLD "GET /hold HTTP/1.1\r\n" HOST "\r\n"
#define STREAMS_MAX 128
#define SMALL_BYTES_MAX 4096 /* stream_bytes_max where a test fills it */

static struct fixture f;
static struct client c;

/* What each stream was told, in the order of their requests. */
static struct {
    struct http_request *req[STREAMS_MAX];
    unsigned room[STREAMS_MAX], shut[STREAMS_MAX], gone[STREAMS_MAX], stop[STREAMS_MAX];
    unsigned count, open, refused;
    bool end_when_gone, end_when_stopped;
} s;

static unsigned number_of(const struct http_request *req)
{
    for (unsigned i = 0; i < s.count; i++)
        if (s.req[i] == req)
            return i;
    fail_msg("not a stream of ours");
    return 0;
}

static void end(unsigned i)
{
    struct http_request *req = s.req[i];

    assert_non_null(req);
    s.req[i] = NULL;
    s.open--;
    http_stream_end(req);
}

static void room(struct http_request *req)
{
    s.room[number_of(req)]++;
}

static void shut(struct http_request *req)
{
    s.shut[number_of(req)]++;
}

static void gone(struct http_request *req)
{
    const unsigned i = number_of(req);

    s.gone[i]++;
    if (s.end_when_gone)
        end(i);
}

static void stop(struct http_request *req)
{
    const unsigned i = number_of(req);

    s.stop[i]++;
    if (s.end_when_stopped)
        end(i);
}

static const struct http_stream_ops ops = {room, shut, gone, stop};

static void begin(struct http_request *req)
{
    if (!http_stream_begin(req, 200, "text/plain", &ops)) {
        s.refused++;
        return;
    }
    assert_true(s.count < STREAMS_MAX);
    s.req[s.count++] = req;
    s.open++;
}

static void stream(struct http_request *req, void *ctx)
{
    assert_ptr_equal(ctx, &s);
    begin(req);
}

static const struct http_route routes[] = {{"GET", "/stream", stream, SCOPE_PUBLIC, 0, NULL}};

static int setup(void **state)
{
    memset(&s, 0, sizeof(s));
    fixture_start(&f, *state);
    http_server_route(f.server, routes, 1, &s);
    client_open(&c, &f);
    return 0;
}

static int teardown(void **state)
{
    client_close(&c);
    for (unsigned i = 0; i < s.count; i++)
        if (s.req[i] != NULL)
            end(i);
    fixture_end(&f);
    return 0;
}

static bool say(unsigned i, const char *text)
{
    struct http_piece *p = http_piece_make(slice_of(text));
    const bool ret = http_stream_write(s.req[i], p);

    http_piece_release(p);
    return ret;
}

static void await_streams(unsigned count)
{
    fixture_await(&f, s.count >= count);
    assert_int_equal(s.count, count);
}

/* Takes exactly these bytes. */
static void expect_bytes(struct client *from, const char *text)
{
    const size_t len = strlen(text);

    fixture_await(&f, (client_poll(from), from->in.len >= len || from->eof));
    if (from->in.len < len || memcmp(from->in.p, text, len) != 0)
        fail_msg("not `%s` but `%s`", text, from->in.p ? from->in.p : "");
    memmove(from->in.p, from->in.p + len, from->in.len - len + 1);
    from->in.len -= len;
}

/* Takes the head of a streamed answer, which says this; what is behind it stays. */
static void expect_head(struct client *from, const char *says, const char *says_not)
{
    struct answer a;

    client_answer(from, true, &a);
    assert_int_equal(a.status, 200);
    assert_null(strstr(a.head, "Content-Length"));
    if (strstr(a.head, says) == NULL || strstr(a.head, says_not) != NULL)
        fail_msg("`%s`", a.head);
}

static void expect_chunked(struct client *from)
{
    expect_head(from, "Transfer-Encoding: chunked\r\n", "Connection: close");
}

/* ---- framing and order ---- */

static void test_pieces_arrive_before_the_end(void **state)
{
    client_say(&c, STREAM);
    await_streams(1);
    expect_chunked(&c);
    assert_true(say(0, "one\n"));
    expect_bytes(&c, "4\r\none\n\r\n");
    assert_true(say(0, "a line of more than fifteen bytes"));
    assert_true(say(0, "x"));
    expect_bytes(&c, "21\r\na line of more than fifteen bytes\r\n1\r\nx\r\n");
    end(0);
    expect_bytes(&c, "0\r\n\r\n");
    client_say(&c, ASK_ECHO);
    client_expect(&c, 200, "GET /echo");
}

static void test_an_end_without_pieces(void **state)
{
    client_say(&c, STREAM);
    await_streams(1);
    end(0);
    expect_chunked(&c);
    expect_bytes(&c, "0\r\n\r\n");
    client_say(&c, STREAM);
    await_streams(2);
    expect_chunked(&c);
    end(1); /* everything is out already */
    expect_bytes(&c, "0\r\n\r\n");
}

static void test_http_1_0_ends_with_the_connection(void **state)
{
    client_say(&c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await_streams(1);
    expect_head(&c, "Connection: close\r\n", "Transfer-Encoding");
    assert_true(say(0, "one\n"));
    expect_bytes(&c, "one\n");
    assert_true(say(0, "two\n"));
    end(0);
    expect_bytes(&c, "two\n");
    client_expect_end(&c);
}

/* What was sent behind such a request cannot be answered: whole, half, and held requests are let go
 * of. */
static void test_http_1_0_with_others_behind(void **state)
{
    client_say(&c, "GET /hold HTTP/1.1\r\n" HOST "\r\n"
                   "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" ASK_ECHO
                   "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nhalf");
    fixture_await_held(&f, 1);
    await_streams(1);
    assert_true(say(0, "one\n"));
    fixture_answer(&f, 0, "held");
    client_expect(&c, 200, "held");
    expect_head(&c, "Connection: close\r\n", "Transfer-Encoding");
    end(0);
    expect_bytes(&c, "one\n");
    client_expect_end(&c);
    assert_int_equal(f.handled, 1); /* nothing behind was begun */
}

/* A handler begins its stream when others behind it have been read already. */
static void test_http_1_0_begun_late(void **state)
{
    client_say(&c, "GET /hold HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" ASK_HOLD ASK_ECHO
                   "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nhalf");
    fixture_await(&f, f.handled == 3 && f.held_count == 2);
    begin(f.held[0]);
    f.held[0] = NULL;
    assert_true(say(0, "one\n"));
    end(0);
    expect_head(&c, "Connection: close\r\n", "Transfer-Encoding");
    expect_bytes(&c, "one\n");
    client_expect_end(&c);
    fixture_answer(&f, 1, "to nobody");
}

static void test_head_gets_the_headers(void **state)
{
    client_say(&c, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n" ASK_ECHO
                   "HEAD /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" ASK_ECHO);
    fixture_await(&f, s.refused == 2);
    expect_chunked(&c);
    client_expect(&c, 200, "GET /echo");
    expect_head(&c, "Connection: keep-alive\r\n", "chunked");
    client_expect(&c, 200, "GET /echo");
    assert_int_equal(http_server_stats(f.server).streams, 0);
}

static void test_it_keeps_its_place(void **state)
{
    client_say(&c, ASK_HOLD STREAM ASK_ECHO STREAM ASK_ECHO);
    await_streams(2);
    assert_true(say(0, "one\n"));
    assert_true(say(1, "of the other\n"));
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    client_poll(&c);
    assert_int_equal(c.in.len, 0);
    fixture_answer(&f, 0, "first");
    client_expect(&c, 200, "first");
    expect_chunked(&c);
    expect_bytes(&c, "4\r\none\n\r\n");
    end(1); /* behind the open one */
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    client_poll(&c);
    assert_int_equal(c.in.len, 0);
    end(0);
    expect_bytes(&c, "0\r\n\r\n");
    client_expect(&c, 200, "GET /echo");
    expect_chunked(&c);
    expect_bytes(&c, "d\r\nof the other\n\r\n0\r\n\r\n");
    client_expect(&c, 200, "GET /echo");
}

static void test_the_body_is_not_kept(void **state)
{
    client_say(&c, "GET /stream HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody");
    await_streams(1);
    assert_int_equal(s.req[0]->body.len, 0);
    assert_int_equal(http_server_stats(f.server).buffered_bytes, 0);
}

/* ---- many ---- */

static void test_a_piece_for_many(void **state)
{
    struct client many[100];
    struct http_piece *p = http_piece_make(SLICE("the same\n"));

    for (int i = 0; i < 100; i++) {
        client_open(&many[i], &f);
        client_say(&many[i], i % 2 == 0 ? STREAM : "GET /stream HTTP/1.0\r\n\r\n");
        await_streams((unsigned)i + 1);
    }
    assert_int_equal(http_server_stats(f.server).streams, 100);
    for (unsigned i = 0; i < 100; i++)
        assert_true(http_stream_write(s.req[i], p));
    http_piece_release(p);
    for (unsigned i = 0; i < 100; i++) {
        end(i);
        if (i % 2 == 0) {
            expect_chunked(&many[i]);
            expect_bytes(&many[i], "9\r\nthe same\n\r\n0\r\n\r\n");
        } else {
            expect_head(&many[i], "Connection: close\r\n", "chunked");
            expect_bytes(&many[i], "the same\n");
            client_expect_end(&many[i]);
        }
        client_close(&many[i]);
    }
    assert_int_equal(http_server_stats(f.server).streams, 0);
}

/* More pieces than fit one write, and than the ring begins with. */
static void test_many_pieces(void **state)
{
    client_say(&c, STREAM);
    await_streams(1);
    for (int i = 0; i < 500; i++) {
        char text[2] = {(char)('a' + i % 26), '\0'};

        assert_true(say(0, text));
    }
    end(0);
    expect_chunked(&c);
    for (int i = 0; i < 500; i++) {
        char text[16];

        snprintf(text, sizeof(text), "1\r\n%c\r\n", 'a' + i % 26);
        expect_bytes(&c, text);
    }
    expect_bytes(&c, "0\r\n\r\n");
}

static const struct http_limits two_streams = {
    .header_bytes_max = 4096,
    .body_bytes_max = 4096,
    .buffered_bytes_max = 1 << 20,
    .connections_max = 16,
    .pipelined_max = 8,
    .unsent_bytes_max = 64 << 10,
    .streams_max = 2,
    .stream_bytes_max = SMALL_BYTES_MAX,
    .header_ms_max = 600000,
    .body_ms_max = 600000,
    .idle_ms_max = 600000,
    .write_ms_max = 600000,
};

static void test_too_many(void **state)
{
    client_say(&c, STREAM STREAM STREAM);
    fixture_await(&f, s.refused == 1);
    end(0);
    end(1);
    for (int i = 0; i < 2; i++) {
        expect_chunked(&c);
        expect_bytes(&c, "0\r\n\r\n");
    }
    client_expect(&c, 503, "UNAVAILABLE");
    client_say(&c, STREAM);
    await_streams(3);
}

/* ---- back-pressure ---- */

/* Fills the stream and the kernel's buffers until a write is refused. Returns how many letters went
 * in. */
static size_t fill(unsigned i, size_t letters)
{
    char text[513];

    do {
        for (size_t at = 0; at < 512; at++)
            text[at] = (char)('a' + (letters + at) % 26);
        text[512] = '\0';
        fixture_turn(&f);
        letters += 512;
    } while (say(i, text));
    return letters - 512;
}

static void narrow(struct client *k)
{
    assert_int_equal(setsockopt(k->fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)), 0);
}

static void test_back_pressure(void **state)
{
    size_t letters = 0;

    narrow(&c);
    client_say(&c, "GET /stream HTTP/1.0\r\n\r\n");
    await_streams(1);
    for (unsigned round = 1; round <= 3; round++) {
        letters = fill(0, letters);
        assert_in_range(http_stream_queued(s.req[0]), SMALL_BYTES_MAX, SMALL_BYTES_MAX + 1024);
        assert_int_equal(s.room[0], round - 1);
        fixture_await(&f, (client_poll(&c), s.room[0] == round));
        assert_true(http_stream_queued(s.req[0]) <= SMALL_BYTES_MAX / 2);
    }
    end(0);
    fixture_await(&f, (client_poll(&c), c.eof));
    const char *body = strstr(c.in.p, "\r\n\r\n") + 4;

    assert_int_equal(strlen(body), letters);
    for (size_t i = 0; i < letters; i++)
        assert_int_equal(body[i], 'a' + i % 26);
}

/* And not again without another refusal. */
static void test_room_is_told_once(void **state)
{
    narrow(&c);
    client_say(&c, STREAM);
    await_streams(1);
    fill(0, 0);
    fixture_await(&f, (client_poll(&c), s.room[0] == 1));
    assert_true(say(0, "one"));
    fixture_await(&f, (client_poll(&c), http_stream_queued(s.req[0]) == 0));
    assert_int_equal(s.room[0], 1);
}

static const struct http_limits short_times = {
    .header_bytes_max = 4096,
    .body_bytes_max = 4096,
    .buffered_bytes_max = 1 << 20,
    .connections_max = 16,
    .pipelined_max = 8,
    .unsent_bytes_max = 64 << 10,
    .streams_max = 100,
    .stream_bytes_max = SMALL_BYTES_MAX,
    .header_ms_max = 500,
    .body_ms_max = 500,
    .idle_ms_max = 500,
    .write_ms_max = 500,
};

static void test_an_idle_stream_stays(void **state)
{
    const uint64_t until = fixture_clock() + 1200;

    client_say(&c, STREAM);
    await_streams(1);
    expect_chunked(&c);
    fixture_await(&f, fixture_clock() > until);
    assert_true(say(0, "late"));
    expect_bytes(&c, "4\r\nlate\r\n");
    assert_int_equal(s.gone[0], 0);
}

/* It is cut, and its neighbour notices nothing. */
static void test_a_client_that_takes_nothing_is_cut(void **state)
{
    struct client other;

    client_open(&other, &f);
    client_say(&other, STREAM);
    await_streams(1);
    expect_chunked(&other);
    narrow(&c);
    client_say(&c, STREAM);
    await_streams(2);
    fill(1, 0);
    fixture_await(&f, s.gone[1] == 1);
    assert_int_equal(http_server_stats(f.server).streams_cut, 1);
    assert_int_equal(http_server_stats(f.server).streams, 2);
    assert_true(say(1, "to nobody"));
    end(1);
    fixture_await(&f, http_server_stats(f.server).connections == 1);
    assert_true(say(0, "here"));
    expect_bytes(&other, "4\r\nhere\r\n");
    assert_int_equal(s.gone[0] + s.room[1], 0);
    client_close(&other);
}

/* ---- clients that leave ---- */

static void test_the_client_leaves(void **state)
{
    s.end_when_gone = *state != NULL;
    client_say(&c, STREAM STREAM ASK_HOLD);
    fixture_await_held(&f, 1);
    await_streams(2);
    client_reset(&c);
    fixture_await(&f, s.gone[0] == 1 && s.gone[1] == 1);
    if (!s.end_when_gone) {
        for (int i = 0; i < 1000; i++) {
            assert_true(say(0, "to nobody"));
            assert_true(say(1, "to nobody"));
        }
        assert_int_equal(http_stream_queued(s.req[0]), 0);
        end(0);
        end(1);
    }
    fixture_await(&f, http_server_stats(f.server).connections == 0);
    assert_int_equal(http_server_stats(f.server).streams, 0);
    assert_int_equal(s.gone[0] + s.gone[1], 2);
}

/* libuv still has pieces to write when the connection breaks. */
static void test_the_client_leaves_amid_a_write(void **state)
{
    s.end_when_gone = *state != NULL;
    narrow(&c);
    client_say(&c, "GET /echo HTTP/1.1\r\n" HOST "\r\n" STREAM STREAM);
    await_streams(2);
    fill(0, 0);
    client_reset(&c);
    fixture_await(&f, s.gone[0] == 1 && s.gone[1] == 1);
    fixture_await(&f, http_server_stats(f.server).connections == 0);
    if (!s.end_when_gone) {
        end(0);
        end(1);
    }
    assert_int_equal(http_server_stats(f.server).streams, 0);
}

/* The rest of an ended stream is on its way out when the connection breaks. */
static void test_the_client_leaves_after_the_end(void **state)
{
    narrow(&c);
    client_say(&c, STREAM);
    await_streams(1);
    fill(0, 0);
    end(0);
    client_reset(&c);
    fixture_await(&f, http_server_stats(f.server).connections == 0);
    assert_int_equal(s.gone[0], 0);
}

static void test_the_client_left_before_the_beginning(void **state)
{
    client_say(&c, ASK_HOLD);
    fixture_await_held(&f, 1);
    client_reset(&c);
    fixture_await(&f, http_server_stats(f.server).connections == 0);
    begin(f.held[0]);
    f.held[0] = NULL;
    assert_int_equal(s.refused, 1);
}

/* It may be gone, or only have said all it has to say: it gets everything in either case. */
static void test_the_client_closes_its_side(void **state)
{
    client_say(&c, STREAM);
    await_streams(1);
    expect_chunked(&c);
    client_shut(&c);
    fixture_await(&f, s.shut[0] == 1);
    assert_true(say(0, "still\n"));
    expect_bytes(&c, "6\r\nstill\n\r\n");
    end(0);
    expect_bytes(&c, "0\r\n\r\n");
    client_expect_end(&c);
    assert_int_equal(s.gone[0], 0);
}

static void test_the_client_closed_its_side_before(void **state)
{
    client_say(&c, ASK_HOLD);
    client_shut(&c);
    fixture_await_held(&f, 1);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    begin(f.held[0]);
    f.held[0] = NULL;
    fixture_await(&f, s.shut[0] == 1);
    client_close(&c);
    for (int i = 0; i < 100 && s.gone[0] == 0; i++) {
        assert_true(say(0, "are you there?\n"));
        fixture_turn(&f);
    }
    fixture_await(&f, s.gone[0] == 1);
}

/* ---- stopping ---- */

static void test_stop_ends_streams_at_once(void **state)
{
    s.end_when_stopped = true;
    client_say(&c, STREAM STREAM);
    await_streams(2);
    assert_true(say(0, "one\n"));
    fixture_stop(&f, 3600000);
    expect_chunked(&c);
    expect_bytes(&c, "4\r\none\n\r\n0\r\n\r\n");
    expect_chunked(&c);
    expect_bytes(&c, "0\r\n\r\n");
    client_expect_end(&c);
    fixture_await(&f, f.server == NULL);
    assert_int_equal(s.stop[0] + s.stop[1], 2);
}

static void test_stop_waits_for_who_does_not_end(void **state)
{
    client_say(&c, STREAM);
    await_streams(1);
    fixture_stop(&f, 0);
    fixture_await(&f, s.gone[0] == 1);
    assert_int_equal(s.stop[0], 1);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    assert_non_null(f.server);
    end(0);
    fixture_await(&f, f.server == NULL);
}

static void test_nothing_begins_while_stopping(void **state)
{
    struct answer a;

    client_say(&c, ASK_HOLD);
    fixture_await_held(&f, 1);
    fixture_stop(&f, 3600000);
    begin(f.held[0]);
    f.held[0] = NULL;
    assert_int_equal(s.refused, 1);
    client_answer(&c, false, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_len, 0);
    client_expect_end(&c);
}

#define ROW(name, limits)                                                                          \
    {                                                                                              \
#name, name, setup, teardown, (void *)(uintptr_t)(limits)                                  \
    }

static int setup_defaults(void **state)
{
    void *none = NULL;

    return setup(&none);
}

/* The row's state is for the test: whether a stream is ended from within gone(). */
#define TWICE(name)                                                                                \
    {#name, name, setup_defaults, teardown, NULL},                                                 \
    {                                                                                              \
#name " and is ended at once", name, setup_defaults, teardown, &s                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_pieces_arrive_before_the_end, NULL),
        ROW(test_an_end_without_pieces, NULL),
        ROW(test_http_1_0_ends_with_the_connection, NULL),
        ROW(test_http_1_0_with_others_behind, NULL),
        ROW(test_http_1_0_begun_late, NULL),
        ROW(test_head_gets_the_headers, NULL),
        ROW(test_it_keeps_its_place, NULL),
        ROW(test_the_body_is_not_kept, NULL),
        ROW(test_a_piece_for_many, NULL),
        ROW(test_many_pieces, NULL),
        ROW(test_too_many, &two_streams),
        ROW(test_back_pressure, &two_streams),
        ROW(test_room_is_told_once, &two_streams),
        ROW(test_an_idle_stream_stays, &short_times),
        ROW(test_a_client_that_takes_nothing_is_cut, &short_times),
        TWICE(test_the_client_leaves),
        TWICE(test_the_client_leaves_amid_a_write),
        ROW(test_the_client_leaves_after_the_end, NULL),
        ROW(test_the_client_left_before_the_beginning, NULL),
        ROW(test_the_client_closes_its_side, NULL),
        ROW(test_the_client_closed_its_side_before, NULL),
        ROW(test_stop_ends_streams_at_once, NULL),
        ROW(test_stop_waits_for_who_does_not_end, NULL),
        ROW(test_nothing_begins_while_stopping, NULL),
    };

    signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
