#include "executor/http_config.h"
#include "base/check.h"
#include "core/redact.h"
#include "io/secret/webhook_sign.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

const struct option_doc http_options[] = {
    {"ca_file", "string", false,
     "absolute path of certificates (PEM) to trust instead of the system's"},
    {"callback", "boolean", false,
     "a 202 means that the run goes on until its status is reported; default false"},
    {"callback_timeout_seconds", "number", false,
     "how long to wait for that, from the 202 on; default 3600"},
    {"connect_timeout_seconds", "number", false, "to reach the server; default 10"},
    {"follow_redirects", "boolean", false,
     "307 and 308 on the same server are followed; default false"},
    {"headers", "object", false, "headers beside those of the event, at most 32"},
    {"max_response_bytes", "integer", false, "of the answer; default and at most 1048576"},
    {"method", "string", false, "POST (default), PUT or PATCH"},
    {"mode", "string", false,
     "binary (default): the payload, attributes as headers; structured: one JSON object"},
    {"secret", "string", false,
     "whsec_...: sign requests by the Standard Webhooks scheme; never shown again"},
    {"timeout_seconds", "number", false, "for the whole request; default 60"},
    {"url", "string", true, "http:// or https://, where the event is sent"},
    {NULL},
};

/* ---- the URL ---- */

static bool port_valid(const char *port, size_t len)
{
    uint64_t n;
    return slice_u64((struct slice){port, len}, 65535, &n) && n > 0;
}

/* "host", "host:port" or "[v6]:port". */
static bool authority_valid(const char *p, size_t len)
{
    const char *colon = memrchr(p, ':', len);
    const char *bracket = len > 0 && p[0] == '[' ? memchr(p, ']', len) : NULL;
    if (len == 0 || p[0] == ':' || (p[0] == '[' && bracket == NULL))
        return false;
    if (bracket != NULL && colon < bracket)
        return bracket == p + len - 1;
    if (bracket != NULL && colon != bracket + 1)
        return false;
    return colon == NULL || port_valid(colon + 1, len - (size_t)(colon + 1 - p));
}

/* What is wrong with it, or NULL. */
static const char *url_offence(const char *url)
{
    const char *rest = strncasecmp(url, "https://", 8) == 0  ? url + 8
                       : strncasecmp(url, "http://", 7) == 0 ? url + 7
                                                             : NULL;
    if (rest == NULL)
        return "must begin with http:// or https://";
    if (strlen(url) > HTTP_URL_LEN_MAX)
        return "is longer than 2048 bytes";
    for (const char *c = url; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}", *c) != NULL)
            return "has a character that must be percent-encoded";
    const size_t len = strcspn(rest, "/?#");
    if (memchr(rest, '@', len) != NULL)
        return "must not hold a user or a password: send them in a header";
    if (!authority_valid(rest, len))
        return "must name a server, as in https://example.org:8443/path";
    return strchr(url, '#') != NULL ? "must not have a fragment (#...)" : NULL;
}

/* ---- headers ---- */

static bool is_token(const char *name)
{
    return *name != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789!#$%&'*+-.^_`|~")] == '\0';
}

/* Those that the request itself makes. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {
        "content-length", "content-type",      "connection", "expect", "host", "te",
        "trailer",        "transfer-encoding", "upgrade"};
    static const char *const prefixes[] = {"ce-", "pawl-", "proxy-", "webhook-"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static bool value_valid(const char *value)
{
    for (const char *c = value; *c != '\0'; c++)
        if ((*c < ' ' || *c > '~') && *c != '\t')
            return false;
    return true;
}

static void check_header(struct json_fields *f, const char *name, const json_t *v,
                         struct http_config *ret)
{
    const char *value = json_string_value(v);
    if (!is_token(name))
        json_fields_fail(f, "headers", "'%s' is not a header's name", name);
    else if (is_ours(name))
        json_fields_fail(f, "headers", "%s: pawl itself sets it", name);
    else if (redact_is_sealed(v) && redact_is_secret_header(name))
        ret->sealed = true;
    else if (value == NULL)
        json_fields_fail(f, "headers", "%s: must be a string", name);
    else if (!value_valid(value))
        json_fields_fail(f, "headers", "%s: must be ASCII without control characters", name);
    else if (strcmp(value, REDACTED) == 0)
        json_fields_fail(f, "headers", "%s: that only stands for the value: send the value", name);
    else if (strlen(name) + strlen(value) > HTTP_HEADER_LEN_MAX)
        json_fields_fail(f, "headers", "%s: is longer than %d bytes", name, HTTP_HEADER_LEN_MAX);
}

/* The one that stands there before, in other letters. */
static const char *same_name(json_t *headers, const char *name)
{
    const char *other;
    json_t *v;
    json_object_foreach(headers, other, v)
    {
        if (other == name)
            return NULL;
        if (strcasecmp(other, name) == 0)
            return other;
    }
    return NULL;
}

