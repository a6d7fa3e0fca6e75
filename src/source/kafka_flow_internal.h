/* kafka_flow_internal.h - what kafka_flow.c and kafka_flow_take.c share. Nobody else includes it.
 *
 *     kafka_flow.c        what is next: the jobs, the order in which all happens, life
 *     kafka_flow_take.c   what the consumer has for us: messages, news of the group, troubles
 */
#ifndef SOURCE_KAFKA_FLOW_INTERNAL_H
#define SOURCE_KAFKA_FLOW_INTERNAL_H
#include "io/kafka/consumer.h"
#include "io/loop/timers.h"
#include "source/closing.h"
#include "source/kafka_flow.h"
#include "source/kafka_parts.h"

#define FLOW_STORE_FULL "the store cannot take messages"

enum flow_state { FLOW_OPENING, FLOW_WAITING, FLOW_PLACING, FLOW_FLOWING, FLOW_RELEASING };

enum flow_job {
    JOB_NONE,
    JOB_OPEN,
    JOB_LOOK_UP,
    JOB_PLACE,
    JOB_PAUSE,
    JOB_RELEASE,
    JOB_PROBE,
    JOB_CLOSE
};

struct kafka_flow {
    struct host *host;
    struct kafka_consumer *consumer;
    char *topic; /* with its prefix */
    enum flow_state state;
    enum flow_job job;
    struct kafka_parts parts;
    bool misplaced; /* the partitions are to be placed again when nothing is in flight, and `retry` is over */
    bool paused;    /* and until then nothing is fetched */
    bool recording; /* the tickets in flight are of where partitions begin */
    bool revoked;
    bool suspect; /* is to be probed */
    bool away;    /* the last probe said so */
    bool committing;
    struct kafka_news held; /* type MESSAGE: was taken, but there was no room */
    unsigned holds;
    uint64_t retry_ms;
    struct timer retry; /* set: nothing is placed or opened before it fires */
    struct timer hold, commit, tick;
    uint64_t passed_over; /* messages that were too large */
    char why[480];        /* the last trouble */
    bool ended;
    struct closing closing;
};

/* ---- kafka_flow.c ---- */

void flow_say(struct kafka_flow *f, const char *why);
void flow_misplace(struct kafka_flow *f, const char *why); /* the partitions are to be placed again, a little later */
void flow_set_away(struct kafka_flow *f, bool away);

/* ---- kafka_flow_take.c ---- */

/* What kafka_take() has said. Not while a job is under way. */
void flow_take(struct kafka_flow *f, const struct kafka_news *n);

/* A message that is held has to go first, unless it is not wanted any more. */
void flow_offer_held(struct kafka_flow *f);
void flow_drop_held(struct kafka_flow *f);

/* The time has come to tell the group what is settled. */
void flow_commit_due(struct timer *t);

#endif
