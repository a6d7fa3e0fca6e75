/* protobuf.h - finding a field in a message of Protocol Buffers, for the few things that are sent to us that way. */
#ifndef BASE_PROTOBUF_H
#define BASE_PROTOBUF_H
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

/* The first field with that number that holds bytes: a text, or a message in a message. Borrowed. False: there is none, or what comes before it is
 * no message. */
bool protobuf_field(struct slice message, uint64_t number, struct slice *ret);

#endif
