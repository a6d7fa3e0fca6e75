/* Answers in pieces when the client leaves, and when the server stops. */
#include "http/streams.h"

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
        TWICE(test_the_client_leaves),
        TWICE(test_the_client_leaves_amid_a_write),
        STREAM_TEST(test_the_client_leaves_after_the_end, NULL),
        STREAM_TEST(test_the_client_left_before_the_beginning, NULL),
        STREAM_TEST(test_the_client_closes_its_side, NULL),
        STREAM_TEST(test_the_client_closed_its_side_before, NULL),
        STREAM_TEST(test_stop_ends_streams_at_once, NULL),
        STREAM_TEST(test_stop_waits_for_who_does_not_end, NULL),
        STREAM_TEST(test_nothing_begins_while_stopping, NULL),
    };

    signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
