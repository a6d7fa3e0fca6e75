/* topic.c - POST /api/v1/topics/{topic}/messages, and the triggers that listen to topics of any kind.
 *
 *     body -> one message, or one per line -> host->publish -> commit -> 202 {"topic","offset","event_id"}
 *
 * As with webhooks nothing is parsed that need not be: a message is bytes, and the lines of a batch are looked over, not built.
 */
#include "core/topic.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/ndjson.h"
#include "base/vec.h"
#include "core/engine.h"
#include "core/rule.h"
#include "io/http/http.h"
#include "io/secret/secret.h"
#include "pawl/source.h"
#include "pawl/topic.h"
#include "source/closing.h"
#include "source/config.h"
#include "source/repeat.h"
#include "source/topic_embedded.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES_MAX (1 << 20)   /* of one message: 413 */
#define PUBLISH_BYTES_MAX (16u << 20) /* of a request with several: 413 */
#define PUBLISH_MESSAGES_MAX 10000    /* in one request: 413 */
#define MESSAGE_KEY_LEN_MAX 255
#define BACKENDS_MAX 8

struct source {
    struct host *host;
    struct topic_watcher watcher;
    struct topic_link *links[BACKENDS_MAX]; /* in the order of topic_backends */
    struct repeats repeats;
    struct closing closing; /* open: calls without an answer, backends */
};

typedef VEC(struct slice) payload_list;

/* One request, in its arena. */
struct call {
    struct ticket ticket;
    struct source *source;
    struct http_request *req;
    struct slice topic, key;
    struct slice single;     /* the one message, unless lines has them */
    payload_list lines;      /* released with the answer */
    bool batch, let_through; /* let_through: owes a repeat_end() */
    struct repeat repeat;
};

static struct topic_link *link_of(struct source *s, const struct topic_backend *b)
{
    for (size_t i = 0; topic_backends[i] != NULL; i++)
        if (topic_backends[i] == b)
            return s->links[i];
    return NULL;
}

/* ---- answers ---- */

/* Whatever is left to do for a call, but the answer. */
static struct source *end_call(struct call *c)
{
    vec_release(&c->lines);
    return c->source;
}

static void answer_error(struct call *c, enum diag_code code, const char *message)
{
    struct source *s = end_call(c);
    http_respond_error(c->req, code, 1, message);
    closing_end(&s->closing);
}

static void answer_unavailable(struct call *c)
{
    answer_error(c, DIAG_UNAVAILABLE,
                 "the message could not be stored; nothing was changed, try again");
}

/* Names of topics hold nothing that JSON would escape. */
static void answer_published(struct call *c, struct uuid event, struct message_span span)
{
    struct source *s = end_call(c);
    char id[UUID_TEXT_LEN + 1], body[TOPIC_NAME_LEN_MAX + 160], count[40] = "";
    uuid_format(event, id);
    if (c->batch)
        snprintf(count, sizeof(count), ",\"count\":%llu", (unsigned long long)span.count);
    const int len =
        snprintf(body, sizeof(body), "{\"topic\":\"%.*s\",\"offset\":%llu,\"event_id\":\"%s\"%s}",
                 (int)c->topic.len, c->topic.p, (unsigned long long)span.offset, id, count);
    http_respond_json(c->req, 202, (struct slice){body, (size_t)len});
    closing_end(&s->closing);
}

/* ---- publishing ---- */

static size_t message_count(const struct call *c)
{
    return c->batch ? c->lines.len : 1;
}

static void end_repeat(struct call *c, const struct repeat_first *first)
{
    if (!c->let_through)
        return;
    c->let_through = false;
    repeat_end(&c->repeat, first);
}

static void stored(struct ticket *t, const struct outcome *o)
{
    struct call *c = container_of(t, struct call, ticket);
    const struct message_span span = {o->offset, message_count(c)};
    const struct repeat_first first = {o->event, message_span_encode(span)};
    end_repeat(c, o->err == 0 ? &first : NULL);
    if (o->err != 0)
        answer_unavailable(c);
    else
        answer_published(c, o->event, span);
}

