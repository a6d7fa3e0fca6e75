#include "api/kube_body.h"
#include "api/kube_namespace.h"
#include "api/kube_writing.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/protobuf.h"
#include "base/slug.h"
#include "core/ark_doc.h"
#include "core/engine.h"
#include "core/namespace.h"
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES_MAX ARK_ANNOTATION_BYTES_MAX /* labels and annotations together */

/* What is kept of a document: its labels and annotations, as text. NULL: they are wrong, and the request has been answered. The
 * caller frees it. */
static char *config_of(struct http_request *req, const json_t *doc, struct slice name)
{
    static const char *const kept[] = {"labels", "annotations"};
    struct problems problems = {0};
    struct fields f;
    struct str text = {0};
    json_t *config = json_object(), *v;
    fields_begin(&f, json_object_get(doc, "metadata"), "metadata", &problems);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if ((v = fields_take(&f, kept[i], JSON_OBJECT)) != NULL && json_object_size(v) > 0)
            json_object_set(config, kept[i], v);
    if (!slug_valid(name))
        fields_fail(&f, CAUSE_INVALID, "name", "Invalid value: a namespace's name " SLUG_RULE);
    str_add_json_value(&text, config);
    json_decref(config);
    if (text.len > CONFIG_BYTES_MAX)
        fields_fail(&f, CAUSE_TOO_MANY, "annotations", "Too long: must have at most 262144 bytes");
    if (kube_body_valid(req, &problems, &kube_namespaces, name))
        return str_detach(&text);
    str_release(&text);
    return NULL;
}

static void put(struct api *a, struct http_request *req, const struct kube_namespace *v, int status)
{
    struct str body = {0};
    struct kube_writing *w = kube_writing_make(a, req, NULL);
    kube_namespace_add(v, &body);
    w->status = status;
    w->body = arena_copy(req->arena, str_slice(&body));
    str_release(&body);
    if (kube_dry_run(req))
        http_respond_json(req, status, w->body);
    else
        engine_put_namespace(a->host->engine, v->name, v->config, v->version, v->created_at,
                             &w->writing.ticket);
}

/* Old clients send JSON, new ones a form of their own, in which the name is all that matters: k8s\0, and a message with
 * the object as its second field, whose metadata begins with the name. */
static json_t *read_new(struct http_request *req)
{
    static const char magic[] = "k8s";
    struct slice at = {req->body.p, req->body.len};
    if (!slice_is_nocase(http_header(req, "content-type"), "application/vnd.kubernetes.protobuf"))
        return kube_body_object(req);
    if (at.len > sizeof(magic) && memcmp(at.p, magic, sizeof(magic)) == 0) {
        at = (struct slice){at.p + sizeof(magic), at.len - sizeof(magic)};
        if (protobuf_field(at, 2, &at) && protobuf_field(at, 1, &at) &&
            protobuf_field(at, 1, &at) && utf8_valid(at))
            return json_pack("{s:{s:s%}}", "metadata", "name", at.p, at.len);
    }
    kube_fail(req, 400, "the body is not a Namespace", SLICE_NONE);
    return NULL;
}

static void create_doc(struct api *a, struct http_request *req, json_t *doc)
{
    const struct slice name = kube_metadata(doc, "name");
    if (!kube_body_fits(req, doc, &kube_namespaces, SLICE_NONE, SLICE_NONE))
        return;
    char *config = config_of(req, doc, name.p != NULL ? name : SLICE(""));
    if (config == NULL)
        return;
    const struct kube_namespace v = {name, slice_of(config), 1, a->host->now(a->host).wall};
    if (catalog_namespace(engine_catalog(a->host->engine), name) != NULL)
        kube_exists(req, &kube_namespaces, name);
    else
        put(a, req, &v, 201);
    free(config);
}

static void create(struct http_request *req, void *ctx)
{
    json_t *doc = kube_body_options(req) ? read_new(req) : NULL;
    if (doc != NULL)
        create_doc(ctx, req, doc);
    json_decref(doc);
}

/* ---- change: what it is now is read off the loop, in case nobody has made it; it is decided on the loop ---- */

struct changing {
    struct reading reading;
    struct slice name;
    struct wall created_at; /* of one that nobody has made */
    bool found, used;
    void (*then)(struct changing *c);
};

