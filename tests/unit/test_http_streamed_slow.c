/* Answers in pieces for clients that take them slowly, or not at all. */
#include "http/streams.h"

static const struct http_limits two_streams = STREAM_LIMITS(2, 5000);

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

static const struct http_limits short_times = STREAM_LIMITS(100, 50);

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(test_back_pressure, &two_streams),
        STREAM_TEST(test_room_is_told_once, &two_streams),
        STREAM_TEST(test_an_idle_stream_stays, &short_times),
        STREAM_TEST(test_a_client_that_takes_nothing_is_cut, &short_times),
    };

    signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
