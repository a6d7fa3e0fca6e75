/* topic_embedded.h - what publishing tells the backend of embedded topics. */
#ifndef SOURCE_TOPIC_EMBEDDED_H
#define SOURCE_TOPIC_EMBEDDED_H
#include "base/str.h"
#include <stdint.h>

struct topic_link;

/* A request was repeated, and n messages were not published again. Counted while somebody listens to the topic. */
void embedded_published_again(struct topic_link *l, struct slice topic, uint64_t n);

#endif
