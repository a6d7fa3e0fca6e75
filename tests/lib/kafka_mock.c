/* kafka_mock.c - librdkafka's mock cluster as a program, for the end-to-end tests of Kafka topics (tests/lib/kafka.py).
 *
 *     kafka_mock BROKERS        prints its bootstrap servers, then obeys lines from stdin; one line answers each:
 *     topic NAME PARTITIONS     makes a topic
 *     error NAME CODE           what clients are told of the topic; 0: nothing is wrong
 *     produce TOPIC PARTITION FIRST COUNT    messages "PARTITION:FIRST", ...; answered when all of them are acknowledged
 *     message TOPIC PARTITION KEY TYPE TEXT  one with a key and a content-type header; "-" is none
 *     large TOPIC PARTITION BYTES            one of that size
 *     flood TOPIC PARTITIONS PER_SECOND      (about) as produce, on and on, over all partitions, in the background, until:
 *     flooded                   ends it; answered when all are acknowledged, with the number of messages of each partition
 *     end TOPIC PARTITION       the offset that the next message will get
 *     committed GROUP TOPIC PARTITION        the group's offset, -1001: none
 *     down, up                  all brokers
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static rd_kafka_t *host, *producer;
static rd_kafka_mock_cluster_t *cluster;
static const char *bootstraps;
static int brokers;
static long failed;

static pthread_t flooder;
static atomic_bool flooding;
static char flood_topic[300];
static long flood_partitions, flood_rounds;
static int flood_pause_ms;

static void say(const char *what, long n)
{
    printf("%s %ld\n", what, n);
    fflush(stdout);
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    failed += m->err != 0;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *group)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstraps);
    if (group != NULL)
        set(conf, "group.id", group);
    if (type == RD_KAFKA_PRODUCER) {
        set(conf, "message.max.bytes", "8000000");
        set(conf, "linger.ms",
            "50"); /* the brokers answer a fetch with one batch: a flood in small ones could not be read in time */
        set(conf, "enable.idempotence", "true");
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (rk == NULL) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    return rk;
}

static void produce(const char *topic, int partition, const char *key, const char *type,
                    const void *text, size_t len)
{
    rd_kafka_resp_err_t err;
    do {
        rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
        if (type != NULL)
            rd_kafka_header_add(headers, "Content-Type", -1, type, -1);
        err = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_KEY(key, (key != NULL ? strlen(key) : 0)),
                                RD_KAFKA_V_VALUE((void *)text, len), RD_KAFKA_V_HEADERS(headers),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (err != 0)
            rd_kafka_headers_destroy(headers);
        if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(producer, 10);
    } while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    failed += err != 0;
}

static void flush(void)
{
    const rd_kafka_resp_err_t err = rd_kafka_flush(producer, 30000);
    say(err == 0 && failed == 0 ? "ok" : "failed", failed);
    failed = 0;
}

