/* nats_wire.h - what pawl and a JetStream server say to each other, as text. Pure.
 *
 * A delivered message's reply subject tells what it is, and takes its acknowledgement:
 *
 *     $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>
 *     $JS.ACK.<domain>.<account>.<stream>.<consumer>. ... and possibly a token at its end
 *
 * `consumer seq` counts the consumer's deliveries to anybody, one by one: a gap says that somebody else got some.
 */
#ifndef SOURCE_NATS_WIRE_H
#define SOURCE_NATS_WIRE_H
#include "base/str.h"
#include "pawl/err.h"
#include "pawl/time.h"
#include <stdbool.h>
#include <stdint.h>

#define NATS_SUBJECT_LEN_MAX 200
#define NATS_NAME_SIZE 256 /* of streams and consumers, with a NUL */

/* 1 to NATS_SUBJECT_LEN_MAX printable bytes in tokens separated by dots; '*' is a whole token, '>' the last one. */
bool nats_subject_valid(struct slice subject);

struct nats_delivery {
    struct slice consumer;
    uint64_t seq;   /* in the stream */
    uint64_t count; /* the consumer's deliveries so far */
    uint64_t time_ns; /* when the stream got it */
    uint64_t pending; /* messages behind it that are still to be delivered */
};
bool nats_delivery_parse(struct slice reply, struct nats_delivery *ret);

/* The name that a consumer of this topic has, from a hash that is its daemon's own. */
void nats_consumer_name(struct slice topic, const uint8_t hash[8], char ret[NATS_NAME_SIZE]);

/* Requests. */
struct nats_consumer_config {
    const char *stream, *name, *subject;
    struct wall since; /* messages from then on */
    bool all;          /* whatever the stream has: a work queue refuses anything else */
    uint64_t first_seq; /* instead of the time; 0: none */
    uint64_t ack_wait_ms, ack_pending_max;
};
void nats_write_lookup(struct slice subject, struct str *ret);
void nats_write_message_request(uint64_t seq, struct str *ret);
void nats_write_consumer(const struct nats_consumer_config *c, struct str *ret);

/* Answers. An answer that is an error gives -EINVAL with its description, -ENOENT when the stream, the consumer or
 * the message is not there. */
struct nats_stream_info {
    char created[64]; /* as the server writes it */
    bool work_queue;
    bool interest; /* a message that no consumer waits for is removed */
    uint64_t last_seq; /* of all messages it ever had; 0: none */
};
struct nats_consumer_info {
    uint64_t delivered_seq, delivered_count; /* the last one */
    uint64_t unacknowledged;
    uint64_t pending; /* to be delivered */
    uint64_t ack_wait_ms; /* until what was not acknowledged comes again; 0: it is not said */
};
/* The time of a message, without what is below a millisecond. */
int nats_read_message_time(struct slice answer, struct wall *ret, struct diag *reterr);
int nats_read_lookup(struct slice answer, char ret_stream[NATS_NAME_SIZE], struct diag *reterr);
int nats_read_stream(struct slice answer, struct nats_stream_info *ret, struct diag *reterr);
int nats_read_consumer(struct slice answer, struct nats_consumer_info *ret, struct diag *reterr);

#endif
