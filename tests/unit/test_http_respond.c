/* test_http_respond.c - what an answer looks like on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/json.h"
#include "http/fixture.h"
#include "io/http/date.h"

static struct fixture f;
static struct client c;
static struct answer a;

static int setup(void **state)
{
    fixture_start(&f, NULL);
    client_open(&c, &f);
    return 0;
}

static int teardown(void **state)
{
    client_close(&c);
    fixture_end(&f);
    return 0;
}

static struct http_request *request(const char *method)
{
    struct str s = {0};

    f.held_count = 0;
    str_printf(&s, "%s /hold HTTP/1.1\r\nHost: x\r\n\r\n", method);
    client_send(&c, str_slice(&s));
    str_release(&s);
    fixture_await_held(&f, 1);
    return f.held[0];
}

/* The answer's head without its Date line, which is checked for itself. */
static void expect_head(const char *expected)
{
    char *date = strstr(a.head, "Date: ");

    assert_non_null(date);
    assert_memory_equal(date + 6 + DATE_LEN, "\r\n", 2);
    memmove(date, date + 6 + DATE_LEN + 2, strlen(date + 6 + DATE_LEN + 2) + 1);
    assert_string_equal(a.head, expected);
    f.held[0] = NULL;
}

static void test_bytes(void **state)
{
    http_respond(request("GET"), 201, "text/x", SLICE("hello"));
    client_answer(&c, false, &a);
    expect_head("HTTP/1.1 201 Created\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\n");
    assert_string_equal(a.body, "hello");

    http_respond(request("GET"), 200, NULL, SLICE(""));
    client_answer(&c, false, &a);
    expect_head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

    http_respond(request("GET"), 204, NULL, SLICE("never"));
    client_answer(&c, false, &a);
    expect_head("HTTP/1.1 204 No Content\r\n\r\n");

    http_respond(request("GET"), 304, NULL, SLICE(""));
    client_answer(&c, false, &a);
    expect_head("HTTP/1.1 304 Not Modified\r\n\r\n");

    http_respond(request("HEAD"), 200, "text/x", SLICE("hello"));
    client_answer(&c, true, &a);
    expect_head("HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\n");

    http_respond(request("GET"), 299, NULL, SLICE(""));
    client_answer(&c, false, &a);
    expect_head("HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
    client_poll(&c);
    assert_int_equal(c.in.len, 0);
}

static void test_headers(void **state)
{
    struct http_request *req = request("GET");

    http_response_header(req, "X-One", "1");
    http_response_header(req, "X-Two", arena_strdup(req->arena, SLICE("two")));
    http_respond_json(req, 200, SLICE("{}"));
    client_answer(&c, false, &a);
    expect_head("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                "X-One: 1\r\nX-Two: two\r\n\r\n");
}

/* A header that could begin another header ends the process: its text came from where it must not. */
static void test_header_injection(void **state)
{
    static const char *const values[] = {"a\r\nX: b", "a\nb", "a\x7f"};
    struct http_request *req = request("GET");
    int status;

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            (void)!freopen("/dev/null", "w", stderr);
            signal(SIGABRT, SIG_DFL);
            http_response_header(req, "X-Evil", values[i]);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static const struct {
    enum diag_code code;
    unsigned retry_after_s;
    int status;
    const char *name, *header; /* one that must be there, or NULL */
} errors[] = {
    {DIAG_INVALID_ARGUMENT, 0, 400, "INVALID_ARGUMENT", NULL},
    {DIAG_UNAUTHENTICATED, 0, 401, "UNAUTHENTICATED", "\r\nWWW-Authenticate: Bearer\r\n"},
    {DIAG_NOT_FOUND, 7, 404, "NOT_FOUND", NULL},
    {DIAG_RESOURCE_EXHAUSTED, 0, 429, "RESOURCE_EXHAUSTED", "\r\nRetry-After: 1\r\n"},
    {DIAG_RESOURCE_EXHAUSTED, 60, 429, "RESOURCE_EXHAUSTED", "\r\nRetry-After: 60\r\n"},
    {DIAG_UNAVAILABLE, 4000000000, 503, "UNAVAILABLE", "\r\nRetry-After: 4000000000\r\n"},
};

static void test_errors(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        http_respond_error(request("GET"), errors[i].code, errors[i].retry_after_s, "why \"so\"");
        f.held[0] = NULL;
        client_answer(&c, false, &a);
        assert_int_equal(a.status, errors[i].status);
        json_t *root = json_loadb(a.body, a.body_len, 0, NULL), *error;

        assert_non_null(root);
        error = json_object_get(root, "error");
        assert_int_equal(json_object_size(error), 2);
        assert_string_equal(json_string_value(json_object_get(error, "code")), errors[i].name);
        assert_string_equal(json_string_value(json_object_get(error, "message")), "why \"so\"");
        json_decref(root);
        if (errors[i].header != NULL)
            assert_non_null(strstr(a.head, errors[i].header));
        else
            assert_null(strstr(a.head, "Retry-After"));
    }
}

/* Whatever came in, what goes out is valid UTF-8. */
static void test_message_of_any_bytes(void **state)
{
    http_respond_error(request("GET"), DIAG_NOT_FOUND, 0, "no \xff\xfe\n\x01 here \xc3\xa4");
    f.held[0] = NULL;
    client_answer(&c, false, &a);
    assert_true(utf8_valid((struct slice){a.body, a.body_len}));
    json_t *root = json_loadb(a.body, a.body_len, 0, NULL);

    assert_non_null(root);
    json_decref(root);
}

static void test_diag(void **state)
{
    struct diag d;

    diag_set(&d, DIAG_FAILED_PRECONDITION, "config.x: must be %d", 3);
    http_respond_diag(request("GET"), &d);
    f.held[0] = NULL;
    client_answer(&c, false, &a);
    assert_int_equal(a.status, 409);
    assert_string_equal(
        a.body,
        "{\"error\":{\"code\":\"FAILED_PRECONDITION\",\"message\":\"config.x: must be 3\"}}");
}

static void test_date(void **state)
{
    struct date d = {0};

    assert_true(
        slice_is(date_text(&d, (struct wall){784111777999}), "Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_true(
        slice_is(date_text(&d, (struct wall){784111778000}), "Sun, 06 Nov 1994 08:49:38 GMT"));
    assert_true(
        slice_is(date_text(&d, (struct wall){784111777000}), "Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_true(slice_is(date_text(&d, (struct wall){0}), "Thu, 01 Jan 1970 00:00:00 GMT"));
}

/* What was kept for earlier requests is not seen by later ones. */
static void test_pool_is_clean(void **state)
{
    client_say(
        &c, "POST /echo?q HTTP/1.1\r\nHost: x\r\nX-Show: secret\r\nContent-Length: 4\r\n\r\nbody");
    client_expect(&c, 200, "POST /echo query=q body=body show=secret");
    client_say(&c, "GET /p/one/two HTTP/1.1\r\nHost: x\r\n\r\n");
    client_expect(&c, 200, "GET /p/one/two one two");
    client_say(&c, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    client_answer(&c, false, &a);
    assert_string_equal(a.body, "GET /echo");
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_bytes),
        ROW(test_headers),
        ROW(test_header_injection),
        ROW(test_errors),
        ROW(test_message_of_any_bytes),
        ROW(test_diag),
        ROW(test_pool_is_clean),
        cmocka_unit_test(test_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
