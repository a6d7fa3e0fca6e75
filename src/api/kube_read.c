#include "api/kube_read.h"
#include "api/arks.h"
#include "api/webhook_url.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "core/ark_doc.h"
#include "core/engine.h"
#include "io/secret/seal.h"
#include "io/secret/secret.h"
#include "io/store/query.h"
#include <stdlib.h>
#include <string.h>

/* ---- requests ---- */

static struct slice take_part(struct slice *list, char separator)
{
    const char *end = memchr(list->p, separator, list->len);
    const struct slice ret = {list->p, end != NULL ? (size_t)(end - list->p) : list->len};
    const size_t used = ret.len + (end != NULL);
    *list = (struct slice){list->p + used, list->len - used};
    return slice_trim(ret);
}

/* Of one range, such as application/json;as=Table;v=v1;g=meta.k8s.io. */
static bool range_is_table(struct slice range)
{
    bool table = false, v1 = false;
    while (range.len > 0) {
        const struct slice part = take_part(&range, ';');
        table = table || slice_is(part, "as=Table");
        v1 = v1 || slice_is(part, "v=v1");
    }
    return table && v1;
}

/* The first range that we know is taken. */
bool kube_asks_for_table(struct slice accept)
{
    while (accept.len > 0) {
        const struct slice range = take_part(&accept, ',');
        if (range_is_table(range))
            return true;
        if (slice_is(range, "application/json") || slice_is(range, "*/*"))
            return false;
    }
    return false;
}

bool kube_flag(struct http_request *req, const char *name)
{
    struct slice v;
    return http_query(req, name, &v) && (slice_is(v, "true") || slice_is(v, "1"));
}

char *kube_base_url(const struct api *a, const struct http_request *req)
{
    const struct slice host = http_header(req, "host");
    if (a->host->public_url != NULL)
        return mem_strdup(a->host->public_url);
    if (host_valid(host))
        return mem_printf("http://%.*s", (int)host.len, host.p);
    return mem_strdup(a->host->url);
}

static bool take_selector(struct http_request *req, const char *name, struct selector *ret,
                          int (*parse)(struct slice, struct selector *, struct diag *))
{
    struct slice text;
    struct diag why;
    if (!http_query(req, name, &text))
        text = SLICE("");
    if (parse(text, ret, &why) == 0)
        return true;
    kube_fail(req, 400, why.msg, SLICE_NONE);
    return false;
}

struct kube_want *kube_want_make(struct api *a, struct http_request *req, const struct kube_kind *k,
                                 struct slice ns)
{
    struct slice include;
    struct kube_want *w = mem_zalloc(sizeof(*w));
    w->api = a;
    w->kind = k;
    w->ns = ns.p != NULL ? mem_dup(ns.p, ns.len) : NULL;
    w->table = kube_asks_for_table(http_header(req, "accept"));
    w->whole = http_query(req, "includeObject", &include) && slice_is(include, "Object");
    w->base_url = kube_base_url(a, req);
    if (take_selector(req, "labelSelector", &w->labels, selector_parse) &&
        take_selector(req, "fieldSelector", &w->fields, selector_parse_fields))
        return w;
    kube_want_destroy(w);
    return NULL;
}

void kube_want_destroy(struct kube_want *w)
{
    if (w == NULL)
        return;
    selector_release(&w->labels);
    selector_release(&w->fields);
    free(w->ns);
    free(w->base_url);
    free(w);
}

bool kube_want_same_shape(const struct kube_want *a, const struct kube_want *b)
{
    return a->kind == b->kind && a->table == b->table && a->whole == b->whole &&
           strcmp(a->base_url, b->base_url) == 0;
}

/* ---- what is wanted ---- */

static struct slice namespace_of(struct slice path)
{
    const char *slash = memchr(path.p, '/', path.len);
    CHECK(slash != NULL);
    return (struct slice){path.p, (size_t)(slash - path.p)};
}

struct slice kube_name_of(struct slice path)
{
    const size_t used = namespace_of(path).len + 1;
    return (struct slice){path.p + used, path.len - used};
}

static bool is_secret(const struct kube_want *w)
{
    return w->kind == &kube_secrets;
}

static void add_secret_name(struct str *s, struct slice path)
{
    str_add_slice(s, kube_name_of(path));
    str_add_cstr(s, KUBE_SECRET_SUFFIX);
}

