/* The blocking client against a server that says what a test wants. */
#include "io/curl/fetch.h"
#include "peer.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static void answers_come_as_they_are(void **state)
{
    static const struct {
        const char *raw;
        int status;
        const char *type, *body;
        uint64_t retry_after_ms;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", 200,
         "text/plain", "hi", 0},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", 404, NULL, "none", 0},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, NULL, "", 0},
        {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, NULL, "", 7000},
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302,
         NULL, "", 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, NULL,
         "abc", 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct peer p;
        struct fetch_answer a;
        struct diag why = {0};
        peer_start(&p, cases[i].raw);
        const int err = fetch(&(struct fetch){.method = "GET", .url = p.url}, &a, &why);
        peer_stop(&p);
        str_release(&p.got);
        assert_string_equal(why.msg, "");
        assert_int_equal(err, 0);
        assert_int_equal(a.status, cases[i].status);
        assert_true(slice_is(str_slice(&a.body), cases[i].body));
        assert_true(slice_eq(slice_of(a.content_type), slice_of(cases[i].type)));
        assert_int_equal(a.retry_after_ms, cases[i].retry_after_ms);
        fetch_answer_release(&a);
    }
}

static void requests_say_what_they_were_told(void **state)
{
    static const char *const headers[] = {"Content-Type: application/json", "X-Api-Key: k", NULL};
    static const struct {
        struct fetch f;
        const char *first, *last;
    } cases[] = {
        {{.method = "POST", .headers = headers, .body = {"{\"a\":1}", 7}},
         "POST / HTTP/1.1\r\n",
         "\r\n\r\n{\"a\":1}"},
        {{.method = "PUT", .headers = headers, .body = {"", 0}}, "PUT / HTTP/1.1\r\n", "\r\n\r\n"},
        {{.method = "POST"}, "POST / HTTP/1.1\r\n", "\r\n\r\n"},
        {{.method = "DELETE"}, "DELETE / HTTP/1.1\r\n", "\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct peer p;
        struct fetch f = cases[i].f;
        struct fetch_answer a;
        struct diag why;
        peer_start(&p, "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n");
        f.url = p.url;
        assert_int_equal(fetch(&f, &a, &why), 0);
        fetch_answer_release(&a);
        peer_stop(&p);
        assert_true(slice_starts(str_slice(&p.got), cases[i].first));
        const size_t n = strlen(cases[i].last);
        assert_true(p.got.len > n);
        assert_string_equal(p.got.p + p.got.len - n, cases[i].last);
        assert_null(strcasestr(p.got.p, "\r\nexpect:"));
        if (f.headers != NULL)
            assert_non_null(strstr(p.got.p, "\r\nX-Api-Key: k\r\n"));
        str_release(&p.got);
    }
}

/* What fetch() says about a request that has no answer. */
static void assert_trouble(const struct fetch *f, const char *expected)
{
    struct fetch_answer a;
    struct diag why;
    assert_int_equal(fetch(f, &a, &why), -EINVAL);
    if (strstr(why.msg, expected) == NULL)
        fail_msg("'%s' does not have '%s'", why.msg, expected);
    assert_null(a.body.p);
    assert_null(a.content_type);
}

static void a_server_that_is_not_there_is_named(void **state)
{
    assert_trouble(
        &(struct fetch){.method = "GET", .url = "http://user:secret@127.0.0.1:1/api?x=1"},
        "cannot reach http://127.0.0.1:1: Connection refused");
    assert_trouble(&(struct fetch){.method = "GET", .url = "http://nobody.invalid/"},
                   "cannot reach http://nobody.invalid: ");
    assert_trouble(&(struct fetch){.method = "GET", .url = "file:///etc/passwd"}, "file");
}

static void a_silent_server_is_left(void **state)
{
    struct peer p;
    peer_start(&p, NULL);
    assert_trouble(&(struct fetch){.method = "GET", .url = p.url, .timeout_ms = 100},
                   "no complete answer within 100ms");
    peer_stop(&p);
    str_release(&p.got);
}

static void an_answer_has_a_limit(void **state)
{
    struct peer p;
    peer_start(&p, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef");
    assert_trouble(&(struct fetch){.method = "GET", .url = p.url, .body_bytes_max = 5},
                   "longer than 5 bytes");
    peer_stop(&p);
    str_release(&p.got);
    peer_start(&p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    assert_trouble(&(struct fetch){.method = "GET", .url = p.url}, "http://127.0.0.1:");
    peer_stop(&p);
    str_release(&p.got);
}

static bool take_once(void *arg, int status, struct slice bytes)
{
    str_add_slice(arg, bytes);
    return false;
}

static bool take_all(void *arg, int status, struct slice bytes)
{
    str_add_slice(arg, bytes);
    return true;
}

static void a_body_can_be_taken_as_it_comes(void **state)
{
    static const struct {
        const char *raw;
        bool (*received)(void *, int, struct slice);
        const char *taken, *body;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", take_all,
         "abc", ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", take_once, "abc",
         ""}, /* it never ends */
        {"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", take_all, "", "no"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct peer p;
        struct str taken = {0};
        struct fetch_answer a;
        struct diag why;
        peer_start(&p, cases[i].raw);
        assert_int_equal(fetch(&(struct fetch){.method = "GET",
                                               .url = p.url,
                                               .received = cases[i].received,
                                               .arg = &taken},
                               &a, &why),
                         0);
        peer_stop(&p);
        assert_true(slice_is(str_slice(&taken), cases[i].taken));
        assert_true(slice_is(str_slice(&a.body), cases[i].body));
        fetch_answer_release(&a);
        str_release(&taken);
        str_release(&p.got);
    }
}

/* A proxy of the environment is not for this machine. */
static void this_machine_needs_no_proxy(void **state)
{
    struct peer p;
    struct fetch_answer a;
    struct diag why;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    peer_start(&p, "HTTP/1.1 204 Fine\r\n\r\n");
    assert_int_equal(fetch(&(struct fetch){.method = "GET", .url = p.url}, &a, &why), 0);
    peer_stop(&p);
    fetch_answer_release(&a);
    str_release(&p.got);
    assert_trouble(&(struct fetch){.method = "GET", .url = "http://pawl.invalid/"},
                   "Connection refused");
    setenv("no_proxy", "pawl.invalid", 1);
    assert_trouble(&(struct fetch){.method = "GET", .url = "http://pawl.invalid/"}, "resolve");
    unsetenv("http_proxy");
    unsetenv("no_proxy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_as_they_are),
        cmocka_unit_test(requests_say_what_they_were_told),
        cmocka_unit_test(a_server_that_is_not_there_is_named),
        cmocka_unit_test(a_silent_server_is_left),
        cmocka_unit_test(an_answer_has_a_limit),
        cmocka_unit_test(a_body_can_be_taken_as_it_comes),
        cmocka_unit_test(this_machine_needs_no_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
