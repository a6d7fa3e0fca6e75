/* topic_nats.c - topics of NATS JetStream: which of them are consumed, and who gets what comes in.
 *
 * Nothing is connected, and the library not loaded, until a trigger listens to such a topic.
 */
#include "base/check.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "core/topic.h"
#include "io/nats/link.h"
#include "io/secret/secret.h"
#include "pawl/topic.h"
#include "source/closing.h"
#include "source/nats_sub.h"
#include "source/nats_wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define PREFIX "nats:"

/* A topic that is consumed, or whose consumer is being deleted. */
struct topic_sub {
    struct nats_sub *sub;
    struct topic_link *owner;
    uint32_t id;
    UT_hash_handle by_topic, by_consumer, by_id;
};

struct topic_link {
    struct nats_hub hub;
    struct topic_sub *by_topic, *by_consumer, *by_id;
    uint32_t id_last;
    struct closing closing;
};

static int check(struct slice topic, struct diag *reterr)
{
    const struct slice subject = {topic.p + strlen(PREFIX), topic.len - strlen(PREFIX)};
    if (nats_subject_valid(subject))
        return 0;
    return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                    "must be nats: and a subject of up to %d bytes, such as nats:orders.new, "
                    "nats:orders.* or nats:orders.>",
                    NATS_SUBJECT_LEN_MAX);
}

static void gone(struct closing *c)
{
    free(container_of(c, struct topic_link, closing));
}

static struct topic_link *start(struct host *h, struct diag *reterr)
{
    struct topic_link *l = mem_zalloc(sizeof(*l));
    uint8_t random[8];
    l->hub.host = h;
    l->closing.gone = gone;
    secret_random(random, sizeof(random));
    memcpy(l->hub.inbox, "_INBOX.pawl", sizeof("_INBOX.pawl"));
    hex_encode(random, sizeof(random), l->hub.inbox + strlen(l->hub.inbox));
    snprintf(l->hub.why, sizeof(l->hub.why), "NATS is being connected to");
    return l;
}

/* ---- topics ---- */

/* Everything stops, and no topic is left. */
static void end(struct topic_link *l)
{
    if (l->hub.link != NULL)
        nats_link_stop(l->hub.link, closing_ended, &l->closing);
    else
        closing_end(&l->closing);
}

static struct topic_sub *find_id(const struct topic_link *l, uint32_t id)
{
    struct topic_sub *t;
    HASH_FIND(by_id, l->by_id, &id, sizeof(id), t);
    return t;
}

static struct topic_sub *find_topic(const struct topic_link *l, struct slice topic)
{
    struct topic_sub *t;
    HASH_FIND(by_topic, l->by_topic, topic.p, topic.len, t);
    return t;
}

static struct topic_sub *find_consumer(const struct topic_link *l, struct slice name)
{
    struct topic_sub *t;
    HASH_FIND(by_consumer, l->by_consumer, name.p, name.len, t);
    return t;
}

static void sub_ended(void *arg)
{
    struct topic_sub *t = arg;
    struct topic_link *l = t->owner;
    HASH_DELETE(by_topic, l->by_topic, t);
    HASH_DELETE(by_consumer, l->by_consumer, t);
    HASH_DELETE(by_id, l->by_id, t);
    nats_sub_destroy(t->sub);
    free(t);
    if (l->hub.stopping && l->by_id == NULL)
        end(l);
}

static void add(struct topic_link *l, struct slice topic)
{
    struct topic_sub *t = mem_zalloc(sizeof(*t));
    t->owner = l;
    t->id = ++l->id_last;
    t->sub = nats_sub_create(&l->hub, topic, t->id, sub_ended, t);
    const char *name = nats_sub_topic(t->sub), *consumer = nats_sub_consumer(t->sub);
    HASH_ADD_KEYPTR(by_topic, l->by_topic, name, strlen(name), t);
    HASH_ADD_KEYPTR(by_consumer, l->by_consumer, consumer, strlen(consumer), t);
    HASH_ADD(by_id, l->by_id, id, sizeof(t->id), t);
}

/* ---- what comes from the link ---- */

static void up(void *arg)
{
    struct topic_link *l = arg;
    struct topic_sub *t, *tmp;
    log_info("connected to NATS");
    l->hub.up = true;
    l->hub.why[0] = '\0';
    HASH_ITER (by_id, l->by_id, t, tmp)
        nats_sub_up(t->sub);
}

