/* events.c - /api/v1/events/{pipeline_id}: starts and stops the topic that a pipeline's `options.event` names.
 *
 * A thin face over triggers: what is started is a trigger of the type `topic` whose config says that it came from here. Starting it again
 * replaces its definition in one commit, so no message falls between the old one and the new one, and none fires twice.
 */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "core/engine.h"
#include "pawl/source.h"
#include <errno.h>
#include <string.h>

#define TYPE "topic"

static const char no_event[] = "Pipeline does not have an event option";
static const char not_started[] = "the pipeline's event trigger is not started";

/* ---- the trigger ---- */

static bool is_ours(const struct trigger *t)
{
    if (strcmp(t->type, TYPE) != 0)
        return false;
    json_t *config = json_parse_object(slice_of(t->def->config), NULL);
    const char *by = json_string_value(json_object_get(config, "started_by"));
    const bool ours = by != NULL && strcmp(by, "events") == 0;
    json_decref(config);
    return ours;
}

/* The first of the pipeline's triggers from t on that was started here, or NULL. */
static struct trigger *find_ours(struct trigger *t)
{
    while (t != NULL && !is_ours(t))
        t = t->next;
    return t;
}

static void answer_message(struct http_request *req, const char *message)
{
    struct str body = {0};
    str_printf(&body, "{\"message\":\"%s\"}", message);
    http_respond_json(req, 200, str_slice(&body));
    str_release(&body);
}

static void started(struct writing *w, const struct outcome *o)
{
    answer_message(w->req, "Event started successfully");
}

static void stopped(struct writing *w, const struct outcome *o)
{
    answer_message(w->req, "Event deleted successfully");
}

/* ---- start ---- */

/* NULL with *reterr: the version's spec does not name a topic. */
static json_t *make_config(struct slice spec, uint32_t pinned, struct diag *reterr)
{
    json_t *root = json_parse_object(spec, reterr);
    const char *topic =
        json_string_value(json_object_get(json_object_get(root, "options"), "event"));
    json_t *config = NULL;
    if (topic == NULL || topic[0] == '\0')
        diag_set(reterr, DIAG_INTERNAL, no_event);
    else
        config = json_pack("{s:s, s:s}", "topic", topic, "started_by", "events");
    if (config != NULL && pinned != 0)
        json_object_set_new(config, "pipeline_version", json_integer(pinned));
    json_decref(root);
    return config;
}

/* The definition of a config; NULL with *reterr, which is about the pipeline's option, as that is all of the config that can be wrong. */
static struct trigger_def *make_def(struct host *h, json_t *config, struct diag *reterr)
{
    const struct trigger_type *type = trigger_type_find(TYPE);
    struct trigger_draft draft = {0};
    struct rule rule = {0};
    struct str text = {0};
    struct diag why;
    CHECK(type != NULL);
    if (type->check(h, config, NULL, &draft, &why) < 0) {
        const char *said = strchr(why.msg, ':');
        diag_set(reterr, why.code, "options.event%s", said != NULL ? said : "");
        return NULL;
    }
    const int err = type->rule(draft.config, &rule, reterr);
    str_add_json_value(&text, draft.config);
    trigger_draft_release(&draft);
    struct trigger_def *def =
        err == 0 ? trigger_def_create(str_slice(&text), true, 0, &rule) : NULL;
    str_release(&text);
    return def;
}

static void subscribe(struct api *a, struct http_request *req, struct pipeline *p,
                      struct trigger_def *def)
{
    struct engine *e = a->host->engine;
    const struct now now = a->host->now(a->host);
    const struct trigger_type *type = trigger_type_find(TYPE);
    char label[TRIGGER_LABEL_SIZE];
    struct writing *w = writing_make(a, req, sizeof(*w), started);
    struct trigger *t = find_ours(p->triggers), *extra;
    json_t *config = json_parse_object(slice_of(def->config), NULL);
    type->label(config, label);
    json_decref(config);
    while (t != NULL && (extra = find_ours(t->next)) != NULL)
        engine_drop_trigger(e, now, extra, NULL);
    if (t != NULL)
        engine_change_trigger(e, now, t, def, slice_of(label), &w->ticket);
    else
        engine_add_trigger(e, now, p, type->name, def, slice_of(label), &w->ticket);
}

