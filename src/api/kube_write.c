/* kube_write.c - ArkEvents made, replaced, patched and deleted by clients of the Kubernetes-style API.
 *
 * A write is decided against the catalog, and goes into the engine, in one turn of the loop: nothing comes in between. Its answer
 * is made then, too, of what it is now, and is sent after the commit.
 */
#include "api/arks.h"
#include "api/kube_body.h"
#include "api/kube_read.h"
#include "api/kube_writing.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "core/engine.h"
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

/* ---- answers ---- */

/* How it is shown to this client. */
static struct slice show(struct api *a, struct http_request *req, const struct ark_view *v)
{
    struct kube_want w = {.api = a, .kind = &kube_arkevents, .base_url = kube_base_url(a, req)};
    struct str text = {0};
    w.table = kube_asks_for_table(http_header(req, "accept"));
    if (w.table)
        kube_add_list_begin(&w, v->version, &text);
    kube_add_item(&w, NULL, v, a->host->now(a->host).wall, &text);
    if (w.table)
        kube_add_list_end(&text);
    const struct slice ret = arena_copy(req->arena, str_slice(&text));
    str_release(&text);
    free(w.base_url);
    return ret;
}

static void show_arkevent(struct kube_writing *w, const struct arkevent *e, int status)
{
    const struct ark_view v = ark_view_of(e, ARK_MODIFIED);
    w->status = status;
    w->body = show(w->writing.api, w->writing.req, &v);
}

static void answer_preview(struct api *a, struct http_request *req, const struct arkevent *e,
                           const struct ark_manifest *m, int status)
{
    struct ark_view v;
    struct trigger_def *d = arks_preview(a, e, m, &v);
    http_respond_json(req, status, show(a, req, &v));
    trigger_def_destroy(d);
}

/* ---- create and replace ---- */

static void create_from(struct api *a, struct http_request *req, const struct ark_manifest *m)
{
    struct kube_writing *w = kube_writing_make(a, req, NULL);
    show_arkevent(w, arks_add(a, m, &w->writing.ticket), 201);
}

static void replace_with(struct api *a, struct http_request *req, struct arkevent *e,
                         const struct ark_manifest *m)
{
    struct kube_writing *w = kube_writing_make(a, req, NULL);
    if (!arks_replace(a, e, m, &w->writing.ticket))
        engine_confirm(a->host->engine,
                       &w->writing.ticket); /* it may be that since a moment only */
    show_arkevent(w, e, 200);
}

/* Reads what is to be stored: without unknown fields, for which later writes, and strict ones, would be refused. False: it is wrong,
 * and the request has been answered. */
static bool read_manifest(struct http_request *req, json_t *doc, struct ark_manifest *ret)
{
    struct problems problems = {.prunes = true};
    char ns[ARK_NAME_MAX + 1];
    snprintf(ns, sizeof(ns), "%.*s", (int)req->params[0].len, req->params[0].p);
    const bool read = ark_manifest_read(doc, ns, ret, &problems) == 0;
    if (kube_body_valid(req, &problems, &kube_arkevents, kube_metadata(doc, "name")))
        return true;
    if (read)
        ark_manifest_release(ret);
    return false;
}

static void create_doc(struct api *a, struct http_request *req, json_t *doc)
{
    struct ark_manifest m;
    if (!kube_body_fits(req, doc, &kube_arkevents, req->params[0], SLICE_NONE) ||
        !read_manifest(req, doc, &m))
        return;
    if (catalog_ark(engine_catalog(a->host->engine), slice_of(m.path)) != NULL)
        kube_exists(req, &kube_arkevents, kube_name_of(slice_of(m.path)));
    else if (kube_dry_run(req))
        answer_preview(a, req, NULL, &m, 201);
    else
        create_from(a, req, &m);
    ark_manifest_release(&m);
}

static void create(struct http_request *req, void *ctx)
{
    json_t *doc = kube_body_options(req) ? kube_body_object(req) : NULL;
    if (doc != NULL)
        create_doc(ctx, req, doc);
    json_decref(doc);
}

/* The one in a path; NULL: there is none, and the request has been answered. */
static struct arkevent *find(struct api *a, struct http_request *req)
{
    struct str path = {0};
    str_add_slice(&path, req->params[0]);
    str_add_char(&path, '/');
    str_add_slice(&path, req->params[1]);
    struct arkevent *e = catalog_ark(engine_catalog(a->host->engine), str_slice(&path));
    str_release(&path);
    if (e == NULL)
        kube_not_found(req, &kube_arkevents, req->params[1]);
    return e;
}

static bool may_replace(struct http_request *req, json_t *doc, const struct arkevent *e)
{
    return kube_body_fits(req, doc, &kube_arkevents, req->params[0], req->params[1]) &&
           kube_body_is_current(req, doc, &kube_arkevents, req->params[1], e->trigger.id,
                                e->state.version);
}

