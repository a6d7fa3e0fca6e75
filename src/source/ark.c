/* ark.c - ArkEvents: what their manifests mean, and POST /triggers/{namespace}/{name}/fire for those that are webhooks.
 *
 *     path + token -> the ArkEvent -> host->feed -> commit -> 202 {"fired":true,"firedAt","trigger","targets","runs"}
 *
 * They are made by applying manifests, not through the triggers API. Ticks and ends of runs reach them through the engine.
 */
#include "core/ark.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "core/ark_spec.h"
#include "core/decision.h"
#include "core/engine.h"
#include "core/schedule.h"
#include "io/http/http.h"
#include "io/secret/secret.h"
#include "pawl/source.h"
#include "source/closing.h"
#include "source/sync.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_KIND 'a'

struct source {
    struct host *host;
    struct sync_waits syncs;
    struct closing closing; /* open: calls without an answer */
};

/* One request, in its arena. */
struct call {
    struct ticket ticket;
    struct source *source;
    struct http_request *req;
    const char *path; /* "namespace/name" */
    struct sync_mode mode;
    /* copied while the ArkEvent is sure to be there */
    struct sync_run *targets; /* the runs are filled in when it has fired */
    size_t target_count;
};

/* ---- answers ---- */

static void answer_error(struct call *c, enum diag_code code, unsigned retry_after_s,
                         const char *message)
{
    struct source *s = c->source;
    http_respond_error(c->req, code, retry_after_s, message);
    closing_end(&s->closing);
}

static void answer_unavailable(struct call *c)
{
    answer_error(c, DIAG_UNAVAILABLE, 1,
                 "the event could not be stored; nothing was changed, try again");
}

static const char *name_of(const struct call *c)
{
    return strchr(c->path, '/') + 1;
}

static void answer_fired(struct call *c, const struct uuid *runs, size_t n)
{
    struct source *s = c->source;
    char at[RFC3339_LEN + 1];
    struct str body = {0};
    rfc3339_format(uuid_time(runs[0]), at); /* of its making */
    str_printf(&body, "{\"fired\":true,\"firedAt\":\"%s\",\"trigger\":\"%s\",\"targets\":%zu,", at,
               name_of(c), n);
    str_add_cstr(&body, "\"runs\":[");
    for (size_t i = 0; i < n; i++) {
        str_add_cstr(&body, i > 0 ? ",\"" : "\"");
        str_add_uuid(&body, runs[i]);
        str_add_char(&body, '"');
    }
    str_add_cstr(&body, "]}");
    http_respond_json(c->req, 202, str_slice(&body));
    str_release(&body);
    closing_end(&s->closing);
}

/* With one target its run's result is the answer; several have names. */
static void wait_for_runs(struct call *c, const struct uuid *runs, size_t n)
{
    CHECK(n == c->target_count);
    for (size_t i = 0; i < n; i++)
        c->targets[i].run = runs[i];
    if (n == 1)
        c->targets[0].name = SLICE_NONE;
    sync_wait_start(&c->source->syncs, c->req, c->targets, n, c->mode.timeout_ms);
}

static void answer_refused(struct call *c, const struct decision *d)
{
    char message[256];
    switch (d->verdict) {
    case VERDICT_COOLDOWN:
        snprintf(message, sizeof(message), "the event is in its cooldown for another %llu ms",
                 (unsigned long long)d->retry_after_ms);
        answer_error(c, DIAG_RESOURCE_EXHAUSTED, (unsigned)((d->retry_after_ms + 999) / 1000),
                     message);
        break;
    case VERDICT_DISABLED:
        answer_error(c, DIAG_UNAVAILABLE, 1, "the event is suspended");
        break;
    default:
        snprintf(message, sizeof(message), "the event did not fire: %s%s%.*s",
                 verdict_name(d->verdict), d->detail.len > 0 ? ": " : "", (int)d->detail.len,
                 d->detail.len > 0 ? d->detail.p : "");
        if (d->verdict == VERDICT_CONCURRENCY)
            answer_error(c, DIAG_RESOURCE_EXHAUSTED, 1, message);
        else if (d->verdict == VERDICT_NO_MATCH)
            answer_error(c, DIAG_PAYLOAD_TOO_LARGE, 0,
                         message); /* nothing else can be wrong with it */
        else
            answer_error(c, DIAG_FAILED_PRECONDITION, 0, message);
    }
}

/* ---- the event and its outcome ---- */

