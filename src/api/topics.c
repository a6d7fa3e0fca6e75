/* topics.c - /api/v1/topics: the embedded topics, what they keep, and what is in them. Publishing is source/topic.c's. */
#include "core/topic.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "core/engine.h"
#include <errno.h>

#define RETENTION_S_MAX (INT64_C(100) * 366 * 86400)

static const char missing[] = "there is no such topic";

/* A request about one topic. */
struct topic_reading {
    struct reading reading;
    struct slice name; /* in the arena */
    uint64_t offset;
};

static void *make_reading(struct api *a, struct http_request *req,
                          int (*query)(struct reading *, struct db *))
{
    struct topic_reading *r = reading_make(a, req, sizeof(*r), query);
    r->name = req->params[0];
    r->reading.missing = missing;
    return r;
}

/* ---- reading ---- */

static int query_one(struct reading *r, struct db *db)
{
    return query_topic(db, container_of(r, struct topic_reading, reading)->name, &r->body);
}

static void get(struct http_request *req, void *ctx)
{
    reading_start(make_reading(ctx, req, query_one));
}

static int query_list(struct reading *r, struct db *db)
{
    return query_topics(db, &r->page, &r->body);
}

static void list(struct http_request *req, void *ctx)
{
    struct reading *r = reading_make(ctx, req, sizeof(*r), query_list);
    if (take_page(req, PAGE_LIMIT_DEFAULT, &r->page))
        reading_start(r);
}

static int query_content(struct reading *r, struct db *db)
{
    struct topic_reading *t = container_of(r, struct topic_reading, reading);
    return query_messages(db, t->name, t->reading.page.offset, r->page.limit, &r->body);
}

static void messages(struct http_request *req, void *ctx)
{
    struct topic_reading *r = make_reading(ctx, req, query_content);
    if (take_page(req, PAGE_LIMIT_DEFAULT, &r->reading.page))
        reading_start(&r->reading);
}

/* ---- retention ---- */

struct retention_wish {
    uint64_t age_ms, bytes_max;
};

/* Absent and null: what the configuration says. */
static uint64_t take_limit(struct json_fields *f, json_t *body, const char *name, int64_t max,
                           uint64_t unit)
{
    const json_t *v = json_object_get(body, name);
    if (v == NULL || json_is_null(v)) {
        json_ignore(f, name);
        return RETENTION_DEFAULT;
    }
    return (uint64_t)json_take_int(f, name, 0, 0, max) * unit;
}

static int take_retention(json_t *body, struct retention_wish *ret, struct diag *reterr)
{
    static const char *const shown[] = {"name",  "first_offset", "end_offset", "messages",
                                        "bytes", "created_at",   "updated_at"};
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    ret->age_ms = take_limit(&f, body, "retention_seconds", RETENTION_S_MAX, 1000);
    ret->bytes_max = take_limit(&f, body, "retention_bytes", INT64_MAX / 2, 1);
    for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
        json_ignore(&f, shown[i]);
    return json_fields_end(&f);
}

static void changed(struct writing *w, const struct outcome *o)
{
    w->api->host->retain(w->api->host);
    get(w->req, w->api);
}

static int put_from(struct api *a, struct http_request *req, json_t *body, struct diag *reterr)
{
    struct retention_wish wish;
    if (!topic_name_valid(req->params[0]))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "topic: " TOPIC_NAME_RULE);
    if (take_retention(body, &wish, reterr) < 0)
        return -EINVAL;
    struct writing *w = writing_make(a, req, sizeof(*w), changed);
    if (engine_put_topic(a->host->engine, a->host->now(a->host), req->params[0], wish.age_ms,
                         wish.bytes_max, &w->ticket) < 0)
        return diag_set(reterr, DIAG_RESOURCE_EXHAUSTED,
                        "there are as many topics as there may be; delete one");
    return 0;
}

static void put(struct http_request *req, void *ctx)
{
    struct diag why;
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || put_from(ctx, req, body, &why) < 0)
        http_respond_diag(req, &why);
    json_decref(body);
}

/* ---- delete ---- */

static void dropped(struct writing *w, const struct outcome *o)
{
    w->api->host->retain(w->api->host);
    http_respond(w->req, 204, NULL, SLICE_NONE);
}

static void drop(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct topic *t = catalog_topic(engine_catalog(a->host->engine), req->params[0]);
    if (t == NULL) {
        http_respond_error(req, DIAG_NOT_FOUND, 0, missing);
        return;
    }
    struct writing *w = writing_make(a, req, sizeof(*w), dropped);
    engine_drop_topic(a->host->engine, a->host->now(a->host), t, &w->ticket);
}

#define ONE "/api/v1/topics/{topic}"
static const struct http_route routes[] = {
    {"GET", "/api/v1/topics", list, SCOPE_API, 0},
    {"GET", ONE, get, SCOPE_API, 0},
    {"PUT", ONE, put, SCOPE_API, 0},
    {"DELETE", ONE, drop, SCOPE_API, 0},
    {"GET", ONE "/messages", messages, SCOPE_API, 0},
};
const struct resource resource_topics = {routes, ARRAY_SIZE(routes)};