static void produce_many(const char *topic, int partition, long first, long count)
{
    char text[64];
    for (long i = first; i < first + count; i++) {
        const int len = snprintf(text, sizeof(text), "%d:%ld", partition, i);
        produce(topic, partition, NULL, NULL, text, (size_t)len);
        rd_kafka_poll(producer, 0);
    }
    flush();
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* A poll ends with the first thing that it serves. */
static void poll_for(int ms)
{
    const int64_t end = now_ms() + ms;
    for (int64_t left = ms; left > 0; left = end - now_ms())
        rd_kafka_poll(producer, (int)left);
}

static void *flood(void *arg)
{
    char text[64];
    for (flood_rounds = 0; atomic_load(&flooding); flood_rounds++) {
        for (int p = 0; p < (int)flood_partitions; p++) {
            const int len = snprintf(text, sizeof(text), "%d:%ld", p, flood_rounds);
            produce(flood_topic, p, NULL, NULL, text, (size_t)len);
        }
        poll_for(flood_pause_ms);
    }
    return NULL;
}

static void begin_flood(const char *topic, long partitions, long per_second)
{
    snprintf(flood_topic, sizeof(flood_topic), "%s", topic);
    flood_partitions = partitions;
    flood_pause_ms = (int)(1000 * partitions / per_second);
    atomic_store(&flooding, true);
    say("ok", pthread_create(&flooder, NULL, flood, NULL));
}

static void end_flood(void)
{
    atomic_store(&flooding, false);
    pthread_join(flooder, NULL);
    const rd_kafka_resp_err_t err = rd_kafka_flush(producer, 60000);
    say(err == 0 && failed == 0 ? "ok" : "failed", flood_rounds);
}

static void tell_end(const char *topic, int partition)
{
    int64_t low, high;
    const rd_kafka_resp_err_t err =
        rd_kafka_query_watermark_offsets(producer, topic, partition, &low, &high, 10000);
    say(err == 0 ? "ok" : "failed", (long)high);
}

static void produce_large(const char *topic, int partition, size_t bytes)
{
    char *text = malloc(bytes);
    memset(text, 'x', bytes);
    produce(topic, partition, NULL, NULL, text, bytes);
    free(text);
    flush();
}

static void tell_committed(const char *group, const char *topic, int partition)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(l, topic, partition);
    const rd_kafka_resp_err_t err = rd_kafka_committed(rk, l, 5000);
    say(err == 0 ? "ok" : "failed", err == 0 ? (long)l->elems[0].offset : (long)err);
    rd_kafka_topic_partition_list_destroy(l);
    rd_kafka_destroy(rk);
}

static void set_all(rd_kafka_resp_err_t (*how)(rd_kafka_mock_cluster_t *c, int32_t broker))
{
    for (int i = 1; i <= brokers; i++)
        how(cluster, i);
    say("ok", 0);
}

static void obey(const char *line)
{
    char a[300], b[300], c[300], d[300];
    long x, y, z;
    if (sscanf(line, "topic %299s %ld", a, &x) == 2)
        say("ok", rd_kafka_mock_topic_create(cluster, a, (int)x, 1));
    else if (sscanf(line, "error %299s %ld", a, &x) == 2) {
        rd_kafka_mock_topic_set_error(cluster, a, (rd_kafka_resp_err_t)x);
        say("ok", 0);
    } else if (sscanf(line, "produce %299s %ld %ld %ld", a, &x, &y, &z) == 4)
        produce_many(a, (int)x, y, z);
    else if (sscanf(line, "message %299s %ld %299s %299s %299s", a, &x, b, c, d) == 5) {
        produce(a, (int)x, strcmp(b, "-") ? b : NULL, strcmp(c, "-") ? c : NULL, d, strlen(d));
        flush();
    } else if (sscanf(line, "large %299s %ld %ld", a, &x, &y) == 3)
        produce_large(a, (int)x, (size_t)y);
    else if (sscanf(line, "committed %299s %299s %ld", a, b, &x) == 3)
        tell_committed(a, b, (int)x);
    else if (sscanf(line, "flood %299s %ld %ld", a, &x, &y) == 3)
        begin_flood(a, x, y);
    else if (strcmp(line, "flooded\n") == 0)
        end_flood();
    else if (sscanf(line, "end %299s %ld", a, &x) == 2)
        tell_end(a, (int)x);
    else if (strcmp(line, "down\n") == 0)
        set_all(rd_kafka_mock_broker_set_down);
    else if (strcmp(line, "up\n") == 0)
        set_all(rd_kafka_mock_broker_set_up);
    else
        say("unknown", 0);
}

int main(int argc, char **argv)
{
    char why[256], line[2048];
    brokers = argc > 1 ? atoi(argv[1]) : 1;
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof(why));
    cluster = rd_kafka_mock_cluster_new(host, brokers);
    bootstraps = rd_kafka_mock_cluster_bootstraps(cluster);
    producer = client(RD_KAFKA_PRODUCER, NULL);
    printf("%s\n", bootstraps);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL)
        obey(line);
    return 0;
}
