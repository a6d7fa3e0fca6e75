#include "api/kube_body.h"
#include "base/check.h"
#include "base/json_patch.h"
#include "io/yaml/yaml.h"
#include <stdio.h>
#include <string.h>

#define UNKNOWN_FORMAT                                                                             \
    "the body of the request was in an unknown format - accepted media types include: "
#define JSON_PATCH "application/json-patch+json"
#define WARNINGS_MAX 4 /* headers of an answer */

/* ---- formats ---- */

/* The media type, without its parameters. */
static struct slice media_type(const struct http_request *req)
{
    struct slice type = http_header(req, "content-type");
    const char *semicolon = type.len > 0 ? memchr(type.p, ';', type.len) : NULL;
    if (semicolon != NULL)
        type.len = (size_t)(semicolon - type.p);
    return type.p != NULL ? slice_trim(type) : SLICE("");
}

static bool is_one_of(struct slice type, const char *const *names)
{
    for (; *names != NULL; names++)
        if (slice_is_nocase(type, *names))
            return true;
    return false;
}

static json_t *checked(struct http_request *req, json_t *v, const struct diag *why)
{
    if (json_is_object(v))
        return v;
    kube_fail(req, 400, v != NULL ? "the body must be an object" : why->msg, SLICE_NONE);
    json_decref(v);
    return NULL;
}

json_t *kube_body_object(struct http_request *req)
{
    static const char *const json[] = {"", "application/json", NULL};
    static const char *const yaml[] = {"application/yaml", "application/x-yaml", "text/yaml", NULL};
    const struct slice type = media_type(req);
    struct diag why;
    if (is_one_of(type, json))
        return checked(req, json_parse(req->body, &why), &why);
    if (is_one_of(type, yaml))
        return checked(req, yaml_parse(req->body, &why), &why);
    kube_fail(req, 415, UNKNOWN_FORMAT "application/json, application/yaml", SLICE_NONE);
    return NULL;
}

static void refuse_invalid(struct http_request *req, const struct problems *p,
                           const struct kube_kind *k, struct slice name);

/* kubectl shows the causes of what is invalid, and no other message. */
static json_t *apply_operations(struct http_request *req, const struct kube_kind *k,
                                struct slice name, const json_t *doc, const json_t *ops)
{
    struct diag why;
    struct problems problems = {0};
    json_t *ret = json_patch(doc, ops, &why);
    if (ret == NULL && why.code == DIAG_INVALID_ARGUMENT) {
        kube_fail(req, 400, why.msg, SLICE_NONE);
    } else if (ret == NULL) {
        problem_add(&problems, CAUSE_INVALID, "patch", "cannot be applied: %s", why.msg);
        refuse_invalid(req, &problems, k, name);
        problems_release(&problems);
    }
    return ret;
}

bool kube_body_is_patch(struct http_request *req, bool strategic)
{
    static const char *const patches[] = {JSON_PATCH, "application/merge-patch+json", NULL};
    const struct slice type = media_type(req);
    if (is_one_of(type, patches) ||
        (strategic && slice_is_nocase(type, "application/strategic-merge-patch+json")))
        return true;
    kube_fail(req, 415, UNKNOWN_FORMAT JSON_PATCH ", application/merge-patch+json", SLICE_NONE);
    return false;
}

json_t *kube_body_patched(struct http_request *req, const struct kube_kind *k, struct slice name,
                          const json_t *doc)
{
    const bool operations = slice_is_nocase(media_type(req), JSON_PATCH);
    struct diag why;
    json_t *patch = json_parse(req->body, &why), *ret = NULL;
    if (patch == NULL)
        kube_fail(req, 400, why.msg, SLICE_NONE);
    else if (operations)
        ret = apply_operations(req, k, name, doc, patch);
    else
        ret = json_merge_patch(doc, patch);
    json_decref(patch);
    return ret != NULL ? checked(req, ret, NULL) : NULL;
}

