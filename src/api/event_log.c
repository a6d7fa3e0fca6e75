/* event_log.c - /api/v1/event-log: what happened, and what each trigger made of it. */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"

static const char missing[] = "there is no such event";

static int query_one(struct reading *r, struct db *db)
{
    return query_event(db, r->id, &r->body);
}

static void get(struct http_request *req, void *ctx)
{
    struct reading *r = reading_make(ctx, req, sizeof(*r), query_one);
    r->missing = missing;
    if (take_path_id(req, 0, missing, &r->id))
        reading_start(r);
}

struct listing {
    struct reading reading;
    struct event_filter filter;
};

static int query_list(struct reading *r, struct db *db)
{
    struct listing *l = container_of(r, struct listing, reading);
    return query_events(db, &l->filter, &r->page, &r->body);
}

static void list(struct http_request *req, void *ctx)
{
    struct listing *l = reading_make(ctx, req, sizeof(*l), query_list);
    l->filter.since = WALL_UNSET;
    http_query(req, "source", &l->filter.source);
    if (take_uuid(req, "trigger_id", &l->filter.trigger) &&
        take_time(req, "since", &l->filter.since) &&
        take_page(req, PAGE_LIMIT_DEFAULT, &l->reading.page))
        reading_start(&l->reading);
}

static const struct http_route routes[] = {
    {"GET", "/api/v1/event-log", list, SCOPE_API, 0},
    {"GET", "/api/v1/event-log/{id}", get, SCOPE_API, 0},
};
const struct resource resource_event_log = {routes, ARRAY_SIZE(routes)};
