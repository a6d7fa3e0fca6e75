#include "core/ark_doc.h"
#include "base/check.h"
#include "base/json.h"
#include "base/rfc3339.h"
#include "core/ark.h"
#include "core/ark_manifest.h"
#include "core/cron.h"
#include <string.h>

/* ---- what is kept of a manifest ---- */

/* An ArkEvent's config and what is read of its spec. */
struct parts {
    struct slice metadata, spec; /* the texts of the two objects */
    json_t *source;              /* spec.source; borrowed from `tree` */
    json_t *tree;
    const char *type, *cron;
    bool suspended;
};

/* The end of the JSON object that text begins with: behind its closing brace. The text is ours and well-formed. */
static size_t object_len(struct slice text)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == '{')
            depth++;
        else if (!quoted && c == '}' && --depth == 0)
            return i + 1;
    }
    return text.len;
}

/* The config is written by us, compact: {"metadata":{...},"spec":{...}}. */
static void split(struct slice config, struct parts *ret)
{
    static const char metadata[] = "{\"metadata\":", spec[] = ",\"spec\":";
    CHECK(slice_starts(config, metadata));
    struct slice rest = {config.p + strlen(metadata), config.len - strlen(metadata)};
    ret->metadata = (struct slice){rest.p, object_len(rest)};
    rest = (struct slice){rest.p + ret->metadata.len, rest.len - ret->metadata.len};
    CHECK(slice_starts(rest, spec));
    ret->spec = (struct slice){rest.p + strlen(spec), rest.len - strlen(spec) - 1};
}

static struct parts take_apart(const struct ark_view *v)
{
    struct parts p = {0};
    split(v->config, &p);
    p.tree = json_parse_object(p.spec, NULL);
    p.source = json_object_get(p.tree, "source");
    p.type = json_string_value(json_object_get(p.source, "type"));
    p.cron = json_string_value(json_object_get(p.source, "cron"));
    p.suspended = json_is_true(json_object_get(p.tree, "suspended"));
    return p;
}

static struct slice name_of(const struct ark_view *v)
{
    const char *slash = memchr(v->path.p, '/', v->path.len);
    return (struct slice){slash + 1, v->path.len - (size_t)(slash + 1 - v->path.p)};
}

/* Kubernetes' times have no fraction. */
static void add_time(struct str *s, struct wall t)
{
    char text[RFC3339_LEN + 1];
    rfc3339_format((struct wall){t.ms - t.ms % 1000}, text);
    str_add_char(s, '"');
    str_add_cstr(s, text);
    str_add_char(s, '"');
}

static bool next_fire(const struct ark_view *v, const struct parts *p, struct wall now,
                      struct wall *ret)
{
    struct cron c;
    if (p->cron == NULL || p->suspended || cron_parse(p->cron, &c, NULL) < 0)
        return false;
    cron_anchor(&c, v->created_at);
    return cron_next(&c, NULL, wall_is_set(v->last_due) ? v->last_due : now, ret);
}

/* ---- metadata ---- */

static void add_metadata(const struct ark_view *v, const struct parts *p, struct str *ret)
{
    str_add(ret, p->metadata.p, p->metadata.len - 1);
    str_add_cstr(ret, ",\"uid\":\"");
    str_add_uuid(ret, v->id);
    if (v->version > 0) {
        str_add_cstr(ret, "\",\"resourceVersion\":\"");
        str_add_u64(ret, v->version);
    }
    str_add_cstr(ret, "\",\"generation\":");
    str_add_u64(ret, v->generation);
    str_add_cstr(ret, ",\"creationTimestamp\":");
    add_time(ret, v->created_at);
    str_add_char(ret, '}');
}

/* ---- status ---- */

static bool has_url(const struct parts *p, const struct ark_style *s)
{
    return s->base_url != NULL && p->type != NULL && strcmp(p->type, "webhook") == 0;
}

static void add_url(const struct ark_view *v, const struct ark_style *s, struct str *ret)
{
    struct str url = {0};
    str_printf(&url, "%s/triggers/%.*s/fire", s->base_url, (int)v->path.len, v->path.p);
    str_add_json(ret, str_slice(&url));
    str_release(&url);
}

