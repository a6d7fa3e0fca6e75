/* topic.h - embedded topics: durable streams of messages in the store, ordered, each message with its offset.
 *
 * A message is an event and a number: its topic's key in the high bits, its offset in the low ones. So the messages of a topic stand
 * together in the store, in their order, and adding one touches the end of that only. The messages are not in memory: a
 * topic is its name, its retention, and where its next message goes.
 */
#ifndef CORE_TOPIC_H
#define CORE_TOPIC_H
#include "base/str.h"
#include "base/uuid.h"
#include "pawl/event.h"
#include "pawl/time.h"
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#define TOPIC_NAME_LEN_MAX 127
#define TOPIC_NAME_RULE "must be 1 to 127 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"

#define TOPICS_MAX 10000 /* at the same time */
#define TOPIC_OFFSET_BITS 40
#define TOPIC_KEY_MAX (INT64_C(1) << (62 - TOPIC_OFFSET_BITS)) /* topics ever made in one database */

#define RETENTION_DEFAULT UINT64_MAX /* what the daemon's configuration says */

/* What publishing and changing a topic change. */
struct topic_state {
    uint64_t next_offset;
    uint64_t total;             /* bytes of all messages it ever had */
    uint64_t age_ms, bytes_max; /* retention: 0: no limit; RETENTION_DEFAULT */
    struct wall updated_at;
};

struct topic {
    int64_t key; /* row key, small */
    char *name;
    struct wall created_at;
    struct topic_state state;
    uint64_t undo_batch; /* the batch whose undo log says where it was before the batch's messages */
    UT_hash_handle hh;
};

/* A topic of any kind, embedded or outside, and how many triggers listen to it. */
struct subscribed {
    char *topic;
    uint32_t triggers; /* > 0 */
    UT_hash_handle hh;
};

/* How far a subscription has come in one partition. */
struct stream_position {
    char *name; /* the partition's number, a blank, the subscription */
    uint64_t at, mark;
    bool known; /* there is a first one */
    uint64_t effect_batch; /* the batch that holds effect */
    struct effect *effect;
    UT_hash_handle hh;
};

bool topic_name_valid(struct slice name);

/* A message's number, and its parts. */
int64_t message_number(int64_t topic_key, uint64_t offset);
int64_t message_topic(int64_t number);
uint64_t message_offset(int64_t number);

/* Offsets of messages that were published together: what a repetition of the request is answered with, in a dedupe_run's place. */
struct message_span {
    uint64_t offset, count;
};
struct uuid message_span_encode(struct message_span s);
struct message_span message_span_decode(struct uuid u);

void topic_destroy(struct topic *t); /* NULL is fine */
void positions_release(struct stream_position **all);

#endif
