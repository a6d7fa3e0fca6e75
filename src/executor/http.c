/* http.c - a run is a request to a URL.
 *
 *     {"type": "http", "url": "https://example.org/hook", "secret": "whsec_..."}
 *
 * What is sent: http_request.h. What the answer means:
 *
 *     2xx                success, the body is the output
 *     202 with `callback` the run goes on outside, until it is reported: see below
 *     408, 425, 429, 5xx failed, may be tried again; not before Retry-After
 *     other 4xx, 3xx     failed for good: another attempt would be answered the same way
 *     a 2xx that is longer than max_response_bytes: failed for good, the request was done
 *     no answer          failed, may be tried again
 *
 * With `callback` the request brings along where the run is to be reported and the token that makes that possible. The engine knows the
 * token's hash from the start, as a promise, for the callback may overtake the answer. At a 202 the run is entrusted to whoever has the
 * token: when that is on disk, our part has ended, and the run neither has a slot nor minds a restart.
 *
 *     SENDING --202--> HANDING_OVER --on disk--> gone
 *                        |      ^
 *                        v      |  not on disk
 *                       WAITING -+
 *
 * Redirections are followed with `follow_redirects` only, as far as they keep the method and stay on the server: nothing of the event,
 * and no credentials, go where the config does not say.
 */
#include "base/check.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "core/redact.h"
#include "executor/dispatcher.h"
#include "executor/http_request.h"
#include "io/curl/outbound.h"
#include "io/secret/lease.h"
#include "io/secret/seal_spec.h"
#include "pawl/executor.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

extern const struct executor_type executor_http;

#define REDIRECTS_MAX 5

/* A request with more payload than this is made on a thread: to copy, encode and sign it takes a while. */
#define INLINE_BYTES_MAX (16 << 10)

/* What is logged of an answer that is no success. */
#define LOGGED_BYTES_MAX 4096

#define CALLBACK_PATH "/api/v1/runs/%s/status"

/* When what was to be written could not be. */
#define HAND_OVER_AGAIN_MS 1000

struct http {
    struct execution x;
    struct outbound_request request;
    struct http_config config;
    json_t *unsealed; /* what config was read from, when that has secrets */
    struct diag refused;
    const struct run_start *run;
    struct http_body body;
    struct wall began_at;
    struct mono began_mono;
    char *url; /* where a redirection led to; NULL: config.url */
    unsigned redirects;
    bool interrupted, cancelled;

    /* with a callback */
    enum { SENDING, HANDING_OVER, WAITING } state;
    char *callback_url;
    char token[2 * LEASE_TOKEN_SIZE + 1]; /* "": there is none */
    struct lease_hash hash;
    struct ticket ticket;
    struct timer again;
};

static int http_check(json_t *config, struct diag *reterr)
{
    struct http_config ignored;
    return http_config_read(config, &ignored, reterr);
}

/* ---- the end ---- */

static void release(struct http *h)
{
    http_body_release(&h->body);
    json_decref(h->unsealed);
    free(h->callback_url);
    free(h->url);
    free(h);
}

static void finish(struct http *h, const struct run_result *r)
{
    execution_ended(&h->x, r);
    release(h);
}

static void finish_stopped(struct http *h)
{
    const struct run_result r = {
        .run = h->x.run,
        .status = h->interrupted ? RUN_FAILED : RUN_CANCELLED,
        .interrupted = h->interrupted,
        .error = h->interrupted ? SLICE("interrupted") : SLICE("cancelled"),
    };
    finish(h, &r);
}

static void log_answer(struct http *h, const struct outbound_end *e)
{
    struct str line = {0};
    str_printf(&line, "%s: status %d after %" PRIu64 " ms\n", h->config.method, e->status,
               e->duration_ms);
    execution_log(&h->x, STDERR_FILENO, str_slice(&line));
    str_release(&line);
    if (e->status / 100 == 2 || e->body.len == 0)
        return;
    const size_t len = e->body.len < LOGGED_BYTES_MAX ? e->body.len : LOGGED_BYTES_MAX;
    execution_log(&h->x, STDERR_FILENO, (struct slice){e->body.p, len});
    execution_log(&h->x, STDERR_FILENO, SLICE("\n"));
}

