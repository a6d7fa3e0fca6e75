/* zones.c - /api/v1/landing-zones: directories that are watched, and the files in them.
 *
 * Files are sent and deleted through the zone source, which has the directories; here are the zones and what the ledger knows.
 */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slug.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

#define DIRECTORY_LEN_MAX 3072 /* leaves room for what is below */

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

struct change {
    struct writing writing;
    struct zone_waiter waiter;
    int status;
};

static void is_watched(struct zone_waiter *w)
{
    struct change *c = container_of(w, struct change, waiter);
    answer_object(c->writing.api, c->writing.req, w->zone, c->status);
}

/* Whoever gets the answer can count on it that files are noticed from here on. */
static void changed(struct writing *w, const struct outcome *o)
{
    struct change *c = container_of(w, struct change, writing);
    c->waiter.done = is_watched;
    if (w->api->host->zones != NULL)
        w->api->host->zones->await(w->api->host->zones, &c->waiter);
    else
        is_watched(&c->waiter);
}

static void dropped(struct writing *w, const struct outcome *o)
{
    http_respond(w->req, 204, NULL, SLICE_NONE);
}

/* The zone in a path's first two parameters: 404 when there is none. */
static struct zone *take_zone(struct api *a, struct http_request *req)
{
    struct str path = {0};
    str_add_slice(&path, req->params[0]);
    str_add_char(&path, '.');
    str_add_slice(&path, req->params[1]);
    struct zone *z = catalog_zone_at(engine_catalog(a->host->engine), str_slice(&path));
    str_release(&path);
    if (z == NULL)
        http_respond_error(req, DIAG_NOT_FOUND, 0, missing);
    return z;
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

static bool is_plain(const char *directory)
{
    for (const char *p = directory; *p != '\0';) {
        const size_t len = strcspn(p + 1, "/");
        if (*p != '/' || len == 0 || (len == 1 && p[1] == '.') ||
            (len == 2 && p[1] == '.' && p[2] == '.'))
            return false;
        p += 1 + len;
    }
    return true;
}

static bool is_within(const char *path, const char *directory)
{
    const size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* The data directory's own files must not become events. */
static int check_place(const struct api *a, const char *directory, bool recursive,
                       struct diag *reterr)
{
    if (is_within(directory, a->host->data))
        return diag_set(
            reterr, DIAG_INVALID_ARGUMENT,
            "path: must not be within pawl's data directory; leave it out to have one made there");
    if (recursive && is_within(a->host->data, directory))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "path: pawl's data directory is below it, so it cannot be recursive");
    return 0;
}

/* Appends the directory; *ret_ours when the client leaves that to us. */
static int take_directory(const struct api *a, json_t *body, const struct str *path,
                          struct str *ret, bool *ret_ours, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    const char *v = json_take_string(&f, "path", JSON_OPTIONAL);
    if (f.failed)
        return -EINVAL;
    *ret_ours = v == NULL;
    if (v == NULL) {
        const size_t dot = strcspn(path->p, ".");
        str_printf(ret, "%s/zones/%.*s/%s", a->host->data, (int)dot, path->p, path->p + dot + 1);
        return 0;
    }
    str_add_cstr(ret, v);
    if (ret->len > 1 && ret->p[ret->len - 1] == '/')
        ret->p[--ret->len] = '\0';
    if (ret->len < 2 || ret->len > DIRECTORY_LEN_MAX || !is_plain(ret->p))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "path: must be an absolute path of at most %d bytes without . and .. in it",
                        DIRECTORY_LEN_MAX);
    return 0;
}

/* ---- create ---- */

static int create_from(struct api *a, struct http_request *req, json_t *body, struct str *path,
                       struct str *directory, struct diag *reterr)
{
    struct engine *e = a->host->engine;
    bool ours;
    if (take_path(body, path, reterr) < 0 ||
        take_directory(a, body, path, directory, &ours, reterr) < 0)
        return -EINVAL;
    strip(body);
    struct zone_def *def = zone_def_make(body, reterr);
    if (def == NULL)
        return -EINVAL;
    int err = ours ? 0 : check_place(a, directory->p, def->recursive, reterr);
    if (err == 0 && catalog_zone_at(engine_catalog(e), str_slice(path)) != NULL)
        err = diag_set(reterr, DIAG_ALREADY_EXISTS, "the landing zone %s exists already", path->p);
    if (err < 0) {
        zone_def_unref(def);
        return err;
    }
    struct change *c = writing_make(a, req, sizeof(*c), changed);
    c->status = 201;
    c->waiter.zone = engine_add_zone(e, a->host->now(a->host), str_slice(path),
                                     str_slice(directory), ours, def, &c->writing.ticket)
                         ->id;
    return 0;
}

