#include "io/kafka/properties.h"
#include "base/check.h"
#include "io/kafka/librdkafka.h"
#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>

#define NUMBER_TEXT_SIZE 32

/* What is pawl's: positions are in its database, and an offset is committed when they say so. */
static const struct {
    const char *name, *instead; /* NULL: nothing */
} owned[] = {
    {"bootstrap.servers", "kafka_brokers"},
    {"metadata.broker.list", "kafka_brokers"},
    {"group.id", "kafka_group_prefix"},
    {"group.instance.id", NULL},
    {"enable.auto.commit", NULL},
    {"auto.commit.enable", NULL},
    {"enable.auto.offset.store", NULL},
    {"auto.offset.reset", NULL},
    {"enable.partition.eof", NULL},
    {"enabled_events", NULL},
    {"max.poll.interval.ms", NULL},
    {"offset.store.method", NULL},
    {"partition.assignment.strategy", NULL},
    {"log.queue", NULL},
    {"debug", NULL},
    {"statistics.interval.ms", NULL},
};

/* In front of the operator's: memory is bounded; new topics, and brokers and members that come or go, are noticed soon. The last two
 * also bound how long a consumer can take to end, as it waits for what it has asked. */
static const char *const defaults[][2] = {
    {"client.id", "pawl"},
    {"queued.min.messages", "10000"},
    {"queued.max.messages.kbytes", "4096"},
    {"fetch.max.bytes", "4194304"},
    {"topic.metadata.refresh.interval.ms", "10000"},
    {"reconnect.backoff.max.ms", "2000"},
    {"session.timeout.ms", "10000"},
    {"socket.timeout.ms", "10000"},
};

/* Behind them. An offset that is out of range is for pawl to decide about. */
static const char *const fixed[][2] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"partition.assignment.strategy", "range,roundrobin"},
};

static int check_owned(const char *name, struct diag *reterr)
{
    for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
        if (strcmp(name, owned[i].name) != 0)
            continue;
        if (owned[i].instead != NULL)
            return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                            "kafka.%s: is set by pawl; the setting for it is %s", name,
                            owned[i].instead);
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "kafka.%s: is set by pawl, and cannot be changed", name);
    }
    return 0;
}

/* A scalar as librdkafka wants it; NULL when it is none. */
static const char *text_of(const json_t *value, char buf[NUMBER_TEXT_SIZE])
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    if (json_is_integer(value))
        snprintf(buf, NUMBER_TEXT_SIZE, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(buf, NUMBER_TEXT_SIZE, "%.15g", json_real_value(value));
    else
        return NULL;
    return buf;
}

static bool is_secret(const char *name)
{
    return strstr(name, "password") != NULL || strstr(name, "secret") != NULL ||
           strstr(name, "pem") != NULL || strstr(name, "oauthbearer") != NULL;
}

static int set(const struct librdkafka *lib, rd_kafka_conf_t *conf, const char *name,
               const char *value, struct diag *reterr)
{
    char why[256];
    const rd_kafka_conf_res_t res = lib->conf_set(conf, name, value, why, sizeof(why));
    if (res == RD_KAFKA_CONF_OK)
        return 0;
    if (res == RD_KAFKA_CONF_UNKNOWN)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "kafka.%s: is not a property of this librdkafka", name);
    return diag_set(reterr, DIAG_INVALID_ARGUMENT, "kafka.%s: %s", name,
                    is_secret(name) ? "is not valid" : why);
}

static int set_all(const struct librdkafka *lib, rd_kafka_conf_t *conf,
                   const char *const (*rows)[2], size_t n, struct diag *reterr)
{
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++)
        err = set(lib, conf, rows[i][0], rows[i][1], reterr);
    return err;
}

static int set_operators(const struct librdkafka *lib, rd_kafka_conf_t *conf,
                         const json_t *properties, struct diag *reterr)
{
    /* iterating does not change the object */
    json_t *object = (json_t *)properties, *value;
    const char *name;
    char buf[NUMBER_TEXT_SIZE];
    json_object_foreach(object, name, value)
    {
        const char *text = text_of(value, buf);
        if (check_owned(name, reterr) < 0)
            return -EINVAL;
        if (text == NULL)
            return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                            "kafka.%s: must be a text, a number, or true or false", name);
        if (set(lib, conf, name, text, reterr) < 0)
            return -EINVAL;
    }
    return 0;
}

static int set_pawls(const struct librdkafka *lib, rd_kafka_conf_t *conf, const char *brokers,
                     const char *group, struct diag *reterr)
{
    const char *const rows[][2] = {{"bootstrap.servers", brokers}, {"group.id", group}};
    if (set_all(lib, conf, fixed, ARRAY_SIZE(fixed), reterr) < 0)
        return -EINVAL;
    return set_all(lib, conf, rows, ARRAY_SIZE(rows), reterr);
}

/* Nobody reads librdkafka's log: what matters comes as an event. */
rd_kafka_conf_t *kafka_conf_make(const char *brokers, const char *group, const json_t *properties,
                                 struct diag *reterr)
{
    const struct librdkafka *lib = librdkafka_load(reterr);
    if (lib == NULL)
        return NULL;
    rd_kafka_conf_t *conf = lib->conf_new();
    if (set_all(lib, conf, defaults, ARRAY_SIZE(defaults), reterr) < 0 ||
        set_operators(lib, conf, properties, reterr) < 0 ||
        set_pawls(lib, conf, brokers, group, reterr) < 0) {
        lib->conf_destroy(conf);
        return NULL;
    }
    lib->conf_set_log_cb(conf, NULL);
    return conf;
}

int kafka_properties_check(const char *brokers, const json_t *properties, struct diag *reterr)
{
    rd_kafka_conf_t *conf = kafka_conf_make(brokers, "check", properties, reterr);
    if (conf == NULL)
        return -EINVAL;
    librdkafka_load(NULL)->conf_destroy(conf);
    return 0;
}
