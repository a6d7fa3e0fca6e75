/* librdkafka.h - librdkafka, loaded when a topic needs it first.
 *
 * Linked, it and the twenty libraries it brings would cost every idle daemon megabytes: so the functions in use are a table that
 * librdkafka_load() fills, as io/curl/libcurl.h does. It blocks for some ten milliseconds the first time. Any thread may call it.
 */
#ifndef IO_KAFKA_LIBRDKAFKA_H
#define IO_KAFKA_LIBRDKAFKA_H
#include "pawl/err.h"
#include <librdkafka/rdkafka.h>

#define LIBRDKAFKA_FUNCTIONS(X)                                                                                                \
    X(conf_new) X(conf_set) X(conf_destroy) X(conf_set_events) X(conf_set_log_cb)                                              \
    X(new) X(destroy_flags) X(poll_set_consumer) X(err2str)                                                                    \
    X(queue_new) X(queue_get_consumer) X(queue_poll) X(queue_io_event_enable) X(queue_destroy)                                 \
    X(event_type) X(event_message_next) X(event_error) X(event_error_string) X(event_topic_partition_list) X(event_destroy)    \
    X(message_headers) X(header_get_all)                                                                                       \
    X(topic_partition_list_new) X(topic_partition_list_add) X(topic_partition_list_destroy) X(mem_malloc)                      \
    X(subscribe) X(assign) X(assignment_lost) X(committed) X(query_watermark_offsets) X(get_watermark_offsets) X(commit_queue) \
    X(topic_new) X(topic_destroy) X(metadata) X(metadata_destroy)                                                              \
    X(consumer_close_queue) X(consumer_closed) X(error_destroy)

struct librdkafka {
#define LIBRDKAFKA_FIELD(name) __typeof__(rd_kafka_##name) *name;
    LIBRDKAFKA_FUNCTIONS(LIBRDKAFKA_FIELD)
#undef LIBRDKAFKA_FIELD
};

/* The table, the same one each time; or NULL with *reterr, the same reason each time. It is never unloaded. */
const struct librdkafka *librdkafka_load(struct diag *reterr);

#endif
