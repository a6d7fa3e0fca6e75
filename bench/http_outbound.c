/* http_outbound.c - io/curl's requests without runs: what sending and receiving alone costs.
 *
 *     bench/http_outbound URL CONNECTIONS SECONDS        posts to URL, so many at the same time; prints one line of JSON
 *
 * The body and the headers are as long as those of a run.
 */
#include "base/check.h"
#include "base/mem.h"
#include "io/curl/outbound.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define BODY_BYTES 150

static const char *const headers[] = {
    "Content-Type: application/json",
    "ce-specversion: 1.0",
    "ce-id: 0197a3f0-0000-7000-8000-000000000000",
    "ce-source: /pawl/webhook",
    "ce-type: webhook",
    "ce-time: 2026-01-01T00:00:00.000Z",
    "ce-pawlrunid: 0197a3f0-0000-7000-8000-000000000000",
    "ce-pawlpipeline: default.test.pipeline-1",
    "ce-pawlversion: 1",
    "ce-pawlattempt: 1",
    "ce-pawltriggertype: webhook",
    "ce-pawlrootid: 0197a3f0-0000-7000-8000-000000000000",
    "ce-pawldepth: 0",
    NULL,
};

static uv_loop_t *loop;
static struct timers timers;
static struct outbound *outbound;
static struct outbound_options options;
static uint64_t done, left, end_ms;

static double processor_us(void)
{
    struct rusage u;
    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return 1e6 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void closed(void *arg)
{
    timers_close(&timers, NULL);
}

static void ended(struct outbound_request *r, const struct outbound_end *e)
{
    if (e->err != 0 || e->status / 100 != 2) {
        fprintf(stderr, "status %d: %s\n", e->status, e->why.msg);
        exit(1);
    }
    done++;
    if (uv_now(loop) < end_ms)
        outbound_start(outbound, r, &options);
    else if (--left == 0)
        outbound_close(outbound, closed, NULL);
}

int main(int argc, char **argv)
{
    static char body[BODY_BYTES];
    if (argc != 4) {
        fprintf(stderr, "usage: http_outbound URL CONNECTIONS SECONDS\n");
        return 2;
    }
    loop = uv_default_loop();
    timers_init(&timers, loop);
    outbound = outbound_create(loop, &timers);
    options = (struct outbound_options){.method = "POST",
                                        .url = argv[1],
                                        .headers = headers,
                                        .body = {body, sizeof(body)},
                                        .connect_ms = 10000,
                                        .total_ms = 60000,
                                        .body_bytes_max = 1000,
                                        .ended = ended};
    left = strtoull(argv[2], NULL, 10);
    const uint64_t ms = 1000 * strtoull(argv[3], NULL, 10);
    end_ms = uv_now(loop) + ms;
    struct outbound_request *requests = mem_zalloc(left * sizeof(*requests));
    for (uint64_t i = 0; i < left; i++)
        outbound_start(outbound, &requests[i], &options);
    uv_run(loop, UV_RUN_DEFAULT);
    printf("{\"rate\": %.1f, \"us\": %.2f}\n", 1000.0 * (double)done / (double)ms,
           processor_us() / (double)done);
    free(requests);
    return 0;
}
