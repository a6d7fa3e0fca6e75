/* pipelines.c - /api/v1/pipelines: what can be run.
 *
 * A body is the pipeline's path (namespace, layer, name) and its spec in one object. The spec is
 * what remains when the path and the fields that pawl itself adds to its answers are taken out.
 */
#include "api/pause.h"
#include "api/pipeline_def.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slug.h"
#include "core/redact.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const path_fields[] = {"namespace", "layer", "name"};
#define GIVEN_ID_LEN_MAX 63

static const char *const read_only[] = {"id",         "uuid",       "version",
                                        "created_at", "updated_at", "latest_run",
                                        "paused",     "paused_at",  "pause_reason"};

/* The pipeline that a request is about, by its path or by its id: 404 when there is none. */
static struct pipeline *take_any(struct api *a, struct http_request *req)
{
    return strstr(req->route->pattern, "{layer}") != NULL ? take_pipeline(a, req)
                                                          : take_pipeline_id(a, req, 0);
}

/* ---- answering with the object ---- */

static int query_one(struct reading *r, struct db *db)
{
    return query_pipeline(db, r->id, &r->body);
}

static void answer_object(struct api *a, struct http_request *req, struct uuid id, int status)
{
    struct reading *r = reading_make(a, req, sizeof(*r), query_one);
    r->id = id;
    r->status = status;
    r->missing = "there is no such pipeline";
    reading_start(r);
}

struct changing {
    struct writing writing;
    struct uuid id;
    int status;
};

static void changed(struct writing *w, const struct outcome *o)
{
    struct changing *c = container_of(w, struct changing, writing);
    answer_object(w->api, w->req, c->id, c->status);
}

/* ---- bodies ---- */

/* Removes what is not part of the spec. */
static void strip(json_t *body)
{
    for (size_t i = 0; i < ARRAY_SIZE(path_fields); i++)
        json_object_del(body, path_fields[i]);
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
        json_object_del(body, read_only[i]);
}

/* What stands for a field that is absent; a field that is null is wrong. */
static void default_text(json_t *body, const char *name, const char *text)
{
    if (json_object_get(body, name) == NULL)
        json_object_set_new(body, name, json_string(text));
}

/* The slug of the name, or of the id that is given, for a name that has none: it may be in any script. */
static bool make_slug(const char *name, const char *id, char ret[SLUG_LEN_MAX + 1])
{
    return slug_make(slice_of(name), ret) ||
           (name[0] != '\0' && id != NULL && slug_make(slice_of(id), ret));
}

/* A pipeline without a layer is one of those that events start, and may be called what people like: the slug is made of that, and what
 * differs from it is kept as the title. */
static void take_short_form(json_t *body)
{
    if (json_object_get(body, "layer") == NULL) {
        char slug[SLUG_LEN_MAX + 1];
        const char *name = json_string_value(json_object_get(body, "name"));
        const char *id = json_string_value(json_object_get(body, "id"));
        if (name != NULL && make_slug(name, id, slug) && strcmp(slug, name) != 0) {
            default_text(body, "title", name);
            json_object_set_new(body, "name", json_string(slug));
        }
    }
    default_text(body, "namespace", "default");
    default_text(body, "layer", "events");
}

