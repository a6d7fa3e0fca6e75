/* test_http_order.c - answers that come later, in another order, in pieces, or to nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "http/fixture.h"

#define HOST "Host: x\r\n"
#define HOLD(n) "GET /hold?" #n " HTTP/1.1\r\n" HOST "\r\n"
#define BIG "GET /big HTTP/1.1\r\n" HOST "\r\n"
#define ASK_ECHO "GET /echo HTTP/1.1\r\n" HOST "\r\n"

static struct fixture f;
static struct client c;

static int setup(void **state)
{
    fixture_start(&f, *state);
    client_open(&c, &f);
    return 0;
}

static int teardown(void **state)
{
    client_close(&c);
    fixture_end(&f);
    return 0;
}

/* Every order in which four requests can be answered; the client sees one. */
static void test_any_order(void **state)
{
    static const char bodies[4][6] = {"one", "two", "three", "four"};

    for (int code = 0; code < 256; code++) {
        int order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3}, seen = 0;

        for (int i = 0; i < 4; i++)
            seen |= 1 << order[i];
        if (seen != 15)
            continue;
        f.held_count = 0;
        client_say(&c, HOLD(1) HOLD(2) HOLD(3) HOLD(4));
        fixture_await_held(&f, 4);
        for (int i = 0; i < 4; i++) {
            fixture_answer(&f, (unsigned)order[i], bodies[order[i]]);
            fixture_turn(&f);
        }
        for (int i = 0; i < 4; i++)
            client_expect(&c, 200, bodies[i]);
    }
}

static void test_nothing_overtakes(void **state)
{
    client_say(&c, HOLD(1) ASK_ECHO);
    fixture_await(&f, f.handled == 2);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    client_poll(&c);
    assert_int_equal(c.in.len, 0);
    fixture_answer(&f, 0, "slow");
    client_expect(&c, 200, "slow");
    client_expect(&c, 200, "GET /echo");
}

/* An early answer keeps its place, and so does the close that follows it. */
static void test_early_answer_waits_for_its_turn(void **state)
{
    struct answer a;

    client_say(&c, HOLD(1) "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9999999\r\n\r\n");
    fixture_await_held(&f, 1);
    fixture_answer(&f, 0, "first");
    client_answer(&c, false, &a);
    assert_int_equal(a.status, 200);
    assert_false(a.close);
    client_answer(&c, false, &a);
    assert_int_equal(a.status, 413);
    assert_true(a.close);
    client_expect_end(&c);
}

static const struct http_limits two_at_a_time = {
    .header_bytes_max = 4096,
    .body_bytes_max = 4096,
    .buffered_bytes_max = 1 << 20,
    .connections_max = 16,
    .pipelined_max = 2,
    .unsent_bytes_max = 64 << 10,
    .header_ms_max = 600000,
    .body_ms_max = 600000,
    .idle_ms_max = 600000,
    .write_ms_max = 600000,
};

static void test_reading_pauses(void **state)
{
    char text[16];

    client_say(&c, HOLD(1) HOLD(2) HOLD(3) HOLD(4) HOLD(5) ASK_ECHO);
    fixture_await_held(&f, 2);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    assert_int_equal(f.held_count, 2); /* the others wait their turn */
    for (unsigned i = 0; i < 5; i++) {
        fixture_await(&f, f.held_count > i);
        assert_in_range(f.held_count, i + 1, i + 2);
        snprintf(text, sizeof(text), "answer %u", i);
        fixture_answer(&f, i, text);
        client_expect(&c, 200, text);
    }
    client_expect(&c, 200, "GET /echo");
}

/* A thousand requests in one go, most of them beyond what may wait. */
static void test_many_pipelined(void **state)
{
    struct str all = {0};

    for (int i = 0; i < 1000; i++)
        str_printf(&all, "GET /echo?%d HTTP/1.1\r\n" HOST "\r\n", i);
    client_send(&c, str_slice(&all));
    for (int i = 0; i < 1000; i++) {
        char text[32];

        snprintf(text, sizeof(text), "query=%d", i);
        client_expect(&c, 200, text);
    }
    str_release(&all);
}

/* A client that asks and does not take: reading stops, memory does not grow, and everything comes
 * when it does take. */
static void test_back_pressure(void **state)
{
    struct str all = {0};
    unsigned before;
    struct answer a;

    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)), 0);
    for (int i = 0; i < 100; i++)
        str_add_cstr(&all, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(send(c.fd, all.p, all.len, MSG_NOSIGNAL), all.len);
    do {
        before = f.handled;
        for (int i = 0; i < 20; i++)
            fixture_turn(&f);
    } while (f.handled != before);
    assert_in_range(f.handled, 1, 50);
    for (int i = 0; i < 100; i++) {
        client_answer(&c, false, &a);
        assert_int_equal(a.status, 200);
        assert_int_equal(a.body_len, FIXTURE_BIG_BYTES);
        assert_int_equal(a.body[FIXTURE_BIG_BYTES - 1], 'a' + (FIXTURE_BIG_BYTES - 1) % 26);
    }
    str_release(&all);
}

static void test_half_closed_client_is_answered(void **state)
{
    client_say(&c, HOLD(1) HOLD(2));
    client_shut(&c);
    fixture_await_held(&f, 2);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    fixture_answer(&f, 1, "two");
    fixture_answer(&f, 0, "one");
    client_expect(&c, 200, "one");
    client_expect(&c, 200, "two");
    client_expect_end(&c);
}