static void replace_doc(struct api *a, struct http_request *req, struct arkevent *e, json_t *doc)
{
    struct ark_manifest m;
    if (!may_replace(req, doc, e) || !read_manifest(req, doc, &m))
        return;
    if (kube_dry_run(req))
        answer_preview(a, req, e, &m, 200);
    else
        replace_with(a, req, e, &m);
    ark_manifest_release(&m);
}

static void replace(struct http_request *req, void *ctx)
{
    struct arkevent *e;
    json_t *doc = kube_body_options(req) ? kube_body_object(req) : NULL;
    if (doc != NULL && (e = find(ctx, req)) != NULL)
        replace_doc(ctx, req, e, doc);
    json_decref(doc);
}

/* ---- patch ---- */

/* Patches are made for what a GET shows. */
static json_t *patched(struct api *a, struct http_request *req, const struct arkevent *e)
{
    const struct kube_want w = {
        .api = a, .kind = &kube_arkevents, .base_url = kube_base_url(a, req)};
    const struct ark_view v = ark_view_of(e, ARK_MODIFIED);
    struct str text = {0};
    kube_add_item(&w, NULL, &v, a->host->now(a->host).wall, &text);
    free(w.base_url);
    json_t *now = json_parse_object(str_slice(&text), NULL);
    str_release(&text);
    CHECK(now != NULL);
    json_t *ret = kube_body_patched(req, &kube_arkevents, req->params[1], now);
    json_decref(now);
    return ret;
}

static void patch(struct http_request *req, void *ctx)
{
    struct arkevent *e =
        kube_body_is_patch(req, false) && kube_body_options(req) ? find(ctx, req) : NULL;
    json_t *doc = e != NULL ? patched(ctx, req, e) : NULL;
    if (doc != NULL)
        replace_doc(ctx, req, e, doc);
    json_decref(doc);
}

/* ---- status: it says what pawl says, whatever a client wants to write there ---- */

static void keep_status(struct api *a, struct http_request *req, const struct arkevent *e,
                        json_t *doc)
{
    if (!may_replace(req, doc, e))
        return;
    struct kube_writing *w = kube_writing_make(a, req, NULL);
    show_arkevent(w, e, 200);
    engine_confirm(a->host->engine, &w->writing.ticket);
}

static void replace_status(struct http_request *req, void *ctx)
{
    struct arkevent *e;
    json_t *doc = kube_body_options(req) ? kube_body_object(req) : NULL;
    if (doc != NULL && (e = find(ctx, req)) != NULL)
        keep_status(ctx, req, e, doc);
    json_decref(doc);
}

static void patch_status(struct http_request *req, void *ctx)
{
    struct arkevent *e =
        kube_body_is_patch(req, false) && kube_body_options(req) ? find(ctx, req) : NULL;
    json_t *doc = e != NULL ? patched(ctx, req, e) : NULL;
    if (doc != NULL)
        keep_status(ctx, req, e, doc);
    json_decref(doc);
}

/* ---- delete ---- */

static void dropped(struct writing *w, const struct outcome *o)
{
    const struct kube_writing *x = container_of(w, struct kube_writing, writing);
    kube_respond_deleted(w->req, &kube_arkevents, w->req->params[1], x->uid);
}

/* 409 when the client means another one. */
static bool is_meant(struct http_request *req, const struct kube_deletion *d,
                     const struct arkevent *e)
{
    json_t *doc =
        json_pack("{s:{s:s?, s:s?}}", "metadata", "uid", d->uid.p, "resourceVersion", d->version.p);
    const bool ret = kube_body_is_current(req, doc, &kube_arkevents, req->params[1], e->trigger.id,
                                          e->state.version);
    json_decref(doc);
    return ret;
}

static void drop(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct kube_deletion d;
    struct arkevent *e;
    if (!kube_body_deletion(req, &d) || (e = find(a, req)) == NULL || !is_meant(req, &d, e))
        return;
    struct kube_writing *w = kube_writing_make(a, req, dropped);
    uuid_format(e->trigger.id, w->uid);
    if (d.dry_run)
        kube_respond_deleted(req, &kube_arkevents, req->params[1], w->uid);
    else
        engine_drop_ark(a->host->engine, a->host->now(a->host), e, &w->writing.ticket);
}

#define ALL KUBE_ARKS "/namespaces/{ns}/arkevents"
#define ONE ALL "/{name}"
static const struct http_route routes[] = {
    {"POST", ALL, create, SCOPE_API, 0},
    {"PUT", ONE, replace, SCOPE_API, 0},
    {"PATCH", ONE, patch, SCOPE_API, 0},
    {"DELETE", ONE, drop, SCOPE_API, 0},
    {"PUT", ONE "/status", replace_status, SCOPE_API, 0},
    {"PATCH", ONE "/status", patch_status, SCOPE_API, 0},
};
const struct resource resource_kube_write = {routes, ARRAY_SIZE(routes)};