static bool is_given_id(struct slice id)
{
    if (id.len == 0 || id.len > GIVEN_ID_LEN_MAX || id.p[0] == '-' || id.p[0] == '_')
        return false;
    for (size_t i = 0; i < id.len; i++) {
        const char c = id.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* The id that a new pipeline is to have besides its UUID; absent: none. A UUID is one that pawl has given before: what was read may be
 * written elsewhere. */
static int take_given_id(json_t *body, struct slice *ret, struct diag *reterr)
{
    const json_t *v = json_object_get(body, "id");
    struct uuid ignored;
    *ret = SLICE_NONE;
    if (v == NULL || json_is_null(v))
        return 0;
    const struct slice id = json_is_string(v) ? slice_of(json_string_value(v)) : SLICE_NONE;
    if (uuid_parse(id, &ignored))
        return 0;
    if (!is_given_id(id))
        return diag_set(
            reterr, DIAG_INVALID_ARGUMENT,
            "id: must be 1 to %d of A-Z, a-z, 0-9, '_' and '-', beginning with a letter or "
            "a digit",
            GIVEN_ID_LEN_MAX);
    *ret = id;
    return 0;
}

/* Appends "namespace.layer.name" of a new pipeline. */
static int take_path(json_t *body, struct str *ret, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    for (size_t i = 0; i < ARRAY_SIZE(path_fields) && !f.failed; i++) {
        const char *v = json_take_string(&f, path_fields[i], JSON_REQUIRED);
        if (v == NULL)
            break;
        if (!slug_valid(slice_of(v)))
            json_fields_fail(&f, path_fields[i], SLUG_RULE);
        str_printf(ret, "%s%s", i > 0 ? "." : "", v);
    }
    return f.failed ? -EINVAL : 0;
}

/* The name as it was given when the pipeline was made: its slug is in the path, and it is the title. */
static bool take_same_name(const struct pipeline *p, json_t *body, const char *name,
                           struct slice old)
{
    char slug[SLUG_LEN_MAX + 1];
    if (!make_slug(name, p->given_id, slug) || !slice_is(old, slug))
        return false;
    default_text(body, "title", name);
    return true;
}

/* An update may repeat the path, not change it. */
static int check_same_path(const struct pipeline *p, json_t *body, struct diag *reterr)
{
    const char *part = p->path;
    for (size_t i = 0; i < ARRAY_SIZE(path_fields); i++) {
        const struct slice old = {part, strcspn(part, ".")};
        const json_t *v = json_object_get(body, path_fields[i]);
        const char *text = json_string_value(v);
        part += old.len + 1;
        if (v == NULL || (text != NULL && slice_is(old, text)))
            continue;
        if (text == NULL || strcmp(path_fields[i], "name") != 0 ||
            !take_same_name(p, body, text, old))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: cannot be changed; it is '%.*s'",
                            path_fields[i], (int)old.len, old.p);
    }
    return 0;
}

/* ---- create ---- */

/* Nobody else may have the path or the id. */
static int check_free(const struct catalog *c, const struct str *path, struct slice given_id,
                      struct diag *reterr)
{
    if (catalog_pipeline_at(c, str_slice(path)) != NULL)
        return diag_set(reterr, DIAG_ALREADY_EXISTS, "the pipeline %s exists already", path->p);
    if (given_id.p != NULL && catalog_pipeline_given(c, given_id) != NULL)
        return diag_set(reterr, DIAG_ALREADY_EXISTS, "id: the pipeline %.*s exists already",
                        (int)given_id.len, given_id.p);
    return 0;
}

static int create_from(struct api *a, struct http_request *req, json_t *body, struct str *path,
                       struct diag *reterr)
{
    struct engine *e = a->host->engine;
    struct slice given_id;
    take_short_form(body);
    if (take_path(body, path, reterr) < 0 || take_given_id(body, &given_id, reterr) < 0 ||
        check_free(engine_catalog(e), path, given_id, reterr) < 0)
        return -EINVAL;
    given_id = given_id.p != NULL ? arena_copy(req->arena, given_id) : SLICE_NONE;
    strip(body);
    struct pipeline_def *def = pipeline_def_of(a->host->seal, body, reterr);
    if (def == NULL)
        return -EINVAL;
    struct changing *c = writing_make(a, req, sizeof(*c), changed);
    c->status = 201;
    c->id = engine_add_pipeline_as(e, a->host->now(a->host), str_slice(path), given_id, def,
                                   &c->writing.ticket)
                ->id;
    return 0;
}

static void create(struct http_request *req, void *ctx)
{
    struct diag why;
    struct str path = {0};
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || create_from(ctx, req, body, &path, &why) < 0)
        http_respond_diag(req, &why);
    str_release(&path);
    json_decref(body);
}

/* ---- update ---- */

/* The stored spec with the body's fields laid over it; null takes a field out, and of executor
 * and steps one replaces the other. */
static json_t *merge(const struct seal *s, const struct pipeline *p, json_t *body)
{
    json_t *old = pipeline_def_spec(s, p->def);
    json_t *spec = json_copy(old);
    if (json_object_get(body, "executor") != NULL)
        json_object_del(spec, "steps");
    else if (json_object_get(body, "steps") != NULL)
        json_object_del(spec, "executor");
    json_object_update(spec, body);
    redact_undo(spec, old);
    json_decref(old);
    return spec;
}

static int change(struct api *a, struct http_request *req, void *object, json_t *body,
                  struct diag *reterr)
{
    struct pipeline *p = object;
    if (check_same_path(p, body, reterr) < 0)
        return -EINVAL;
    strip(body);
    json_t *spec = merge(a->host->seal, p, body);
    struct pipeline_def *def = pipeline_def_of(a->host->seal, spec, reterr);
    json_decref(spec);
    if (def == NULL)
        return -EINVAL;
    struct changing *c = writing_make(a, req, sizeof(*c), changed);
    c->status = 200;
    c->id = p->id;
    engine_change_pipeline(a->host->engine, a->host->now(a->host), p, def, &c->writing.ticket);
    return 0;
}

static void update(struct http_request *req, void *ctx)
{
    struct pipeline *p = take_any(ctx, req);
    if (p != NULL)
        respond_change(req, ctx, p, change);
}

/* ---- delete, pause, get ---- */

static void drop(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    bool force;
    if (!take_force(req, &force))
        return;
    struct pipeline *p = take_any(a, req);
    if (p == NULL)
        return;
    const struct trigger *follower = catalog_follower(engine_catalog(a->host->engine), p);
    if (follower != NULL && !force) {
        respond_in_use(req, follower, "follows this pipeline");
        return;
    }
    struct writing *w = dropping_make(a, req);
    engine_drop_pipeline(a->host->engine, a->host->now(a->host), p, &w->ticket);
}

