/* pipelines.c - /api/v1/pipelines: what can be run.
 *
 * A body is the pipeline's path (namespace, layer, name) and its spec in one object. The spec is
 * what remains when the path and the fields that pawl itself adds to its answers are taken out.
 */
#include "api/pause.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slug.h"
#include "core/pipeline_spec.h"
#include "core/redact.h"
#include "pawl/executor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const path_fields[] = {"namespace", "layer", "name"};
static const char *const read_only[] = {"id",         "version", "created_at", "updated_at",
                                        "latest_run", "paused",  "paused_at",  "pause_reason"};

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

/* A field that is null is one that is not given. */
static void drop_nulls(json_t *spec)
{
    const char *name;
    json_t *v;
    void *tmp;
    json_object_foreach_safe(spec, tmp, name, v)
    {
        if (json_is_null(v))
            json_object_del(spec, name);
    }
}

/* The definition that a spec makes, or NULL with *reterr. */
static struct pipeline_def *make_def(json_t *spec, struct diag *reterr)
{
    const struct executor_type *type;
    struct pipeline_def policy = {0};
    if (pipeline_spec_check(spec, &policy, reterr) < 0)
        return NULL;
    drop_nulls(spec);
    json_t *executor = executor_of(spec, &type, reterr);
    if (executor == NULL)
        return NULL;
    json_decref(executor);
    struct str text = {0};
    struct pipeline_def *def = mem_alloc(sizeof(*def));
    str_add_json_value(&text, spec);
    *def = policy;
    def->spec = str_detach(&text);
    def->pull = type->pull;
    return def;
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

/* An update may repeat the path, not change it. */
static int check_same_path(struct http_request *req, json_t *body, struct diag *reterr)
{
    for (size_t i = 0; i < ARRAY_SIZE(path_fields); i++) {
        json_t *v = json_object_get(body, path_fields[i]);
        if (v == NULL)
            continue;
        if (!json_is_string(v) || !slice_is(req->params[i], json_string_value(v)))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: cannot be changed", path_fields[i]);
    }
    return 0;
}

/* ---- create ---- */

static int create_from(struct api *a, struct http_request *req, json_t *body, struct str *path,
                       struct diag *reterr)
{
    struct engine *e = a->host->engine;
    if (take_path(body, path, reterr) < 0)
        return -EINVAL;
    strip(body);
    struct pipeline_def *def = make_def(body, reterr);
    if (def == NULL)
        return -EINVAL;
    if (catalog_pipeline_at(engine_catalog(e), str_slice(path)) != NULL) {
        pipeline_def_destroy(def);
        return diag_set(reterr, DIAG_ALREADY_EXISTS, "the pipeline %s exists already", path->p);
    }
    struct changing *c = writing_make(a, req, sizeof(*c), changed);
    c->status = 201;
    c->id =
        engine_add_pipeline(e, a->host->now(a->host), str_slice(path), def, &c->writing.ticket)->id;
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
static json_t *merge(const struct pipeline *p, json_t *body, struct diag *reterr)
{
    json_t *old = json_parse_object(slice_of(p->def->spec), reterr);
    if (old == NULL)
        return NULL;
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
    if (check_same_path(req, body, reterr) < 0)
        return -EINVAL;
    strip(body);
    json_t *spec = merge(p, body, reterr);
    struct pipeline_def *def = spec != NULL ? make_def(spec, reterr) : NULL;
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
    struct pipeline *p = take_pipeline(ctx, req);
    if (p != NULL)
        respond_change(req, ctx, p, change);
}

/* ---- delete, pause, get, list ---- */

static void drop(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    bool force;
    if (!take_force(req, &force))
        return;
    struct pipeline *p = take_pipeline(a, req);
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
    struct pipeline *p = take_pipeline(a, req);
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
    struct pipeline *p = take_pipeline(ctx, req);
    if (p != NULL)
        answer_object(ctx, req, p->id, 200);
}

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
static const struct http_route routes[] = {
    {"GET", "/api/v1/pipelines", list, SCOPE_API, 0},
    {"POST", "/api/v1/pipelines", create, SCOPE_API, 0},
    {"GET", ONE, get, SCOPE_API, 0},
    {"PUT", ONE, update, SCOPE_API, 0},
    {"DELETE", ONE, drop, SCOPE_API, 0},
    {"POST", ONE "/pause", pause_one, SCOPE_API, 0},
    {"POST", ONE "/resume", resume_one, SCOPE_API, 0},
};
const struct resource resource_pipelines = {routes, ARRAY_SIZE(routes)};
