/* kafka_parts.h - the partitions of a Kafka topic that are ours: where each begins, what of it is on its way to the disk, what is there.
 *
 * The truth is a position in pawl's database for each of them, written in the commit that holds the event: the offset of the next message,
 * so that it can also say where a subscription began. What the group is told follows it.
 *
 *     assign ─> (the brokers fill in `places`) ─> begin ─> feed, feed ... ─> offsets ─> (the group is told) ─> drop
 *
 * Positions grow, but for a topic that was made anew: it begins again with offset 0, and its position goes back with it.
 */
#ifndef SOURCE_KAFKA_PARTS_H
#define SOURCE_KAFKA_PARTS_H
#include "io/kafka/consumer.h"
#include "pawl/event.h"
#include "pawl/host.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kafka_part {
    int32_t partition;
    bool again;      /* what is fed next takes the position back */
    int64_t next;    /* the offset that is fed next; negative: not known */
    int64_t settled; /* up to here all is on disk; negative: nothing is known */
    bool dirty;      /* and the group has not been told */
};

/* Embed it. {.host, .topic, .settled, .fresh} with the others zero is a valid one without an assignment. */
struct kafka_parts {
    struct host *host;
    char *topic; /* with its prefix; the owner's */
    /* Something fed is on disk, or (err not 0) is not and never will be. */
    void (*settled)(struct kafka_parts *ps, int err);
    bool fresh; /* it was not listened to before: it begins with what is published from now on */
    bool known; /* it was, by us or by another member of the group */
    struct kafka_part *items; /* NULL: none were assigned, which is less than an assignment without any */
    struct kafka_place *places; /* as many; a job's, and what is committed */
    size_t count;
    size_t in_flight, in_flight_bytes; /* fed and not settled; until they are, the items stay */
    uint64_t received, duplicates; /* messages that became events, and those whose position had been passed already */
};

/* The group has given us these. Only when there are none, and nothing is in flight. */
void kafka_parts_assign(struct kafka_parts *ps, const int32_t *partitions, size_t n);
void kafka_parts_drop(struct kafka_parts *ps);
struct kafka_part *kafka_parts_find(struct kafka_parts *ps, int32_t partition); /* NULL: not ours */

/* `places` say what the brokers have: decides where each begins, into `places` again, and feeds what records that. Negative when the engine
 * takes nothing now; what was fed is fed. */
int kafka_parts_begin(struct kafka_parts *ps);

/* Feeds an event with the position that `next` will be fed next. As host->feed; settled() follows when it is not negative. */
int kafka_parts_feed(struct kafka_parts *ps, struct kafka_part *p, struct event *ev, int64_t next);

/* Puts the settled offsets (`all`, or those that the group has not been told) into the places; whether there is one it has not been told,
 * which from now on it has. kafka_parts_untold() takes that back: the group did not hear of it. */
bool kafka_parts_offsets(struct kafka_parts *ps, bool all);
void kafka_parts_untold(struct kafka_parts *ps);
bool kafka_parts_dirty(const struct kafka_parts *ps); /* there is one that the group has not been told */

#endif
