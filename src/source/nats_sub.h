/* nats_sub.h - one topic of NATS JetStream that triggers listen to: its consumer, and the messages between the server and the journal.
 *
 * The consumer is durable, is pulled from, and wants every message acknowledged. A message is acknowledged after the commit that holds its
 * event, and that commit holds its stream sequence, too, so one that is delivered again is acknowledged and makes nothing.
 *
 * That position only grows, so messages are fed in the order of the stream, and none may be overtaken. Two things see to that:
 * - A session begins by asking the server how many messages it has delivered that nobody acknowledged: these are waited for (they come
 *   again after NATS_ACK_WAIT_MS), and are fed in their order before anything newer.
 * - The server counts the consumer's deliveries. A gap means that something went to somebody else, such as a connection of an earlier life
 *   that the server still believed in: then the session begins again. So it does when the count goes back.
 *
 * Sequences come again for other messages when a server has lost its stream's end, as in a power failure. A session begins by looking: the stream
 * ends before the position, or has another message there (its time is kept with the position). Then the position goes back to
 * the beginning, and the consumer, which may be beyond the stream's end, is made anew, for what came after that time. A stream that was deleted and made again has
 * another time of creation, which is part of the position's name; the old one's position is forgotten.
 */
#ifndef SOURCE_NATS_SUB_H
#define SOURCE_NATS_SUB_H
#include "base/str.h"
#include "io/nats/link.h"
#include "pawl/host.h"
#include <stdbool.h>
#include <stdint.h>

#define NATS_PAYLOAD_BYTES_MAX (1 << 20)   /* of one message; a larger one is terminated, and logged */
#define NATS_HELD_MAX 16384                /* messages taken from the server and not acknowledged, per topic */
#define NATS_HELD_BYTES_MAX (16u << 20)    /* likewise */
#define NATS_ACK_WAIT_MS 2000              /* then the server delivers again what was not acknowledged */

/* What all topics of the daemon share. */
struct nats_hub {
    struct host *host;
    struct nats_link *link;
    char inbox[64];
    bool up;
    bool stopping; /* topics end one after the other, nothing is begun */
    char why[256]; /* the link is down */
};

struct nats_sub;
struct nats_delivery; /* source/nats_wire.h */

/* ended() is called once, later or from inside of the functions below, after the topic is not wanted any more or everything
 * stops: then it is to be destroyed. */
struct nats_sub *nats_sub_create(struct nats_hub *hub, struct slice topic, uint32_t id,
                                 void (*ended)(void *arg), void *arg);
void nats_sub_destroy(struct nats_sub *s);

const char *nats_sub_topic(const struct nats_sub *s);
const char *nats_sub_consumer(const struct nats_sub *s); /* its name */

void nats_sub_up(struct nats_sub *s);   /* the link is */
void nats_sub_down(struct nats_sub *s);
void nats_sub_unanswered(struct nats_sub *s); /* nobody answers some request, maybe this topic's */
void nats_sub_want(struct nats_sub *s, bool wanted); /* false: the consumer is deleted; true takes that back */
void nats_sub_stop(struct nats_sub *s); /* no more is fed; the consumer stays */

bool nats_sub_ready(const struct nats_sub *s, const char **ret_why);
void nats_sub_stats(const struct nats_sub *s, struct topic_stats *ret);

/* Both take the message. */
void nats_sub_deliver(struct nats_sub *s, const struct nats_message *m, const struct nats_delivery *d);
void nats_sub_answer(struct nats_sub *s, uint64_t number, const struct nats_message *m); /* to <inbox>.<id>.<number> */

#endif