static int query_state(struct reading *r, struct db *db)
{
    struct changing *c = container_of(r, struct changing, reading);
    struct namespace_row row;
    const int err = query_namespace(db, c->name, &row);
    if (err != 0)
        return err;
    c->found = row.made || row.used;
    c->used = row.used;
    c->created_at = row.created_at;
    str_release(&row.config);
    return 0;
}

static struct namespace *made(const struct changing *c)
{
    return catalog_namespace(engine_catalog(c->reading.api->host->engine), c->name);
}

static void state_known(struct reading *r)
{
    struct changing *c = container_of(r, struct changing, reading);
    if (c->found || made(c) != NULL)
        c->then(c);
    else
        kube_not_found(r->req, &kube_namespaces, c->name);
}

static void change(struct http_request *req, void *ctx, void (*then)(struct changing *))
{
    struct changing *c = reading_make(ctx, req, sizeof(*c), query_state);
    c->name = req->params[0];
    c->then = then;
    c->reading.then = state_known;
    reading_start(&c->reading);
}

static struct kube_namespace current(const struct changing *c)
{
    const struct namespace *n = made(c);
    if (n == NULL)
        return (struct kube_namespace){c->name, SLICE_NONE, 1, c->created_at};
    return (struct kube_namespace){c->name, slice_of(n->config), n->version, n->created_at};
}

static void store(struct changing *c, json_t *doc)
{
    struct http_request *req = c->reading.req;
    struct api *a = c->reading.api;
    struct kube_namespace v = current(c);
    if (!kube_body_fits(req, doc, &kube_namespaces, SLICE_NONE, c->name) ||
        !kube_body_is_current(req, doc, &kube_namespaces, c->name, kube_namespace_uid(c->name),
                              v.version))
        return;
    char *config = config_of(req, doc, c->name);
    if (config == NULL)
        return;
    v.version += !slice_eq(v.config.p != NULL ? v.config : SLICE("{}"), slice_of(config));
    v.config = slice_of(config);
    put(a, req, &v, 200);
    free(config);
}

static void replace_known(struct changing *c)
{
    json_t *doc = kube_body_object(c->reading.req);
    if (doc != NULL)
        store(c, doc);
    json_decref(doc);
}

static void patch_known(struct changing *c)
{
    struct str text = {0};
    const struct kube_namespace v = current(c);
    kube_namespace_add(&v, &text);
    json_t *now = json_parse_object(str_slice(&text), NULL);
    str_release(&text);
    CHECK(now != NULL);
    json_t *doc = kube_body_patched(c->reading.req, &kube_namespaces, c->name, now);
    json_decref(now);
    if (doc != NULL)
        store(c, doc);
    json_decref(doc);
}

static void dropped(struct writing *w, const struct outcome *o)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(kube_namespace_uid(w->req->params[0]), id);
    kube_respond_deleted(w->req, &kube_namespaces, w->req->params[0], id);
}

/* What is in a namespace is not deleted with it. */
static void drop_known(struct changing *c)
{
    struct http_request *req = c->reading.req;
    struct api *a = c->reading.api;
    struct kube_deletion d;
    struct namespace *n = made(c);
    if (!kube_body_deletion(req, &d))
        return;
    if (c->used || n == NULL) {
        kube_conflict(req, &kube_namespaces, c->name,
                      "it is not empty: delete its pipelines, landing zones and ArkEvents first");
        return;
    }
    struct kube_writing *w = kube_writing_make(a, req, dropped);
    if (d.dry_run)
        dropped(&w->writing, NULL);
    else
        engine_drop_namespace(a->host->engine, n, &w->writing.ticket);
}

static void replace(struct http_request *req, void *ctx)
{
    if (kube_body_options(req))
        change(req, ctx, replace_known);
}

static void patch(struct http_request *req, void *ctx)
{
    if (kube_body_is_patch(req, true) && kube_body_options(req))
        change(req, ctx, patch_known);
}

static void drop(struct http_request *req, void *ctx)
{
    change(req, ctx, drop_known);
}

static const struct http_route routes[] = {
    {"POST", KUBE_NAMESPACES, create, SCOPE_API, 0},
    {"PUT", KUBE_NAMESPACE, replace, SCOPE_API, 0},
    {"PATCH", KUBE_NAMESPACE, patch, SCOPE_API, 0},
    {"DELETE", KUBE_NAMESPACE, drop, SCOPE_API, 0},
};
const struct resource resource_kube_namespace_write = {routes, ARRAY_SIZE(routes)};
