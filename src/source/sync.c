#include "source/sync.h"
#include "base/check.h"
#include "base/duration.h"
#include "core/output_doc.h"
#include "io/loop/timers.h"
#include <errno.h>
#include <stdio.h>
#include <utlist.h>

/* One of the runs that a request waits for. */
struct sync_one {
    struct run_waiter waiter;
    struct sync_wait *wait;
    struct slice name;
    bool ended, succeeded;
    struct str result; /* "status":...,"output":... */
};

/* Lives in the request's arena. */
struct sync_wait {
    struct timer deadline;
    struct sync_waits *list;
    struct http_request *req;
    struct mono since;
    uint64_t timeout_ms;
    bool gone; /* the caller has closed its side */
    struct sync_wait *prev, *next;
    size_t count, ended;
    struct sync_one runs[];
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
    for (size_t i = 0; i < w->count; i++) {
        l->held_bytes -= w->runs[i].result.len;
        str_release(&w->runs[i].result);
    }
    http_respond_json(w->req, status, str_slice(body));
    str_release(body);
    if (l->answered != NULL)
        l->answered(l->arg);
}

static void add_duration(const struct sync_wait *w, struct str *body)
{
    str_add_cstr(body, ",\"durationMs\":");
    str_add_u64(body, elapsed_ms(w));
}

static void add_results(const struct sync_wait *w, bool succeeded, struct str *body)
{
    str_printf(body, "\"status\":\"%s\",\"results\":[", succeeded ? "succeeded" : "failed");
    for (size_t i = 0; i < w->count; i++) {
        str_add_cstr(body, i > 0 ? ",{\"team\":" : "{\"team\":");
        str_add_json(body, w->runs[i].name);
        str_add_char(body, ',');
        str_add_slice(body, str_slice(&w->runs[i].result));
        str_add_char(body, '}');
    }
    str_add_char(body, ']');
}

static void answer_ended(struct sync_wait *w)
{
    struct str body = {0};
    bool succeeded = true;
    for (size_t i = 0; i < w->count; i++)
        succeeded = succeeded && w->runs[i].succeeded;
    str_add_char(&body, '{');
    if (w->runs[0].name.p != NULL) {
        add_results(w, succeeded, &body);
    } else {
        str_add_slice(&body, str_slice(&w->runs[0].result));
        add_duration(w, &body);
    }
    str_add_char(&body, '}');
    answer(w, succeeded ? 200 : 500, &body);
}

static void give_up(struct sync_wait *w, const char *why);

static const char stopping[] = "the daemon is stopping";

/* Of several runs each waits for the last one: what there is no room for is told where it is. */
static void keep_one_of_several(struct sync_one *o, struct slice output)
{
    struct str whole = {0};
    output_doc_add(&whole, output);
    if (o->wait->list->held_bytes + whole.len <= SYNC_HELD_BYTES_MAX) {
        str_add_slice(&o->result, str_slice(&whole));
    } else {
        str_add_cstr(&o->result, "\"output\":null,\"output_truncated\":true,\"run\":\"");
        str_add_uuid(&o->result, o->waiter.run);
        str_add_char(&o->result, '"');
    }
    str_release(&whole);
}

static void keep_result(struct sync_one *o, const struct run_result *r)
{
    static const char *const heads[] = {
        [RUN_SUCCESS] = "\"status\":\"succeeded\",",
        [RUN_FAILED] = "\"status\":\"failed\",\"error\":",
        [RUN_CANCELLED] = "\"status\":\"cancelled\",\"error\":",
    };
    o->ended = true;
    o->succeeded = r->status == RUN_SUCCESS;
    str_add_cstr(&o->result, heads[r->status]);
    if (o->succeeded && o->name.p != NULL)
        keep_one_of_several(o, r->output);
    else if (o->succeeded)
        output_doc_add(&o->result, r->output);
    else if (r->error.p != NULL)
        str_add_json(&o->result, r->error);
    else
        str_add_cstr(&o->result, "null");
    if (o->name.p != NULL)
        add_duration(o->wait, &o->result);
    o->wait->list->held_bytes += o->result.len;
}

static void run_ended(struct run_waiter *waiter, const struct run_result *r, uint64_t duration_ms)
{
    struct sync_one *o = container_of(waiter, struct sync_one, waiter);
    struct sync_wait *w = o->wait;
    if (r == NULL) {
        o->ended = true;
        give_up(w, stopping);
        return;
    }
    keep_result(o, r);
    if (++w->ended == w->count)
        answer_ended(w);
}

/* 504: the runs were accepted, but nobody waits for them any longer. */
static void give_up(struct sync_wait *w, const char *why)
{
    struct str body = {0};
    str_printf(&body, "{\"error\":\"%s; the run%s on\"", why, w->count > 1 ? "s go" : " goes");
    add_duration(w, &body);
    str_add_cstr(&body, ",\"runs\":[");
    for (size_t i = 0; i < w->count; i++) {
        struct sync_one *o = &w->runs[i];
        str_add_cstr(&body, i > 0 ? ",\"" : "\"");
        str_add_uuid(&body, o->waiter.run);
        str_add_char(&body, '"');
        if (!o->ended)
            w->list->host->await_cancel(w->list->host, &o->waiter);
    }
    str_add_cstr(&body, "]}");
    answer(w, 504, &body);
}

static void timed_out(struct timer *t)
{
    struct sync_wait *w = container_of(t, struct sync_wait, deadline);
    char after[DURATION_TEXT_MAX], why[DURATION_TEXT_MAX + 32];
    if (w->gone) {
        give_up(w, "the caller has closed its side");
        return;
    }
    duration_format(w->timeout_ms, after);
    snprintf(why, sizeof(why), "timed out after %s", after);
    give_up(w, why);
}

/* It may have left, or just have nothing more to say: only an answer would tell. */
static void caller_gone(struct http_request *req)
{
    struct sync_wait *w = req->handling;
    if (elapsed_ms(w) + SYNC_GONE_MS >= w->timeout_ms)
        return;
    w->gone = true;
    timer_set(w->list->host->timers, &w->deadline, SYNC_GONE_MS);
}

void sync_wait_start(struct sync_waits *l, struct http_request *req, const struct sync_run *runs,
                     size_t n, uint64_t timeout_ms)
{
    struct sync_wait *w = arena_zalloc(req->arena, sizeof(*w) + n * sizeof(w->runs[0]));
    CHECK(n > 0);
    http_body_forget(req); /* it is on disk; thousands may wait */
    w->deadline.fired = timed_out;
    w->list = l;
    w->req = req;
    w->since = l->host->now(l->host).mono;
    w->timeout_ms = timeout_ms;
    w->count = n;
    DL_APPEND(l->waits, w);
    timer_set(l->host->timers, &w->deadline, timeout_ms);
    req->handling = w;
    http_on_gone(req, caller_gone);
    for (size_t i = 0; i < n; i++) {
        struct sync_one *o = &w->runs[i];
        *o = (struct sync_one){.wait = w, .name = runs[i].name};
        o->waiter.run = runs[i].run;
        o->waiter.ended = run_ended;
        l->host->await_run(l->host, &o->waiter);
    }
    if (l->cut)
        give_up(w, stopping);
}

void sync_waits_cut(struct sync_waits *l)
{
    l->cut = true;
    while (l->waits != NULL)
        give_up(l->waits, stopping);
}