static void start_with(struct api *a, struct http_request *req, struct pipeline *p,
                       struct slice spec, uint32_t pinned)
{
    struct diag why;
    json_t *config = make_config(spec, pinned, &why);
    struct trigger_def *def = config != NULL ? make_def(a->host, config, &why) : NULL;
    if (def != NULL)
        subscribe(a, req, p, def);
    else
        http_respond_diag(req, &why);
    json_decref(config);
}

/* A version that is not the current one is read first. */
struct version_reading {
    struct reading reading;
    uint32_t version;
};

static int query_spec(struct reading *r, struct db *db)
{
    struct version_reading *v = container_of(r, struct version_reading, reading);
    return query_version(db, r->id, v->version, &r->body);
}

static void start_version(struct reading *r)
{
    struct version_reading *v = container_of(r, struct version_reading, reading);
    struct pipeline *p = catalog_pipeline(engine_catalog(r->api->host->engine), r->id);
    if (p == NULL)
        http_respond_error(r->req, DIAG_NOT_FOUND, 0, "there is no such pipeline");
    else
        start_with(r->api, r->req, p, str_slice(&r->body), v->version);
}

static void start(struct http_request *req, void *ctx)
{
    struct slice text;
    uint64_t version = 0;
    struct pipeline *p = take_pipeline_id(ctx, req, 0);
    if (p == NULL)
        return;
    const bool pinned = http_query(req, "pipeline_version", &text) && text.len > 0;
    if (pinned &&
        (!slice_u64(text, UINT32_MAX, &version) || version == 0 || version > p->def->version)) {
        http_respond_error(req, DIAG_NOT_FOUND, 0, "the pipeline has no such version");
        return;
    }
    if (!pinned || version == p->def->version) {
        start_with(ctx, req, p, slice_of(p->def->spec), (uint32_t)version);
        return;
    }
    struct version_reading *v = reading_make(ctx, req, sizeof(*v), query_spec);
    v->reading.id = p->id;
    v->reading.then = start_version;
    v->reading.missing = "the pipeline has no such version";
    v->version = (uint32_t)version;
    reading_start(&v->reading);
}

/* ---- status and stop ---- */

/* NULL when it was answered. */
static struct trigger *take_started(struct api *a, struct http_request *req)
{
    struct pipeline *p = take_pipeline_id(a, req, 0);
    struct trigger *t = p != NULL ? find_ours(p->triggers) : NULL;
    if (p != NULL && t == NULL)
        http_respond_error(req, DIAG_NOT_FOUND, 0, not_started);
    return t;
}

static void status(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct topic_watcher *w = a->host->topics;
    const struct trigger *t = take_started(a, req);
    if (t == NULL)
        return;
    const char *why = NULL;
    const bool ready =
        t->def->enabled && w != NULL && w->ready(w, slice_of(rule_topic(&t->def->rule)), &why);
    struct str body = {0};
    str_printf(&body, "{\"ready\":%s", ready ? "true" : "false");
    if (!ready && why != NULL) {
        str_add_cstr(&body, ",\"reason\":");
        str_add_json(&body, slice_of(why));
    }
    str_add_char(&body, '}');
    http_respond_json(req, 200, str_slice(&body));
    str_release(&body);
}

static void stop(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    struct trigger *t = take_started(a, req), *extra;
    if (t == NULL)
        return;
    const struct now now = a->host->now(a->host);
    while ((extra = find_ours(t->next)) != NULL)
        engine_drop_trigger(a->host->engine, now, extra, NULL);
    struct writing *w = writing_make(a, req, sizeof(*w), stopped);
    engine_drop_trigger(a->host->engine, now, t, &w->ticket);
}

#define ONE "/api/v1/events/{pipeline_id}"
static const struct http_route routes[] = {
    {"POST", ONE, start, SCOPE_API, 0},
    {"GET", ONE, status, SCOPE_API, 0},
    {"DELETE", ONE, stop, SCOPE_API, 0},
};
const struct resource resource_events = {routes, ARRAY_SIZE(routes)};
