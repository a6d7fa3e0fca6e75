/* metrics.c - /metrics in the text format of Prometheus. Names follow its rules: base units,
 * _total for counters. */
#include "api/kube_feed.h"
#include "api/resources.h"
#include "api/work.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/decision.h"
#include "io/store/journal.h"
#include "pawl/topic.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOPICS_SHOWN 1000 /* by name, of each kind; the others are not */
#define NOT_KNOWN UINT64_MAX

static void head(struct str *s, const char *name, const char *type, const char *help)
{
    str_printf(s, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct str *s, const char *name, uint64_t n)
{
    str_printf(s, "%s %llu\n", name, (unsigned long long)n);
}

static void labelled(struct str *s, const char *name, const char *label, const char *of, uint64_t n)
{
    str_printf(s, "%s{%s=\"%s\"} %llu\n", name, label, of, (unsigned long long)n);
}

static void metric(struct str *s, const char *name, const char *type, const char *help, uint64_t n)
{
    head(s, name, type, help);
    value(s, name, n);
}

static void add_http(struct str *s, const struct http_server *server)
{
    static const char *const classes[] = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const struct http_stats h = http_server_stats(server);
    metric(s, "pawl_http_connections", "gauge", "Open connections.", h.connections);
    metric(s, "pawl_http_connections_total", "counter", "Connections accepted.",
           h.connections_total);
    metric(s, "pawl_http_requests_total", "counter", "Requests received.", h.requests_total);
    metric(s, "pawl_http_buffered_bytes", "gauge", "Request bodies held in memory.",
           h.buffered_bytes);
    metric(s, "pawl_http_streams", "gauge", "Streamed answers that are open.", h.streams);
    metric(s, "pawl_http_streams_cut_total", "counter",
           "Streamed answers cut because their client took nothing.", h.streams_cut);
    head(s, "pawl_http_responses_total", "counter", "Responses sent, by class of status.");
    for (size_t i = 1; i < ARRAY_SIZE(classes); i++)
        labelled(s, "pawl_http_responses_total", "class", classes[i], h.responses_by_class[i]);
}

static void add_engine(struct str *s, struct engine *e)
{
    const struct engine_stats n = engine_stats(e);
    metric(s, "pawl_runs_running", "gauge", "Runs being carried out.", n.running);
    metric(s, "pawl_runs_leased", "gauge", "Runs that workers have taken.", n.leased);
    metric(s, "pawl_claims_waiting", "gauge", "Workers that wait for runs.", n.claims);
    metric(s, "pawl_runs_pending", "gauge", "Runs waiting in the durable queue.", n.pending);
    metric(s, "pawl_paused", "gauge", "1 while everything is paused.", n.paused);
    metric(s, "pawl_paused_pipelines", "gauge", "Pipelines that are paused.", n.paused_pipelines);
    metric(s, "pawl_paused_triggers", "gauge", "Triggers that are paused.", n.paused_triggers);
    metric(s, "pawl_arkevents", "gauge", "ArkEvents.", HASH_COUNT(engine_catalog(e)->arks));
    head(s, "pawl_runs_ended_total", "counter", "Runs that ended, by status.");
    for (enum run_status i = RUN_SUCCESS; i <= RUN_CANCELLED; i++)
        labelled(s, "pawl_runs_ended_total", "status", run_status_name(i), n.runs_ended[i]);
    head(s, "pawl_decisions_total", "counter", "What triggers did with events, by verdict.");
    for (enum verdict v = 0; v < VERDICT_COUNT; v++)
        labelled(s, "pawl_decisions_total", "verdict", verdict_name(v), n.verdicts[v]);
}

/* A topic's name may be anything that a broker takes. */
static void of_topic(struct str *s, const char *name, const char *topic, uint64_t n)
{
    str_printf(s, "%s{topic=", name);
    str_add_json(s, slice_of(topic));
    str_printf(s, "} %llu\n", (unsigned long long)n);
}

static void add_topics(struct str *s, const struct host *h)
{
    const struct catalog *c = engine_catalog(h->engine);
    const struct topic *t;
    size_t n = 0;
    metric(s, "pawl_topics", "gauge", "Embedded topics.", HASH_COUNT(c->topics));
    head(s, "pawl_topic_messages_total", "counter", "Messages that a topic ever had.");
    for (t = c->topics; t != NULL && n < TOPICS_SHOWN; t = t->hh.next, n++)
        of_topic(s, "pawl_topic_messages_total", t->name, t->state.next_offset);
}

struct listened {
    const char *topic;
    bool ready;
    struct topic_stats stats;
};

static uint64_t is_ready(const struct listened *l)
{
    return l->ready;
}

static uint64_t is_connected(const struct listened *l)
{
    return l->stats.connected;
}

static uint64_t received(const struct listened *l)
{
    return l->stats.received;
}

static uint64_t duplicates(const struct listened *l)
{
    return l->stats.duplicates;
}

static uint64_t passed_over(const struct listened *l)
{
    return l->stats.passed_over;
}

static uint64_t in_flight(const struct listened *l)
{
    return l->stats.in_flight;
}

static uint64_t lag(const struct listened *l)
{
    return l->stats.lag_known ? l->stats.lag : NOT_KNOWN;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*get)(const struct listened *l);
} listened_metrics[] = {
    {"pawl_topic_ready", "gauge", "1 while a topic that triggers listen to is consumed.", is_ready},
    {"pawl_topic_connected", "gauge", "1 while the topic's broker can be reached.", is_connected},
    {"pawl_topic_received_total", "counter", "Messages that were evaluated.", received},
    {"pawl_topic_duplicates_total", "counter", "Messages that came again and made nothing.",
     duplicates},
    {"pawl_topic_passed_over_total", "counter", "Messages that are too large.", passed_over},
    {"pawl_topic_in_flight", "gauge", "Messages on their way to the disk.", in_flight},
    {"pawl_topic_lag_messages", "gauge", "Messages that the broker has for us.", lag},
};