static const char *upstream_of(const struct parts *p)
{
    const json_t *team = json_object_get(p->source, "teamOutput");
    const json_t *from = team != NULL ? team : json_object_get(p->source, "pipelineOutput");
    const json_t *name = json_object_get(from, "name");
    name = name != NULL ? name : json_object_get(from, "pipeline");
    return json_string_value(name);
}

static struct slice team_of(struct slice path)
{
    const char *dot = memrchr(path.p, '.', path.len);
    return dot == NULL ? path : (struct slice){dot + 1, path.len - (size_t)(dot + 1 - path.p)};
}

static void add_message(const struct ark_view *v, const struct parts *p, struct wall now,
                        struct str *ret)
{
    char at[RFC3339_LEN + 1];
    struct str text = {0};
    struct wall next;
    switch ((enum ark_reason)v->reason) {
    case ARK_WEBHOOK_READY:
        str_add_cstr(&text, "waiting for webhook POST");
        break;
    case ARK_ACTIVE:
        if (next_fire(v, p, now, &next)) {
            rfc3339_format((struct wall){next.ms - next.ms % 1000}, at);
            str_printf(&text, "next fire at %s", at);
        } else {
            str_add_cstr(&text, "never due again");
        }
        break;
    case ARK_WATCHING:
        str_printf(&text, "watching team %s", upstream_of(p));
        break;
    case ARK_SUSPENDED:
        str_add_cstr(&text, "the event is suspended");
        break;
    case ARK_TARGET_NOT_FOUND:
        str_add_cstr(&text, "team ");
        str_add_slice(&text, v->missing.p != NULL ? team_of(v->missing) : SLICE("?"));
        str_add_cstr(&text, " not found");
        break;
    case ARK_INVALID_CRON:
        str_add_cstr(&text, "the schedule cannot be read");
        break;
    }
    str_add_json(ret, str_slice(&text));
    str_release(&text);
}

static void add_condition(const struct ark_view *v, const struct parts *p, struct wall now,
                          struct str *ret)
{
    str_printf(ret, "{\"type\":\"Ready\",\"status\":\"%s\",\"reason\":\"%s\",\"message\":",
               ark_is_ready(v->reason) ? "True" : "False", ark_reason_name(v->reason));
    add_message(v, p, now, ret);
    str_add_cstr(ret, ",\"lastTransitionTime\":");
    add_time(ret, v->ready_since);
    str_add_char(ret, '}');
}

static void add_status(const struct ark_view *v, const struct parts *p, const struct ark_style *s,
                       struct str *ret)
{
    struct wall next;
    str_add_cstr(ret, "{\"observedGeneration\":");
    str_add_u64(ret, v->generation);
    str_add_cstr(ret, ",\"firedCount\":");
    str_add_u64(ret, v->fired);
    if (has_url(p, s)) {
        str_add_cstr(ret, ",\"webhookURL\":");
        add_url(v, s, ret);
    }
    if (wall_is_set(v->last_fired)) {
        str_add_cstr(ret, ",\"lastFiredAt\":");
        add_time(ret, v->last_fired);
    }
    if (next_fire(v, p, s->now, &next)) {
        str_add_cstr(ret, ",\"nextFireAt\":");
        add_time(ret, next);
    }
    str_add_cstr(ret, ",\"conditions\":[");
    add_condition(v, p, s->now, ret);
    str_add_cstr(ret, "]}");
}

/* ---- objects ---- */

static void add_object(const struct ark_view *v, const struct parts *p, const struct ark_style *s,
                       struct str *ret)
{
    str_add_cstr(ret,
                 "{\"apiVersion\":\"" ARK_API_VERSION "\",\"kind\":\"" ARK_KIND "\",\"metadata\":");
    add_metadata(v, p, ret);
    str_add_cstr(ret, ",\"spec\":");
    str_add_slice(ret, p->spec);
    str_add_cstr(ret, ",\"status\":");
    add_status(v, p, s, ret);
    str_add_char(ret, '}');
}

