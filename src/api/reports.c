/* reports.c - what workers outside say of the runs they have: more time, success, failure.
 *
 *     POST /api/v1/runs/{id}/heartbeat | complete | fail | status       one run
 *     POST /api/v1/runs/complete                                        up to REPORTS_MAX of them
 *
 * All of it is one way: a request is a list of reports. Those whose lease holds go to the engine at once and are answered after
 * the commit. For the others the run's row says why not, read after that commit: what they come too late for may be in it, too. A status
 * without a token is then for a run that nobody has claimed.
 */
#include "api/auth.h"
#include "api/report.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "core/engine.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPORTS_MAX 1000
#define REPORTS_BYTES_MAX ((size_t)16 << 20)
/* An output and a log as long as they may be; JSON can make six bytes of one. */
#define REPORT_BYTES_MAX ((size_t)8 << 20)

/* A lease without a token, of a worker that says "running" and no more. */
#define ANONYMOUS_LEASE_MS (3600 * 1000)

struct reporting {
    struct ticket ticket; /* redeemed for each report that was accepted, and before rows are read */
    struct read_job job;
    struct api *api;
    struct http_request *req;
    bool many;
    json_t *body; /* the results' texts are in it */
    struct report *reports;
    size_t count, to_commit, to_read;
    bool reading;
    int err; /* of the commit */
};

/* ---- the answer ---- */

static const char *why_not(const struct report *r)
{
    if (run_status_is_final(r->row.status))
        return "the run has ended";
    if (r->row.status == RUN_PENDING)
        return "the lease is over; the run waits for its next attempt";
    return r->has_token ? "the lease token is not the one that holds the run"
                        : "the run is being carried out: only who does that can report it";
}

static void add_error(struct str *s, const char *code, const char *message)
{
    str_printf(s, "\"error\":{\"code\":\"%s\",\"message\":\"%s\"}", code, message);
}

/* To who has no API key, a run that is not there and one that he has no token of are the same. */
static bool is_forbidden(const struct report *r)
{
    return r->no_key ||
           (r->is_status && r->has_token && r->err == 0 && r->row.status == RUN_RUNNING);
}

/* The members of a report's answer. Returns its HTTP status. */
static int describe(struct str *s, const struct report *r)
{
    if (r->answer == LEASE_DONE) {
        str_printf(s, "\"status\":\"%s\"", run_status_name(r->result.status));
        if (r->result.status != RUN_RUNNING)
            return 200;
        str_add_cstr(s, ",\"lease_expires_at\":");
        str_add_time(s, r->expires_at);
        return 200;
    }
    if (is_forbidden(r)) {
        add_error(s, "PERMISSION_DENIED",
                  "the token is not that of a run that is being carried out");
        return 403;
    }
    if (r->err == -ENOENT) {
        add_error(s, "NOT_FOUND", "there is no such run");
        return 404;
    }
    if (r->err != 0) {
        add_error(s, "UNAVAILABLE", "the store cannot be read now, try again");
        return 503;
    }
    add_error(s, "FAILED_PRECONDITION", why_not(r));
    str_printf(s, ",\"status\":\"%s\",\"attempt\":%u", run_status_name(r->row.status),
               r->row.attempt);
    return 409;
}

static void release(struct reporting *w)
{
    for (size_t i = 0; i < w->count; i++)
        report_release(&w->reports[i]);
    free(w->reports);
    json_decref(w->body);
}

static void answer(struct reporting *w)
{
    struct str s = {0};
    int status = 200;
    str_add_cstr(&s, w->many ? "{\"runs\":[" : "");
    for (size_t i = 0; i < w->count; i++) {
        str_add_cstr(&s, i > 0 ? ",{\"run_id\":\"" : "{\"run_id\":\"");
        str_add_uuid(&s, w->reports[i].run);
        str_add_cstr(&s, "\",");
        status = describe(&s, &w->reports[i]);
        str_add_char(&s, '}');
    }
    str_add_cstr(&s, w->many ? "]}" : "");
    release(w);
    if (status == 503)
        http_response_header(w->req, "Retry-After", "1");
    http_respond_json(w->req, w->many ? 200 : status, str_slice(&s));
    str_release(&s);
}

