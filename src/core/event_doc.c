#include "core/event_doc.h"
#include "base/base64.h"
#include "base/json_compact.h"
#include "base/rfc3339.h"
#include <string.h>
#include <strings.h>

static bool content_type_is_json(struct slice type)
{
    const char *parameters = type.len > 0 ? memchr(type.p, ';', type.len) : NULL;
    if (parameters != NULL)
        type.len = (size_t)(parameters - type.p);
    type = slice_trim(type);
    if (slice_is_nocase(type, "application/json") || slice_is_nocase(type, "text/json"))
        return true;
    return type.len > 5 && strncasecmp(type.p + type.len - 5, "+json", 5) == 0;
}

/* An object or an array, when nothing says that it is JSON: a bare 42 or "x" is more likely just
 * text. */
static bool looks_like_json(struct slice payload)
{
    for (size_t i = 0; i < payload.len; i++)
        if (strchr(" \t\r\n", payload.p[i]) == NULL || payload.p[i] == '\0')
            return payload.p[i] == '{' || payload.p[i] == '[';
    return false;
}

/* `"name":value`, or `"name":null,"name_base64":"..."` when the bytes can be no JSON text. */
static void add_bytes(struct str *out, const char *name, struct slice bytes, bool try_json)
{
    str_printf(out, ",\"%s\":", name);
    if (bytes.len == 0) {
        str_add_cstr(out, "null");
        return;
    }
    if (try_json && json_compact(bytes, out))
        return;
    if (utf8_valid(bytes)) {
        str_add_json(out, bytes);
        return;
    }
    str_printf(out, "null,\"%s_base64\":\"", name);
    str_add_base64(out, bytes);
    str_add_char(out, '"');
}

static void add_payload(struct str *out, struct slice payload, struct slice content_type)
{
    add_bytes(out, "payload", payload,
              content_type_is_json(content_type) || looks_like_json(payload));
}

static void add_origin(struct str *out, const struct run_start *s)
{
    str_add_cstr(out, ",\"trigger\":{\"id\":");
    str_add_json_uuid(out, s->trigger);
    str_add_cstr(out, ",\"type\":");
    str_add_json(out, s->trigger_type);
    str_add_cstr(out, "},\"lineage\":{\"root_event_id\":");
    str_add_json_uuid(out, uuid_is_nil(s->root) ? s->event : s->root);
    str_add_cstr(out, ",\"depth\":");
    str_add_u64(out, s->depth);
    str_add_char(out, '}');
}

static void add_files(struct str *out, const struct run_start *s)
{
    if (s->files.p == NULL)
        return;
    str_add_cstr(out, ",\"files\":");
    str_add_slice(out, s->files);
    if (s->files_cut)
        str_add_cstr(out, ",\"files_truncated\":true");
}

static void add_step(struct str *out, const struct run_start *s)
{
    if (s->step.p == NULL)
        return;
    str_add_cstr(out, ",\"step\":");
    str_add_json(out, s->step);
    if (s->previous.p != NULL)
        add_bytes(out, "previous_output", s->previous, true);
}

static void add_key(struct str *out, struct slice key)
{
    if (key.p == NULL)
        return;
    str_add_cstr(out, utf8_valid(key) ? ",\"key\":" : ",\"key_base64\":\"");
    if (utf8_valid(key)) {
        str_add_json(out, key);
        return;
    }
    str_add_base64(out, key);
    str_add_char(out, '"');
}

/* Everything behind the ids at its front. */
static void add_rest(struct str *out, const struct run_start *s)
{
    str_add_cstr(out, ",\"source\":");
    str_add_json(out, s->source);
    str_add_cstr(out, ",\"type\":");
    str_add_json(out, s->type);
    str_add_cstr(out, ",\"subject\":");
    str_add_json_or_null(out, s->subject);
    add_key(out, s->message_key);
    str_add_cstr(out, ",\"time\":");
    str_add_time(out, s->event_time);
    str_add_cstr(out, ",\"content_type\":");
    str_add_json_or_null(out, s->content_type);
    str_add_cstr(out, ",\"run_id\":");
    str_add_json_uuid(out, s->run);
    str_add_cstr(out, ",\"attempt\":");
    str_add_u64(out, s->attempt);
    str_add_cstr(out, ",\"pipeline\":");
    str_add_json(out, s->pipeline);
    add_origin(out, s);
    add_payload(out, s->payload, s->content_type);
    add_files(out, s);
    add_step(out, s);
    str_add_cstr(out, "}\n");
}

static void begin(struct str *out, const struct run_start *s, struct uuid id)
{
    str_reserve(out, s->payload.len + s->files.len + s->previous.len + 700);
    str_add_cstr(out, "{\"id\":");
    str_add_json_uuid(out, id);
}

void event_doc_add(struct str *out, const struct run_start *s)
{
    begin(out, s, s->event);
    add_rest(out, s);
}

void event_line_add(struct str *out, const struct run_start *s)
{
    begin(out, s, s->run);
    str_add_cstr(out, ",\"event_id\":");
    str_add_json_uuid(out, s->event);
    add_rest(out, s);
}