/* All of a name stand together, so what is to be shown is collected first. */
static void add_listened(struct str *s, const struct host *h)
{
    const struct subscribed *u = engine_catalog(h->engine)->subscribed;
    struct listened *all = mem_alloc(TOPICS_SHOWN * sizeof(*all));
    const char *why;
    size_t n = 0;
    for (; u != NULL && h->topics != NULL && n < TOPICS_SHOWN; u = u->hh.next, n++) {
        const struct slice topic = slice_of(u->topic);
        all[n].topic = u->topic;
        all[n].ready = h->topics->ready(h->topics, topic, &why);
        h->topics->stats(h->topics, topic, &all[n].stats);
    }
    for (size_t m = 0; m < ARRAY_SIZE(listened_metrics); m++) {
        head(s, listened_metrics[m].name, listened_metrics[m].type, listened_metrics[m].help);
        for (size_t i = 0; i < n; i++) {
            const uint64_t v = listened_metrics[m].get(&all[i]);
            if (v != NOT_KNOWN)
                of_topic(s, listened_metrics[m].name, all[i].topic, v);
        }
    }
    free(all);
}

static void add_journal(struct str *s, const struct journal *j)
{
    const struct journal_stats n = journal_stats(j);
    metric(s, "pawl_journal_failures_total", "counter", "Commits that failed.", n.failures);
    metric(s, "pawl_journal_records_total", "counter", "Records written.", n.records);
    metric(s, "pawl_journal_wal_bytes", "gauge", "Size of the write-ahead log.", n.wal_bytes);
    head(s, "pawl_journal_commit_seconds", "summary", "Time spent in commits, the sync included.");
    str_printf(s, "pawl_journal_commit_seconds_sum %.6f\n", (double)n.commit_us_sum / 1e6);
    value(s, "pawl_journal_commit_seconds_count", n.commits);
}

/* /proc is memory, so reading it does not hold up the loop. */
static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void get(struct http_request *req, void *ctx)
{
    const struct api *a = ctx;
    struct str s = {0};
    head(&s, "pawl_build_info", "gauge", "Constant 1, labelled with the version.");
    labelled(&s, "pawl_build_info", "version", PAWL_VERSION, 1);
    add_http(&s, a->http);
    add_engine(&s, a->host->engine);
    add_topics(&s, a->host);
    add_listened(&s, a->host);
    metric(&s, "pawl_kube_watches", "gauge", "Watches of the Kubernetes-style API that are open.",
           kube_feed_readers(a));
    if (a->journal != NULL)
        add_journal(&s, a->journal);
    metric(&s, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    http_respond(req, 200, "text/plain; version=0.0.4; charset=utf-8", str_slice(&s));
    str_release(&s);
}

static const struct http_route routes[] = {
    {"GET", "/metrics", get, SCOPE_API, 0},
};
const struct resource resource_metrics = {routes, ARRAY_SIZE(routes)};
