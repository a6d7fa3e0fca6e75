/* test_http_router.c - which row a method and a path lead to. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/check.h"
#include "io/http/router.h"

static void handler(struct http_request *req, void *ctx)
{
}

static const struct http_route rows[] = {
    {"GET", "/", handler, SCOPE_PUBLIC, 0},
    {"GET", "/runs", handler, SCOPE_API, 0},
    {"POST", "/runs", handler, SCOPE_API, 0},
    {"GET", "/runs/{id}", handler, SCOPE_API, 0},
    {"GET", "/runs/latest", handler, SCOPE_API, 0},
    {"DELETE", "/runs/latest", handler, SCOPE_API, 0},
    {"POST", "/runs/{id}/cancel", handler, SCOPE_API, 0},
    {"GET", "/{ns}/{layer}/{name}", handler, SCOPE_API, 0},
    {"GET", "/p/{a}/{b}/{c}/{d}/{e}/{f}", handler, SCOPE_API, 0},
};

/* What is expected: the pattern and the parameters, or the Allow header, or nothing. */
static const struct {
    const char *method, *path, *pattern, *params, *allow;
} cases[] = {
    {"GET", "/", "/", "", NULL},
    {"HEAD", "/", "/", "", NULL},
    {"POST", "/", NULL, NULL, "GET, HEAD"},
    {"GET", "/runs", "/runs", "", NULL},
    {"GET", "/runs/", "/runs", "", NULL},
    {"POST", "/runs", "/runs", "", NULL},
    {"PUT", "/runs", NULL, NULL, "GET, HEAD, POST"},
    {"GET", "/runs/7", "/runs/{id}", "7,", NULL},
    {"GET", "/runs/latest", "/runs/latest", "", NULL},
    {"GET", "/runs/%6catest", "/runs/latest", "", NULL},
    {"GET", "/runs/Latest", "/runs/{id}", "Latest,", NULL},
    {"GET", "/runs/a%2Fb%20c", "/runs/{id}", "a/b c,", NULL},
    {"GET", "/runs/%2e%2e", "/runs/{id}", "..,", NULL},
    /* the other way is tried when the preferred one does not lead there */
    {"POST", "/runs/latest/cancel", "/runs/{id}/cancel", "latest,", NULL},
    {"GET", "/runs/latest/cancel", "/{ns}/{layer}/{name}", "runs,latest,cancel,", NULL},
    {"PUT", "/runs/latest", NULL, NULL, "DELETE, GET, HEAD"},
    {"PUT", "/runs/latest/cancel", NULL, NULL, "GET, HEAD, POST"},
    {"GET", "/a/b/c", "/{ns}/{layer}/{name}", "a,b,c,", NULL},
    {"GET", "/p/1/2/3/4/5/6", "/p/{a}/{b}/{c}/{d}/{e}/{f}", "1,2,3,4,5,6,", NULL},
    {"GET", "/a/b", NULL, NULL, NULL},
    {"GET", "/a/b/c/d", NULL, NULL, NULL},
    {"GET", "/a//c", NULL, NULL, NULL},
    {"GET", "//", NULL, NULL, NULL},
    {"GET", "//runs", NULL, NULL, NULL},
    {"GET", "/runs//", NULL, NULL, NULL},
    {"GET", "/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1", NULL, NULL, NULL},
    {"OPTIONS", "*", NULL, NULL, NULL},
};

static void check_params(const struct http_request *req, const char *expected)
{
    char text[200] = "";

    for (int i = 0; i < HTTP_PARAMS_MAX && req->params[i].p != NULL; i++) {
        strncat(text, req->params[i].p, req->params[i].len);
        strcat(text, ",");
    }
    assert_string_equal(text, expected);
}

static void test_find(void **state)
{
    struct router rt = {0};
    int ctx;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        router_add(&rt, &rows[i], &ctx);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arena arena = {0};
        struct http_request req = {
            .method = cases[i].method, .path = slice_of(cases[i].path), .arena = &arena};
        enum router_result expected = cases[i].pattern ? ROUTER_FOUND
                                      : cases[i].allow ? ROUTER_NO_METHOD
                                                       : ROUTER_NO_PATH;

        assert_int_equal(router_find(&rt, &req), expected);
        if (expected == ROUTER_FOUND) {
            assert_string_equal(req.route->pattern, cases[i].pattern);
            assert_ptr_equal(req.ctx, &ctx);
            check_params(&req, cases[i].params);
        } else if (expected == ROUTER_NO_METHOD) {
            assert_string_equal(router_allow(&rt, &req), cases[i].allow);
        }
        arena_release(&arena);
    }
    router_release(&rt);
}

static void test_empty(void **state)
{
    struct arena arena = {0};
    struct http_request req = {.method = "GET", .path = SLICE("/"), .arena = &arena};
    struct router rt = {0};

    assert_int_equal(router_find(&rt, &req), ROUTER_NO_PATH);
    router_release(&rt);
}

/* Rows that are bugs end the process. */
static void expect_abort(const struct http_route *bad)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct router rt = {0};

        (void)!freopen("/dev/null", "w", stderr);
        signal(SIGABRT, SIG_DFL);
        router_add(&rt, &rows[3], NULL);
        router_add(&rt, bad, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_bad_rows(void **state)
{
    expect_abort(&(struct http_route){"GET", "/runs/{other}", handler, SCOPE_API, 0});
    expect_abort(&(struct http_route){"GET", "runs", handler, SCOPE_API, 0});
    expect_abort(&(struct http_route){"GET", "/a/{b", handler, SCOPE_API, 0});
    expect_abort(&(struct http_route){"GET", "/a", NULL, SCOPE_API, 0});
    expect_abort(
        &(struct http_route){"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}", handler, SCOPE_API, 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_bad_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