static void take_headers(struct json_fields *f, struct http_config *ret)
{
    const char *name;
    json_t *v, *headers = json_take_object(f, "headers", JSON_OPTIONAL);
    ret->headers = headers;
    if (json_object_size(headers) > HTTP_HEADERS_MAX) {
        json_fields_fail(f, "headers", "must be at most %d", HTTP_HEADERS_MAX);
        return;
    }
    json_object_foreach(headers, name, v)
    {
        const char *other = same_name(headers, name);
        if (other != NULL)
            json_fields_fail(f, "headers", "%s: is the same header as %s", name, other);
        check_header(f, name, v, ret);
    }
}

/* ---- the rest ---- */

static void take_method(struct json_fields *f, struct http_config *ret)
{
    const char *method = json_take_string(f, "method", JSON_OPTIONAL);
    ret->method = method != NULL ? method : "POST";
    if (strcmp(ret->method, "POST") != 0 && strcmp(ret->method, "PUT") != 0 &&
        strcmp(ret->method, "PATCH") != 0)
        json_fields_fail(f, "method", "must be POST, PUT or PATCH");
}

static void take_mode(struct json_fields *f, struct http_config *ret)
{
    const char *mode = json_take_string(f, "mode", JSON_OPTIONAL);
    ret->structured = mode != NULL && strcmp(mode, "structured") == 0;
    if (mode != NULL && !ret->structured && strcmp(mode, "binary") != 0)
        json_fields_fail(f, "mode", "must be binary or structured");
}

static void take_secret(struct json_fields *f, struct http_config *ret)
{
    ret->secret = NULL;
    if (redact_is_sealed(json_take_any(f, "secret"))) {
        ret->sealed = true;
        return;
    }
    ret->secret = json_take_string(f, "secret", JSON_OPTIONAL);
    if (ret->secret == NULL)
        return;
    if (strcmp(ret->secret, REDACTED) == 0)
        json_fields_fail(f, "secret", "that only stands for the secret: send the secret itself");
    else if (!webhook_secret_valid(slice_of(ret->secret)))
        json_fields_fail(f, "secret",
                         "must be " WEBHOOK_SECRET_PREFIX " and the base64 of %d to %d bytes",
                         WEBHOOK_SECRET_BYTES_MIN, WEBHOOK_SECRET_BYTES_MAX);
}

static uint64_t take_seconds(struct json_fields *f, const char *name, double dflt)
{
    return (uint64_t)(json_take_number(f, name, dflt, 0.1, HTTP_TIMEOUT_S_MAX) * 1000);
}

int http_config_read(json_t *config, struct http_config *ret, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, config, "executor", reterr);
    ret->sealed = false;
    json_take_string(&f, "type", JSON_REQUIRED);
    ret->url = json_take_string(&f, "url", JSON_REQUIRED);
    const char *offence = ret->url != NULL ? url_offence(ret->url) : NULL;
    if (offence != NULL)
        json_fields_fail(&f, "url", "%s", offence);
    take_method(&f, ret);
    take_headers(&f, ret);
    take_mode(&f, ret);
    take_secret(&f, ret);
    ret->ca_file = json_take_string(&f, "ca_file", JSON_OPTIONAL);
    if (ret->ca_file != NULL && ret->ca_file[0] != '/')
        json_fields_fail(&f, "ca_file", "must be an absolute path");
    ret->total_ms = take_seconds(&f, "timeout_seconds", HTTP_TIMEOUT_S_DEFAULT);
    ret->connect_ms = take_seconds(&f, "connect_timeout_seconds", HTTP_CONNECT_S_DEFAULT);
    ret->callback = json_take_bool(&f, "callback", false);
    ret->callback_ms = take_seconds(&f, "callback_timeout_seconds", HTTP_CALLBACK_S_DEFAULT);
    ret->follow = json_take_bool(&f, "follow_redirects", false);
    ret->response_bytes_max = (size_t)json_take_int(
        &f, "max_response_bytes", HTTP_RESPONSE_BYTES_MAX, 0, HTTP_RESPONSE_BYTES_MAX);
    return json_fields_end(&f);
}
