#include "api/manifests.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/rfc3339.h"
#include <stdlib.h>

void manifest_state_release(struct manifest_state *s)
{
    for (size_t i = 0; i < s->files.len; i++) {
        free(s->files.items[i].name);
        free(s->files.items[i].problems);
        free(s->files.items[i].first);
    }
    vec_release(&s->files);
    free(s->error);
    s->error = NULL;
}

static void add_file(struct str *ret, const struct manifest_status *f)
{
    str_add_cstr(ret, "{\"file\":");
    str_add_json(ret, slice_of(f->name));
    str_printf(ret, ",\"state\":\"%s\",\"objects\":%zu,\"applied_at\":",
               f->problems[0] == '\0' ? "applied" : "error", f->objects);
    str_add_time(ret, f->applied_at);
    str_printf(ret, ",\"problems\":[%s]}", f->problems);
}

static void show(struct http_request *req, void *ctx)
{
    const struct api *a = ctx;
    const struct manifest_state *s = a->manifests;
    struct str body = {0};
    if (s == NULL) {
        http_respond_json(req, 200, SLICE("{\"directory\":null,\"error\":null,\"files\":[]}"));
        return;
    }
    str_add_cstr(&body, "{\"directory\":");
    str_add_json(&body, slice_of(s->directory));
    str_add_cstr(&body, ",\"error\":");
    str_add_json_or_null(&body, slice_of(s->error));
    str_add_cstr(&body, ",\"files\":[");
    for (size_t i = 0; i < s->files.len; i++) {
        if (i > 0)
            str_add_char(&body, ',');
        add_file(&body, &s->files.items[i]);
    }
    str_add_cstr(&body, "]}");
    http_respond_json(req, 200, str_slice(&body));
    str_release(&body);
}

static const struct http_route routes[] = {
    {"GET", "/api/v1/manifests", show, SCOPE_API, 0},
};
const struct resource resource_manifests = {routes, ARRAY_SIZE(routes)};
