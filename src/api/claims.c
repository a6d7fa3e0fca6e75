/* claims.c - POST /api/v1/runs/claim: workers outside take runs. What they report is in reports.c. */
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/rfc3339.h"
#include "core/engine.h"
#include "core/event_doc.h"
#include "pawl/executor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN_LEN_MAX 200 /* three slugs and two dots are at most 191 */

/* Somebody who waits for runs. Lives in the request's arena. */
struct claiming {
    struct claim_ticket ticket;
    struct api *api;
    struct http_request *req;
    struct str runs; /* the array so far */
    /* the executor object of the version that the last run was of: the next one is often of the same */
    struct str executor;
    int64_t pipeline_key;
    uint32_t version;
};

/* ---- the answer ---- */

static void note_executor(struct claiming *c, const struct run_start *s)
{
    const struct executor_type *type;
    struct diag ignored;
    if (c->executor.len > 0 && c->pipeline_key == s->pipeline_key && c->version == s->version)
        return;
    c->pipeline_key = s->pipeline_key;
    c->version = s->version;
    str_reset(&c->executor);
    json_t *spec = json_parse_object(s->spec, &ignored);
    json_t *executor = spec != NULL ? executor_of(spec, &type, &ignored) : NULL;
    if (executor != NULL)
        str_add_json_value(&c->executor, executor);
    else
        str_add_cstr(&c->executor, "null"); /* another version of pawl took it */
    json_decref(executor);
    json_decref(spec);
}

static void add_trigger(struct str *s, const struct run_start *start)
{
    str_add_cstr(s, ",\"trigger\":{\"id\":");
    str_add_json_uuid(s, start->trigger);
    str_add_cstr(s, ",\"type\":");
    str_add_json(s, start->trigger_type);
    str_add_char(s, '}');
}

static void leased(struct claim_ticket *t, const struct run_lease *l)
{
    struct claiming *c = container_of(t, struct claiming, ticket);
    struct str *s = &c->runs;
    char token[2 * LEASE_TOKEN_SIZE + 1];

    note_executor(c, &l->start);
    hex_encode(l->token.b, sizeof(l->token.b), token);
    str_add_cstr(s, s->len > 0 ? ",{\"run_id\":\"" : "{\"runs\":[{\"run_id\":\"");
    str_add_uuid(s, l->start.run);
    str_add_cstr(s, "\",\"attempt\":");
    str_add_u64(s, l->start.attempt);
    str_printf(s, ",\"lease_token\":\"%s\",\"lease_expires_at\":", token);
    str_add_time(s, l->expires_at);
    str_add_cstr(s, ",\"pipeline\":");
    str_add_json(s, l->start.pipeline);
    str_add_cstr(s, ",\"pipeline_version\":");
    str_add_u64(s, l->start.version);
    add_trigger(s, &l->start);
    str_add_cstr(s, ",\"executor\":");
    str_add_slice(s, str_slice(&c->executor));
    str_add_cstr(s, ",\"event\":");
    event_doc_add(s, &l->start);
    s->p[s->len - 1] = '}'; /* in place of the document's newline */
}

static void done(struct claim_ticket *t, int err)
{
    struct claiming *c = container_of(t, struct claiming, ticket);
    struct str runs = c->runs;
    str_release(&c->executor);
    if (runs.len > 0) {
        str_add_cstr(&runs, "]}");
        http_respond_json(c->req, 200, str_slice(&runs));
    } else if (err != 0) {
        respond_unavailable(c->req);
    } else {
        http_respond_json(c->req, 200, SLICE("{\"runs\":[]}"));
    }
    str_release(&runs);
}

/* ---- the request ---- */

static bool is_pattern(const char *s)
{
    const size_t len = strlen(s);
    return len > 0 && len <= PATTERN_LEN_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.*?") == len;
}

static void take_patterns(struct json_fields *f, struct http_request *req, struct claim_request *q)
{
    json_t *list = json_take_array(f, "pipelines", JSON_REQUIRED);
    const size_t n = json_array_size(list);
    if (list == NULL)
        return;
    if (n == 0 || n > CLAIM_PATTERNS_MAX) {
        json_fields_fail(f, "pipelines", "must be 1 to %d patterns", CLAIM_PATTERNS_MAX);
        return;
    }
    const char **patterns = arena_alloc(req->arena, n * sizeof(*patterns));
    for (size_t i = 0; i < n; i++) {
        patterns[i] = json_string_value(json_array_get(list, i));
        if (patterns[i] == NULL || !is_pattern(patterns[i]))
            json_fields_fail(f, "pipelines",
                             "pattern %zu is not one such as namespace.layer.name, *.silver.* or *",
                             i + 1);
    }
    q->patterns = patterns;
    q->pattern_count = n;
}

static int take(struct http_request *req, json_t *body, struct claim_request *q,
                struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, body, "", reterr);
    take_patterns(&f, req, q);
    q->count_max = (uint32_t)json_take_int(&f, "max", 1, 1, CLAIM_RUNS_MAX);
    q->lease_ms = (uint64_t)(json_take_number(&f, "lease_seconds", LEASE_MS_DEFAULT / 1000.0, 0.1,
                                              LEASE_MS_MAX / 1000.0) *
                             1000);
    q->wait_ms =
        (uint64_t)(json_take_number(&f, "wait_seconds", 0, 0, CLAIM_WAIT_MS_MAX / 1000.0) * 1000);
    return json_fields_end(&f);
}

static void gone(struct http_request *req)
{
    struct claiming *c = req->handling;
    engine_unclaim(c->api->host->engine, &c->ticket);
}

static void wait_for_runs(struct api *a, struct http_request *req, struct claim_request *q)
{
    struct claiming *c = arena_zalloc(req->arena, sizeof(*c));
    c->ticket = (struct claim_ticket){.leased = leased, .done = done};
    c->api = a;
    c->req = req;
    q->ticket = &c->ticket;
    const int err = engine_claim(a->host->engine, a->host->now(a->host), q);
    if (err == -ENOBUFS)
        http_respond_error(req, DIAG_RESOURCE_EXHAUSTED, 1, "too many workers wait for runs");
    else if (err == -EDQUOT)
        http_respond_error(req, DIAG_RESOURCE_EXHAUSTED, 1,
                           "too many runs are leased (leased_max): complete some first");
    if (err != 0)
        return;
    req->handling = c;
    http_body_forget(req); /* it has been read, and thousands may wait */
    http_on_gone(req, gone);
}

static void claim(struct http_request *req, void *ctx)
{
    struct claim_request q = {0};
    struct diag why;
    json_t *body = json_parse_object(req->body, &why);
    if (body == NULL || take(req, body, &q, &why) < 0)
        http_respond_diag(req, &why);
    else
        wait_for_runs(ctx, req, &q);
    json_decref(body);
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/runs/claim", claim, SCOPE_API, 0},
};
const struct resource resource_claims = {routes, ARRAY_SIZE(routes)};
