/* spawn_executor.c - how fast the command executor runs /bin/true: dispatcher, processes and loop,
 * but neither HTTP nor the journal.
 *
 *     spawn_executor N SECONDS [MEGABYTES]      keeps N runs going, after touching that much memory;
 *                                               prints runs per second
 */
#include "base/check.h"
#include "executor/dispatcher.h"
#include "io/loop/timers.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static struct timers timers;
static struct dispatcher *dispatcher;
static uint64_t started, ended, ended_in_time, end_ns;

static struct now host_now(struct host *h)
{
    return clock_now(h->loop);
}

/* Nobody follows the runs, and they write nothing that could be kept. */
static void run_news(struct host *h, struct uuid run, struct run_log *log)
{
}

static void run_finished(struct host *h, const struct run_result *r);

static struct host host = {
    .timers = &timers, .now = host_now, .run_news = run_news, .run_finished = run_finished};

static void start_run(void)
{
    struct run_start s = {
        .pipeline = SLICE("bench.gold.true"),
        .version = 1,
        .attempt = 1,
        .spec = SLICE("{\"executor\":{\"type\":\"command\",\"argv\":[\"/bin/true\"]}}"),
        .trigger_type = SLICE("webhook"),
        .source = SLICE("webhook"),
        .type = SLICE("webhook"),
        .content_type = SLICE("application/json"),
        .payload = SLICE("{\"order\":4711,\"customer\":\"someone\",\"items\":[1,2,3]}"),
        .timeout_ms = 60000,
    };
    started++;
    memcpy(s.run.b, &started, sizeof(started));
    memcpy(s.event.b, &started, sizeof(started));
    dispatcher_start(dispatcher, &s);
}

static void run_finished(struct host *h, const struct run_result *r)
{
    CHECK(r->status == RUN_SUCCESS);
    ended++;
    if (uv_hrtime() < end_ns) {
        ended_in_time++;
        start_run();
    }
}

static void dispatcher_closed(void *arg)
{
    timers_close(&timers, NULL);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    if (argc < 3)
        return 2;
    size_t ballast_bytes = (argc > 3 ? (size_t)atoi(argv[3]) : 0) << 20;
    char *ballast = malloc(ballast_bytes + 1);
    CHECK(ballast != NULL);
    memset(ballast, 1, ballast_bytes + 1);

    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&loop) == 0);
    timers_init(&timers, &loop);
    host.loop = &loop;
    dispatcher = dispatcher_create(&host);
    double seconds = atof(argv[2]);
    end_ns = uv_hrtime() + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < atoi(argv[1]); i++)
        start_run();
    while (ended < started)
        uv_run(&loop, UV_RUN_ONCE);
    dispatcher_close(dispatcher, dispatcher_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
    printf("%.1f\n", (double)ended_in_time / seconds + 0 * ballast[ballast_bytes]);
    free(ballast);
    return 0;
}
