/* runs.c - /api/v1/runs: asking for one by hand, looking at them, cancelling them. */
#include "api/resources.h"
#include "api/run_stream.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/slug.h"
#include "io/loop/timers.h"
#include "pawl/run.h"
#include <errno.h>
#include <stdio.h>

/* A cancelled run is answered with when it has ended, or as it is after this long. */
#define CANCEL_WAIT_MS 15000

/* How often a run's row is read while other runs keep ending. */
#define CANCEL_READS_MAX 10

/* A pipeline that takes no more runs may take one again at any moment. */
#define RETRY_AFTER_S 1

static const char missing[] = "there is no such run";

/* ---- by hand ---- */

static void answer_full(struct http_request *req, struct slice detail)
{
    struct str why = {0};
    str_add_cstr(&why, "the pipeline takes no more runs: ");
    str_add_slice(&why, detail);
    http_respond_error(req, DIAG_RESOURCE_EXHAUSTED, RETRY_AFTER_S, why.p);
    str_release(&why);
}

static void accepted(struct writing *w, const struct outcome *o)
{
    struct str body = {0};
    if (o->decisions[0].verdict == VERDICT_CONCURRENCY) {
        answer_full(w->req, o->decisions[0].detail);
        return;
    }
    str_add_cstr(&body, "{\"run_id\":\"");
    str_add_uuid(&body, o->decisions[0].runs[0]);
    str_add_cstr(&body, "\",\"status\":\"pending\"}");
    http_respond_json(w->req, 202, str_slice(&body));
    str_release(&body);
}

/* What a request asks to be run. */
struct wish {
    struct uuid pipeline;
    json_t *input; /* borrowed; NULL: none */
};

static int take_wish(struct api *a, json_t *body, struct wish *ret, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    const char *ns = json_take_string(&f, "namespace", JSON_REQUIRED);
    const char *layer = json_take_string(&f, "layer", JSON_REQUIRED);
    const char *name = json_take_string(&f, "pipeline", JSON_REQUIRED);
    ret->input = json_take_any(&f, "input");
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    struct str path = {0};
    str_printf(&path, "%s.%s.%s", ns, layer, name);
    const struct pipeline *p =
        catalog_pipeline_at(engine_catalog(a->host->engine), str_slice(&path));
    str_release(&path);
    if (p == NULL)
        return diag_set(reterr, DIAG_NOT_FOUND, "there is no pipeline %.64s.%.64s.%.64s", ns, layer,
                        name);
    ret->pipeline = p->id;
    return 0;
}

static int start_from(struct api *a, struct http_request *req, json_t *body, struct diag *reterr)
{
    struct wish wish;
    struct str input = {0};
    if (take_wish(a, body, &wish, reterr) < 0)
        return -EINVAL;
    if (wish.input != NULL)
        str_add_json_value(&input, wish.input);
    struct writing *w = writing_make(a, req, sizeof(*w), accepted);
    const struct event ev = {
        .source = "manual",
        .type = SLICE("manual"),
        .content_type = wish.input != NULL ? SLICE("application/json") : SLICE_NONE,
        .payload = wish.input != NULL ? str_slice(&input) : SLICE_NONE,
        .pipeline = wish.pipeline,
        .ticket = &w->ticket,
    };
    const int err = a->host->feed(a->host, &ev);
    str_release(&input);
    if (err < 0)
        respond_unavailable(req);
    return 0;
}

static void start(struct http_request *req, void *ctx)
{
    struct diag why;
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || start_from(ctx, req, body, &why) < 0)
        http_respond_diag(req, &why);
    json_decref(body);
}

/* ---- looking ---- */

struct view {
    struct reading reading;
    enum run_status status;
    struct slice steps_before; /* of a run that was carried out when it was asked for */
};

static int query_one(struct reading *r, struct db *db)
{
    struct view *v = container_of(r, struct view, reading);
    return query_run(db, r->id, &r->body, &v->status);
}

struct log_reading {
    struct reading reading;
    uint64_t attempt; /* 0: the last one */
};

static int query_logs(struct reading *r, struct db *db)
{
    const struct log_reading *l = container_of(r, struct log_reading, reading);
    return query_run_logs(db, r->id, (uint32_t)l->attempt, &r->body);
}

/* The row of a run that is being carried out does not say how its steps go. Either it was so before the row was read, or it still
 * is, or both; what is newer counts. */
static void answer_view(struct reading *r)
{
    struct view *v = container_of(r, struct view, reading);
    struct host *h = r->api->host;
    struct str now = {0}, body = {0};
    const bool live = v->status == RUN_RUNNING && h->run_steps(h, r->id, &now);
    const struct slice steps = live ? str_slice(&now) : v->steps_before;
    if (v->status == RUN_RUNNING && steps.p != NULL) {
        str_add(&body, r->body.p, r->body.len - 1); /* without the last brace */
        str_add_cstr(&body, ",\"steps\":");
        str_add_slice(&body, steps);
        str_add_char(&body, '}');
    }
    http_respond_json(r->req, 200, str_slice(body.len > 0 ? &body : &r->body));
    str_release(&body);
    str_release(&now);
}