static void decided(struct ticket *t, const struct outcome *o)
{
    struct call *c = container_of(t, struct call, ticket);
    const struct decision *d = o->decision_count > 0 ? &o->decisions[0] : NULL;
    const bool fired = o->err == 0 && d != NULL && d->verdict == VERDICT_FIRED;
    if (o->err != 0 || d == NULL)
        answer_unavailable(c);
    else if (!fired)
        answer_refused(c, d);
    else if (c->mode.wanted)
        wait_for_runs(c, d->runs, d->run_count);
    else
        answer_fired(c, d->runs, d->run_count);
}

/* What a synchronous answer calls each target: the team's name, the end of its path. */
static void take_targets(struct call *c, const struct arkevent *a)
{
    const struct rule_targets *all = a->trigger.def->rule.targets;
    c->target_count = all->count;
    c->targets = arena_zalloc(c->req->arena, all->count * sizeof(*c->targets));
    for (size_t i = 0; i < all->count; i++) {
        const char *team = strrchr(all->items[i].path, '.') + 1;
        c->targets[i].name = slice_of(arena_strdup(c->req->arena, slice_of(team)));
    }
}

static void feed(struct call *c)
{
    struct host *h = c->source->host;
    const struct arkevent *a = catalog_ark(engine_catalog(h->engine), slice_of(c->path));
    if (a != NULL && c->mode.wanted)
        take_targets(c, a);
    const struct event ev = {
        .source = "ark",
        .type = SLICE("webhook"),
        .subject = slice_of(c->path),
        .content_type = http_header(c->req, "content-type"),
        .payload = c->req->body,
        .key = match_key_of(KEY_KIND, slice_of(c->path)),
        .scope = slice_of(c->path),
        .ticket = &c->ticket,
    };
    const int matched = h->feed(h, &ev);
    if (matched > 0)
        return; /* decided() follows */
    if (matched == 0)
        answer_error(c, DIAG_NOT_FOUND, 0, "there is no such event");
    else
        answer_unavailable(c);
}

/* ---- the request ---- */

static bool is_token_of(const struct arkevent *a, struct slice token)
{
    uint8_t hash[SHA256_SIZE];
    sha256(token, hash);
    return secret_equal(hash, a->token.hash, sizeof(hash));
}

/* Bearer, or ?token= for senders that can set no header. */
static struct slice find_token(struct http_request *req)
{
    const struct slice auth = http_header(req, "authorization");
    struct slice token = SLICE_NONE;
    if (auth.len > 7 && slice_is_nocase((struct slice){auth.p, 7}, "bearer "))
        return slice_trim((struct slice){auth.p + 7, auth.len - 7});
    http_query(req, "token", &token);
    return token.len > 0 ? token : SLICE_NONE;
}

/* The ArkEvent that is called, if it may be. NULL when the request has been answered. */
static const struct arkevent *admit(struct source *s, struct http_request *req, const char *path)
{
    const struct arkevent *a = catalog_ark(engine_catalog(s->host->engine), slice_of(path));
    const struct slice token = find_token(req);
    if (a == NULL) {
        http_respond_error(req, DIAG_NOT_FOUND, 0, "there is no such event");
        return NULL;
    }
    if (!ark_is_webhook(a)) {
        http_respond_error(req, DIAG_INVALID_ARGUMENT, 0,
                           "the event is no webhook: it fires by itself");
        return NULL;
    }
    if (token.p == NULL || !is_token_of(a, token)) {
        http_respond_error(req, DIAG_UNAUTHENTICATED, 0,
                           token.p == NULL
                               ? "the token is missing: send it as Authorization: Bearer"
                               : "the token is not this event's");
        return NULL;
    }
    return a;
}

static void fire(struct http_request *req, void *ctx)
{
    struct source *s = ctx;
    struct diag why;
    struct str path = {0};
    struct call *c = arena_zalloc(req->arena, sizeof(*c));
    str_add_slice(&path, req->params[0]);
    str_add_char(&path, '/');
    str_add_slice(&path, req->params[1]);
    c->path = arena_strdup(req->arena, str_slice(&path));
    str_release(&path);
    if (admit(s, req, c->path) == NULL)
        return;
    if (sync_mode_parse(req, &c->mode, &why) < 0) {
        http_respond_diag(req, &why);
        return;
    }
    c->ticket.done = decided;
    c->source = s;
    c->req = req;
    closing_begin(&s->closing);
    if (s->closing.stopping)
        answer_unavailable(c);
    else
        feed(c);
}

