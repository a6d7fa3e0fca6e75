#include "cli/worker.h"
#include "base/check.h"
#include "base/json_compact.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEASE_S_DEFAULT 60
#define LEASE_S_MAX 86400
#define WAIT_S                                                                                     \
    5 /* of one claim: a worker that is told to stop waits for its answer, so that no run is lost on the way */
#define ANSWER_BYTES_MAX ((size_t)512 << 20)
#define PATTERNS_MAX 64

static const struct flag flags[] = {
    {"pipeline", "PATTERN",
     "whose runs: namespace.layer.name, with * and ?; may be given several times", FLAG_REPEATABLE,
     'p'},
    {"jobs", "N", "at most so many runs at the same time (default: 1)", FLAG_ONCE, 'j'},
    {"lease", "SECONDS", "how long the server waits for a sign of life (default: 60)", FLAG_ONCE},
    SERVER_FLAGS,
    {NULL},
};

void worker_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "pawl worker: ");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* ---- stopping ---- */

static void loop_closed(void *arg)
{
    struct worker_main *w = arg;
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&w->signals[i], NULL);
    timers_close(&w->timers, NULL);
}

static void outbound_closed(void *arg)
{
    struct worker_main *w = arg;
    spawner_close(w->spawner, loop_closed, w);
}

/* Closes everything when nothing is left to do. */
static void look(struct worker_main *w)
{
    if (w->state == WORKER_ON || w->state == WORKER_CLOSING || w->claiming || w->run_count > 0)
        return;
    w->state = WORKER_CLOSING;
    timer_cancel(&w->timers, &w->again);
    outbound_close(w->outbound, outbound_closed, w);
}

static void too_slow(struct timer *t)
{
    struct worker_main *w = container_of(t, struct worker_main, again);
    for (struct worker_run *r = worker_run_next(w, NULL); r != NULL; r = worker_run_next(w, r))
        worker_run_kill(r);
    worker_say("could not report all runs; their leases will end");
    _exit(CLI_FAILED);
}

/* A process has its time to end, then its report has some. */
static void give_up(struct worker_main *w)
{
    struct worker_run *r, *next;
    w->state = WORKER_GIVING_UP;
    w->again.fired = too_slow;
    timer_set(&w->timers, &w->again, PROCESS_KILL_GRACE_MS + WORKER_LAST_WORDS_MS);
    if (w->claiming)
        outbound_cancel(&w->claim);
    for (r = worker_run_next(w, NULL); r != NULL; r = next) {
        next = worker_run_next(w, r);
        worker_run_stop(r);
    }
}

static void stop_signal(uv_signal_t *h, int signo)
{
    struct worker_main *w = h->loop->data;
    if (w->state == WORKER_ON) {
        worker_say("%s: finishing %zu runs; a second signal ends them", strsignal(signo),
                   w->run_count);
        w->state = WORKER_FINISHING;
        timer_cancel(&w->timers, &w->again);
    } else if (w->state == WORKER_FINISHING) {
        give_up(w);
    }
    look(w);
}

/* ---- claims ---- */

static void claim(struct worker_main *w);

static void claim_again(struct timer *t)
{
    claim(container_of(t, struct worker_main, again));
}

static void claim_in(struct worker_main *w, uint64_t ms)
{
    w->again.fired = claim_again;
    timer_set(&w->timers, &w->again, ms);
}

/* Says it once, and then waits longer and longer. */
static void back_off(struct worker_main *w, const char *why, uint64_t at_least_ms)
{
    if (w->backoff_ms == 0)
        worker_say("%s; trying again", why);
    w->backoff_ms = w->backoff_ms == 0 ? WORKER_BACKOFF_MS_MIN : w->backoff_ms * 2;
    if (w->backoff_ms > WORKER_BACKOFF_MS_MAX)
        w->backoff_ms = WORKER_BACKOFF_MS_MAX;
    if (w->state == WORKER_ON)
        claim_in(w, w->backoff_ms > at_least_ms ? w->backoff_ms : at_least_ms);
}

/* The runs of the answer; false when it is none. */
static bool take_runs(struct worker_main *w, struct slice answer)
{
    struct str checked = {0};
    const bool is_json = json_compact(answer, &checked);
    struct slice list = is_json ? json_scan_member(str_slice(&checked), "runs") : SLICE_NONE, run;
    const bool is_answer = list.p != NULL && list.p[0] == '[';
    while (is_answer && json_scan_item(&list, &run))
        worker_run_start(w, run);
    str_release(&checked);
    return is_answer;
}

static void refused(struct worker_main *w, const struct outbound_end *e)
{
    struct diag why = e->why;
    if (e->err == 0)
        server_explain(e->status, e->body, &why);
    if (e->err != 0 || e->status == 408 || e->status == 429 || e->status >= 500) {
        back_off(w, why.msg,
                 e->retry_after_ms < WORKER_BACKOFF_MS_MAX ? e->retry_after_ms
                                                           : WORKER_BACKOFF_MS_MAX);
        return;
    }
    worker_say("%s", why.msg); /* that will not change by itself */
    w->code = CLI_FAILED;
    if (w->state == WORKER_ON)
        w->state = WORKER_FINISHING;
}

