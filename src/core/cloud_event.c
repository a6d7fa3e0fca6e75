#include "core/cloud_event.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/json_compact.h"
#include "base/rfc3339.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SOURCE_PREFIX "/pawl/"
#define ATTRIBUTES_MAX 16
#define NUMBER_SIZE 11 /* of a uint32_t */
#define HEADERS_USUAL_BYTES 768
#define NO_TYPE "application/octet-stream"

struct attribute {
    const char *name;
    struct slice value;
};

/* The texts of what is not text. */
struct texts {
    char event[UUID_TEXT_LEN + 1], run[UUID_TEXT_LEN + 1], root[UUID_TEXT_LEN + 1];
    char version[NUMBER_SIZE], attempt[NUMBER_SIZE], depth[NUMBER_SIZE];
    char time[RFC3339_LEN + 1], source[64];
};

static void put_number(char ret[NUMBER_SIZE], uint32_t n)
{
    char digits[NUMBER_SIZE];
    size_t len = 0;
    do
        digits[len++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    for (size_t i = 0; i < len; i++)
        ret[i] = digits[len - 1 - i];
    ret[len] = '\0';
}

static void make_texts(const struct run_start *s, struct texts *ret)
{
    uuid_format(s->event, ret->event);
    uuid_format(s->run, ret->run);
    uuid_format(uuid_is_nil(s->root) ? s->event : s->root, ret->root);
    rfc3339_format(s->event_time, ret->time);
    put_number(ret->version, s->version);
    put_number(ret->attempt, s->attempt);
    put_number(ret->depth, s->depth);
    snprintf(ret->source, sizeof(ret->source), SOURCE_PREFIX "%.*s", (int)s->source.len,
             s->source.len > 0 ? s->source.p : "");
}

/* No attribute may be empty: such a one is left out. */
static size_t make_attributes(const struct run_start *s, const struct texts *t,
                              struct attribute ret[ATTRIBUTES_MAX])
{
    const struct attribute all[] = {
        {"specversion", SLICE("1.0")},
        {"id", slice_of(t->event)},
        {"source", slice_of(t->source)},
        {"type", s->type},
        {"time", slice_of(t->time)},
        {"subject", s->subject},
        {"partitionkey", utf8_valid(s->message_key) ? s->message_key : SLICE_NONE},
        {"pawlrunid", slice_of(t->run)},
        {"pawlpipeline", s->pipeline},
        {"pawlversion", slice_of(t->version)},
        {"pawlattempt", slice_of(t->attempt)},
        {"pawltriggertype", s->trigger_type},
        {"pawlstep", s->step},
        {"pawlrootid", slice_of(t->root)},
        {"pawldepth", slice_of(t->depth)},
    };
    _Static_assert(ARRAY_SIZE(all) <= ATTRIBUTES_MAX, "room for all");
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (all[i].value.len > 0)
            ret[n++] = all[i];
    return n;
}

/* ---- binary ---- */

void cloud_event_add_value(struct str *out, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t plain = 0; /* from here on as it is */
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        if (c > ' ' && c < 0x7f && c != '"' && c != '%')
            continue;
        str_add(out, text.p + plain, i - plain);
        str_add(out, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
        plain = i + 1;
    }
    str_add(out, text.p + plain, text.len - plain);
}

size_t cloud_event_add_headers(struct str *out, const struct run_start *s)
{
    struct texts texts;
    struct attribute attributes[ATTRIBUTES_MAX];
    str_reserve(out, HEADERS_USUAL_BYTES);
    make_texts(s, &texts);
    const size_t n = make_attributes(s, &texts, attributes);
    for (size_t i = 0; i < n; i++) {
        str_add(out, "ce-", 3);
        str_add_cstr(out, attributes[i].name);
        str_add(out, ": ", 2);
        cloud_event_add_value(out, attributes[i].value);
        str_add_char(out, '\0');
    }
    return n;
}

/* It came from outside: as a header it must not be able to become another one. */
static bool is_content_type(struct slice type)
{
    for (size_t i = 0; i < type.len; i++)
        if (type.p[i] < ' ' || type.p[i] > '~')
            return false;
    return type.len > 0 && memchr(type.p, '/', type.len) != NULL;
}

static void add_files(struct str *out, const struct run_start *s)
{
    str_add_cstr(out, "{\"files\":");
    str_add_slice(out, s->files);
    str_add_cstr(out, s->files_cut ? ",\"files_truncated\":true}" : "}");
}

/* The data, unless it is files: of the first step the payload, of another one what the one before it put out. */
static struct slice data_of(const struct run_start *s, struct slice *ret_type)
{
    if (s->previous.p == NULL) {
        *ret_type = is_content_type(s->content_type) ? slice_trim(s->content_type) : SLICE(NO_TYPE);
        return s->payload;
    }
    struct str ignored = {0};
    *ret_type = json_compact(s->previous, &ignored) ? SLICE("application/json")
                : utf8_valid(s->previous)           ? SLICE("text/plain; charset=utf-8")
                                                    : SLICE(NO_TYPE);
    str_release(&ignored);
    return s->previous;
}

static bool is_for_files(const struct run_start *s)
{
    return s->files.p != NULL && s->previous.p == NULL;
}

struct slice cloud_event_add_data(struct str *out, const struct run_start *s)
{
    struct slice type;
    if (is_for_files(s)) {
        add_files(out, s);
        return SLICE("application/json");
    }
    const struct slice data = data_of(s, &type);
    if (data.len == 0)
        return SLICE_NONE;
    str_add_slice(out, data);
    return type;
}

/* ---- structured ---- */

static bool is_json(struct slice type)
{
    const char *parameters = type.len > 0 ? memchr(type.p, ';', type.len) : NULL;
    if (parameters != NULL)
        type.len = (size_t)(parameters - type.p);
    type = slice_trim(type);
    return slice_is_nocase(type, "application/json") || slice_is_nocase(type, "text/json") ||
           (type.len > 5 && strncasecmp(type.p + type.len - 5, "+json", 5) == 0);
}

/* A string in `data` of a JSON type would be taken for that JSON string: what is not what it says goes as base64. */
static void add_bytes(struct str *out, struct slice data, bool json)
{
    const size_t before = out->len;
    str_add_cstr(out, ",\"data\":");
    if (json && json_compact(data, out))
        return;
    if (!json && utf8_valid(data)) {
        str_add_json(out, data);
        return;
    }
    out->len = before;
    str_add_cstr(out, ",\"data_base64\":\"");
    str_add_base64(out, data);
    str_add_char(out, '"');
}

static void add_data(struct str *out, const struct run_start *s)
{
    struct slice type;
    if (is_for_files(s)) {
        str_add_cstr(out, ",\"datacontenttype\":\"application/json\",\"data\":");
        add_files(out, s);
        return;
    }
    const struct slice data = data_of(s, &type);
    if (data.len == 0)
        return;
    str_add_cstr(out, ",\"datacontenttype\":");
    str_add_json(out, type);
    add_bytes(out, data, is_json(type));
}

void cloud_event_add(struct str *out, const struct run_start *s)
{
    struct texts texts;
    struct attribute attributes[ATTRIBUTES_MAX];
    str_reserve(out, s->payload.len + s->files.len + s->previous.len + 640);
    make_texts(s, &texts);
    const size_t n = make_attributes(s, &texts, attributes);
    for (size_t i = 0; i < n; i++) {
        str_printf(out, "%s\"%s\":", i > 0 ? "," : "{", attributes[i].name);
        str_add_json(out, attributes[i].value);
    }
    add_data(out, s);
    str_add_char(out, '}');
}
