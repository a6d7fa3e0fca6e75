/* kube_namespaces.c - namespaces: there as soon as something is in them, or because somebody has made them. */
#include "api/kube_body.h"
#include "api/kube_read.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/protobuf.h"
#include "base/rfc3339.h"
#include "base/slug.h"
#include "core/ark_doc.h"
#include "core/engine.h"
#include "core/namespace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES_MAX ARK_ANNOTATION_BYTES_MAX /* labels and annotations together */

/* What is shown of one. */
struct view {
    struct slice name, config; /* config absent: nobody has made it */
    uint64_t version;
    struct wall created_at;
};

/* ---- how it is shown ---- */

static struct uuid uid_of(struct slice name)
{
    return kube_uid_of("namespace", name);
}

static void add_metadata(const struct view *v, struct str *s)
{
    char at[RFC3339_LEN + 1], id[UUID_TEXT_LEN + 1];
    uuid_format(uid_of(v->name), id);
    rfc3339_format((struct wall){v->created_at.ms - v->created_at.ms % 1000}, at);
    str_add_cstr(s, "{\"name\":");
    str_add_json(s, v->name);
    str_printf(s, ",\"uid\":\"%s\",\"resourceVersion\":\"%llu\",\"creationTimestamp\":\"%s\"", id,
               (unsigned long long)v->version, at);
    if (v->config.len > 2) { /* an object with something in it: its members follow */
        str_add_char(s, ',');
        str_add(s, v->config.p + 1, v->config.len - 2);
    }
    str_add_char(s, '}');
}

static void add_object(const struct view *v, struct str *s)
{
    str_add_cstr(s, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":");
    add_metadata(v, s);
    str_add_cstr(s, ",\"spec\":{},\"status\":{\"phase\":\"Active\"}}");
}

static void add_row(const struct kube_want *w, const struct view *v, struct wall now, struct str *s)
{
    str_add_cstr(s, "{\"cells\":[");
    str_add_json(s, v->name);
    str_add_cstr(s, ",\"Active\",\"");
    str_add_age(s, now.ms - v->created_at.ms);
    str_add_cstr(s, "\"],\"object\":");
    if (w->whole) {
        add_object(v, s);
    } else {
        str_add_cstr(s, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
                        "\"metadata\":");
        add_metadata(v, s);
        str_add_char(s, '}');
    }
    str_add_char(s, '}');
}

static void add_item(const struct kube_want *w, const struct view *v, struct wall now,
                     struct str *s)
{
    if (w->table)
        add_row(w, v, now, s);
    else
        add_object(v, s);
}

static bool is_wanted(const struct kube_want *w, const struct view *v)
{
    if (!selector_matches_fields(&w->fields, SLICE(""), v->name))
        return false;
    json_t *config = v->config.p != NULL ? json_parse_object(v->config, NULL) : NULL;
    const bool ret = selector_matches(&w->labels, json_object_get(config, "labels"));
    json_decref(config);
    return ret;
}

/* ---- reading ---- */

struct showing {
    struct reading reading;
    struct kube_want *want;
    struct slice name; /* absent: all */
    struct wall now;
    uint64_t version; /* of the list */
    bool watch, found;
    struct db *db;
    int err;
    size_t count;
};

static struct view view_of(const struct namespace_row *r, struct slice name)
{
    return (struct view){
        .name = name,
        .config = r->made ? str_slice(&r->config) : SLICE_NONE,
        .version = r->version,
        .created_at = r->created_at,
    };
}

/* What a watch says of it: that it is there. */
static void add_event(const struct showing *s, const struct view *v, struct str *body)
{
    str_add_cstr(body, "{\"type\":\"ADDED\",\"object\":");
    if (s->want->table)
        kube_add_list_begin(s->want, v->version, body);
    add_item(s->want, v, s->now, body);
    if (s->want->table)
        kube_add_list_end(body);
    str_add_cstr(body, "}\n");
}

static void visit(void *arg, struct slice name)
{
    struct showing *s = arg;
    struct str *body = &s->reading.body;
    struct namespace_row row;
    if (s->err == 0)
        s->err = query_namespace(s->db, name, &row);
    if (s->err != 0)
        return;
    const struct view v = view_of(&row, name);
    if ((row.made || row.used) && is_wanted(s->want, &v)) {
        if (s->watch) {
            add_event(s, &v, body);
        } else {
            if (s->count++ > 0)
                str_add_char(body, ',');
            add_item(s->want, &v, s->now, body);
        }
    }
    str_release(&row.config);
}

static int query_all(struct reading *r, struct db *db)
{
    struct showing *s = container_of(r, struct showing, reading);
    s->db = db;
    int err = query_ark_version(db, &s->version);
    if (err == 0 && !s->watch)
        kube_add_list_begin(s->want, s->version, &r->body);
    if (err == 0)
        err = query_namespaces(db, visit, s);
    if (!s->watch)
        kube_add_list_end(&r->body);
    return err != 0 ? err : s->err;
}

