#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "io/store/db.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void respond_unavailable(struct http_request *req)
{
    http_respond_error(req, DIAG_UNAVAILABLE, 1,
                       "the store does not keep up or cannot be written; nothing was changed, "
                       "try again");
}

void respond_in_use(struct http_request *req, const struct trigger *by, const char *what)
{
    struct diag why;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(by->id, id);
    diag_set(&why, DIAG_FAILED_PRECONDITION,
             "the trigger %s of the pipeline %s %s; delete that first, or add ?force=true", id,
             by->pipeline->path, what);
    http_respond_diag(req, &why);
}

void respond_change(struct http_request *req, struct api *a, void *object,
                    int (*change)(struct api *a, struct http_request *req, void *object,
                                  json_t *body, struct diag *reterr))
{
    struct diag why;
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || change(a, req, object, body, &why) < 0)
        http_respond_diag(req, &why);
    json_decref(body);
}

/* ---- reading ---- */

/* Too many readings wait already: one that must be answered tries again after this long. */
#define READ_AGAIN_MS 20

static void answer(struct reading *r)
{
    switch (r->err) {
    case 0:
        if (r->then != NULL)
            r->then(r);
        else
            http_respond_json(r->req, r->status, str_slice(&r->body));
        return;
    case -ENOENT:
        http_respond_error(r->req, DIAG_NOT_FOUND, 0, r->missing);
        return;
    case -EINVAL:
        http_respond_error(r->req, DIAG_INVALID_ARGUMENT, 0,
                           "cursor: is not one that a previous page gave out");
        return;
    default:
        if (r->err != -ECANCELED && r->err != -EAGAIN)
            log_warn("a query failed", LOG_STR("route", r->req->route->pattern),
                     LOG_STR("error", db_strerror(r->err)));
        http_respond_error(r->req, DIAG_UNAVAILABLE, 1, "the store cannot be read now, try again");
        return;
    }
}

static void work(struct read_job *j, struct db *db)
{
    struct reading *r = container_of(j, struct reading, job);
    r->err = r->query(r, db);
}

/* The body is moved out first: answering frees r with its request. */
static void done(struct read_job *j, int err)
{
    struct reading *r = container_of(j, struct reading, job);
    char *body = r->body.p;
    if (err != 0)
        r->err = err;
    if (r->settled != NULL)
        r->settled(r);
    answer(r);
    free(body);
}

void *reading_make(struct api *a, struct http_request *req, size_t size,
                   int (*query)(struct reading *, struct db *))
{
    CHECK(size >= sizeof(struct reading));
    struct reading *r = arena_zalloc(req->arena, size);
    r->api = a;
    r->req = req;
    r->query = query;
    r->status = 200;
    r->missing = "not found";
    r->job = (struct read_job){.work = work, .done = done};
    return r;
}

/* A request that has changed something is not told that it failed because the readers are busy: its answer may hold what is shown
 * only once. */
static bool must_be_answered(const struct reading *r)
{
    return strcmp(r->req->method, "GET") != 0;
}

static void post(struct reading *r)
{
    struct host *h = r->api->host;
    const int err = h->read(h, &r->job);
    if (err == -EAGAIN && must_be_answered(r))
        timer_set(h->timers, &r->again, READ_AGAIN_MS);
    else if (err < 0)
        done(&r->job, err);
}

static void post_again(struct timer *t)
{
    post(container_of(t, struct reading, again));
}

void reading_start(struct reading *r)
{
    r->body = (struct str){0};
    r->err = 0;
    r->again.fired = post_again;
    post(r);
}

/* ---- writing ---- */

static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct writing *w = container_of(t, struct writing, ticket);
    if (o->err != 0)
        respond_unavailable(w->req);
    else
        w->then(w, o);
}

void *writing_make(struct api *a, struct http_request *req, size_t size,
                   void (*then)(struct writing *, const struct outcome *))
{
    CHECK(size >= sizeof(struct writing));
    struct writing *w = arena_zalloc(req->arena, size);
    w->ticket.done = redeemed;
    w->api = a;
    w->req = req;
    w->then = then;
    return w;
}