static void create(struct http_request *req, void *ctx)
{
    struct diag why;
    struct str path = {0}, directory = {0};
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || create_from(ctx, req, body, &path, &directory, &why) < 0)
        http_respond_diag(req, &why);
    str_release(&path);
    str_release(&directory);
    json_decref(body);
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

static int check_change(const struct api *a, const struct zone *z, const struct zone_def *def,
                        struct diag *reterr)
{
    if (def->fire_existing != z->def->fire_existing)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "initial: cannot be changed: it is about what was there when the landing "
                        "zone was created");
    return z->made_by_us ? 0 : check_place(a, z->directory, def->recursive, reterr);
}

static int update_from(struct api *a, struct http_request *req, struct zone *z, json_t *body,
                       struct diag *reterr)
{
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
    if (check_change(a, z, def, reterr) < 0) {
        zone_def_unref(def);
        return -EINVAL;
    }
    struct change *c = writing_make(a, req, sizeof(*c), changed);
    c->status = 200;
    c->waiter.zone = z->id;
    engine_change_zone(a->host->engine, a->host->now(a->host), z, def, &c->writing.ticket);
    return 0;
}

static void update(struct http_request *req, void *ctx)
{
    struct diag why;
    struct zone *z = take_zone(ctx, req);
    if (z == NULL)
        return;
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || update_from(ctx, req, z, body, &why) < 0)
        http_respond_diag(req, &why);
    json_decref(body);
}

/* ---- delete, get, list ---- */

static void answer_used(struct http_request *req, const struct trigger *by)
{
    struct diag why;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(by->id, id);
    diag_set(&why, DIAG_FAILED_PRECONDITION,
             "the trigger %s of the pipeline %s fires for files in this landing zone; delete that "
             "first, or add ?force=true",
             id, by->pipeline->path);
    http_respond_diag(req, &why);
}

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
        answer_used(req, user);
        return;
    }
    struct writing *w = writing_make(a, req, sizeof(*w), dropped);
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

/* ---- files ---- */

static int query_file_list(struct reading *r, struct db *db)
{
    return query_files(db, r->id, &r->page, &r->body);
}

static void list_files(struct http_request *req, void *ctx)
{
    const struct zone *z = take_zone(ctx, req);
    if (z == NULL)
        return;
    struct reading *r = reading_make(ctx, req, sizeof(*r), query_file_list);
    r->id = z->id;
    r->missing = missing;
    if (take_page(req, PAGE_LIMIT_DEFAULT, &r->page))
        reading_start(r);
}

struct file_reading {
    struct reading reading;
    struct uuid file;
};

static int query_one_file(struct reading *r, struct db *db)
{
    return query_file(db, r->id, container_of(r, struct file_reading, reading)->file, &r->body);
}

static void get_file(struct http_request *req, void *ctx)
{
    static const char no_file[] = "the landing zone has no such file";
    const struct zone *z = take_zone(ctx, req);
    if (z == NULL)
        return;
    struct file_reading *f = reading_make(ctx, req, sizeof(*f), query_one_file);
    f->reading.id = z->id;
    f->reading.missing = no_file;
    if (take_path_id(req, 2, no_file, &f->file))
        reading_start(&f->reading);
}

#define ALL "/api/v1/landing-zones"
#define ONE ALL "/{ns}/{name}"
static const struct http_route routes[] = {
    {"GET", ALL, list, SCOPE_API, 0},
    {"POST", ALL, create, SCOPE_API, 0},
    {"GET", ONE, get, SCOPE_API, 0},
    {"PUT", ONE, update, SCOPE_API, 0},
    {"DELETE", ONE, drop, SCOPE_API, 0},
    {"GET", ONE "/files", list_files, SCOPE_API, 0},
    {"GET", ONE "/files/{id}", get_file, SCOPE_API, 0},
};
const struct resource resource_zones = {routes, ARRAY_SIZE(routes)};
