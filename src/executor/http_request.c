#include "executor/http_request.h"
#include "base/check.h"
#include "core/cloud_event.h"
#include "io/secret/webhook_sign.h"
#include <string.h>

/* Ours, and the end; those of the event and of the config come on top. */
#define OWN_HEADERS_MAX 8
#define EVENT_HEADERS_MAX 16

struct lines {
    struct arena *arena;
    const char **items;
    size_t count, room;
};

/* A value of "" needs a form of its own: "Name:" would take a header away. */
static void add(struct lines *l, const char *name, struct slice value)
{
    struct str line = {0};
    CHECK(l->count < l->room);
    if (value.len > 0)
        str_printf(&line, "%s: %.*s", name, (int)value.len, value.p);
    else
        str_printf(&line, "%s;", name);
    l->items[l->count++] = arena_strdup(l->arena, str_slice(&line));
    str_release(&line);
}

static void add_event(struct lines *l, const struct run_start *s)
{
    struct str text = {0};
    const size_t n = cloud_event_add_headers(&text, s);
    const char *line = arena_copy(l->arena, str_slice(&text)).p;
    CHECK(n <= EVENT_HEADERS_MAX);
    for (size_t i = 0; i < n; i++, line += strlen(line) + 1)
        l->items[l->count++] = line;
    str_release(&text);
}

static void add_content_type(struct lines *l, struct slice type)
{
    if (type.p != NULL)
        add(l, "Content-Type", type);
    else
        l->items[l->count++] = "Content-Type:"; /* none, not that of a form */
}

static void add_signature(struct lines *l, const struct http_config *c, const struct run_start *s,
                          struct wall now, struct slice body)
{
    struct str id = {0}, signature = {0}, time = {0};
    str_add_uuid(&id, s->run);
    if (s->step.len > 0)
        str_printf(&id, ":%.*s", (int)s->step.len, s->step.p);
    str_add_i64(&time, now.ms / 1000);
    webhook_sign(&signature, slice_of(c->secret), str_slice(&id), now.ms / 1000, body);
    add(l, "webhook-id", str_slice(&id));
    add(l, "webhook-timestamp", str_slice(&time));
    add(l, "webhook-signature", str_slice(&signature));
    str_release(&id);
    str_release(&time);
    str_release(&signature);
}

static void add_config(struct lines *l, const struct http_config *c)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)c->headers, name, v) add(l, name, slice_of(json_string_value(v)));
}

void http_body_make(struct http_body *ret, const struct http_config *c, const struct run_start *s,
                    struct wall now, const char *callback_url, const char *callback_token)
{
    struct slice type = SLICE(CLOUD_EVENT_TYPE);
    struct lines l = {.arena = &ret->arena};
    l.room = OWN_HEADERS_MAX + EVENT_HEADERS_MAX + json_object_size(c->headers);
    l.items = ret->headers = arena_zalloc(&ret->arena, (l.room + 1) * sizeof(*l.items));
    if (c->structured)
        cloud_event_add(&ret->body, s);
    else
        type = cloud_event_add_data(&ret->body, s);
    add_content_type(&l, type);
    if (!c->structured)
        add_event(&l, s);
    if (c->secret != NULL)
        add_signature(&l, c, s, now, str_slice(&ret->body));
    if (callback_token != NULL) {
        add(&l, "Pawl-Callback-Url", slice_of(callback_url));
        add(&l, "Pawl-Callback-Token", slice_of(callback_token));
    }
    add_config(&l, c);
}

void http_body_release(struct http_body *b)
{
    str_release(&b->body);
    arena_release(&b->arena);
}