static void dropped(struct writing *w, const struct outcome *o)
{
    http_respond(w->req, 204, NULL, SLICE_NONE);
}

struct writing *dropping_make(struct api *a, struct http_request *req)
{
    return writing_make(a, req, sizeof(struct writing), dropped);
}

/* ---- requests ---- */

static bool refuse(struct http_request *req, const char *name, const char *why)
{
    struct diag d;
    diag_set(&d, DIAG_INVALID_ARGUMENT, "%s: %s", name, why);
    http_respond_diag(req, &d);
    return false;
}

bool take_page(struct http_request *req, unsigned limit_default, struct page *ret)
{
    struct slice v;
    uint64_t n = limit_default;
    *ret = (struct page){0};
    if (http_query(req, "limit", &v) && (!slice_u64(v, UINT64_MAX, &n) || n == 0))
        return refuse(req, "limit", "must be a number from 1 to 200");
    ret->limit = n < PAGE_LIMIT_MAX ? (unsigned)n : PAGE_LIMIT_MAX;
    if (http_query(req, "offset", &v) && !slice_u64(v, INT64_MAX, &ret->offset))
        return refuse(req, "offset", "must be a number, 0 or more");
    http_query(req, "cursor", &ret->cursor);
    return true;
}

bool take_uuid(struct http_request *req, const char *name, struct uuid *ret)
{
    struct slice v;
    if (http_query(req, name, &v) && !uuid_parse(v, ret))
        return refuse(req, name, "must be a UUID");
    return true;
}

bool take_time(struct http_request *req, const char *name, struct wall *ret)
{
    struct slice v;
    if (http_query(req, name, &v) && !rfc3339_parse(v, ret))
        return refuse(req, name, "must be an RFC 3339 time such as 2026-02-13T10:00:00Z");
    return true;
}

bool take_path_id(struct http_request *req, unsigned param, const char *missing, struct uuid *ret)
{
    if (uuid_parse(req->params[param], ret))
        return true;
    http_respond_error(req, DIAG_NOT_FOUND, 0, missing);
    return false;
}

struct pipeline *take_pipeline(struct api *a, struct http_request *req)
{
    struct str path = {0};
    for (unsigned i = 0; i < 3; i++) {
        if (i > 0)
            str_add_char(&path, '.');
        str_add_slice(&path, req->params[i]);
    }
    struct pipeline *p = catalog_pipeline_at(engine_catalog(a->host->engine), str_slice(&path));
    str_release(&path);
    if (p == NULL)
        http_respond_error(req, DIAG_NOT_FOUND, 0, "there is no such pipeline");
    return p;
}

struct zone *take_zone(struct api *a, struct http_request *req)
{
    struct str path = {0};
    str_add_slice(&path, req->params[0]);
    str_add_char(&path, '.');
    str_add_slice(&path, req->params[1]);
    struct zone *z = catalog_zone_at(engine_catalog(a->host->engine), str_slice(&path));
    str_release(&path);
    if (z == NULL)
        http_respond_error(req, DIAG_NOT_FOUND, 0, "there is no such landing zone");
    return z;
}

static struct pipeline *find_by_any_id(const struct catalog *c, struct slice id)
{
    struct uuid uuid;
    struct pipeline *p = catalog_pipeline_given(c, id);
    if (p == NULL && uuid_parse(id, &uuid))
        p = catalog_pipeline(c, uuid);
    return p != NULL ? p : catalog_pipeline_at(c, id);
}

struct pipeline *take_pipeline_id(struct api *a, struct http_request *req, unsigned param)
{
    struct pipeline *p = find_by_any_id(engine_catalog(a->host->engine), req->params[param]);
    if (p == NULL)
        http_respond_error(req, DIAG_NOT_FOUND, 0, "there is no such pipeline");
    return p;
}

bool take_force(struct http_request *req, bool *ret)
{
    struct slice v;
    *ret = false;
    if (!http_query(req, "force", &v) || slice_is(v, "false"))
        return true;
    *ret = slice_is(v, "true");
    if (!*ret)
        http_respond_error(req, DIAG_INVALID_ARGUMENT, 0, "force: must be true or false");
    return *ret;
}
