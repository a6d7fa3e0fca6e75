/* replays.c - runs that have ended are made again.
 *
 *     POST /api/v1/runs/{id}/replay     one, whatever its end was
 *     POST /api/v1/runs/replay          the dead ones that match, the oldest first, at most REPLAYS_MAX at a time
 *
 * What is to be made again is read off the loop; the engine leaves out what somebody else has made again meanwhile.
 */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/json.h"
#include "base/rfc3339.h"
#include "base/slug.h"
#include <errno.h>
#include <string.h>

#define REPLAYS_DEFAULT 100

struct replaying {
    struct reading reading;
    struct ticket ticket;
    bool many, dry_run, own_version; /* own_version: the one that the original had */
    struct run_filter filter;
    size_t max;
    struct replay_row row; /* one */
    struct replay *replays;
    size_t count;
    uint64_t left, refused;
    int made;
};

/* ---- answers ---- */

static void add_id(struct str *s, const char *name, struct uuid id)
{
    str_printf(s, "\"%s\":", name);
    str_add_json_uuid(s, id);
}

static void answer_one(struct replaying *r)
{
    struct str s = {0};
    str_add_char(&s, '{');
    add_id(&s, "run_id", r->replays[0].made);
    str_add_cstr(&s, ",\"status\":\"pending\",");
    add_id(&s, "replay_of", r->replays[0].run);
    str_add_char(&s, '}');
    http_respond_json(r->reading.req, 202, str_slice(&s));
    str_release(&s);
}

static void answer_many(struct replaying *r)
{
    struct str s = {0};
    const char *comma = "";
    str_printf(&s, "{\"replayed\":%zu,\"refused\":", r->dry_run ? r->count : (size_t)r->made);
    str_add_u64(&s, r->refused);
    str_add_cstr(&s, ",\"remaining\":");
    str_add_u64(&s, r->left + r->refused);
    str_printf(&s, ",\"dry_run\":%s,\"runs\":[", r->dry_run ? "true" : "false");
    for (size_t i = 0; i < r->count; i++) {
        const struct replay *x = &r->replays[i];
        if (!r->dry_run && uuid_is_nil(x->made))
            continue;
        str_printf(&s, "%s{", comma);
        add_id(&s, "run_id", r->dry_run ? UUID_NIL : x->made);
        str_add_char(&s, ',');
        add_id(&s, "replay_of", x->run);
        str_add_char(&s, '}');
        comma = ",";
    }
    str_add_cstr(&s, "]}");
    http_respond_json(r->reading.req, r->dry_run ? 200 : 202, str_slice(&s));
    str_release(&s);
}

static void committed(struct ticket *t, const struct outcome *o)
{
    struct replaying *r = container_of(t, struct replaying, ticket);
    if (o->err != 0)
        respond_unavailable(r->reading.req);
    else if (r->many)
        answer_many(r);
    else
        answer_one(r);
}

static void refuse(struct replaying *r, const char *why)
{
    http_respond_error(r->reading.req, DIAG_FAILED_PRECONDITION, 0, why);
}

/* Nothing was made. */
static void answer_none(struct reading *reading)
{
    struct replaying *r = container_of(reading, struct replaying, reading);
    if (r->made > 0)
        return;
    if (r->made == -ENOBUFS)
        respond_unavailable(reading->req);
    else if (r->many)
        answer_many(r);
    else if (!run_status_is_final(r->row.status))
        refuse(r, "the run has not ended");
    else if (catalog_pipeline(engine_catalog(reading->api->host->engine), r->row.replay.pipeline) ==
             NULL)
        refuse(r, "the run's pipeline was deleted");
    else if (r->row.event_is_gone)
        refuse(r, "the run's event was removed by retention");
    else if (r->refused > 0)
        http_respond_error(reading->req, DIAG_RESOURCE_EXHAUSTED, 1,
                           "the pipeline has as many runs as it may have");
    else
        refuse(r, "the run is being replayed just now");
}

/* ---- reading ---- */

static int query(struct reading *reading, struct db *db)
{
    struct replaying *r = container_of(reading, struct replaying, reading);
    if (r->many)
        return query_dead(db, &r->filter, r->replays, r->max, &r->count, &r->left);
    const int err = query_replay(db, reading->id, &r->row);
    r->count = err == 0 && run_status_is_final(r->row.status) && !r->row.event_is_gone;
    if (r->count > 0)
        r->replays[0] = r->row.replay;
    return err;
}

