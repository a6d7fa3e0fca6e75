/* properties.h - what a consumer is configured with: the operator's properties of librdkafka, and those that are pawl's. */
#ifndef IO_KAFKA_PROPERTIES_H
#define IO_KAFKA_PROPERTIES_H
#include "base/json.h"
#include "pawl/err.h"
#include <librdkafka/rdkafka.h>

/* Any thread. Reads the object only. The configuration of a consumer; NULL with *reterr, which names the property as `kafka.NAME: ...` and shows
 * no secret. `properties` is an object, or NULL: none. */
rd_kafka_conf_t *kafka_conf_make(const char *brokers, const char *group, const json_t *properties,
                                 struct diag *reterr);

/* Whether such a configuration can be made: 0, or -EINVAL with *reterr. Loads the library. */
int kafka_properties_check(const char *brokers, const json_t *properties, struct diag *reterr);

#endif