/* ---- what a document says of itself ---- */

static struct slice text_of(const json_t *v)
{
    const char *text = json_string_value(v);
    return text != NULL && text[0] != '\0' ? slice_of(text) : SLICE_NONE;
}

struct slice kube_metadata(const json_t *doc, const char *field)
{
    return text_of(json_object_get(json_object_get(doc, "metadata"), field));
}

/* What the path says goes without saying. */
static void fill_in(json_t *doc, const char *field, struct slice value)
{
    json_t *metadata = json_object_get(doc, "metadata");
    if (metadata == NULL || json_is_null(metadata)) {
        metadata = json_object();
        json_object_set_new(doc, "metadata", metadata);
    }
    if (json_is_object(metadata))
        json_object_set_new(metadata, field, json_stringn(value.p, value.len));
}

static bool fits(struct http_request *req, json_t *doc, const char *field, struct slice expected)
{
    char message[256];
    const struct slice given = kube_metadata(doc, field);
    if (given.p == NULL) {
        fill_in(doc, field, expected);
        return true;
    }
    if (slice_eq(given, expected))
        return true;
    snprintf(message, sizeof(message),
             "the %s of the object (%.60s) does not match the %s on the URL (%.*s)", field, given.p,
             field, expected.len < 60 ? (int)expected.len : 60, expected.p);
    kube_fail(req, 400, message, SLICE_NONE);
    return false;
}

bool kube_body_fits(struct http_request *req, json_t *doc, const struct kube_kind *k,
                    struct slice ns, struct slice name)
{
    char message[256];
    const struct slice version = text_of(json_object_get(doc, "apiVersion"));
    const struct slice kind = text_of(json_object_get(doc, "kind"));
    if ((version.p != NULL && !slice_is(version, k->api_version)) ||
        (kind.p != NULL && !slice_is(kind, k->kind))) {
        snprintf(message, sizeof(message),
                 "the object is a %.60s of %.60s; here it must be a %s of %s",
                 kind.p != NULL ? kind.p : k->kind, version.p != NULL ? version.p : k->api_version,
                 k->kind, k->api_version);
        kube_fail(req, 400, message, SLICE_NONE);
        return false;
    }
    return (ns.p == NULL || fits(req, doc, "namespace", ns)) &&
           (name.p == NULL || fits(req, doc, "name", name));
}

bool kube_body_is_current(struct http_request *req, const json_t *doc, const struct kube_kind *k,
                          struct slice name, struct uuid id, uint64_t version)
{
    char text[UUID_TEXT_LEN + 1], number[24], why[160];
    const struct slice uid = kube_metadata(doc, "uid"), of = kube_metadata(doc, "resourceVersion");
    uuid_format(id, text);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)version);
    if (uid.p != NULL && !slice_is(uid, text)) {
        snprintf(why, sizeof(why),
                 "Precondition failed: UID in precondition: %.40s, UID in object meta: %s", uid.p,
                 text);
        kube_conflict(req, k, name, why);
        return false;
    }
    if (of.p != NULL && !slice_is(of, number)) {
        kube_conflict(req, k, name,
                      "the object has been modified; please apply your changes to the latest "
                      "version and try again");
        return false;
    }
    return true;
}

/* ---- problems ---- */

/* Header values hold no control characters, and a client could not tell their encoding. */
static const char *quoted(struct arena *a, const char *text)
{
    struct str s = {0};
    str_add_cstr(&s, "299 - \"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            str_add_char(&s, '\\');
        str_add_char(&s, *text >= ' ' && *text < 0x7f ? *text : '?');
    }
    str_add_char(&s, '"');
    const char *ret = arena_strdup(a, str_slice(&s));
    str_release(&s);
    return ret;
}

