#include "api/webhook_url.h"
#include <string.h>

#define WEBHOOK_PATH "/api/v1/webhooks"
#define HOST_LEN_MAX 255

static bool consists_of(struct slice text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\0' || strchr(allowed, text.p[i]) == NULL)
            return false;
    }
    return text.len > 0;
}

static bool port_valid(struct slice port)
{
    uint64_t n;
    return slice_u64(port, 65535, &n) && n > 0;
}

bool host_valid(struct slice host)
{
    static const char name_chars[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    static const char ip6_chars[] = "0123456789abcdefABCDEF:.";
    if (host.len == 0 || host.len > HOST_LEN_MAX)
        return false;
    const bool ip6 = host.p[0] == '[';
    const char *end = ip6 ? memchr(host.p, ']', host.len) : memchr(host.p, ':', host.len);
    if (end == NULL)
        return !ip6 && consists_of(host, name_chars);
    struct slice name = {host.p, (size_t)(end - host.p)};
    struct slice rest = {end, host.len - name.len};
    if (ip6) {
        name = (struct slice){name.p + 1, name.len - 1};
        rest = (struct slice){rest.p + 1, rest.len - 1};
        if (rest.len == 0)
            return consists_of(name, ip6_chars);
    }
    return rest.p[0] == ':' && port_valid((struct slice){rest.p + 1, rest.len - 1}) &&
           consists_of(name, ip6 ? ip6_chars : name_chars);
}

char *webhook_url(const struct api *a, struct http_request *req)
{
    struct str url = {0};
    const struct slice host = http_header(req, "host");
    if (a->host->public_url != NULL)
        str_add_cstr(&url, a->host->public_url);
    else if (host_valid(host))
        str_printf(&url, "http://%.*s", (int)host.len, host.p);
    str_add_cstr(&url, WEBHOOK_PATH);
    char *ret = arena_strdup(req->arena, str_slice(&url));
    str_release(&url);
    return ret;
}