static void claim_ended(struct outbound_request *request, const struct outbound_end *e)
{
    struct worker_main *w = container_of(request, struct worker_main, claim);
    const size_t before = w->run_count;
    w->claiming = false;
    if (w->state == WORKER_GIVING_UP) {
        look(w);
        return;
    }
    if (e->err != 0 || e->status != 200) {
        refused(w, e);
    } else if (!take_runs(w, e->body)) {
        back_off(w, "the server's answer is not that of pawl", 0);
    } else {
        if (w->backoff_ms > 0)
            worker_say("the server is back");
        w->backoff_ms = 0;
        /* One that is stopping answers at once. */
        const bool early = w->run_count == before && e->duration_ms < WAIT_S * 1000 / 2;
        claim_in(w, early ? WORKER_BACKOFF_MS_MIN : 0);
    }
    if (w->state != WORKER_ON)
        timer_cancel(&w->timers, &w->again);
    look(w);
}

static void claim(struct worker_main *w)
{
    if (w->state != WORKER_ON || w->claiming || w->run_count >= w->runs_max)
        return;
    w->claiming = true;
    str_reset(&w->claim_body);
    str_printf(&w->claim_body,
               "{\"pipelines\":%s,\"max\":%zu,\"lease_seconds\":%.3f,\"wait_seconds\":%d}",
               w->patterns.p, w->runs_max - w->run_count, (double)w->lease_ms / 1000, WAIT_S);
    outbound_start(w->outbound, &w->claim,
                   &(struct outbound_options){
                       .method = "POST",
                       .url = w->claim_url,
                       .headers = w->headers,
                       .body = str_slice(&w->claim_body),
                       .connect_ms = WORKER_REQUEST_MS,
                       .total_ms = WORKER_REQUEST_MS + WAIT_S * 1000,
                       .body_bytes_max = ANSWER_BYTES_MAX,
                       .ended = claim_ended,
                   });
}

void worker_run_gone(struct worker_main *w)
{
    if (w->state == WORKER_ON && !w->claiming && w->backoff_ms == 0)
        claim_in(w, 0);
    look(w);
}

/* ---- the command ---- */

static int take_patterns(struct worker_main *w, const struct flags *f)
{
    const char *pattern;
    size_t n = 0;
    str_add_char(&w->patterns, '[');
    for (; (pattern = flags_at(f, "pipeline", n)) != NULL; n++) {
        str_add_cstr(&w->patterns, n > 0 ? "," : "");
        str_add_json(&w->patterns, slice_of(pattern));
    }
    str_add_char(&w->patterns, ']');
    if (n == 0)
        return cli_usage_error(&cli_worker,
                               "--pipeline: whose runs shall it be? '*' is all of them");
    if (n > PATTERNS_MAX)
        return cli_usage_error(&cli_worker, "--pipeline: at most %d patterns", PATTERNS_MAX);
    return CLI_OK;
}

static int take_number(const struct flags *f, const char *name, uint64_t dflt, uint64_t max,
                       uint64_t *ret)
{
    const char *text = flags_get(f, name, NULL);
    *ret = dflt;
    if (text != NULL && (!slice_u64(slice_of(text), max, ret) || *ret == 0))
        return cli_usage_error(&cli_worker, "--%s: '%s' is not a number from 1 to %" PRIu64, name,
                               text, max);
    return CLI_OK;
}

static int take_options(struct worker_main *w, const struct flags *f)
{
    uint64_t jobs, lease_s;
    int code = take_patterns(w, f);
    if (code == CLI_OK)
        code = take_number(f, "jobs", 1, WORKER_RUNS_MAX, &jobs);
    if (code == CLI_OK)
        code = take_number(f, "lease", LEASE_S_DEFAULT, LEASE_S_MAX, &lease_s);
    if (code == CLI_OK && f->args.len == 0)
        code =
            cli_usage_error(&cli_worker, "which command shall carry them out? It stands behind --");
    if (code != CLI_OK)
        return code;
    w->runs_max = (size_t)jobs;
    w->lease_ms = lease_s * 1000;
    return server_open(&w->server, &cli_worker, f);
}

static void work(struct worker_main *w)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&w->loop) == 0);
    w->loop.data = w;
    timers_init(&w->timers, &w->loop);
    w->outbound = outbound_create(&w->loop, &w->timers);
    w->spawner = spawner_create(&w->loop, &w->timers);
    for (int i = 0; i < 2; i++) {
        CHECK(uv_signal_init(&w->loop, &w->signals[i]) == 0);
        CHECK(uv_signal_start(&w->signals[i], stop_signal, numbers[i]) == 0);
    }
    w->headers[0] = "Content-Type: application/json";
    w->headers[1] = w->server.key_header;
    w->claim_url = mem_printf("%s/api/v1/runs/claim", w->server.url);
    claim(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&w->loop) == 0);
}

static int run(const struct flags *f)
{
    struct worker_main w = {.code = CLI_OK};
    int code = take_options(&w, f);
    if (code == CLI_OK) {
        VEC(char *) command = {0};
        for (size_t i = 0; i < f->args.len; i++)
            vec_push(&command, (char *)f->args.items[i]);
        vec_push(&command, NULL);
        w.command = command.items;
        work(&w);
        vec_release(&command);
        code = w.code;
    }
    server_close(&w.server);
    str_release(&w.patterns);
    str_release(&w.claim_body);
    free(w.claim_url);
    return code;
}

const struct cli_command cli_worker = {
    .name = "worker",
    .args = "--pipeline PATTERN [-j N] [--server URL] -- CMD...",
    .help = "Takes pulled runs from a server and runs CMD for each, with the event on its stdin.",
    .flags = flags,
    .run = run,
};