bool kube_wants_path(const struct kube_want *w, struct slice path)
{
    const struct slice ns = namespace_of(path);
    struct str name = {0};
    if (w->ns != NULL && !slice_eq(ns, slice_of(w->ns)))
        return false;
    if (selector_is_empty(&w->fields))
        return true;
    if (is_secret(w))
        add_secret_name(&name, path);
    else
        str_add_slice(&name, kube_name_of(path));
    const bool ret = selector_matches_fields(&w->fields, ns, str_slice(&name));
    str_release(&name);
    return ret;
}

bool kube_looks_at_config(const struct kube_want *w)
{
    return is_secret(w) || !selector_is_empty(&w->labels);
}

bool kube_wants_parsed(const struct kube_want *w, const json_t *v)
{
    if (!kube_looks_at_config(w))
        return true;
    const json_t *labels = json_object_get(json_object_get(v, "metadata"), "labels");
    const char *type = json_string_value(
        json_object_get(json_object_get(json_object_get(v, "spec"), "source"), "type"));
    return selector_matches(&w->labels, is_secret(w) ? NULL : labels) &&
           (!is_secret(w) || (type != NULL && strcmp(type, "webhook") == 0));
}

bool kube_wants_config(const struct kube_want *w, struct slice config)
{
    json_t *v = kube_looks_at_config(w) ? json_parse_object(config, NULL) : NULL;
    const bool ret = kube_wants_parsed(w, v);
    json_decref(v);
    return ret;
}

/* ---- secrets ---- */

#define OTHER_KEY                                                                                  \
    "the token was sealed with another key than the one in " SEAL_KEY_FILE                         \
    "; put that back, or delete the ArkEvent and make it again"

/* `why`: an annotation that says why there is no data; NULL: there is. */
static void add_secret_metadata(const struct ark_view *v, const char *why, struct str *s)
{
    char at[RFC3339_LEN + 1], id[UUID_TEXT_LEN + 1], own[UUID_TEXT_LEN + 1];
    struct str name = {0};
    add_secret_name(&name, v->path);
    uuid_format(v->id, id);
    uuid_format(kube_uid_of("secret", slice_of(id)), own);
    rfc3339_format((struct wall){v->created_at.ms - v->created_at.ms % 1000}, at);
    str_add_cstr(s, "{\"name\":");
    str_add_json(s, str_slice(&name));
    str_add_cstr(s, ",\"namespace\":");
    str_add_json(s, namespace_of(v->path));
    str_printf(s, ",\"uid\":\"%s\",\"resourceVersion\":\"%llu\",\"creationTimestamp\":\"%s\"", own,
               (unsigned long long)v->version, at);
    if (why != NULL)
        str_printf(s, ",\"annotations\":{\"pawl.dev/unreadable\":\"%s\"}", why);
    str_printf(s,
               ",\"ownerReferences\":[{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"name\":\"%.*s\","
               "\"uid\":\"%s\",\"controller\":true}]}",
               kube_arkevents.api_version, kube_arkevents.kind, (int)kube_name_of(v->path).len,
               kube_name_of(v->path).p, id);
    str_release(&name);
}

/* Its token as it is kept. False: the ArkEvent has gone. */
static bool find_token(const struct kube_want *w, struct db *db, const struct ark_view *v,
                       struct ark_token *ret)
{
    struct uuid id;
    struct wall at;
    if (db != NULL)
        return query_ark_token(db, v->path, ret, &id, &at) == 0 && uuid_cmp(id, v->id) == 0;
    const struct arkevent *a = catalog_ark(engine_catalog(w->api->host->engine), v->path);
    if (a == NULL || uuid_cmp(a->trigger.id, v->id) != 0)
        return false;
    *ret = a->token;
    return true;
}