static const struct http_route routes[] = {
    {"POST", "/triggers/{namespace}/{name}/fire", fire, SCOPE_TOKEN, 0},
};

/* ---- the trigger type ---- */

static const char *text_at(json_t *config, const char *name)
{
    return json_string_value(json_object_get(json_object_get(config, "metadata"), name));
}

static void make_schedule(const struct ark_spec *spec, struct rule *ret)
{
    ret->schedule = mem_zalloc(sizeof(*ret->schedule));
    *ret->schedule = (struct schedule){.cron = spec->cron, .misfire_window_s = 86400};
}

static char *team_path(const char *ns, const char *team)
{
    return mem_printf("%s.team.%s", ns, team);
}

static void make_source(const struct ark_spec *spec, const char *ns, const char *name,
                        struct rule *ret)
{
    if (spec->source == ARK_CRON) {
        make_schedule(spec, ret);
    } else if (spec->source == ARK_TEAM_OUTPUT) {
        ret->scope = team_path(ns, spec->team);
        ret->ends = spec->ends;
        rule_set_key(ret, completion_key(slice_of(ret->scope)));
    } else {
        ret->scope = mem_printf("%s/%s", ns, name);
        rule_set_key(ret, match_key_of(KEY_KIND, slice_of(ret->scope)));
    }
}

static void make_targets(const struct ark_spec *spec, const char *ns, struct rule *ret)
{
    struct rule_targets *all = rule_set_targets(ret, (uint16_t)spec->target_count);
    all->forbids = spec->forbid;
    for (size_t i = 0; i < spec->target_count; i++) {
        const struct ark_target *t = &spec->targets[i];
        all->items[i].path = team_path(ns, t->team);
        if (t->input != NULL)
            all->items[i].input = json_dumps(t->input, JSON_COMPACT);
    }
}

static int rule(json_t *config, struct rule *ret, struct diag *reterr)
{
    const char *ns = text_at(config, "namespace"), *name = text_at(config, "name");
    struct problems problems = {0};
    struct ark_spec spec;
    int err = ns == NULL || name == NULL ? diag_set(reterr, DIAG_INVALID_ARGUMENT,
                                                    "metadata: name and namespace are required")
                                         : 0;
    if (err == 0 && ark_spec_read(json_object_get(config, "spec"), &spec, &problems) < 0)
        err = diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: %s", problems.list.items[0].field,
                       problems.list.items[0].message);
    problems_release(&problems);
    if (err < 0)
        return err;
    struct rule r = {0};
    make_source(&spec, ns, name, &r);
    make_targets(&spec, ns, &r);
    ark_spec_release(&spec);
    *ret = r;
    return 0;
}

static int check(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                 struct diag *reterr)
{
    return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                    "type: an arkevent is made and changed by applying its manifest");
}

static void label(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    const char *ns = text_at(config, "namespace"), *name = text_at(config, "name");
    snprintf(ret, TRIGGER_LABEL_SIZE, "trigger:arkevent:%s/%s", ns != NULL ? ns : "?",
             name != NULL ? name : "?");
}

static const struct option_doc options[] = {{NULL}};

static const struct trigger_type trigger_types[] = {
    {
        .name = "arkevent",
        .help = "an ArkEvent's; made by applying its manifest",
        .options = options,
        .check = check,
        .rule = rule,
        .label = label,
        .has_targets = true,
        .outlives_rule = true,
    },
    {NULL},
};

/* ---- the source ---- */

static void gone(struct closing *c)
{
    free(container_of(c, struct source, closing));
}

static struct source *start(struct host *h, struct http_server *http, struct diag *reterr)
{
    struct source *s = mem_zalloc(sizeof(*s));
    s->host = h;
    s->closing.gone = gone;
    s->syncs = (struct sync_waits){.host = h, .answered = closing_ended, .arg = &s->closing};
    http_server_route(http, routes, ARRAY_SIZE(routes), s);
    return s;
}

static void stop(struct source *s, void (*closed)(void *arg), void *arg)
{
    closing_stop(&s->closing, closed, arg);
    sync_waits_cut(&s->syncs);
    closing_end(&s->closing);
}

const struct source_type source_ark = {
    .name = "ark",
    .help = "ArkEvents: calls with an event's own token, schedules, ends of teams' runs",
    .trigger_types = trigger_types,
    .start = start,
    .stop = stop,
};