static void read_all(struct reporting *w);

static void step(struct reporting *w)
{
    if (w->to_commit > 0 || w->reading)
        return;
    if (w->to_read > 0) {
        read_all(w);
    } else if (w->err != 0) {
        release(w);
        respond_unavailable(w->req);
    } else {
        answer(w);
    }
}

static void committed(struct ticket *t, const struct outcome *o)
{
    struct reporting *w = container_of(t, struct reporting, ticket);
    if (o->err != 0)
        w->err = o->err;
    w->to_commit--;
    step(w);
}

/* ---- those that the engine does not know ---- */

static void read_rows(struct read_job *j, struct db *db)
{
    struct reporting *w = container_of(j, struct reporting, job);
    for (size_t i = 0; i < w->count; i++) {
        struct report *r = &w->reports[i];
        if (r->answer != LEASE_DONE)
            r->err = query_run_row(db, r->run, &r->row);
    }
}

/* Nobody has claimed it, as far as the engine knew when it was asked. */
static void report_unclaimed(struct reporting *w, struct report *r)
{
    struct host *h = w->api->host;
    const bool pending = r->err == 0 && r->row.status == RUN_PENDING;
    struct pipeline *p =
        pending ? catalog_pipeline(engine_catalog(h->engine), r->row.pipeline) : NULL;
    const struct now now = h->now(h);
    const struct run_start s = {
        .run = r->run,
        .event = r->row.event,
        .attempt = r->row.attempt,
        .root = r->row.root,
        .depth = r->row.depth,
    };
    const uint64_t lease_ms = r->lease_ms > 0 ? r->lease_ms : ANONYMOUS_LEASE_MS;
    r->answer = engine_report_looked_up(h->engine, now, p, &s, &r->result, lease_ms, &w->ticket);
    if (r->answer == LEASE_REFUSED)
        r->row.status = RUN_RUNNING;
    r->expires_at.ms = now.wall.ms + (int64_t)lease_ms;
    w->to_commit += r->answer == LEASE_DONE;
}

static void rows_read(struct read_job *j, int err)
{
    struct reporting *w = container_of(j, struct reporting, job);
    w->reading = false;
    w->to_read = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct report *r = &w->reports[i];
        if (r->answer == LEASE_DONE)
            continue;
        if (err != 0)
            r->err = err;
        if (r->answer == LEASE_UNKNOWN && !r->has_token)
            report_unclaimed(w, r);
    }
    step(w);
}

static void read_all(struct reporting *w)
{
    w->job = (struct read_job){.work = read_rows, .done = rows_read};
    w->reading = true;
    const int err = w->api->host->read(w->api->host, &w->job);
    if (err != 0)
        rows_read(&w->job, err);
}

/* ---- handing in ---- */

static void hand_in(struct reporting *w, struct report *r)
{
    struct host *h = w->api->host;
    struct engine *e = h->engine;
    const struct now now = h->now(h);
    r->result.run = r->run;
    if (!r->has_token)
        r->answer = engine_report(e, now, &r->result, r->lease_ms, &w->ticket);
    else if (r->result.status == RUN_RUNNING)
        r->answer = engine_extend(e, now, r->run, r->hash, r->lease_ms, &w->ticket, &r->expires_at);
    else
        r->answer = engine_finish_leased(e, now, r->hash, &r->result, &w->ticket);
    if (!r->has_token)
        r->expires_at.ms = now.wall.ms + (int64_t)r->lease_ms;
    if (r->answer == LEASE_DONE)
        w->to_commit++;
    else
        w->to_read++;
}

static void hand_in_all(struct reporting *w)
{
    for (size_t i = 0; i < w->count; i++)
        hand_in(w, &w->reports[i]);
    if (w->to_read == 0)
        return;
    engine_confirm(w->api->host->engine, &w->ticket);
    w->to_commit++;
}

/* ---- requests ---- */

