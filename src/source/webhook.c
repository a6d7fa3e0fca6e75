/* webhook.c - POST /api/v1/webhooks: a token says which trigger, the body is the event.
 *
 *     token -> SHA-256 -> match key 'w' -> host->feed -> commit -> 201 {"run_id":"..."}
 *
 * This is the path the daemon is measured by. It allocates one struct call in the request's arena
 * and parses nothing. A request with an idempotency key takes the longer way through repeat.h, one
 * with ?mode=sync waits in sync.h.
 */
#include "base/check.h"
#include "core/rule.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/mem.h"
#include "core/decision.h"
#include "io/http/http.h"
#include "io/secret/secret.h"
#include "pawl/source.h"
#include "source/closing.h"
#include "source/config.h"
#include "source/repeat.h"
#include "source/sync.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_KIND 'w'

struct source {
    struct host *host;
    struct repeats repeats;
    struct sync_waits syncs;
    struct closing closing; /* open: calls without an answer */
};

/* One request, in its arena. */
struct call {
    struct ticket ticket;
    struct source *source;
    struct http_request *req;
    struct match_key key;
    struct sync_mode mode;
    bool repeatable;       /* `repeat` is used */
    bool let_through;      /* and owes a repeat_end() */
    struct uuid first_run; /* of the call that this one repeats; nil: it repeats none */
    struct repeat repeat;
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

static void answer_run(struct call *c, struct uuid run)
{
    struct source *s = c->source;
    char body[sizeof("{\"run_id\":\"\"}") + UUID_TEXT_LEN] = "{\"run_id\":\"";
    uuid_format(run, body + strlen(body));
    strcat(body, "\"}");
    http_respond_json(c->req, 201, slice_of(body));
    closing_end(&s->closing);
}

static void answer_accepted(struct call *c, struct uuid run)
{
    if (!c->mode.wanted) {
        answer_run(c, run);
        return;
    }
    const struct sync_run one = {.run = run};
    sync_wait_start(&c->source->syncs, c->req, &one, 1,
                    c->mode.timeout_ms); /* it calls closing_ended() */
}

static void answer_refused(struct call *c, const struct decision *d)
{
    char message[256];
    switch (d->verdict) {
    case VERDICT_COOLDOWN:
        snprintf(message, sizeof(message), "the trigger is in its cooldown for another %llu ms",
                 (unsigned long long)d->retry_after_ms);
        answer_error(c, DIAG_RESOURCE_EXHAUSTED, (unsigned)((d->retry_after_ms + 999) / 1000),
                     message);
        break;
    case VERDICT_CONCURRENCY:
        snprintf(message, sizeof(message), "the pipeline takes no more runs: %.*s",
                 (int)d->detail.len, d->detail.p);
        answer_error(c, DIAG_RESOURCE_EXHAUSTED, 1, message);
        break;
    case VERDICT_DISABLED:
        answer_error(c, DIAG_FAILED_PRECONDITION, 0, "the trigger is disabled");
        break;
    default:
        snprintf(message, sizeof(message), "the trigger did not fire: %s",
                 verdict_name(d->verdict));
        answer_error(c, DIAG_FAILED_PRECONDITION, 0, message);
        break;
    }
}

/* ---- the event and its outcome ---- */

static void end_repeat(struct call *c, const struct repeat_first *first)
{
    if (!c->let_through)
        return;
    c->let_through = false;
    repeat_end(&c->repeat, first);
}

static void decided(struct ticket *t, const struct outcome *o)
{
    struct call *c = container_of(t, struct call, ticket);
    const struct decision *d = o->decision_count > 0 ? &o->decisions[0] : NULL;
    const bool fired = o->err == 0 && d != NULL && d->verdict == VERDICT_FIRED;
    const struct repeat_first first = {o->event, fired ? d->runs[0] : UUID_NIL};
    end_repeat(c, fired ? &first : NULL);
    if (o->err != 0 || d == NULL)
        answer_unavailable(c);
    else if (!uuid_is_nil(c->first_run))
        answer_run(c, c->first_run);
    else if (fired)
        answer_accepted(c, d->runs[0]);
    else
        answer_refused(c, d);
}

static void feed(struct call *c)
{
    struct host *h = c->source->host;
    struct event ev = {
        .source = "webhook",
        .type = SLICE("webhook"),
        .content_type = http_header(c->req, "content-type"),
        .payload = c->req->body,
        .key = c->key,
        .dedupe = c->let_through,
        .duplicate = !uuid_is_nil(c->first_run),
        .ticket = &c->ticket,
    };
    if (ev.dedupe)
        ev.dedupe_key = c->repeat.key;
    const int matched = h->feed(h, &ev);
    if (matched > 0)
        return; /* decided() follows */
    end_repeat(c, NULL);
    if (matched == 0)
        answer_error(c, DIAG_NOT_FOUND, 0, "no trigger has this token");
    else
        answer_unavailable(c);
}

/* ---- the request ---- */

/* SLICE_NONE when there is none. */
static struct slice find_token(struct http_request *req)
{
    struct slice token = http_header(req, "x-webhook-token");
    if (token.p == NULL) {
        const struct slice auth = http_header(req, "authorization");
        if (auth.len > 7 && slice_is_nocase((struct slice){auth.p, 7}, "bearer "))
            token = slice_trim((struct slice){auth.p + 7, auth.len - 7});
    }
    return token.len > 0 ? token : SLICE_NONE;
}

/* What the sender calls this request, when it may repeat it. An empty header is none. */
static struct slice find_senders_key(struct http_request *req)
{
    static const char *const names[] = {"idempotency-key", "x-github-delivery", "webhook-id"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const struct slice v = http_header(req, names[i]);
        if (v.len > 0)
            return v;
    }
    return SLICE_NONE;
}

static void go(struct repeat *x, const struct repeat_first *first, int err)
{
    struct call *c = container_of(x, struct call, repeat);
    if (err != 0) {
        answer_unavailable(c);
        return;
    }
    c->let_through = first == NULL;
    if (first != NULL)
        c->first_run = first->run;
    feed(c);
}

static void feed_once(struct call *c, struct slice senders_key)
{
    c->repeat.key = repeat_key(&c->key, senders_key);
    c->repeat.go = go;
    if (repeat_start(&c->source->repeats, &c->repeat) < 0)
        answer_unavailable(c);
}

static void post(struct http_request *req, void *ctx)
{
    struct source *s = ctx;
    struct diag why;
    const struct slice token = find_token(req);
    if (token.p == NULL) {
        http_respond_error(
            req, DIAG_INVALID_ARGUMENT, 0,
            "the token is missing: send it as X-Webhook-Token or as Authorization: Bearer");
        return;
    }
    struct call *c = arena_zalloc(req->arena, sizeof(*c));
    if (req->query.p != NULL && sync_mode_parse(req, &c->mode, &why) < 0) {
        http_respond_diag(req, &why);
        return;
    }
    c->ticket.done = decided;
    c->source = s;
    c->req = req;
    c->key.b[0] = KEY_KIND;
    sha256(token, c->key.b + 1);
    closing_begin(&s->closing);
    const struct slice senders_key = find_senders_key(req);
    if (s->closing.stopping)
        answer_unavailable(c);
    else if (senders_key.p != NULL)
        feed_once(c, senders_key);
    else
        feed(c);
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/webhooks", post, SCOPE_TOKEN, 0},
};

/* ---- the trigger type ---- */

/* What a config may hold beside the token's hash. */
static int take_options(json_t *config, bool *ret_trailing, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, config, "config", reterr);
    json_ignore(&f, "token_hash"); /* ours: what a client says about it has no effect */
    *ret_trailing = config_take_trailing(&f);
    return json_fields_end(&f);
}

