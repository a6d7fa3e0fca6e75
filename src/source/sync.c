#include "source/sync.h"
#include "base/check.h"
#include "base/duration.h"
#include "core/output_doc.h"
#include "io/loop/timers.h"
#include <errno.h>
#include <stdio.h>
#include <utlist.h>

/* Lives in the request's arena. */
struct sync_wait {
    struct run_waiter waiter;
    struct timer deadline;
    struct sync_waits *list;
    struct http_request *req;
    struct mono since;
    uint64_t timeout_ms;
    struct sync_wait *prev, *next;
};

int sync_mode_parse(struct http_request *req, struct sync_mode *ret, struct diag *reterr)
{
    struct slice mode = SLICE_NONE, timeout = SLICE_NONE;
    uint64_t ms = SYNC_TIMEOUT_MS_DEFAULT;
    const bool has_mode = http_query(req, "mode", &mode);
    if (has_mode && !slice_is(mode, "sync") && !slice_is(mode, "async"))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "mode: '%.*s' is neither sync nor async",
                        (int)mode.len, mode.p);
    if (http_query(req, "timeout", &timeout) && (!duration_parse(timeout, &ms) || ms == 0))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "timeout: '%.*s' is not a positive duration such as 30s or 1m30s",
                        (int)timeout.len, timeout.p);
    ret->wanted = has_mode && slice_is(mode, "sync");
    ret->timeout_ms = ms < SYNC_TIMEOUT_MS_MAX ? ms : SYNC_TIMEOUT_MS_MAX;
    return 0;
}

static uint64_t elapsed_ms(const struct sync_wait *w)
{
    struct host *h = w->list->host;
    return h->now(h).mono.ms - w->since.ms;
}

/* w is gone afterwards, with its request. */
static void answer(struct sync_wait *w, int status, struct str *body)
{
    struct sync_waits *l = w->list;
    DL_DELETE(l->waits, w);
    timer_cancel(l->host->timers, &w->deadline);
    http_respond_json(w->req, status, str_slice(body));
    str_release(body);
    if (l->answered != NULL)
        l->answered(l->arg);
}

static void give_up(struct sync_wait *w, const char *why);

static const char stopping[] = "the daemon is stopping";

static void run_ended(struct run_waiter *waiter, const struct run_result *r, uint64_t duration_ms)
{
    static const char *const heads[] = {
        [RUN_SUCCESS] = "{\"status\":\"succeeded\",",
        [RUN_FAILED] = "{\"status\":\"failed\",\"error\":",
        [RUN_CANCELLED] = "{\"status\":\"cancelled\",\"error\":",
    };
    struct sync_wait *w = container_of(waiter, struct sync_wait, waiter);
    if (r == NULL) {
        give_up(w, stopping);
        return;
    }
    const bool succeeded = r->status == RUN_SUCCESS;
    struct str body = {0};
    str_add_cstr(&body, heads[r->status]);
    if (succeeded)
        output_doc_add(&body, r->output);
    else if (r->error.p != NULL)
        str_add_json(&body, r->error);
    else
        str_add_cstr(&body, "null");
    str_add_cstr(&body, ",\"durationMs\":");
    str_add_u64(&body, elapsed_ms(w));
    str_add_char(&body, '}');
    answer(w, succeeded ? 200 : 500, &body);
}

/* 504: the run was accepted, but nobody waits for it any longer. */
static void give_up(struct sync_wait *w, const char *why)
{
    struct str body = {0};
    str_printf(&body, "{\"error\":\"%s; the run goes on\",\"durationMs\":", why);
    str_add_u64(&body, elapsed_ms(w));
    str_add_cstr(&body, ",\"runs\":[\"");
    str_add_uuid(&body, w->waiter.run);
    str_add_cstr(&body, "\"]}");
    w->list->host->await_cancel(w->list->host, &w->waiter);
    answer(w, 504, &body);
}

static void timed_out(struct timer *t)
{
    struct sync_wait *w = container_of(t, struct sync_wait, deadline);
    char after[DURATION_TEXT_MAX], why[DURATION_TEXT_MAX + 32];
    duration_format(w->timeout_ms, after);
    snprintf(why, sizeof(why), "timed out after %s", after);
    give_up(w, why);
}

void sync_wait_start(struct sync_waits *l, struct http_request *req, struct uuid run,
                     uint64_t timeout_ms)
{
    struct sync_wait *w = arena_zalloc(req->arena, sizeof(*w));
    w->waiter.run = run;
    w->waiter.ended = run_ended;
    w->deadline.fired = timed_out;
    w->list = l;
    w->req = req;
    w->since = l->host->now(l->host).mono;
    w->timeout_ms = timeout_ms;
    DL_APPEND(l->waits, w);
    timer_set(l->host->timers, &w->deadline, timeout_ms);
    l->host->await_run(l->host, &w->waiter);
    if (l->cut)
        give_up(w, stopping);
}

void sync_waits_cut(struct sync_waits *l)
{
    l->cut = true;
    while (l->waits != NULL)
        give_up(l->waits, stopping);
}