/* Those for which there is no header are counted in the last one. */
static void warn(struct http_request *req, const struct problems *p)
{
    char rest[64];
    size_t unknown = 0, n = 0;
    for (size_t i = 0; i < p->list.len; i++)
        unknown += p->list.items[i].cause == CAUSE_UNKNOWN;
    const size_t shown = unknown <= WARNINGS_MAX ? unknown : WARNINGS_MAX - 1;
    for (size_t i = 0; n < shown; i++)
        if (p->list.items[i].cause == CAUSE_UNKNOWN && ++n > 0)
            http_response_header(req, "Warning", quoted(req->arena, p->list.items[i].message));
    if (shown == unknown)
        return;
    snprintf(rest, sizeof(rest), "%zu more unknown fields", unknown - shown);
    http_response_header(req, "Warning", quoted(req->arena, rest));
}

static void refuse_unknown(struct http_request *req, const struct problems *p,
                           const struct kube_kind *k)
{
    struct str s = {0};
    const char *slash = strchr(k->api_version, '/');
    str_printf(&s,
               "%s in version \"%s\" cannot be handled as a %s: strict decoding error: ", k->kind,
               slash != NULL ? slash + 1 : k->api_version, k->kind);
    for (size_t i = 0, n = 0; i < p->list.len; i++)
        if (p->list.items[i].cause == CAUSE_UNKNOWN)
            str_printf(&s, "%s%s", n++ > 0 ? ", " : "", p->list.items[i].message);
    kube_fail(req, 400, s.p, SLICE_NONE);
    str_release(&s);
}

static void add_cause(struct str *s, const struct problem *p)
{
    str_printf(s, "{\"reason\":\"%s\",\"message\":", cause_reason(p->cause));
    str_add_json(s, slice_of(p->message));
    str_add_cstr(s, ",\"field\":");
    str_add_json(s, slice_of(p->field));
    str_add_char(s, '}');
}

static void refuse_invalid(struct http_request *req, const struct problems *p,
                           const struct kube_kind *k, struct slice name)
{
    struct str message = {0}, details = {0}, list = {0};
    size_t n = 0;
    str_add_cstr(&details, "{\"name\":");
    str_add_json(&details, name.p != NULL ? name : SLICE(""));
    str_printf(&details, ",\"group\":\"%s\",\"kind\":\"%s\",\"causes\":[", k->group, k->kind);
    for (size_t i = 0; i < p->list.len; i++) {
        const struct problem *x = &p->list.items[i];
        if (x->cause == CAUSE_UNKNOWN)
            continue;
        str_printf(&list, "%s%s: %s", n > 0 ? ", " : "", x->field, x->message);
        if (n++ > 0)
            str_add_char(&details, ',');
        add_cause(&details, x);
    }
    str_add_cstr(&details, "]}");
    str_printf(&message, "%s%s%s \"%.*s\" is invalid: %s%s%s", k->kind,
               k->group[0] != '\0' ? "." : "", k->group, (int)name.len,
               name.p != NULL ? name.p : "", n > 1 ? "[" : "", list.p, n > 1 ? "]" : "");
    kube_fail(req, 422, message.p, str_slice(&details));
    str_release(&message);
    str_release(&details);
    str_release(&list);
}

bool kube_body_valid(struct http_request *req, struct problems *p, const struct kube_kind *k,
                     struct slice name)
{
    struct slice mode = SLICE_NONE;
    bool unknown = false;
    http_query(req, "fieldValidation", &mode);
    for (size_t i = 0; i < p->list.len; i++)
        unknown = unknown || p->list.items[i].cause == CAUSE_UNKNOWN;
    const bool strict = mode.p != NULL && slice_is(mode, "Strict");
    const bool valid = !p->fatal && !(unknown && strict);
    if (unknown && strict)
        refuse_unknown(req, p, k);
    else if (p->fatal)
        refuse_invalid(req, p, k, name);
    else if (unknown && mode.p != NULL && slice_is(mode, "Warn"))
        warn(req, p);
    problems_release(p);
    return valid;
}