void ark_doc_add(const struct ark_view *v, const struct ark_style *s, struct str *ret)
{
    const struct parts p = take_apart(v);
    add_object(v, &p, s, ret);
    json_decref(p.tree);
}

/* ---- rows of a table ---- */

void ark_doc_add_columns(struct str *ret)
{
    str_add_cstr(ret, "[{\"name\":\"Name\",\"type\":\"string\",\"format\":\"name\",\"description\":"
                      "\"\",\"priority\":0}");
    static const struct {
        const char *name, *type;
        int priority;
    } columns[] = {
        {"Type", "string", 0},       {"Suspended", "boolean", 0}, {"Fired", "integer", 0},
        {"Last Fired", "string", 0}, {"Next Fire", "string", 0},  {"Age", "string", 0},
        {"URL", "string", 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        str_printf(ret,
                   ",{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"\",\"description\":\"\","
                   "\"priority\":%d}",
                   columns[i].name, columns[i].type, columns[i].priority);
    str_add_char(ret, ']');
}

/* Two units while they are worth it: the rules of kubectl. */
void str_add_age(struct str *s, int64_t ms)
{
    const int64_t seconds = ms > 0 ? ms / 1000 : 0, minutes = seconds / 60, hours = minutes / 60,
                  days = hours / 24;
    if (minutes < 2)
        str_printf(s, "%llds", (long long)seconds);
    else if (minutes < 10 && seconds % 60 != 0)
        str_printf(s, "%lldm%llds", (long long)minutes, (long long)(seconds % 60));
    else if (hours < 3)
        str_printf(s, "%lldm", (long long)minutes);
    else if (hours < 8 && minutes % 60 != 0)
        str_printf(s, "%lldh%lldm", (long long)hours, (long long)(minutes % 60));
    else if (hours < 48)
        str_printf(s, "%lldh", (long long)hours);
    else if (days < 8 && hours % 24 != 0)
        str_printf(s, "%lldd%lldh", (long long)days, (long long)(hours % 24));
    else if (days < 730)
        str_printf(s, "%lldd", (long long)days);
    else
        str_printf(s, "%lldy", (long long)(days / 365));
}

static void add_cells(const struct ark_view *v, const struct parts *p, const struct ark_style *s,
                      struct str *ret)
{
    struct wall next;
    str_add_char(ret, '[');
    str_add_json(ret, name_of(v));
    str_add_char(ret, ',');
    str_add_json(ret, slice_of(p->type != NULL ? p->type : "?"));
    str_printf(ret, ",%s,%llu,", p->suspended ? "true" : "false", (unsigned long long)v->fired);
    if (wall_is_set(v->last_fired)) {
        str_add_char(ret, '"');
        str_add_age(ret, s->now.ms - v->last_fired.ms);
        str_add_char(ret, '"');
    } else {
        str_add_cstr(ret, "null");
    }
    if (next_fire(v, p, s->now, &next)) {
        str_add_cstr(ret, ",\"in ");
        str_add_age(ret, next.ms - s->now.ms);
        str_add_char(ret, '"');
    } else {
        str_add_cstr(ret, ",null");
    }
    str_add_cstr(ret, ",\"");
    str_add_age(ret, s->now.ms - v->created_at.ms);
    str_add_cstr(ret, "\",");
    if (has_url(p, s))
        add_url(v, s, ret);
    else
        str_add_cstr(ret, "null");
    str_add_char(ret, ']');
}

void ark_doc_add_row(const struct ark_view *v, const struct ark_style *s, struct str *ret)
{
    const struct parts p = take_apart(v);
    str_add_cstr(ret, "{\"cells\":");
    add_cells(v, &p, s, ret);
    str_add_cstr(ret, ",\"object\":");
    if (s->whole_objects) {
        add_object(v, &p, s, ret);
    } else {
        str_add_cstr(ret, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":"
                          "\"meta.k8s.io/v1\",\"metadata\":");
        add_metadata(v, &p, ret);
        str_add_char(ret, '}');
    }
    str_add_char(ret, '}');
    json_decref(p.tree);
}