static void add_secret(const struct kube_want *w, struct db *db, const struct ark_view *v,
                       struct str *s)
{
    struct ark_token token;
    char text[ARK_TOKEN_SEALED_MAX] = "";
    const bool found = find_token(w, db, v, &token);
    const bool read = found && arks_token_text(w->api, &token, text);
    str_add_cstr(s, "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":");
    add_secret_metadata(v, found && !read ? OTHER_KEY : NULL, s);
    str_add_cstr(s, ",\"type\":\"Opaque\",\"data\":{");
    if (read) {
        str_add_cstr(s, "\"token\":\"");
        str_add_base64(s, slice_of(text));
        str_add_char(s, '"');
    }
    secret_wipe(text, sizeof(text));
    str_add_cstr(s, "}}");
}

static void add_secret_row(const struct kube_want *w, struct db *db, const struct ark_view *v,
                           struct wall now, struct str *s)
{
    struct str name = {0};
    add_secret_name(&name, v->path);
    str_add_cstr(s, "{\"cells\":[");
    str_add_json(s, str_slice(&name));
    str_release(&name);
    str_add_cstr(s, ",\"Opaque\",1,\"");
    str_add_age(s, now.ms - v->created_at.ms);
    str_add_cstr(s, "\"],\"object\":");
    if (w->whole) {
        add_secret(w, db, v, s);
    } else {
        str_add_cstr(s, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\","
                        "\"metadata\":");
        add_secret_metadata(v, NULL, s);
        str_add_char(s, '}');
    }
    str_add_char(s, '}');
}

#define COLUMN(name, type, format)                                                                 \
    "{\"name\":\"" name "\",\"type\":\"" type "\",\"format\":\"" format                            \
    "\",\"description\":\"\",\"priority\":0}"
#define SECRET_COLUMNS                                                                             \
    "[" COLUMN("Name", "string", "name") "," COLUMN("Type", "string", "") "," COLUMN(              \
        "Data", "integer", "") "," COLUMN("Age", "string", "") "]"
#define NAMESPACE_COLUMNS                                                                          \
    "[" COLUMN("Name", "string", "name") "," COLUMN("Status", "string",                            \
                                                    "") "," COLUMN("Age", "string", "") "]"

/* ---- how it is shown ---- */

void kube_add_item(const struct kube_want *w, struct db *db, const struct ark_view *v,
                   struct wall now, struct str *ret)
{
    const struct ark_style style = {.base_url = w->base_url, .now = now, .whole_objects = w->whole};
    if (is_secret(w) && w->table)
        add_secret_row(w, db, v, now, ret);
    else if (is_secret(w))
        add_secret(w, db, v, ret);
    else if (w->table)
        ark_doc_add_row(v, &style, ret);
    else
        ark_doc_add(v, &style, ret);
}

void kube_add_list_begin(const struct kube_want *w, uint64_t version, struct str *ret)
{
    const unsigned long long n = version;
    if (!w->table) {
        str_printf(ret,
                   "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":"
                   "\"%llu\"},\"items\":[",
                   w->kind->kind, w->kind->api_version, n);
        return;
    }
    str_printf(ret,
               "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"
               "{\"resourceVersion\":\"%llu\"},\"columnDefinitions\":",
               n);
    if (is_secret(w))
        str_add_cstr(ret, SECRET_COLUMNS);
    else if (w->kind == &kube_namespaces)
        str_add_cstr(ret, NAMESPACE_COLUMNS);
    else
        ark_doc_add_columns(ret);
    str_add_cstr(ret, ",\"rows\":[");
}

void kube_add_list_end(struct str *ret)
{
    str_add_cstr(ret, "]}");
}

void kube_add_event(const struct kube_want *w, struct db *db, const struct ark_view *v,
                    enum ark_change what, struct wall now, struct str *ret)
{
    static const char *const names[] = {
        [ARK_ADDED] = "ADDED", [ARK_MODIFIED] = "MODIFIED", [ARK_DELETED] = "DELETED"};
    str_printf(ret, "{\"type\":\"%s\",\"object\":", names[what]);
    if (w->table)
        kube_add_list_begin(w, v->version, ret);
    kube_add_item(w, db, v, now, ret);
    if (w->table)
        kube_add_list_end(ret);
    str_add_cstr(ret, "}\n");
}

void kube_add_bookmark(const struct kube_want *w, uint64_t version, bool ends_list, struct str *ret)
{
    str_printf(ret,
               "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\","
               "\"metadata\":{\"resourceVersion\":\"%llu\"%s}}}\n",
               w->kind->kind, w->kind->api_version, (unsigned long long)version,
               ends_list ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
}

struct uuid kube_uid_of(const char *what, struct slice text)
{
    uint8_t hash[SHA256_SIZE];
    struct uuid id;
    struct str s = {0};
    str_printf(&s, "%s/%.*s", what, (int)text.len, text.p);
    sha256(str_slice(&s), hash);
    str_release(&s);
    memcpy(id.b, hash, sizeof(id.b));
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x80); /* RFC 9562: of our own making */
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}