/* An object that all requests begin with; NULL when it was answered already. */
static struct reporting *begin(struct api *a, struct http_request *req)
{
    struct diag why;
    if (engine_is_full(a->host->engine)) {
        respond_unavailable(req);
        return NULL;
    }
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL) {
        http_respond_diag(req, &why);
        return NULL;
    }
    struct reporting *w = arena_zalloc(req->arena, sizeof(*w));
    w->ticket.done = committed;
    w->api = a;
    w->req = req;
    w->body = body;
    return w;
}

static void make_reports(struct reporting *w, size_t n)
{
    w->count = n;
    w->reports = mem_zalloc(n * sizeof(*w->reports));
}

static void refuse(struct reporting *w, const struct diag *why)
{
    release(w);
    http_respond_diag(w->req, why);
}

/* The route is open to who has no API key: the run's token will do. False when it was answered. */
static bool may_report(struct reporting *w, struct report *r)
{
    struct diag why;
    report_take_header(w->req, r);
    r->is_status = true;
    r->no_key = !auth_authorize(w->api->auth, w->req, &why);
    if (!r->no_key || r->has_token)
        return true;
    refuse(w, &why);
    return false;
}

static void one(struct http_request *req, struct api *a, enum report_form form)
{
    struct uuid id;
    struct diag why;
    if (!take_path_id(req, 0, "there is no such run", &id))
        return;
    struct reporting *w = begin(a, req);
    if (w == NULL)
        return;
    make_reports(w, 1);
    w->reports[0].run = id;
    if (report_take(w->body, "", form, a->host->now(a->host).wall, &w->reports[0], &why) < 0)
        refuse(w, &why);
    else if (form != REPORT_STATUS || may_report(w, &w->reports[0]))
        hand_in_all(w);
}

static int take_many(struct reporting *w, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, w->body, "", reterr);
    json_t *list = json_take_array(&f, "runs", JSON_REQUIRED);
    const size_t n = json_array_size(list);
    if (list != NULL && (n == 0 || n > REPORTS_MAX))
        json_fields_fail(&f, "runs", "must be 1 to %d", REPORTS_MAX);
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    make_reports(w, n);
    const struct wall now = w->api->host->now(w->api->host).wall;
    for (size_t i = 0; i < n; i++) {
        char path[32];
        json_t *item = json_array_get(list, i);
        snprintf(path, sizeof(path), "runs[%zu]", i);
        if (!json_is_object(item))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: must be an object", path);
        if (report_take(item, path, REPORT_ONE_OF_MANY, now, &w->reports[i], reterr) < 0)
            return -EINVAL;
    }
    return 0;
}

static void many(struct http_request *req, void *ctx)
{
    struct diag why;
    struct reporting *w = begin(ctx, req);
    if (w == NULL)
        return;
    w->many = true;
    if (take_many(w, &why) < 0)
        refuse(w, &why);
    else
        hand_in_all(w);
}

static void heartbeat(struct http_request *req, void *ctx)
{
    one(req, ctx, REPORT_HEARTBEAT);
}

static void complete(struct http_request *req, void *ctx)
{
    one(req, ctx, REPORT_COMPLETE);
}

static void fail(struct http_request *req, void *ctx)
{
    one(req, ctx, REPORT_FAIL);
}

static void status(struct http_request *req, void *ctx)
{
    one(req, ctx, REPORT_STATUS);
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/runs/complete", many, SCOPE_API, REPORTS_BYTES_MAX},
    {"POST", "/api/v1/runs/{id}/complete", complete, SCOPE_API, REPORT_BYTES_MAX},
    {"POST", "/api/v1/runs/{id}/fail", fail, SCOPE_API, REPORT_BYTES_MAX},
    {"POST", "/api/v1/runs/{id}/heartbeat", heartbeat, SCOPE_API, 0},
    {"POST", "/api/v1/runs/{id}/status", status, SCOPE_TOKEN, REPORT_BYTES_MAX},
};
const struct resource resource_reports = {routes, ARRAY_SIZE(routes)};
