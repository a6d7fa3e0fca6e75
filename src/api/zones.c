/* zones.c - /api/v1/landing-zones: directories that are watched.
 *
 * Their files are in zone_files.c, and where a zone may be in zone_place.c.
 */
#include "api/resources.h"
#include "api/work.h"
#include "api/zone_place.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slug.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

static const char missing[] = "there is no such landing zone";

static const char *const read_only[] = {"id",    "file_count", "total_bytes", "status",
                                        "error", "created_at", "updated_at"};

/* ---- status ---- */

/* The zones that are not watched as they should be, as of the request. */
struct troubles {
    struct {
        struct uuid zone;
        const char *status;
        struct slice error;
    } * items;
    size_t count;
};

static struct troubles note_troubles(struct api *a, struct arena *arena)
{
    const struct zone_trouble *t, *all = a->host->zones != NULL ? a->host->zones->troubles : NULL;
    struct troubles ret = {0};
    DL_COUNT(all, t, ret.count);
    ret.items = arena_alloc(arena, ret.count * sizeof(*ret.items) + 1);
    size_t n = 0;
    DL_FOREACH (all, t) {
        ret.items[n].zone = t->zone;
        ret.items[n].status = t->status;
        ret.items[n++].error = arena_copy(arena, slice_of(t->error));
    }
    return ret;
}

/* May run on a reader thread. */
static void add_status(void *troubles, struct uuid zone, struct str *ret)
{
    const struct troubles *t = troubles;
    size_t i = 0;
    while (i < t->count && uuid_cmp(t->items[i].zone, zone) != 0)
        i++;
    str_printf(ret,
               ",\"status\":\"%s\",\"error\":", i < t->count ? t->items[i].status : "watching");
    if (i < t->count && t->items[i].error.p != NULL)
        str_add_json(ret, t->items[i].error);
    else
        str_add_cstr(ret, "null");
}

/* ---- answering with the object ---- */

static int query_one(struct reading *r, struct db *db)
{
    return query_zone(db, r->id, &r->body);
}

static void answer(struct reading *r)
{
    struct troubles t = note_troubles(r->api, r->req->arena);
    struct str body = {0};
    str_add_slice(&body, str_slice(&r->body));
    add_status(&t, r->id, &body);
    str_add_char(&body, '}');
    http_respond_json(r->req, r->status, str_slice(&body));
    str_release(&body);
}

static void answer_object(struct api *a, struct http_request *req, struct uuid id, int status)
{
    struct reading *r = reading_make(a, req, sizeof(*r), query_one);
    r->id = id;
    r->status = status;
    r->missing = missing;
    r->then = answer;
    reading_start(r);
}

struct changing {
    struct writing writing;
    struct zone_waiter waiter;
    int status;
};

static void is_watched(struct zone_waiter *w)
{
    struct changing *c = container_of(w, struct changing, waiter);
    answer_object(c->writing.api, c->writing.req, w->zone, c->status);
}

/* Whoever gets the answer can count on it that files are noticed from here on. */
static void changed(struct writing *w, const struct outcome *o)
{
    struct changing *c = container_of(w, struct changing, writing);
    c->waiter.done = is_watched;
    if (w->api->host->zones != NULL)
        w->api->host->zones->await(w->api->host->zones, &c->waiter);
    else
        is_watched(&c->waiter);
}

/* ---- bodies ---- */

static void strip(json_t *body)
{
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
        json_object_del(body, read_only[i]);
}

/* Appends "namespace.name". */
static int take_path(json_t *body, struct str *ret, struct diag *reterr)
{
    static const char *const names[] = {"namespace", "name"};
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    for (size_t i = 0; i < ARRAY_SIZE(names) && !f.failed; i++) {
        const char *v = json_take_string(&f, names[i], JSON_REQUIRED);
        if (v == NULL)
            break;
        if (!slug_valid(slice_of(v)))
            json_fields_fail(&f, names[i], SLUG_RULE);
        str_printf(ret, "%s%s", i > 0 ? "." : "", v);
    }
    return f.failed ? -EINVAL : 0;
}

/* ---- create ---- */

/* A new zone, while somebody finds out what is at its path. */
struct draft {
    struct zone_probe probe;
    struct api *api;
    struct http_request *req;
    struct slice path, directory; /* the request's */
    bool ours;
    struct zone_def *def;
};

static void add(struct draft *d)
{
    struct api *a = d->api;
    struct engine *e = a->host->engine;
    struct diag why;
    if (catalog_zone_at(engine_catalog(e), d->path) != NULL) {
        zone_def_unref(d->def);
        diag_set(&why, DIAG_ALREADY_EXISTS, "the landing zone %s exists already", d->path.p);
        http_respond_diag(d->req, &why);
        return;
    }
    struct changing *c = writing_make(a, d->req, sizeof(*c), changed);
    c->status = 201;
    c->waiter.zone = engine_add_zone(e, a->host->now(a->host), d->path, d->directory, d->ours,
                                     d->def, &c->writing.ticket)
                         ->id;
}

static void probed(struct zone_probe *p)
{
    struct draft *d = container_of(p, struct draft, probe);
    if (p->err != -ENOTDIR && p->err != -ECANCELED) {
        add(d); /* what is wrong with it may be put right, and is shown until then */
        return;
    }
    zone_def_unref(d->def);
    if (p->err == -ENOTDIR)
        http_respond_error(d->req, DIAG_INVALID_ARGUMENT, 0,
                           "path: is not a directory, or leads through something that is none");
    else
        respond_unavailable(d->req);
}

