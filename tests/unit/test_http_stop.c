/* test_http_stop.c - the graceful stop: what was begun is finished, what was not is not begun, and
 * the end always comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "http/fixture.h"

#define HOST "Host: x\r\n"
#define ASK_ECHO "GET /echo HTTP/1.1\r\n" HOST "\r\n"
#define ASK_HOLD "GET /hold HTTP/1.1\r\n" HOST "\r\n"

static struct fixture f;
static struct client c;

static int setup(void **state)
{
    fixture_start(&f, NULL);
    client_open(&c, &f);
    client_say(&c, ASK_ECHO);
    client_expect(&c, 200, "");
    return 0;
}

static int teardown(void **state)
{
    client_close(&c);
    fixture_end(&f);
    return 0;
}

static void expect_last(const char *body)
{
    struct answer a;

    client_answer(&c, false, &a);
    assert_int_equal(a.status, 200);
    assert_true(a.close);
    assert_non_null(strstr(a.body, body));
    client_expect_end(&c);
}

static void test_idle_connections_close_at_once(void **state)
{
    fixture_stop(&f, 60000);
    client_expect_end(&c);
    fixture_await(&f, f.server == NULL);
}

static void test_nobody_gets_in(void **state)
{
    struct client late;

    client_say(&c, ASK_HOLD);
    fixture_await_held(&f, 1);
    client_open(&late, &f); /* in the backlog: accepted by the kernel, not by us */
    fixture_stop(&f, 60000);
    fixture_await(&f, (client_poll(&late), late.eof));
    assert_int_equal(late.in.len, 0);
    client_close(&late);
    fixture_answer(&f, 0, "finished");
    expect_last("finished");
}

static void test_handlers_finish(void **state)
{
    client_say(&c, ASK_HOLD ASK_HOLD);
    fixture_await_held(&f, 2);
    fixture_stop(&f, 60000);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    fixture_answer(&f, 0, "first");
    client_expect(&c, 200, "first");
    fixture_answer(&f, 1, "second");
    expect_last("second");
    fixture_await(&f, f.server == NULL);
}

static void test_begun_requests_finish(void **state)
{
    unsigned handled = f.handled;

    client_say(&c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc");
    fixture_stop(&f, 60000);
    fixture_turn(&f);
    client_say(&c, "def" ASK_ECHO);
    expect_last("body=abcdef");
    assert_int_equal(f.handled, handled + 1); /* the next one was not begun */
    fixture_await(&f, f.server == NULL);
}

static void test_begun_head_finishes(void **state)
{
    client_say(&c, "GET /echo HT");
    fixture_stop(&f, 60000);
    fixture_turn(&f);
    client_say(&c, "TP/1.1\r\n" HOST "\r\n");
    expect_last("GET /echo");
}

/* After the grace time connections are cut; the end waits for the handlers all the same. */
static void test_grace_ends(void **state)
{
    client_say(&c, ASK_HOLD);
    fixture_await_held(&f, 1);
    fixture_stop(&f, 30);
    fixture_await(&f, (client_poll(&c), c.eof));
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    assert_non_null(f.server);
    assert_true(slice_is(f.held[0]->path, "/hold"));
    fixture_answer(&f, 0, "to nobody");
    fixture_await(&f, f.server == NULL);
    assert_int_equal(c.in.len, 0);
}

static void test_grace_ends_for_the_slow(void **state)
{
    client_say(&c, "GET /echo HT");
    fixture_stop(&f, 30);
    fixture_await(&f, f.server == NULL);
}

/* Clients that take their time to close do not hold the stop up until its grace is over. */
static void test_linger_is_short(void **state)
{
    uint64_t began = fixture_clock();

    client_say(&c, ASK_HOLD);
    fixture_await_held(&f, 1);
    fixture_stop(&f, 100 * FIXTURE_WAIT_MS);
    fixture_answer(&f, 0, "finished");
    expect_last("finished");
    fixture_await(&f, f.server == NULL); /* c is still open */
    assert_true(fixture_clock() - began >= 100);
}

static void stop_now(struct http_request *req, void *ctx)
{
    fixture_stop(ctx, 60000);
    http_respond(req, 200, NULL, SLICE("stopping"));
}

/* A handler may stop the server it is called by. */
static void test_stop_from_a_handler(void **state)
{
    static const struct http_route row = {"POST", "/stop", stop_now, SCOPE_PUBLIC, 0};

    http_server_route(f.server, &row, 1, &f);
    client_say(&c, "POST /stop HTTP/1.1\r\n" HOST "\r\n" ASK_ECHO);
    expect_last("stopping");
    client_close(&c);
    fixture_await(&f, f.server == NULL);
}

/* What has come whole is finished; the rest is told to go, wherever it is. */
static void test_refusing_what_is_half_way(void **state)
{
    struct client head, body;

    client_open(&head, &f);
    client_open(&body, &f);
    client_say(&c, ASK_HOLD);
    fixture_await_held(&f, 1);
    client_say(&head, "GET /echo HTTP/1.1\r\nHo");
    client_say(&body, ASK_ECHO "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nhalf");
    client_expect(&body, 200, "");
    fixture_await(&f, http_server_stats(f.server).buffered_bytes == 4);
    fixture_stop(&f, 3600000);
    http_server_refuse(f.server);
    client_expect(&head, 503, "UNAVAILABLE");
    client_expect_end(&head);
    client_expect(&body, 503, "UNAVAILABLE");
    client_say(&body, " past");
    client_expect_end(&body);
    assert_int_equal(f.handled, 3); /* two echoes and what is held */
    fixture_answer(&f, 0, "finished");
    expect_last("finished");
    client_close(&head);
    client_close(&body);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_idle_connections_close_at_once),
        ROW(test_nobody_gets_in),
        ROW(test_handlers_finish),
        ROW(test_begun_requests_finish),
        ROW(test_begun_head_finishes),
        ROW(test_grace_ends),
        ROW(test_grace_ends_for_the_slow),
        ROW(test_linger_is_short),
        ROW(test_stop_from_a_handler),
        ROW(test_refusing_what_is_half_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