static void answer_run(struct api *a, struct http_request *req, struct uuid id)
{
    struct view *v = reading_make(a, req, sizeof(*v), query_one);
    struct str steps = {0};
    if (a->host->run_steps(a->host, id, &steps))
        v->steps_before = arena_copy(req->arena, str_slice(&steps));
    str_release(&steps);
    v->reading.id = id;
    v->reading.missing = missing;
    v->reading.then = answer_view;
    reading_start(&v->reading);
}

static void get(struct http_request *req, void *ctx)
{
    struct uuid id;
    if (take_path_id(req, 0, missing, &id))
        answer_run(ctx, req, id);
}

static bool take_attempt(struct http_request *req, struct log_reading *ret)
{
    struct slice v;
    if (!http_query(req, "attempt", &v))
        return true;
    if (slice_u64(v, UINT32_MAX, &ret->attempt) && ret->attempt > 0) {
        ret->reading.missing = "there is no such run, or it was not tried that often";
        return true;
    }
    http_respond_error(req, DIAG_INVALID_ARGUMENT, 0, "attempt: must be a number, 1 or more");
    return false;
}

/* What a run has written so far is not on disk while it runs. */
static bool answer_live_log(const struct log_reading *l)
{
    const struct reading *r = &l->reading;
    struct host *h = r->api->host;
    struct str body = {0};
    struct slice log;
    uint32_t attempt;
    if (!h->run_log(h, r->id, &attempt, &log) || (l->attempt != 0 && l->attempt != attempt))
        return false;
    run_logs_add(&body, r->id, attempt, log);
    http_respond_json(r->req, 200, str_slice(&body));
    str_release(&body);
    return true;
}

static void logs(struct http_request *req, void *ctx)
{
    struct uuid id;
    if (!take_path_id(req, 0, missing, &id))
        return;
    if (run_stream_wanted(req)) {
        run_stream_start(ctx, req, id, missing);
        return;
    }
    struct log_reading *l = reading_make(ctx, req, sizeof(*l), query_logs);
    l->reading.missing = missing;
    l->reading.id = id;
    if (take_attempt(req, l) && !answer_live_log(l))
        reading_start(&l->reading);
}

struct listing {
    struct reading reading;
    struct run_filter filter;
};

static int query_list(struct reading *r, struct db *db)
{
    struct listing *l = container_of(r, struct listing, reading);
    return query_runs(db, &l->filter, &r->page, &r->body);
}

static bool take_dead(struct http_request *req, struct run_filter *f)
{
    struct slice v;
    f->dead = http_query(req, "dead", &v) && slice_is(v, "true");
    if (f->dead || !http_query(req, "dead", &v) || slice_is(v, "false"))
        return true;
    http_respond_error(req, DIAG_INVALID_ARGUMENT, 0, "dead: must be true or false");
    return false;
}

static bool take_status(struct http_request *req, struct run_filter *f)
{
    struct slice v;
    f->by_status = http_query(req, "status", &v);
    if (!f->by_status || run_status_parse(v, &f->status))
        return true;
    http_respond_error(req, DIAG_INVALID_ARGUMENT, 0,
                       "status: must be pending, running, success, failed or cancelled");
    return false;
}

/* What no name can be would match nothing, without saying why. */
static bool take_name(struct http_request *req, const char *name, struct slice *ret)
{
    if (!http_query(req, name, ret) || slug_valid(*ret))
        return true;
    struct diag why;
    diag_set(&why, DIAG_INVALID_ARGUMENT, "%s: " SLUG_RULE, name);
    http_respond_diag(req, &why);
    return false;
}

static void list(struct http_request *req, void *ctx)
{
    struct listing *l = reading_make(ctx, req, sizeof(*l), query_list);
    struct run_filter *f = &l->filter;
    f->started_after = f->started_before = WALL_UNSET;
    if (take_name(req, "namespace", &f->ns) && take_name(req, "layer", &f->layer) &&
        take_name(req, "pipeline", &f->pipeline) && take_status(req, f) && take_dead(req, f) &&
        take_uuid(req, "trigger_id", &f->trigger) &&
        take_time(req, "started_after", &f->started_after) &&
        take_time(req, "started_before", &f->started_before) &&
        take_page(req, PAGE_LIMIT_DEFAULT, &l->reading.page))
        reading_start(&l->reading);
}

/* ---- cancelling ----
 *
 *     carried out ──> tell the engine ──> wait for its end, or CANCEL_WAIT_MS ──> 200
 *     a worker has it ──> tell the engine ──> 200 after the commit; the worker learns it when it reports
 *     else read its row ──> ended: 409
 *                           pending: cancel it, 200 after the commit
 *                           running: it is changing just now: 409
 *
 * What is read off the loop may be old when it arrives; the engine knows what has moved since (engine_cancel_looked_up).
 */