/* The engine has to hear of it also when nothing could be read. */
static void settled(struct reading *reading)
{
    struct replaying *r = container_of(reading, struct replaying, reading);
    struct host *h = reading->api->host;
    const size_t n = reading->err == 0 && !r->dry_run ? r->count : 0;
    for (size_t i = 0; i < n && !r->own_version; i++)
        r->replays[i].version = 0;
    r->made = engine_replay(h->engine, h->now(h), r->replays, n, &r->ticket);
    for (size_t i = 0; i < n; i++)
        r->refused += r->replays[i].refused;
}

static void begin(struct replaying *r)
{
    r->replays = arena_alloc(r->reading.req->arena, r->max * sizeof(*r->replays));
    r->ticket.done = committed;
    r->reading.settled = settled;
    r->reading.then = answer_none;
    engine_replay_begin(r->reading.api->host->engine);
    reading_start(&r->reading);
}

/* ---- requests ---- */

static void take_version(struct json_fields *f, struct replaying *r)
{
    const char *v = json_take_string(f, "version", JSON_OPTIONAL);
    r->own_version = v != NULL && strcmp(v, "original") == 0;
    if (v != NULL && !r->own_version && strcmp(v, "current") != 0)
        json_fields_fail(f, "version", "'%.32s' is neither current nor original", v);
}

static int take_one(json_t *body, struct replaying *r, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    take_version(&f, r);
    return json_fields_end(&f);
}

static struct slice take_name(struct json_fields *f, const char *name, struct arena *a)
{
    const char *v = json_take_string(f, name, JSON_OPTIONAL);
    if (v != NULL && !slug_valid(slice_of(v)))
        json_fields_fail(f, name, SLUG_RULE);
    return v != NULL ? arena_copy(a, slice_of(v)) : SLICE_NONE;
}

static void take_moment(struct json_fields *f, const char *name, struct wall *ret)
{
    const char *v = json_take_string(f, name, JSON_OPTIONAL);
    if (v != NULL && !rfc3339_parse(slice_of(v), ret))
        json_fields_fail(f, name, "must be an RFC 3339 time such as 2026-02-13T10:00:00Z");
}

static int take_many(json_t *body, struct replaying *r, struct diag *reterr)
{
    struct arena *a = r->reading.req->arena;
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    r->filter.ns = take_name(&f, "namespace", a);
    r->filter.layer = take_name(&f, "layer", a);
    r->filter.pipeline = take_name(&f, "pipeline", a);
    const char *trigger = json_take_string(&f, "trigger_id", JSON_OPTIONAL);
    if (trigger != NULL && !uuid_parse(slice_of(trigger), &r->filter.trigger))
        json_fields_fail(&f, "trigger_id", "must be a UUID");
    take_moment(&f, "started_after", &r->filter.started_after);
    take_moment(&f, "started_before", &r->filter.started_before);
    r->max = (size_t)json_take_int(&f, "limit", REPLAYS_DEFAULT, 1, REPLAYS_MAX);
    r->dry_run = json_take_bool(&f, "dry_run", false);
    take_version(&f, r);
    return json_fields_end(&f);
}

static void handle(struct api *a, struct http_request *req, bool many)
{
    struct diag why;
    struct replaying *r = reading_make(a, req, sizeof(*r), query);
    r->reading.missing = "there is no such run";
    r->many = many;
    r->max = 1;
    r->filter.started_after = r->filter.started_before = WALL_UNSET;
    if (!many && !take_path_id(req, 0, r->reading.missing, &r->reading.id))
        return;
    json_t *body = json_parse_object(req->body.len > 0 ? req->body : SLICE("{}"), &why);
    if (body == NULL || (many ? take_many : take_one)(body, r, &why) < 0)
        http_respond_diag(req, &why);
    else
        begin(r);
    json_decref(body);
}

static void replay_one(struct http_request *req, void *ctx)
{
    handle(ctx, req, false);
}

static void replay_many(struct http_request *req, void *ctx)
{
    handle(ctx, req, true);
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/runs/{id}/replay", replay_one, SCOPE_API, 0},
    {"POST", "/api/v1/runs/replay", replay_many, SCOPE_API, 0},
};
const struct resource resource_replays = {routes, ARRAY_SIZE(routes)};
