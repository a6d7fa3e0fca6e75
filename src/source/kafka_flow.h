/* kafka_flow.h - one Kafka topic that triggers listen to: from its messages to events, from commits to the group's offsets.
 *
 * What is read, where it begins and what of it is done is kafka_parts.h's. Here is when:
 *
 *     OPENING ──> WAITING ──assigned──> PLACING ──> FLOWING ──revoked──> RELEASING ──> WAITING
 *                                          ^           │
 *                                          └──a commit failed, an offset is not there: when nothing is in flight
 *
 *   OPENING    the consumer is made, on a thread
 *   WAITING    a member of the group without partitions
 *   PLACING    the brokers say what they have and what the group has committed; where a partition begins is recorded; then it is placed
 *   FLOWING    messages are fed; FLOW_WINDOW of them at most are on their way to the disk, and more are not taken then
 *   RELEASING  what is in flight settles, its offsets are committed, the partitions are given back
 */
#ifndef SOURCE_KAFKA_FLOW_H
#define SOURCE_KAFKA_FLOW_H
#include "base/str.h"
#include "pawl/host.h"
#include <stdatomic.h>
#include <stdbool.h>

struct kafka_flow;
struct worker;

#define FLOW_WINDOW 4096                   /* messages between feed and commit, and: */
#define FLOW_WINDOW_BYTES (8 << 20)
#define FLOW_MESSAGE_BYTES_MAX (1 << 20)   /* a larger one makes no event; that is logged */
#define FLOW_KEY_LEN_MAX 255               /* a key that is longer, or no UTF-8, is left out */

/* `topic` with its prefix. fresh: it was not listened to when the daemon started: it begins with what is published from now on. `hurry` as
 * in io/kafka/consumer.h. NULL when the system has no descriptor left. */
struct kafka_flow *kafka_flow_create(struct host *h, struct worker *w, const char *topic, bool fresh,
                                     const atomic_bool *hurry);

bool kafka_flow_ready(struct kafka_flow *f, const char **ret_why); /* why: good until the next call into the loop */

void kafka_flow_stats(struct kafka_flow *f, struct topic_stats *ret);

/* Nothing is fed from now on. Waits for what is in flight, leaves the group, frees f, then calls closed. `ended`: nobody listens any more, and
 * who listens again later begins at the end. */
void kafka_flow_close(struct kafka_flow *f, bool ended, void (*closed)(void *arg), void *arg);

#endif