struct cancelling {
    struct reading reading; /* of the row */
    struct run_row row;
    enum cancel_result found;
    struct ticket ticket;
    struct run_waiter waiter;
    struct timer deadline;
};

static void answer_cancelled(struct cancelling *c)
{
    answer_run(c->reading.api, c->reading.req, c->reading.id);
}

static void answer_ended(struct cancelling *c, enum run_status status)
{
    char why[64];
    snprintf(why, sizeof(why), "the run has ended already: %s", run_status_name(status));
    http_respond_error(c->reading.req, DIAG_FAILED_PRECONDITION, 0, why);
}

static void run_ended(struct run_waiter *waiter, const struct run_result *r, uint64_t duration_ms)
{
    struct cancelling *c = container_of(waiter, struct cancelling, waiter);
    timer_cancel(c->reading.api->host->timers, &c->deadline);
    if (r == NULL)
        respond_unavailable(c->reading.req);
    else if (r->status == RUN_CANCELLED)
        answer_cancelled(c);
    else
        answer_ended(c, r->status);
}

static void waited_enough(struct timer *t)
{
    struct cancelling *c = container_of(t, struct cancelling, deadline);
    struct host *h = c->reading.api->host;
    h->await_cancel(h, &c->waiter);
    answer_cancelled(c);
}

/* The run is being carried out and will be told to end. */
static void await_end(struct cancelling *c)
{
    struct host *h = c->reading.api->host;
    c->waiter = (struct run_waiter){.run = c->reading.id, .ended = run_ended};
    h->await_run(h, &c->waiter);
}

static void committed(struct ticket *t, const struct outcome *o)
{
    struct cancelling *c = container_of(t, struct cancelling, ticket);
    struct host *h = c->reading.api->host;
    if (o->err == 0 && c->found == CANCEL_STARTED) {
        /* Its end answers. Not sooner: an answer before this call would have taken c away. */
        c->deadline.fired = waited_enough;
        timer_set(h->timers, &c->deadline, CANCEL_WAIT_MS);
        return;
    }
    if (c->found == CANCEL_STARTED)
        h->await_cancel(h, &c->waiter);
    if (o->err == 0)
        answer_cancelled(c);
    else
        respond_unavailable(c->reading.req);
}

static void row_read(struct cancelling *c, struct pipeline *p)
{
    struct host *h = c->reading.api->host;
    c->found =
        engine_cancel_looked_up(h->engine, h->now(h), p, c->reading.id, c->row.attempt, &c->ticket);
    if (c->found == CANCEL_STARTED)
        await_end(c);
}

/* Also when the row could not be read, the engine has to know that nobody looks any more. */
static void row_settled(struct reading *r)
{
    struct cancelling *c = container_of(r, struct cancelling, reading);
    if (r->err != 0) {
        struct host *h = r->api->host;
        engine_cancel_looked_up(h->engine, h->now(h), NULL, r->id, 0, NULL);
        return;
    }
    const bool pending = c->row.status == RUN_PENDING;
    row_read(c, pending ? catalog_pipeline(engine_catalog(r->api->host->engine), c->row.pipeline)
                        : NULL);
}

static void answer_row(struct reading *r)
{
    struct cancelling *c = container_of(r, struct cancelling, reading);
    if (c->found != CANCEL_UNKNOWN)
        return;
    if (run_status_is_final(c->row.status))
        answer_ended(c, c->row.status);
    else
        http_respond_error(r->req, DIAG_FAILED_PRECONDITION, 0,
                           "the run is changing just now, try again");
}

static int query_row(struct reading *r, struct db *db)
{
    struct cancelling *c = container_of(r, struct cancelling, reading);
    return query_run_row(db, r->id, &c->row);
}

static void cancel(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct host *h = a->host;
    struct uuid id;
    if (!take_path_id(req, 0, missing, &id))
        return;
    struct cancelling *c = reading_make(a, req, sizeof(*c), query_row);
    c->reading.id = id;
    c->reading.missing = missing;
    c->reading.settled = row_settled;
    c->reading.then = answer_row;
    c->ticket.done = committed;
    c->found = engine_cancel(h->engine, h->now(h), id, &c->ticket);
    if (c->found == CANCEL_STARTED)
        await_end(c);
    else if (c->found == CANCEL_UNKNOWN)
        reading_start(&c->reading);
}

static const struct http_route routes[] = {
    {"GET", "/api/v1/runs", list, SCOPE_API, 0},
    {"POST", "/api/v1/runs", start, SCOPE_API, 0},
    {"GET", "/api/v1/runs/{id}", get, SCOPE_API, 0},
    {"POST", "/api/v1/runs/{id}/cancel", cancel, SCOPE_API, 0},
    {"GET", "/api/v1/runs/{id}/logs", logs, SCOPE_API, 0},
};
const struct resource resource_runs = {routes, ARRAY_SIZE(routes)};