static int rule(json_t *config, struct rule *ret, struct diag *reterr)
{
    const char *hash = json_string_value(json_object_get(config, "token_hash"));
    struct rule r = {0};
    struct match_key key = {{KEY_KIND}};
    if (take_options(config, &r.trailing, reterr) < 0)
        return -EINVAL;
    if (hash == NULL || !hex_decode(slice_of(hash), key.b + 1, SHA256_SIZE))
        return diag_set(reterr, DIAG_INTERNAL,
                        "config.token_hash: what is stored is not a SHA-256");
    rule_set_key(&r, key);
    *ret = r;
    return 0;
}

static void make_token(struct trigger_draft *d)
{
    char token[TOKEN_TEXT_LEN + 1], hash[2 * SHA256_SIZE + 1];
    secret_token(token);
    sha256_hex(slice_of(token), hash);
    json_object_set_new(d->config, "token_hash", json_string(hash));
    d->shown_once = json_pack("{s:s}", "webhook_token", token);
    secret_wipe(token, sizeof(token));
}

/* A change may leave the token out, but not everything: who sends nothing probably hopes for a new token. */
static bool keeps_token(const json_t *config, const json_t *old)
{
    const json_t *hash = json_object_get(config, "token_hash");
    if (hash == NULL)
        return json_object_size(config) > 0;
    return json_equal(hash, json_object_get(old, "token_hash"));
}

static int check(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                 struct diag *reterr)
{
    bool trailing;
    if (take_options(config, &trailing, reterr) < 0)
        return -EINVAL;
    if (old != NULL && !keeps_token(config, old))
        return diag_set(
            reterr, DIAG_INVALID_ARGUMENT,
            "config: a webhook's token cannot be changed; delete the trigger and create a new one");
    struct trigger_draft d = {.config = json_copy(config)};
    if (old != NULL)
        json_object_set(d.config, "token_hash", json_object_get(old, "token_hash"));
    else
        make_token(&d);
    *ret = d;
    return 0;
}

static void label(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    snprintf(ret, TRIGGER_LABEL_SIZE, "trigger:webhook");
}

static const struct option_doc options[] = {OPTION_COOLDOWN_MODE, {NULL}};

static const struct trigger_type trigger_types[] = {
    {
        .name = "webhook",
        .help = "fires when POST /api/v1/webhooks is called with its token",
        .options = options,
        .check = check,
        .rule = rule,
        .label = label,
        .shows_webhook_url = true,
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
    s->repeats.host = h;
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

const struct source_type source_webhook = {
    .name = "webhook",
    .help = "HTTP calls that carry a trigger's token",
    .trigger_types = trigger_types,
    .start = start,
    .stop = stop,
};