static void publish(struct call *c)
{
    struct host *h = c->source->host;
    struct event ev = {
        .source = "topic",
        .type = SLICE("message"),
        .subject = c->topic,
        .topic = c->topic,
        .scope = c->topic,
        .key = topic_match_key(c->topic),
        .message_key = c->key,
        .content_type = c->batch ? SLICE("application/json") : http_header(c->req, "content-type"),
        .dedupe = c->let_through,
        .ticket = &c->ticket,
    };
    if (ev.dedupe)
        ev.dedupe_key = c->repeat.key;
    const int err = h->publish(h, &ev, c->batch ? c->lines.items : &c->single, message_count(c));
    if (err == 0)
        return; /* stored() follows */
    end_repeat(c, NULL);
    if (err == -EDQUOT)
        answer_error(c, DIAG_RESOURCE_EXHAUSTED,
                     "there are as many topics as there may be; delete one");
    else
        answer_unavailable(c);
}

static void answer_again(struct call *c, const struct repeat_first *first)
{
    const struct message_span span = message_span_decode(first->run);
    embedded_published_again(link_of(c->source, &topic_embedded), c->topic, span.count);
    answer_published(c, first->event, span);
}

static void go(struct repeat *x, const struct repeat_first *first, int err)
{
    struct call *c = container_of(x, struct call, repeat);
    c->let_through = first == NULL && err == 0;
    if (err != 0)
        answer_unavailable(c);
    else if (first != NULL)
        answer_again(c, first);
    else
        publish(c);
}

/* Topics are told apart by the whole of their names, however long. */
static void publish_once(struct call *c, struct slice senders_key)
{
    struct match_key topic = {{'T'}};
    sha256(c->topic, topic.b + 1);
    c->repeat.key = repeat_key(&topic, senders_key);
    c->repeat.go = go;
    if (repeat_start(&c->source->repeats, &c->repeat) < 0)
        answer_unavailable(c);
}

/* ---- the request ---- */

static bool is_ndjson(struct slice content_type)
{
    const char *end = content_type.p != NULL ? memchr(content_type.p, ';', content_type.len) : NULL;
    if (end != NULL)
        content_type.len = (size_t)(end - content_type.p);
    return slice_is_nocase(slice_trim(content_type), "application/x-ndjson");
}

static int take_lines(struct slice body, payload_list *ret, struct diag *reterr)
{
    struct ndjson n = ndjson_of(body);
    struct slice line;
    int found;
    while ((found = ndjson_next(&n, &line)) > 0) {
        if (line.len > MESSAGE_BYTES_MAX)
            return diag_set(reterr, DIAG_PAYLOAD_TOO_LARGE,
                            "line %llu: a message must not be larger than %d bytes",
                            (unsigned long long)n.line, MESSAGE_BYTES_MAX);
        if (ret->len == PUBLISH_MESSAGES_MAX)
            return diag_set(reterr, DIAG_PAYLOAD_TOO_LARGE,
                            "a request must not have more than %d messages", PUBLISH_MESSAGES_MAX);
        vec_push(ret, line);
    }
    if (found < 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "line %llu: is not a JSON value; no line was published",
                        (unsigned long long)n.line);
    if (ret->len == 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "the body is empty; send one JSON value per line");
    return 0;
}

static int take_body(struct call *c, struct diag *reterr)
{
    c->batch = is_ndjson(http_header(c->req, "content-type"));
    if (c->batch)
        return take_lines(c->req->body, &c->lines, reterr);
    if (c->req->body.len > MESSAGE_BYTES_MAX)
        return diag_set(reterr, DIAG_PAYLOAD_TOO_LARGE,
                        "a message must not be larger than %d bytes", MESSAGE_BYTES_MAX);
    c->single = c->req->body;
    return 0;
}