static int query_one(struct reading *r, struct db *db)
{
    struct showing *s = container_of(r, struct showing, reading);
    struct namespace_row row;
    const int err = query_namespace(db, s->name, &row);
    if (err != 0)
        return err;
    const struct view v = view_of(&row, s->name);
    s->found = row.made || row.used;
    if (s->want->table)
        kube_add_list_begin(s->want, v.version, &r->body);
    add_item(s->want, &v, s->now, &r->body);
    if (s->want->table)
        kube_add_list_end(&r->body);
    str_release(&row.config);
    return 0;
}

static void settled(struct reading *r)
{
    const struct showing *s = container_of(r, struct showing, reading);
    kube_want_destroy(s->want);
}

static void answer(struct reading *r)
{
    const struct showing *s = container_of(r, struct showing, reading);
    if (s->name.p == NULL || s->found)
        http_respond_json(r->req, 200, str_slice(&r->body));
    else
        kube_not_found(r->req, &kube_namespaces, s->name);
}

static struct showing *showing_make(struct api *a, struct http_request *req,
                                    int (*query)(struct reading *, struct db *))
{
    struct showing *s = reading_make(a, req, sizeof(*s), query);
    s->want = kube_want_make(a, req, &kube_namespaces, SLICE_NONE);
    if (s->want == NULL)
        return NULL;
    s->now = a->host->now(a->host).wall;
    s->reading.then = answer;
    s->reading.settled = settled;
    return s;
}

/* A watch of namespaces says what there is and ends: nothing tells when one comes to be by what is put into it. */
static void list(struct http_request *req, void *ctx)
{
    struct showing *s = showing_make(ctx, req, query_all);
    if (s == NULL)
        return;
    s->watch = kube_flag(req, "watch");
    reading_start(&s->reading);
}

static void get(struct http_request *req, void *ctx)
{
    struct showing *s = showing_make(ctx, req, query_one);
    if (s == NULL)
        return;
    s->name = req->params[0];
    reading_start(&s->reading);
}

/* ---- writing ---- */

struct write {
    struct writing writing;
    int status;
    struct slice body; /* in the arena */
};

static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct writing *w = container_of(t, struct writing, ticket);
    if (o->err != 0)
        kube_unavailable(w->req);
    else
        w->then(w, o);
}

static void written(struct writing *w, const struct outcome *o)
{
    const struct write *x = container_of(w, struct write, writing);
    http_respond_json(w->req, x->status, x->body);
}

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

static void put(struct api *a, struct http_request *req, const struct view *v, int status)
{
    struct str body = {0};
    struct write *w = writing_make(a, req, sizeof(*w), written);
    w->writing.ticket.done = redeemed;
    add_object(v, &body);
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
    const struct view v = {name, slice_of(config), 1, a->host->now(a->host).wall};
    if (catalog_namespace(engine_catalog(a->host->engine), name) != NULL)
        kube_exists(req, &kube_namespaces, name);
    else
        put(a, req, &v, 201);
    free(config);
}

static void create(struct http_request *req, void *ctx)
{
    json_t *doc = read_new(req);
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

static struct view current(const struct changing *c)
{
    const struct namespace *n = made(c);
    if (n == NULL)
        return (struct view){c->name, SLICE_NONE, 1, c->created_at};
    return (struct view){c->name, slice_of(n->config), n->version, n->created_at};
}

static void store(struct changing *c, json_t *doc)
{
    struct http_request *req = c->reading.req;
    struct api *a = c->reading.api;
    struct view v = current(c);
    if (!kube_body_fits(req, doc, &kube_namespaces, SLICE_NONE, c->name) ||
        !kube_body_is_current(req, doc, &kube_namespaces, c->name, uid_of(c->name), v.version))
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
    const struct view v = current(c);
    add_object(&v, &text);
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
    uuid_format(uid_of(w->req->params[0]), id);
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
    struct write *w = writing_make(a, req, sizeof(*w), dropped);
    w->writing.ticket.done = redeemed;
    if (d.dry_run)
        dropped(&w->writing, NULL);
    else
        engine_drop_namespace(a->host->engine, n, &w->writing.ticket);
}

static void replace(struct http_request *req, void *ctx)
{
    change(req, ctx, replace_known);
}

static void patch(struct http_request *req, void *ctx)
{
    if (kube_body_is_patch(req, true))
        change(req, ctx, patch_known);
}

static void drop(struct http_request *req, void *ctx)
{
    change(req, ctx, drop_known);
}

#define ALL KUBE_CORE "/namespaces"
#define ONE ALL "/{name}"
static const struct http_route routes[] = {
    {"GET", ALL, list, SCOPE_API, 0},    {"POST", ALL, create, SCOPE_API, 0},
    {"GET", ONE, get, SCOPE_API, 0},     {"PUT", ONE, replace, SCOPE_API, 0},
    {"PATCH", ONE, patch, SCOPE_API, 0}, {"DELETE", ONE, drop, SCOPE_API, 0},
};
const struct resource resource_kube_namespaces = {routes, ARRAY_SIZE(routes)};
