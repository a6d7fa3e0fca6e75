#include "api/kube_namespace.h"
#include "api/kube_read.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/rfc3339.h"
#include "core/ark_doc.h"

/* ---- how it is shown ---- */

struct uuid kube_namespace_uid(struct slice name)
{
    return kube_uid_of("namespace", name);
}

static void add_metadata(const struct kube_namespace *v, struct str *s)
{
    char at[RFC3339_LEN + 1], id[UUID_TEXT_LEN + 1];
    uuid_format(kube_namespace_uid(v->name), id);
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

void kube_namespace_add(const struct kube_namespace *v, struct str *s)
{
    str_add_cstr(s, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":");
    add_metadata(v, s);
    str_add_cstr(s, ",\"spec\":{},\"status\":{\"phase\":\"Active\"}}");
}

static void add_row(const struct kube_want *w, const struct kube_namespace *v, struct wall now,
                    struct str *s)
{
    str_add_cstr(s, "{\"cells\":[");
    str_add_json(s, v->name);
    str_add_cstr(s, ",\"Active\",\"");
    str_add_age(s, now.ms - v->created_at.ms);
    str_add_cstr(s, "\"],\"object\":");
    if (w->whole) {
        kube_namespace_add(v, s);
    } else {
        str_add_cstr(s, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
                        "\"metadata\":");
        add_metadata(v, s);
        str_add_char(s, '}');
    }
    str_add_char(s, '}');
}

static void add_item(const struct kube_want *w, const struct kube_namespace *v, struct wall now,
                     struct str *s)
{
    if (w->table)
        add_row(w, v, now, s);
    else
        kube_namespace_add(v, s);
}

static bool is_wanted(const struct kube_want *w, const struct kube_namespace *v)
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
    bool watch, tells_end, found;
    struct db *db;
    int err;
    size_t count;
};

static struct kube_namespace view_of(const struct namespace_row *r, struct slice name)
{
    return (struct kube_namespace){
        .name = name,
        .config = r->made ? str_slice(&r->config) : SLICE_NONE,
        .version = r->version,
        .created_at = r->created_at,
    };
}

/* What a watch says of it: that it is there. */
static void add_event(const struct showing *s, const struct kube_namespace *v, struct str *body)
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
    const struct kube_namespace v = view_of(&row, name);
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
    else if (s->tells_end)
        kube_add_bookmark(s->want, s->version, true, &r->body);
    return err != 0 ? err : s->err;
}

static int query_one(struct reading *r, struct db *db)
{
    struct showing *s = container_of(r, struct showing, reading);
    struct namespace_row row;
    const int err = query_namespace(db, s->name, &row);
    if (err != 0)
        return err;
    const struct kube_namespace v = view_of(&row, s->name);
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
    s->tells_end = kube_flag(req, "sendInitialEvents");
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

static const struct http_route routes[] = {
    {"GET", KUBE_NAMESPACES, list, SCOPE_API, 0},
    {"GET", KUBE_NAMESPACE, get, SCOPE_API, 0},
};
const struct resource resource_kube_namespaces = {routes, ARRAY_SIZE(routes)};