static int take_names(struct call *c, struct diag *reterr)
{
    struct diag why;
    c->topic = c->req->params[0];
    const struct broker_settings *brokers = c->source->host->brokers;
    const struct topic_backend *b = topic_backend_of(topic_meant(brokers, c->topic), &why);
    if (b == NULL)
        return diag_set(reterr, why.code, "topic: %s", why.msg);
    if (b != &topic_embedded)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "topic: only embedded topics can be published to here; this one is %s's",
                        b->name);
    const struct slice key = http_header(c->req, "pawl-key");
    if (key.len > MESSAGE_KEY_LEN_MAX)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "Pawl-Key: must not be longer than %d bytes",
                        MESSAGE_KEY_LEN_MAX);
    if (!utf8_valid(key))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "Pawl-Key: must be UTF-8");
    c->key = key.len > 0 ? key : SLICE_NONE;
    return 0;
}

static void post(struct http_request *req, void *ctx)
{
    struct source *s = ctx;
    struct diag why;
    struct call *c = arena_zalloc(req->arena, sizeof(*c));
    c->ticket.done = stored;
    c->source = s;
    c->req = req;
    closing_begin(&s->closing);
    const struct slice senders_key = http_header(req, "idempotency-key");
    if (take_names(c, &why) < 0 || take_body(c, &why) < 0)
        answer_error(c, why.code, why.msg);
    else if (s->closing.stopping)
        answer_unavailable(c);
    else if (senders_key.len > 0)
        publish_once(c, senders_key);
    else
        publish(c);
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/topics/{topic}/messages", post, SCOPE_API, PUBLISH_BYTES_MAX},
};

/* ---- the trigger type ----
 *
 * A stored config is taken as it is, also where this pawl no longer has what its topic needs: it is not ready then.
 */

struct config {
    const char *topic;
    uint32_t version; /* 0: the current one */
    bool trailing;
};

static int parse(json_t *config, struct config *ret, struct diag *reterr)
{
    struct json_fields f;
    *ret = (struct config){0};
    json_fields_begin(&f, config, "config", reterr);
    ret->topic = json_take_string(&f, "topic", JSON_REQUIRED);
    ret->version = (uint32_t)json_take_int(&f, "pipeline_version", 0, 1, UINT32_MAX);
    const char *origin = json_take_string(&f, "started_by", JSON_OPTIONAL);
    if (origin != NULL && strcmp(origin, "events") != 0)
        json_fields_fail(&f, "started_by", "must be 'events', or absent");
    ret->trailing = config_take_trailing(&f);
    return json_fields_end(&f);
}

static int check(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                 struct diag *reterr)
{
    struct config c;
    struct diag why;
    if (parse(config, &c, reterr) < 0)
        return -EINVAL;
    const struct slice meant = topic_meant(h->brokers, slice_of(c.topic));
    if (topic_backend_of(meant, &why) == NULL)
        return diag_set(reterr, why.code, "config.topic: %s", why.msg);
    if (slice_is(meant, c.topic)) {
        config_keep(config, ret);
        return 0;
    }
    *ret = (struct trigger_draft){.config = json_copy(config)};
    CHECK(json_object_set_new(ret->config, "topic", json_stringn(meant.p, meant.len)) == 0);
    return 0;
}

static int rule(json_t *config, struct rule *ret, struct diag *reterr)
{
    struct config c;
    if (parse(config, &c, reterr) < 0)
        return -EINVAL;
    *ret =
        (struct rule){.scope = mem_strdup(c.topic), .version = c.version, .trailing = c.trailing};
    rule_set_key(ret, topic_match_key(slice_of(c.topic)));
    return 0;
}

static void label(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    snprintf(ret, TRIGGER_LABEL_SIZE, "trigger:topic:%s",
             json_string_value(json_object_get(config, "topic")));
}