static int draft_from(struct draft *d, json_t *body, struct diag *reterr)
{
    struct str path = {0}, directory = {0};
    int err = -EINVAL;
    if (take_path(body, &path, reterr) == 0 &&
        zone_place_take(d->api, body, str_slice(&path), &directory, &d->ours, reterr) == 0) {
        strip(body);
        d->def = zone_def_make(body, reterr);
        err = d->def == NULL ? -EINVAL
              : d->ours      ? 0
                             : zone_place_check(d->api, directory.p, d->def->recursive, reterr);
    }
    if (err == 0) {
        d->path = arena_copy(d->req->arena, str_slice(&path));
        d->directory = arena_copy(d->req->arena, str_slice(&directory));
    } else {
        zone_def_unref(d->def);
    }
    str_release(&path);
    str_release(&directory);
    return err;
}

static void create(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct diag why;
    struct draft *d = arena_zalloc(req->arena, sizeof(*d));
    json_t *body = json_parse_object(req->body, &why);
    d->api = a;
    d->req = req;
    const bool good = body != NULL && draft_from(d, body, &why) == 0;
    json_decref(body);
    d->probe.directory = d->directory.p;
    d->probe.done = probed;
    if (!good)
        http_respond_diag(req, &why);
    else if (d->ours || a->host->zones == NULL)
        add(d);
    else
        a->host->zones->probe(a->host->zones, &d->probe);
}

/* ---- update ---- */

static int check_same(json_t *body, const char *name, struct slice is, struct diag *reterr)
{
    const json_t *v = json_object_get(body, name);
    if (v == NULL || (json_is_string(v) && slice_is(is, json_string_value(v))))
        return 0;
    return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: cannot be changed", name);
}

/* The stored definition with the body's fields laid over it; null brings back a default. */
static json_t *merge(const struct zone *z, json_t *body, struct diag *reterr)
{
    json_t *spec = json_parse_object(slice_of(z->def->spec), reterr);
    if (spec != NULL)
        json_object_update(spec, body);
    return spec;
}

static int change(struct api *a, struct http_request *req, void *object, json_t *body,
                  struct diag *reterr)
{
    struct zone *z = object;
    if (check_same(body, "namespace", req->params[0], reterr) < 0 ||
        check_same(body, "name", req->params[1], reterr) < 0 ||
        check_same(body, "path", slice_of(z->directory), reterr) < 0)
        return -EINVAL;
    strip(body);
    json_t *spec = merge(z, body, reterr);
    struct zone_def *def = spec != NULL ? zone_def_make(spec, reterr) : NULL;
    json_decref(spec);
    if (def == NULL)
        return -EINVAL;
    if (zone_place_check_change(a, z, def, reterr) < 0) {
        zone_def_unref(def);
        return -EINVAL;
    }
    struct changing *c = writing_make(a, req, sizeof(*c), changed);
    c->status = 200;
    c->waiter.zone = z->id;
    engine_change_zone(a->host->engine, a->host->now(a->host), z, def, &c->writing.ticket);
    return 0;
}

static void update(struct http_request *req, void *ctx)
{
    struct zone *z = take_zone(ctx, req);
    if (z != NULL)
        respond_change(req, ctx, z, change);
}

/* ---- delete, get, list ---- */

static void drop(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    bool force;
    if (!take_force(req, &force))
        return;
    struct zone *z = take_zone(a, req);
    if (z == NULL)
        return;
    const struct trigger *user =
        catalog_zone_user(engine_catalog(a->host->engine), slice_of(z->path));
    if (user != NULL && !force) {
        respond_in_use(req, user, "fires for files in this landing zone");
        return;
    }
    struct writing *w = dropping_make(a, req);
    engine_drop_zone(a->host->engine, a->host->now(a->host), z, &w->ticket);
}

static void get(struct http_request *req, void *ctx)
{
    const struct zone *z = take_zone(ctx, req);
    if (z != NULL)
        answer_object(ctx, req, z->id, 200);
}

struct listing {
    struct reading reading;
    struct zone_filter filter;
    struct troubles troubles;
};

static int query_list(struct reading *r, struct db *db)
{
    struct listing *l = container_of(r, struct listing, reading);
    return query_zones(db, &l->filter, &r->page, add_status, &l->troubles, &r->body);
}

static void list(struct http_request *req, void *ctx)
{
    struct listing *l = reading_make(ctx, req, sizeof(*l), query_list);
    http_query(req, "namespace", &l->filter.ns);
    l->troubles = note_troubles(ctx, req->arena);
    if (take_page(req, PAGE_LIMIT_DEFAULT, &l->reading.page))
        reading_start(&l->reading);
}

#define ALL "/api/v1/landing-zones"
#define ONE ALL "/{ns}/{name}"
static const struct http_route routes[] = {
    {"GET", ALL, list, SCOPE_API, 0},    {"POST", ALL, create, SCOPE_API, 0},
    {"GET", ONE, get, SCOPE_API, 0},     {"PUT", ONE, update, SCOPE_API, 0},
    {"DELETE", ONE, drop, SCOPE_API, 0},
};
const struct resource resource_zones = {routes, ARRAY_SIZE(routes)};