/* The handler's request stays what it was, and its answer goes nowhere. */
static void test_client_gone(void **state)
{
    struct http_request *req;

    client_say(&c,
               "POST /hold?a=%62 HTTP/1.1\r\n" HOST "X-Show: yes\r\nContent-Length: 4\r\n\r\nbody");
    fixture_await_held(&f, 1);
    assert_int_equal(http_server_stats(f.server).connections, 1);
    client_reset(&c);
    fixture_await(&f, http_server_stats(f.server).connections == 0);
    req = f.held[0];
    struct slice a;

    assert_true(slice_is(req->body, "body") && slice_is(http_header(req, "x-show"), "yes"));
    assert_true(http_query(req, "a", &a) && slice_is(a, "b"));
    assert_int_equal(http_server_stats(f.server).buffered_bytes, 4);
    fixture_answer(&f, 0, "to nobody");
    assert_int_equal(http_server_stats(f.server).buffered_bytes, 0);
}

/* A reset is noticed while the handler still works, also when it comes with requests that wait. */
static void test_client_gone_while_paused(void **state)
{
    struct client other;

    client_say(&c, HOLD(1) HOLD(2) HOLD(3) HOLD(4));
    fixture_await_held(&f, 2);
    client_reset(&c);
    client_open(&other, &f);
    client_say(&other, ASK_ECHO);
    client_expect(&other, 200, "GET /echo");
    fixture_answer(&f, 0, "to nobody");
    fixture_answer(&f, 1, "to nobody");
    client_close(&other);
    fixture_await(&f, http_server_stats(f.server).connections == 0);
}

static void test_client_gone_with_an_answer_half_out(void **state)
{
    static const char text[] =
        BIG BIG BIG BIG BIG BIG BIG BIG BIG BIG BIG BIG BIG BIG BIG BIG HOLD(1);

    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)), 0);
    assert_true(send(c.fd, text, sizeof(text) - 1, MSG_NOSIGNAL) > 0);
    fixture_await_held(&f, 1);
    fixture_answer(&f, 0, "behind");
    client_reset(&c);
    fixture_await(&f, http_server_stats(f.server).connections == 0);
}

/* 100 Continue stands in line like any answer. */
static void test_continue(void **state)
{
    client_say(&c, HOLD(1) "POST /echo HTTP/1.1\r\n" HOST
                           "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    fixture_await_held(&f, 1);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    client_poll(&c);
    assert_int_equal(c.in.len, 0);
    fixture_answer(&f, 0, "first");
    client_expect(&c, 200, "first");
    client_expect(&c, 100, "");
    client_say(&c, "abc");
    client_expect(&c, 200, "body=abc");
}

static void test_continue_is_not_sent_when_not_wanted(void **state)
{
    client_say(&c,
               "POST /small HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    client_expect(&c, 413, "PAYLOAD_TOO_LARGE");
    client_expect_end(&c);
}

static void test_continue_is_not_sent_when_not_waited_for(void **state)
{
    client_say(&c, "POST /echo HTTP/1.1\r\n" HOST
                   "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    client_expect(&c, 200, "body=abc");
}

static void test_continue_is_not_sent_when_the_body_has_begun(void **state)
{
    client_say(&c, HOLD(1) "POST /echo HTTP/1.1\r\n" HOST
                           "Expect: 100-continue\r\nContent-Length: 3\r\n\r\na");
    fixture_await_held(&f, 1);
    fixture_answer(&f, 0, "first");
    client_expect(&c, 200, "first");
    client_say(&c, "bc");
    client_expect(&c, 200, "body=abc");
}

/* A client that goes on sending gets its answer, not a reset that takes the answer away. */
static void test_polite_close(void **state)
{
    struct str body = {0};

    str_reserve(&body, 1 << 20);
    memset(body.p, 'x', 1 << 20);
    client_say(&c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n");
    for (int i = 0; i < 8; i++)
        client_send(&c, (struct slice){body.p, 1 << 20});
    client_expect(&c, 413, "PAYLOAD_TOO_LARGE");
    client_expect_end(&c);
    str_release(&body);
}

static void test_stats(void **state)
{
    struct http_stats s;

    client_say(&c, ASK_ECHO "GET /nothing HTTP/1.1\r\n" HOST "\r\n");
    client_expect(&c, 200, "");
    client_expect(&c, 404, "");
    s = http_server_stats(f.server);
    assert_int_equal(s.connections, 1);
    assert_int_equal(s.connections_total, 1);
    assert_int_equal(s.requests_total, 2);
    assert_int_equal(s.responses_by_class[2], 1);
    assert_int_equal(s.responses_by_class[4], 1);
}

#define ROW(name, limits)                                                                          \
    {                                                                                              \
#name, name, setup, teardown, (void *)(uintptr_t)(limits)                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_any_order, NULL),
        ROW(test_nothing_overtakes, NULL),
        ROW(test_early_answer_waits_for_its_turn, NULL),
        ROW(test_reading_pauses, &two_at_a_time),
        ROW(test_many_pipelined, NULL),
        ROW(test_many_pipelined, &two_at_a_time),
        ROW(test_back_pressure, NULL),
        ROW(test_back_pressure, &two_at_a_time),
        ROW(test_half_closed_client_is_answered, NULL),
        ROW(test_client_gone, NULL),
        ROW(test_client_gone_while_paused, &two_at_a_time),
        ROW(test_client_gone_with_an_answer_half_out, NULL),
        ROW(test_continue, NULL),
        ROW(test_continue_is_not_sent_when_not_wanted, NULL),
        ROW(test_continue_is_not_sent_when_not_waited_for, NULL),
        ROW(test_continue_is_not_sent_when_the_body_has_begun, NULL),
        ROW(test_polite_close, NULL),
        ROW(test_stats, NULL),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