static const struct option_doc options[] = {
    {"topic", "string", true, "the topic to listen to"},
    {"pipeline_version", "integer", false, "runs are of this version; default the current one"},
    {"started_by", "string", false, "'events' where POST /api/v1/events made the trigger"},
    OPTION_COOLDOWN_MODE,
    {NULL},
};

static const struct trigger_type trigger_types[] = {
    {
        .name = "topic",
        .help = "fires for the messages of a topic",
        .options = options,
        .check = check,
        .rule = rule,
        .label = label,
    },
    {NULL},
};

/* ---- the backends ---- */

static void changed(struct topic_watcher *w)
{
    struct source *s = container_of(w, struct source, watcher);
    for (size_t i = 0; topic_backends[i] != NULL && !s->closing.stopping; i++)
        topic_backends[i]->changed(s->links[i]);
}

static bool ready(struct topic_watcher *w, struct slice topic, const char **ret_why)
{
    static struct diag why;
    const struct topic_backend *b = topic_backend_of(topic, &why);
    *ret_why = b == NULL ? why.msg : NULL;
    return b != NULL &&
           b->ready(link_of(container_of(w, struct source, watcher), b), topic, ret_why);
}

static void stats(struct topic_watcher *w, struct slice topic, struct topic_stats *ret)
{
    struct diag why;
    const struct topic_backend *b = topic_backend_of(topic, &why);
    *ret = (struct topic_stats){0};
    if (b != NULL)
        b->stats(link_of(container_of(w, struct source, watcher), b), topic, ret);
}

/* Only before the daemon serves: what was started is left to the end of the process. */
static bool start_backends(struct source *s, struct diag *reterr)
{
    for (size_t i = 0; topic_backends[i] != NULL; i++) {
        CHECK(i < BACKENDS_MAX);
        s->links[i] = topic_backends[i]->start(s->host, reterr);
        if (s->links[i] == NULL)
            return false;
    }
    return true;
}

/* A position begins with its topic. */
static bool is_ended(struct slice subscription, void *arg)
{
    const char *blank = memchr(subscription.p, ' ', subscription.len);
    if (blank != NULL)
        subscription.len = (size_t)(blank - subscription.p);
    return catalog_subscribed(arg, subscription) == NULL;
}

/* Of topics that nobody listens to any more. Not when the last one stops, who may start again at once: what is still being delivered to
 * the old subscription must not be new to the next. */
static void forget_ended(struct source *s)
{
    struct engine *e = s->host->engine;
    engine_forget_positions(e, is_ended, (void *)engine_catalog(e));
}

/* ---- the source ---- */

static void gone(struct closing *c)
{
    free(container_of(c, struct source, closing));
}

static struct source *start(struct host *h, struct http_server *http, struct diag *reterr)
{
    if (topic_meant_check(h->brokers, reterr) < 0)
        return NULL;
    struct source *s = mem_zalloc(sizeof(*s));
    s->host = h;
    s->closing.gone = gone;
    s->repeats.host = h;
    s->watcher = (struct topic_watcher){.changed = changed, .ready = ready, .stats = stats};
    if (!start_backends(s, reterr)) {
        free(s);
        return NULL;
    }
    h->topics = &s->watcher;
    http_server_route(http, routes, ARRAY_SIZE(routes), s);
    forget_ended(s);
    changed(&s->watcher);
    return s;
}

static void stop(struct source *s, void (*closed)(void *arg), void *arg)
{
    s->host->topics = NULL;
    closing_stop(&s->closing, closed, arg);
    for (size_t i = 0; topic_backends[i] != NULL; i++) {
        closing_begin(&s->closing);
        topic_backends[i]->stop(s->links[i], closing_ended, &s->closing);
    }
    closing_end(&s->closing);
}

const struct source_type source_topic = {
    .name = "topic",
    .help = "messages of topics",
    .trigger_types = trigger_types,
    .start = start,
    .stop = stop,
};