/* Once per reason: attempts go on. */
static void down(void *arg, const char *why)
{
    struct topic_link *l = arg;
    struct topic_sub *t, *tmp;
    if (strcmp(l->hub.why, why) != 0)
        log_warn("NATS is away, trying again", LOG_STR("error", why));
    l->hub.up = false;
    snprintf(l->hub.why, sizeof(l->hub.why), "%s", why);
    HASH_ITER (by_id, l->by_id, t, tmp)
        nats_sub_down(t->sub);
}

/* "<inbox>.<id>.<number>" */
static bool parse_answer(const struct topic_link *l, struct slice subject, uint64_t *ret_id,
                         uint64_t *ret_number)
{
    const size_t len = strlen(l->hub.inbox) + 1;
    if (subject.len <= len || !slice_starts(subject, l->hub.inbox))
        return false;
    const struct slice rest = {subject.p + len, subject.len - len};
    const char *dot = memchr(rest.p, '.', rest.len);
    if (dot == NULL)
        return false;
    const size_t id_len = (size_t)(dot - rest.p);
    return slice_u64((struct slice){rest.p, id_len}, UINT32_MAX, ret_id) &&
           slice_u64((struct slice){dot + 1, rest.len - id_len - 1}, UINT64_MAX, ret_number);
}

static void message(void *arg, const struct nats_message *m)
{
    struct topic_link *l = arg;
    struct nats_delivery d;
    uint64_t id, number;
    struct topic_sub *t = NULL;
    if (nats_delivery_parse(m->reply, &d)) {
        t = find_consumer(l, d.consumer);
        if (t != NULL)
            nats_sub_deliver(t->sub, m, &d);
    } else if (parse_answer(l, m->subject, &id, &number)) {
        t = find_id(l, (uint32_t)id);
        if (t != NULL)
            nats_sub_answer(t->sub, number, m);
    }
    if (t == NULL)
        nats_link_release(l->hub.link, m->handle);
}

static void unanswered(void *arg)
{
    struct topic_link *l = arg;
    struct topic_sub *t, *tmp;
    HASH_ITER (by_id, l->by_id, t, tmp)
        nats_sub_unanswered(t->sub);
}

/* ---- the backend ---- */

static void need_link(struct topic_link *l)
{
    if (l->hub.link != NULL)
        return;
    const struct nats_link_options opt = {
        .loop = l->hub.host->loop,
        .timers = l->hub.host->timers,
        .settings = l->hub.host->nats,
        .inbox = l->hub.inbox,
        .up = up,
        .down = down,
        .message = message,
        .unanswered = unanswered,
        .arg = l,
    };
    l->hub.link = nats_link_create(&opt);
}

static void changed(struct topic_link *l)
{
    const struct catalog *c = engine_catalog(l->hub.host->engine);
    struct topic_sub *t, *tmp;
    HASH_ITER (by_id, l->by_id, t, tmp)
        nats_sub_want(t->sub, catalog_subscribed(c, slice_of(nats_sub_topic(t->sub))) != NULL);
    for (const struct subscribed *s = c->subscribed; s != NULL; s = s->hh.next) {
        const struct slice topic = slice_of(s->topic);
        if (!slice_starts(topic, PREFIX) || find_topic(l, topic) != NULL)
            continue;
        need_link(l);
        add(l, topic);
    }
}

static bool ready(struct topic_link *l, struct slice topic, const char **ret_why)
{
    const struct topic_sub *t = find_topic(l, topic);
    *ret_why = NULL;
    return t != NULL && nats_sub_ready(t->sub, ret_why);
}

static void stats(struct topic_link *l, struct slice topic, struct topic_stats *ret)
{
    const struct topic_sub *t = find_topic(l, topic);
    if (t != NULL)
        nats_sub_stats(t->sub, ret);
}

static void stop(struct topic_link *l, void (*closed)(void *arg), void *arg)
{
    struct topic_sub *t, *tmp;
    closing_stop(&l->closing, closed, arg);
    if (l->by_id == NULL) {
        end(l);
        return;
    }
    l->hub.stopping = true;
    HASH_ITER (by_id, l->by_id, t, tmp)
        nats_sub_stop(t->sub); /* the last one ends everything: sub_ended() */
}

const struct topic_backend topic_nats = {
    .name = "NATS JetStream",
    .prefix = PREFIX,
    .help = "subjects of NATS JetStream",
    .check = check,
    .start = start,
    .changed = changed,
    .ready = ready,
    .stats = stats,
    .stop = stop,
};
