/* kube_status.c - errors of the Kubernetes-style API, in the words that kubectl knows. */
#include "api/kube.h"
#include "base/check.h"
#include "io/http/http.h"
#include "pawl/err.h"
#include <stdio.h>
#include <string.h>

#define UNKNOWN_PATH "the server could not find the requested resource"

const struct kube_kind kube_arkevents = {"arkevents", "ArkEvent", KUBE_GROUP,
                                         "arkonis.dev/v1alpha1"};
const struct kube_kind kube_secrets = {"secrets", "Secret", "", "v1"};
const struct kube_kind kube_namespaces = {"namespaces", "Namespace", "", "v1"};

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {400, "BadRequest"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "NotFound"},
        {405, "MethodNotAllowed"},
        {408, "Timeout"},
        {409, "Conflict"},
        {410, "Expired"},
        {413, "RequestEntityTooLarge"},
        {415, "UnsupportedMediaType"},
        {422, "Invalid"},
        {429, "TooManyRequests"},
        {500, "InternalError"},
        {503, "ServiceUnavailable"},
        {504, "Timeout"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

/* All but the closing brace. */
static void begin_status(struct str *s, int status, const char *reason, const char *message,
                         struct slice details)
{
    str_printf(s,
               "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"%s\","
               "\"message\":",
               status < 400 ? "Success" : "Failure");
    str_add_json(s, slice_of(message));
    str_printf(s, ",\"reason\":\"%s\"", reason);
    if (details.p != NULL) {
        str_add_cstr(s, ",\"details\":");
        str_add_slice(s, details);
    }
    str_printf(s, ",\"code\":%d", status);
}

void kube_add_status(struct str *s, int status, const char *reason, const char *message,
                     struct slice details)
{
    begin_status(s, status, reason, message, details);
    str_add_char(s, '}');
}

static void respond(struct http_request *req, int status, const char *reason, const char *message,
                    struct slice details)
{
    struct str body = {0};
    kube_add_status(&body, status, reason, message, details);
    if (status == 503)
        http_response_header(req, "Retry-After", "1");
    http_respond_json(req, status, str_slice(&body));
    str_release(&body);
}

void kube_fail(struct http_request *req, int status, const char *message, struct slice details)
{
    respond(req, status, reason_of(status), message, details);
}

/* All but the closing brace. */
static void begin_details(struct str *s, const struct kube_kind *k, struct slice name)
{
    str_add_cstr(s, "{\"name\":");
    str_add_json(s, name);
    if (k->group[0] != '\0')
        str_printf(s, ",\"group\":\"%s\"", k->group);
    str_printf(s, ",\"kind\":\"%s\"", k->plural);
}

static void fail_about(struct http_request *req, int status, const char *reason,
                       const struct kube_kind *k, struct slice name, const char *message)
{
    struct str details = {0};
    begin_details(&details, k, name);
    str_add_char(&details, '}');
    respond(req, status, reason, message, str_slice(&details));
    str_release(&details);
}

/* arkevents.arkonis.dev "name" */
static void about(const struct kube_kind *k, struct slice name, const char *what, char *ret,
                  size_t size)
{
    snprintf(ret, size, "%s%s%s \"%.*s\"%s", k->plural, k->group[0] != '\0' ? "." : "", k->group,
             name.len < 256 ? (int)name.len : 256, name.p, what);
}

void kube_not_found(struct http_request *req, const struct kube_kind *k, struct slice name)
{
    char message[400];
    about(k, name, " not found", message, sizeof(message));
    fail_about(req, 404, reason_of(404), k, name, message);
}

void kube_exists(struct http_request *req, const struct kube_kind *k, struct slice name)
{
    char message[400];
    about(k, name, " already exists", message, sizeof(message));
    fail_about(req, 409, "AlreadyExists", k, name, message);
}

void kube_conflict(struct http_request *req, const struct kube_kind *k, struct slice name,
                   const char *why)
{
    char object[400], message[800];
    about(k, name, "", object, sizeof(object));
    snprintf(message, sizeof(message), "Operation cannot be fulfilled on %s: %s", object, why);
    fail_about(req, 409, reason_of(409), k, name, message);
}

void kube_respond_deleted(struct http_request *req, const struct kube_kind *k, struct slice name,
                          const char *uid)
{
    struct str body = {0};
    str_add_cstr(&body, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
                        "\"status\":\"Success\",\"details\":");
    begin_details(&body, k, name);
    str_printf(&body, ",\"uid\":\"%s\"}}", uid);
    http_respond_json(req, 200, str_slice(&body));
    str_release(&body);
}

void kube_unavailable(struct http_request *req)
{
    kube_fail(req, 503,
              "the store does not keep up or cannot be written; nothing was changed, try again",
              SLICE_NONE);
}

void kube_unreadable(struct http_request *req)
{
    kube_fail(req, 503, "the store cannot be read now, try again", SLICE_NONE);
}

/* ---- errors that others find: no such path, no key, a body that is too large ---- */

/* The path is `prefix`, or below it. */
static bool is_below(struct slice path, const char *prefix)
{
    const size_t len = strlen(prefix);
    return slice_starts(path, prefix) && (path.len == len || path.p[len] == '/');
}

static bool is_ours(struct slice path)
{
    static const char *const prefixes[] = {"/apis", "/openapi", KUBE_CORE "/namespaces",
                                           KUBE_CORE "/secrets"};
    if (path.len > 1 && path.p[path.len - 1] == '/')
        path.len--;
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (is_below(path, prefixes[i]))
            return true;
    return slice_is(path, "/api") || slice_is(path, KUBE_CORE) || slice_is(path, "/version");
}

bool kube_word_error(const struct http_request *req, int status, const char *code,
                     const char *message, struct str *ret)
{
    const bool lost = status == 404 && req->route == NULL, ours = is_ours(req->path);
    if (!ours && !(lost && is_below(req->path, "/api")))
        return false;
    const char *text = lost            ? UNKNOWN_PATH
                       : status == 401 ? "Unauthorized"
                       : status == 405
                           ? "the server does not allow this method on the requested resource"
                           : message;
    begin_status(ret, status, reason_of(status), text, SLICE_NONE);
    if (!ours) { /* it may be a client of either kind */
        str_printf(ret, ",\"error\":{\"code\":\"%s\",\"message\":", code);
        str_add_json(ret, slice_of(message));
        str_add_char(ret, '}');
    }
    str_add_char(ret, '}');
    return true;
}
