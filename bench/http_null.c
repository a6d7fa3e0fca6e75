/* http_null.c - io/http with a handler that does nothing, to compare the server alone with other servers.
 *
 *     bench/http_null [PORT]        answers POST /api/v1/webhooks and GET / with 201 until it is interrupted
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/check.h"
#include "io/http/http.h"

static void created(struct http_request *req, void *ctx)
{
    http_respond_json(req, 201, SLICE("{\"run_id\":\"0197a3f0-0000-7000-8000-000000000000\"}"));
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/webhooks", created, SCOPE_TOKEN, 0},
    {"GET", "/", created, SCOPE_PUBLIC, 0},
};

static struct http_server *server;
static struct timers timers;

static void server_closed(void *arg)
{
    timers_close(&timers, NULL);
}

static void interrupted(uv_signal_t *h, int signo)
{
    http_server_stop(server, 1000, server_closed, NULL);
    uv_close((uv_handle_t *)h, NULL);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct http_server_options opt = {
        .loop = loop, .timers = &timers, .limits = http_limits_default};
    uv_signal_t sigint;
    uint16_t port;
    int err;

    timers_init(&timers, loop);
    server = http_server_create(&opt);
    http_server_route(server, routes, ARRAY_SIZE(routes), NULL);
    err = http_server_listen(server, "127.0.0.1", argc > 1 ? (uint16_t)atoi(argv[1]) : 0, &port);
    if (err != 0) {
        fprintf(stderr, "cannot listen: %s\n", uv_strerror(err));
        return 1;
    }
    printf("ready http://127.0.0.1:%u\n", port);
    fflush(stdout);
    CHECK(uv_signal_init(loop, &sigint) == 0);
    CHECK(uv_signal_start(&sigint, interrupted, SIGINT) == 0);
    uv_run(loop, UV_RUN_DEFAULT);
    return uv_loop_close(loop) == 0 ? 0 : 1;
}
