/* kube_get.c - one ArkEvent, or one Secret. */
#include "api/kube_read.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct getting {
    struct reading reading;
    struct kube_want *want;
    const struct kube_kind *kind;
    struct slice path; /* "namespace/name" of the ArkEvent; in the arena */
    struct slice name; /* of what is asked for */
    struct wall now;
    struct db *db;
    bool found;
};

static bool show(void *arg, const struct ark_view *v)
{
    struct getting *g = arg;
    struct str *body = &g->reading.body;
    g->found = kube_wants_config(g->want, v->config);
    if (g->want->table)
        kube_add_list_begin(g->want, v->version, body);
    kube_add_item(g->want, g->db, v, g->now, body);
    if (g->want->table)
        kube_add_list_end(body);
    return false;
}

static int query(struct reading *r, struct db *db)
{
    struct getting *g = container_of(r, struct getting, reading);
    g->db = db;
    const int err = query_ark(db, g->path, show, g);
    return err == -ENOENT ? 0 : err;
}

static void settled(struct reading *r)
{
    const struct getting *g = container_of(r, struct getting, reading);
    kube_want_destroy(g->want);
}

static void answer(struct reading *r)
{
    const struct getting *g = container_of(r, struct getting, reading);
    if (g->found)
        http_respond_json(r->req, 200, str_slice(&r->body));
    else
        kube_not_found(r->req, g->kind, g->name);
}

static void start(struct http_request *req, struct api *a, const struct kube_kind *k,
                  struct slice ark)
{
    struct str path = {0};
    struct getting *g = reading_make(a, req, sizeof(*g), query);
    g->want = kube_want_make(a, req, k, SLICE_NONE);
    if (g->want == NULL)
        return;
    selector_release(&g->want->labels); /* it is asked for by its name */
    str_add_slice(&path, req->params[0]);
    str_add_char(&path, '/');
    str_add_slice(&path, ark);
    g->path = arena_copy(req->arena, str_slice(&path));
    str_release(&path);
    g->kind = k;
    g->name = req->params[1];
    g->now = a->host->now(a->host).wall;
    g->reading.then = answer;
    g->reading.settled = settled;
    reading_start(&g->reading);
}

static void get_ark(struct http_request *req, void *ctx)
{
    start(req, ctx, &kube_arkevents, req->params[1]);
}

static void get_secret(struct http_request *req, void *ctx)
{
    const struct slice name = req->params[1];
    const size_t suffix = strlen(KUBE_SECRET_SUFFIX);
    if (name.len <= suffix || memcmp(name.p + name.len - suffix, KUBE_SECRET_SUFFIX, suffix) != 0)
        kube_not_found(req, &kube_secrets, name);
    else
        start(req, ctx, &kube_secrets, (struct slice){name.p, name.len - suffix});
}

static const struct http_route routes[] = {
    {"GET", KUBE_ARKS "/namespaces/{ns}/arkevents/{name}", get_ark, SCOPE_API, 0},
    {"GET", KUBE_ARKS "/namespaces/{ns}/arkevents/{name}/status", get_ark, SCOPE_API, 0},
    {"GET", KUBE_CORE "/namespaces/{ns}/secrets/{name}", get_secret, SCOPE_API, 0},
};
const struct resource resource_kube_get = {routes, ARRAY_SIZE(routes)};
