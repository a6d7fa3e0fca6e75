/* Answers in pieces: their framing, their place, and how many there may be. */
#include "http/streams.h"

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

static const struct http_limits two_streams = STREAM_LIMITS(2, 5000);

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(test_pieces_arrive_before_the_end, NULL),
        STREAM_TEST(test_an_end_without_pieces, NULL),
        STREAM_TEST(test_http_1_0_ends_with_the_connection, NULL),
        STREAM_TEST(test_http_1_0_with_others_behind, NULL),
        STREAM_TEST(test_http_1_0_begun_late, NULL),
        STREAM_TEST(test_head_gets_the_headers, NULL),
        STREAM_TEST(test_it_keeps_its_place, NULL),
        STREAM_TEST(test_the_body_is_not_kept, NULL),
        STREAM_TEST(test_a_piece_for_many, NULL),
        STREAM_TEST(test_many_pieces, NULL),
        STREAM_TEST(test_too_many, &two_streams),
    };

    signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