static bool may_repeat(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void judge_answer(const struct outbound_end *e, struct run_result *r, struct diag *why)
{
    if (e->status / 100 == 2) {
        r->status = RUN_SUCCESS;
        r->output = e->body;
        return;
    }
    r->status = RUN_FAILED;
    r->conclusive = !may_repeat(e->status);
    if (e->status == 429 || e->status == 503)
        r->retry_after_ms = e->retry_after_ms;
    if (e->status / 100 == 3 && e->redirect_url != NULL)
        diag_set(why, DIAG_INTERNAL, "the server answered with status %d, a redirection to %s",
                 e->status, e->redirect_url);
    else
        diag_set(why, DIAG_INTERNAL, "the server answered with status %d", e->status);
}

static void judge(const struct outbound_end *e, struct run_result *r, struct diag *why)
{
    if (e->err == 0) {
        judge_answer(e, r, why);
        return;
    }
    *why = e->why;
    r->status = RUN_FAILED;
    r->conclusive = e->err == -EMSGSIZE;
}

/* ---- redirections ---- */

/* The length of "https://example.org:8443". */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    return host != NULL ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool same_server(const char *a, const char *b)
{
    const size_t len = origin_len(a);
    return len > 0 && len == origin_len(b) && strncasecmp(a, b, len) == 0;
}

static bool is_to_follow(const struct http *h, const struct outbound_end *e)
{
    return h->config.follow && (e->status == 307 || e->status == 308) && e->redirect_url != NULL &&
           h->redirects < REDIRECTS_MAX && same_server(h->config.url, e->redirect_url);
}

/* ---- handing over ---- */

static void hand_over(struct http *h);

static void hand_over_again(struct timer *t)
{
    hand_over(container_of(t, struct http, again));
}

static void hand_over_later(struct http *h)
{
    h->state = WAITING;
    timer_set(execution_host(&h->x)->timers, &h->again, HAND_OVER_AGAIN_MS);
}

static void handed_over(struct ticket *t, const struct outcome *o)
{
    struct http *h = container_of(t, struct http, ticket);
    if (o->err == 0) {
        execution_handed_over(&h->x);
        release(h);
    } else if (h->cancelled) {
        finish_stopped(h);
    } else {
        hand_over_later(h);
    }
}

static uint64_t gone_ms(const struct http *h)
{
    struct host *host = execution_host(&h->x);
    return host->now(host).mono.ms - h->began_mono.ms;
}

/* From the answer on, and within the time that the run has. */
static uint64_t callback_ms(const struct http *h)
{
    const uint64_t gone = gone_ms(h), limit = h->run->timeout_ms;
    const uint64_t left = limit == 0 ? 0 : limit > gone ? limit - gone : 1;
    return left != 0 && left < h->config.callback_ms ? left : h->config.callback_ms;
}

static void hand_over(struct http *h)
{
    struct host *host = execution_host(&h->x);
    h->state = HANDING_OVER;
    h->ticket.done = handed_over;
    h->again.fired = hand_over_again;
    /* When it may not, the run was asked to end or its callback was here already. As soon as that is on disk we are told to stop; should
     * it never get there, the run is still ours to hand over. */
    if (!engine_entrust(host->engine, host->now(host), h->x.run, h->hash, callback_ms(h),
                        &h->ticket))
        hand_over_later(h);
}

/* Once: all callbacks have the same beginning. */
static void warn_of_wildcard(const char *url)
{
    static bool warned;
    if (warned ||
        (strncmp(url, "http://0.0.0.0:", 15) != 0 && strncmp(url, "http://[::]:", 12) != 0))
        return;
    warned = true;
    log_warn("callbacks are told an address that leads nowhere from another machine: set "
             "public_url",
             LOG_STR("url", url));
}

static void promise(struct http *h)
{
    struct host *host = execution_host(&h->x);
    struct lease_token token;
    char id[UUID_TEXT_LEN + 1];
    lease_token_make(&token, &h->hash);
    hex_encode(token.b, sizeof(token.b), h->token);
    uuid_format(h->x.run, id);
    if (host->public_url == NULL)
        warn_of_wildcard(host->url);
    h->callback_url =
        mem_printf("%s" CALLBACK_PATH, host->public_url != NULL ? host->public_url : host->url, id);
    engine_promise(host->engine, h->x.run, h->hash);
}

/* ---- the request ---- */

static void send_it(struct http *h);

static void request_ended(struct outbound_request *request, const struct outbound_end *e)
{
    struct http *h = container_of(request, struct http, request);
    struct run_result r = {.run = h->x.run};
    struct diag why = {0};
    const bool later = e->err == 0 && e->status == 202 && h->config.callback;
    if (e->err == 0 && !later) /* the log of what is handed over comes with the callback */
        log_answer(h, e);
    if (e->err == 0 && is_to_follow(h, e)) {
        char *url = mem_strdup(e->redirect_url);
        free(h->url);
        h->url = url;
        h->redirects++;
        send_it(h);
        return;
    }
    if (e->err == -ECANCELED) {
        finish_stopped(h);
        return;
    }
    if (later) {
        hand_over(h);
        return;
    }
    judge(e, &r, &why);
    r.error = r.status == RUN_SUCCESS ? SLICE_NONE : slice_of(why.msg);
    finish(h, &r);
}

static void make(struct http *h)
{
    http_body_make(&h->body, &h->config, h->run, h->began_at, h->callback_url,
                   h->token[0] != '\0' ? h->token : NULL);
    h->request.options.headers = h->body.headers;
    h->request.options.body = str_slice(&h->body.body);
}

static void prepare(struct outbound_request *request)
{
    make(container_of(request, struct http, request));
}

static uint64_t shorter(uint64_t a_ms, uint64_t b_ms)
{
    return b_ms != 0 && b_ms < a_ms ? b_ms : a_ms;
}

static void send_it(struct http *h)
{
    const bool made = h->body.headers != NULL;
    const struct outbound_options options = {
        .method = h->config.method,
        .url = h->url != NULL ? h->url : h->config.url,
        .headers = h->body.headers,
        .body = str_slice(&h->body.body),
        .connect_ms = h->config.connect_ms,
        .total_ms = shorter(h->config.total_ms, h->run->timeout_ms),
        .spent_ms = gone_ms(h),
        .body_bytes_max = h->config.response_bytes_max,
        .ca_file = h->config.ca_file,
        .prepare = made ? NULL : prepare,
        .ended = request_ended,
    };
    outbound_start(dispatcher_outbound(h->x.dispatcher), &h->request, &options);
}

/* ---- the type ---- */

/* Nothing is sent. */
static void refused(struct timer *t)
{
    struct http *h = container_of(t, struct http, again);
    const struct run_result r = {
        .run = h->x.run,
        .status = RUN_FAILED,
        .error = slice_of(h->refused.msg),
        .conclusive = h->refused.code != DIAG_RESOURCE_EXHAUSTED,
    };
    finish(h, &r);
}

static void refuse(struct http *h)
{
    h->state = WAITING;
    h->again.fired = refused;
    timer_set(execution_host(&h->x)->timers, &h->again, 0);
}

/* The secrets in the clear are this request's only. */
static int read_config(struct http *h, json_t *config)
{
    CHECK(http_config_read(config, &h->config, &h->refused) ==
          0); /* the dispatcher has checked it */
    if (!h->config.sealed)
        return 0;
    h->unsealed = json_deep_copy(config);
    unseal_executor(execution_host(&h->x)->seal, h->unsealed);
    if (redact_refuse_sealed(h->unsealed, "executor", &h->refused) < 0)
        return -EINVAL;
    return http_config_read(h->unsealed, &h->config, &h->refused);
}

static bool http_hands_over(const json_t *config)
{
    return json_is_true(json_object_get(config, "callback"));
}

static struct execution *http_start(struct dispatcher *d, const struct run_start *s, json_t *config)
{
    struct http *h = mem_zalloc(sizeof(*h));
    execution_init(&h->x, &executor_http, d, s);
    struct host *host = execution_host(&h->x);
    h->run = s;
    h->began_at = host->now(host).wall;
    h->began_mono = host->now(host).mono;
    if (read_config(h, config) < 0) {
        refuse(h);
        return &h->x;
    }
    if (h->config.callback &&
        !engine_has_lease_left(host->engine)) { /* a later attempt may find fewer */
        diag_set(&h->refused, DIAG_RESOURCE_EXHAUSTED,
                 "too many runs are carried out elsewhere (leased_max)");
        refuse(h);
        return &h->x;
    }
    if (h->config.callback)
        promise(h);
    if (s->payload.len + s->files.len + s->previous.len <= INLINE_BYTES_MAX)
        make(h);
    send_it(h);
    return &h->x;
}

static void http_cancel(struct execution *x, bool interrupted)
{
    struct http *h = container_of(x, struct http, x);
    h->interrupted = h->cancelled ? h->interrupted : interrupted;
    h->cancelled = true;
    if (h->state == SENDING)
        outbound_cancel(&h->request);
    if (h->state != WAITING)
        return; /* while it is handed over: handed_over() follows */
    timer_cancel(execution_host(x)->timers, &h->again);
    finish_stopped(h);
}

const struct executor_type executor_http = {
    .name = "http",
    .help = "sends the event to a URL",
    .options = http_options,
    .hands_over = http_hands_over,
    .check = http_check,
    .start = http_start,
    .cancel = http_cancel,
};