/* ---- options ---- */

static const struct kube_kind *options_of(const struct http_request *req)
{
    static const struct kube_kind kinds[] = {
        {"", "CreateOptions", "meta.k8s.io", "v1"},
        {"", "UpdateOptions", "meta.k8s.io", "v1"},
        {"", "PatchOptions", "meta.k8s.io", "v1"},
        {"", "DeleteOptions", "meta.k8s.io", "v1"},
    };
    static const char *const methods[] = {"POST", "PUT", "PATCH"};
    size_t i = 0;
    while (i < ARRAY_SIZE(methods) && strcmp(req->method, methods[i]) != 0)
        i++;
    return &kinds[i];
}

static bool is_supported(struct slice v, const char *const *values)
{
    while (*values != NULL && !slice_is(v, *values))
        values++;
    return *values != NULL;
}

static void refuse_option(struct http_request *req, const char *name, struct slice v,
                          const char *const *values)
{
    struct problems p = {0};
    struct str list = {0}, given = {0};
    str_add_json(&given, v);
    for (size_t i = 0; values[i] != NULL; i++)
        str_printf(&list, "%s\"%s\"", i > 0 ? ", " : "", values[i]);
    problem_add(&p, CAUSE_NOT_SUPPORTED, name, "Unsupported value: %s: supported values: %s",
                given.p, list.p);
    refuse_invalid(req, &p, options_of(req), SLICE_NONE);
    problems_release(&p);
    str_release(&list);
    str_release(&given);
}

static const char *const dry_runs[] = {"All", NULL};

bool kube_body_options(struct http_request *req)
{
    static const char *const validations[] = {"Ignore", "Strict", "Warn", NULL};
    struct slice v;
    if (http_query(req, "dryRun", &v) && !is_supported(v, dry_runs)) {
        refuse_option(req, "dryRun", v, dry_runs);
        return false;
    }
    if (http_query(req, "fieldValidation", &v) && v.len > 0 && !is_supported(v, validations)) {
        refuse_option(req, "fieldValidation", v, validations);
        return false;
    }
    return true;
}

bool kube_dry_run(struct http_request *req)
{
    struct slice v;
    return http_query(req, "dryRun", &v);
}

static struct slice kept(struct http_request *req, const json_t *v)
{
    return arena_copy(req->arena, text_of(v));
}

/* A list, of which "All" is all that there may be in it. */
static bool take_dry_run(struct http_request *req, const json_t *list, bool *ret)
{
    const json_t *v;
    size_t i;
    if (list != NULL && !json_is_null(list) && !json_is_array(list)) {
        kube_fail(req, 400, "dryRun: must be a list", SLICE_NONE);
        return false;
    }
    json_array_foreach(list, i, v)
    {
        const char *text = json_string_value(v);
        if (text == NULL || !is_supported(slice_of(text), dry_runs)) {
            refuse_option(req, "dryRun", slice_of(text != NULL ? text : ""), dry_runs);
            return false;
        }
        *ret = true;
    }
    return true;
}

/* Typed clients may send it in a form that only they know: nothing that matters is in it then. */
bool kube_body_deletion(struct http_request *req, struct kube_deletion *ret)
{
    if (!kube_body_options(req))
        return false;
    *ret = (struct kube_deletion){.dry_run = kube_dry_run(req)};
    if (req->body.len == 0 ||
        slice_is_nocase(media_type(req), "application/vnd.kubernetes.protobuf"))
        return true;
    json_t *v = kube_body_object(req);
    if (v == NULL)
        return false;
    const json_t *must = json_object_get(v, "preconditions");
    ret->uid = kept(req, json_object_get(must, "uid"));
    ret->version = kept(req, json_object_get(must, "resourceVersion"));
    const bool valid = take_dry_run(req, json_object_get(v, "dryRun"), &ret->dry_run);
    json_decref(v);
    return valid;
}