static void pause_or_resume(struct http_request *req, struct api *a, bool pause)
{
    struct pipeline *p = take_any(a, req);
    if (p == NULL)
        return;
    struct changing *c = writing_make(a, req, sizeof(*c), changed);
    c->status = 200;
    c->id = p->id;
    pause_change(&c->writing, &(struct pause_target){.pipeline = p}, pause);
}

static void pause_one(struct http_request *req, void *ctx)
{
    pause_or_resume(req, ctx, true);
}

static void resume_one(struct http_request *req, void *ctx)
{
    pause_or_resume(req, ctx, false);
}

static void get(struct http_request *req, void *ctx)
{
    struct pipeline *p = take_any(ctx, req);
    if (p != NULL)
        answer_object(ctx, req, p->id, 200);
}

/* ---- versions ---- */

static int query_version_list(struct reading *r, struct db *db)
{
    return query_versions(db, r->id, &r->page, &r->body);
}

static void answer_versions(struct api *a, struct http_request *req, const struct pipeline *p)
{
    if (p == NULL)
        return;
    struct reading *r = reading_make(a, req, sizeof(*r), query_version_list);
    r->id = p->id;
    if (take_page(req, PAGE_LIMIT_DEFAULT, &r->page))
        reading_start(r);
}

static void list_versions(struct http_request *req, void *ctx)
{
    answer_versions(ctx, req, take_any(ctx, req));
}

struct version_reading {
    struct reading reading;
    uint32_t version;
};

static int query_one_version(struct reading *r, struct db *db)
{
    struct version_reading *v = container_of(r, struct version_reading, reading);
    return query_version(db, r->id, v->version, &r->body);
}

static void answer_version(struct api *a, struct http_request *req, const struct pipeline *p,
                           struct slice version)
{
    uint64_t n;
    if (p == NULL)
        return;
    struct version_reading *v = reading_make(a, req, sizeof(*v), query_one_version);
    v->reading.id = p->id;
    v->reading.missing = "the pipeline has no such version";
    v->version = slice_u64(version, UINT32_MAX, &n) ? (uint32_t)n : 0; /* there is no version 0 */
    reading_start(&v->reading);
}

static void get_version(struct http_request *req, void *ctx)
{
    answer_version(ctx, req, take_pipeline(ctx, req), req->params[3]);
}

/* Of a path with three parts behind the collection the middle one may be a layer called "versions". */
static void get_version_by_id(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct str path = {0};
    str_add_slice(&path, req->params[0]);
    str_add_cstr(&path, ".versions.");
    str_add_slice(&path, req->params[1]);
    const struct pipeline *p =
        catalog_pipeline_at(engine_catalog(a->host->engine), str_slice(&path));
    str_release(&path);
    if (p != NULL)
        answer_object(a, req, p->id, 200);
    else
        answer_version(a, req, take_pipeline_id(a, req, 0), req->params[1]);
}

/* ---- list ---- */

struct listing {
    struct reading reading;
    struct pipeline_filter filter;
};

static int query_list(struct reading *r, struct db *db)
{
    struct listing *l = container_of(r, struct listing, reading);
    return query_pipelines(db, &l->filter, &r->page, &r->body);
}

static void list(struct http_request *req, void *ctx)
{
    struct listing *l = reading_make(ctx, req, sizeof(*l), query_list);
    http_query(req, "namespace", &l->filter.ns);
    http_query(req, "layer", &l->filter.layer);
    if (take_page(req, PAGE_LIMIT_DEFAULT, &l->reading.page))
        reading_start(&l->reading);
}

#define ONE "/api/v1/pipelines/{ns}/{layer}/{name}"
#define BY_ID "/api/v1/pipelines/{id}"
static const struct http_route routes[] = {
    {"GET", "/api/v1/pipelines", list, SCOPE_API, 0},
    {"POST", "/api/v1/pipelines", create, SCOPE_API, 0},
    {"GET", ONE, get, SCOPE_API, 0},
    {"PUT", ONE, update, SCOPE_API, 0},
    {"DELETE", ONE, drop, SCOPE_API, 0},
    {"POST", ONE "/pause", pause_one, SCOPE_API, 0},
    {"POST", ONE "/resume", resume_one, SCOPE_API, 0},
    {"GET", ONE "/versions", list_versions, SCOPE_API, 0},
    {"GET", ONE "/versions/{version}", get_version, SCOPE_API, 0},
    {"GET", BY_ID, get, SCOPE_API, 0},
    {"PUT", BY_ID, update, SCOPE_API, 0},
    {"DELETE", BY_ID, drop, SCOPE_API, 0},
    {"POST", BY_ID "/pause", pause_one, SCOPE_API, 0},
    {"POST", BY_ID "/resume", resume_one, SCOPE_API, 0},
    {"GET", BY_ID "/versions", list_versions, SCOPE_API, 0},
    {"GET", BY_ID "/versions/{version}", get_version_by_id, SCOPE_API, 0},
};
const struct resource resource_pipelines = {routes, ARRAY_SIZE(routes)};
