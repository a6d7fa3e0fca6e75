/* topic_backend.c - the table of kinds of topics. */
#include "pawl/topic.h"
#include "base/check.h"
#include "core/topic.h"
#include <string.h>

const struct topic_backend *const topic_backends[] = {
    &topic_embedded,
#ifdef PAWL_KAFKA
    &topic_kafka,
#endif
#ifdef PAWL_NATS
    &topic_nats,
#endif
    NULL,
};

/* Prefixes that a pawl may know, and what it takes that this one does. Those of backends above come first. */
static const struct {
    const char *prefix, *how;
} absent[] = {
    {"kafka:", "this pawl was built without Kafka topics: install librdkafka-dev and build it with "
               "-Dkafka=enabled"},
    {"nats:", "this pawl was built without NATS JetStream topics: install libnats-dev and build it "
              "with -Dnats=enabled"},
};

static bool begins_with(struct slice s, const char *prefix)
{
    const size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.p, prefix, len) == 0;
}

static const struct topic_backend *find(struct slice topic)
{
    const struct topic_backend *plain = NULL;
    for (const struct topic_backend *const *b = topic_backends; *b != NULL; b++) {
        if ((*b)->prefix[0] == '\0')
            plain = *b;
        else if (begins_with(topic, (*b)->prefix))
            return *b;
    }
    return plain;
}

const struct topic_backend *topic_backend_of(struct slice topic, struct diag *reterr)
{
    const struct topic_backend *b = find(topic);
    for (size_t i = 0; b->prefix[0] == '\0' && i < ARRAY_SIZE(absent); i++)
        if (begins_with(topic, absent[i].prefix)) {
            diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s", absent[i].how);
            return NULL;
        }
    return b->check(topic, reterr) == 0 ? b : NULL;
}

struct slice topic_meant(const struct broker_settings *b, struct slice topic)
{
    const char *name;
    json_t *other;
    if (b != NULL && b->topics != NULL)
        json_object_foreach(b->topics, name, other)
        {
            if (slice_is(topic, name))
                return slice_of(json_string_value(other));
        }
    return topic;
}

int topic_meant_check(const struct broker_settings *b, struct diag *reterr)
{
    const char *name;
    json_t *other;
    struct diag why;
    if (b == NULL || b->topics == NULL)
        return 0;
    json_object_foreach(b->topics, name, other)
    {
        if (!topic_name_valid(slice_of(name)))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "topics: '%s' " TOPIC_NAME_RULE, name);
        const struct topic_backend *t =
            json_is_string(other) ? topic_backend_of(slice_of(json_string_value(other)), &why)
                                  : NULL;
        if (t == NULL && json_is_string(other))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT, "topics.%s: %s", name, why.msg);
        if (t == NULL || t == &topic_embedded)
            return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                            "topics.%s: must be a broker's topic, such as nats:orders.new", name);
    }
    return 0;
}
