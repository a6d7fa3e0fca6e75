/* topic_kafka.c - topics of Kafka: kafka:NAME. Each that triggers listen to has a consumer of its own (kafka_flow.h).
 *
 * Nothing is loaded, no thread is started before the first of them, unless the operator has set properties, which are checked at start.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "core/topic.h"
#include "io/kafka/properties.h"
#include "io/loop/timers.h"
#include "io/loop/worker.h"
#include "pawl/topic.h"
#include "source/closing.h"
#include "source/kafka_flow.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define PREFIX "kafka:"
#define NAME_LEN_MAX 249 /* Kafka's own bound */
#define FLOWS_MAX 100    /* topics consumed at the same time; others are not ready, and say why */
#define WORKER_THREADS 4
#define HURRY_MS 4000 /* after the daemon has said stop: then brokers are not waited for any more */

struct flow_item {
    struct topic_link *link;
    char *topic;
    struct kafka_flow *flow;
    bool closing;
    struct flow_item *prev, *next;
};

struct topic_link {
    struct host *host;
    struct worker *worker;
    struct flow_item *items; /* DL */
    size_t item_count;
    atomic_bool hurry;
    struct timer hurry_up;
    bool started;
    struct closing closing;
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static bool is_ours(struct slice topic)
{
    return slice_starts(topic, PREFIX);
}

static int check(struct slice topic, struct diag *reterr)
{
    const struct slice name = {topic.p + strlen(PREFIX), topic.len - strlen(PREFIX)};
    bool good =
        name.len > 0 && name.len <= NAME_LEN_MAX && !slice_is(name, ".") && !slice_is(name, "..");
    for (size_t i = 0; i < name.len && good; i++)
        good = is_name_char(name.p[i]);
    return good ? 0
                : diag_set(reterr, DIAG_INVALID_ARGUMENT,
                           "must be kafka: and a topic's name, 1 to %d of A-Z, a-z, 0-9, '.', '_' "
                           "and '-'",
                           NAME_LEN_MAX);
}

/* ---- the end ---- */

static void gone(struct closing *c)
{
    free(container_of(c, struct topic_link, closing));
}

static void end_when_empty(struct topic_link *l)
{
    if (!l->closing.stopping || l->items != NULL)
        return;
    timer_cancel(l->host->timers, &l->hurry_up);
    if (l->worker != NULL)
        worker_close(l->worker, closing_ended, &l->closing);
    else
        closing_end(&l->closing);
}

static void hurry_up(struct timer *t)
{
    atomic_store(&container_of(t, struct topic_link, hurry_up)->hurry, true);
}

/* ---- what is consumed ---- */

static struct flow_item *find_item(struct topic_link *l, struct slice topic)
{
    struct flow_item *i;
    DL_FOREACH (l->items, i)
        if (slice_is(topic, i->topic))
            return i;
    return NULL;
}

static void changed(struct topic_link *l);

static void item_closed(void *arg)
{
    struct flow_item *i = arg;
    struct topic_link *l = i->link;
    DL_DELETE(l->items, i);
    l->item_count--;
    free(i->topic);
    free(i);
    if (!l->closing.stopping)
        changed(l); /* somebody may listen to it again */
    end_when_empty(l);
}

static void close_item(struct flow_item *i, bool ended)
{
    if (i->closing)
        return;
    i->closing = true;
    kafka_flow_close(i->flow, ended, item_closed, i);
}

static struct worker *make_worker(struct host *h)
{
    const struct worker_options opt = {
        .name = "kafka", .threads = WORKER_THREADS, .waiting_max = FLOWS_MAX};
    return worker_create(h->loop, &opt);
}

static void add_item(struct topic_link *l, const char *topic)
{
    if (l->item_count >= FLOWS_MAX || l->host->brokers == NULL)
        return; /* ready() says why */
    if (l->worker == NULL)
        l->worker = make_worker(l->host);
    struct kafka_flow *flow = kafka_flow_create(l->host, l->worker, topic, l->started, &l->hurry);
    if (flow == NULL) {
        log_error("no descriptor is left for a topic", LOG_STR("topic", topic));
        return;
    }
    struct flow_item *i = mem_zalloc(sizeof(*i));
    *i = (struct flow_item){.link = l, .topic = mem_strdup(topic), .flow = flow};
    DL_APPEND(l->items, i);
    l->item_count++;
}

static void changed(struct topic_link *l)
{
    const struct catalog *c = engine_catalog(l->host->engine);
    struct flow_item *i, *next;
    const struct subscribed *s;
    DL_FOREACH_SAFE (l->items, i, next)
        if (catalog_subscribed(c, slice_of(i->topic)) == NULL)
            close_item(i, true);
    for (s = c->subscribed; s != NULL; s = s->hh.next)
        if (is_ours(slice_of(s->topic)) && find_item(l, slice_of(s->topic)) == NULL)
            add_item(l, s->topic);
    l->started = true;
}

static bool ready(struct topic_link *l, struct slice topic, const char **ret_why)
{
    struct flow_item *i = find_item(l, topic);
    if (i != NULL && !i->closing)
        return kafka_flow_ready(i->flow, ret_why);
    if (i != NULL)
        *ret_why = "the subscription before this one is still ending";
    else if (l->item_count >= FLOWS_MAX)
        *ret_why = "as many Kafka topics are consumed as may be, 100";
    else
        *ret_why = "it could not be begun: no descriptor was left";
    return false;
}

static void stats(struct topic_link *l, struct slice topic, struct topic_stats *ret)
{
    struct flow_item *i = find_item(l, topic);
    if (i != NULL && !i->closing)
        kafka_flow_stats(i->flow, ret);
}

/* ---- life ---- */

static int check_settings(const struct broker_settings *b, struct diag *reterr)
{
    if (b == NULL || b->kafka == NULL)
        return 0;
    return kafka_properties_check(b->kafka_brokers, b->kafka, reterr);
}

static struct topic_link *start(struct host *h, struct diag *reterr)
{
    if (check_settings(h->brokers, reterr) < 0)
        return NULL;
    struct topic_link *l = mem_zalloc(sizeof(*l));
    l->host = h;
    l->closing.gone = gone;
    l->hurry_up.fired = hurry_up;
    return l;
}

static void stop(struct topic_link *l, void (*closed)(void *arg), void *arg)
{
    struct flow_item *i, *next;
    closing_stop(&l->closing, closed, arg);
    timer_set(l->host->timers, &l->hurry_up, HURRY_MS);
    DL_FOREACH_SAFE (l->items, i, next)
        close_item(i, false);
    end_when_empty(l);
}

const struct topic_backend topic_kafka = {
    .name = "Kafka",
    .prefix = PREFIX,
    .help = "topics of Kafka",
    .check = check,
    .start = start,
    .changed = changed,
    .ready = ready,
    .stats = stats,
    .stop = stop,
};
