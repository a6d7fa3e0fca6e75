/* consumer.h - a member of a Kafka consumer group, for one topic, on the loop.
 *
 * librdkafka's queue wakes the loop through an eventfd. What it has is taken piece by piece with kafka_take(), which never blocks. All that
 * can block is a job of a worker's thread: open, look up, place, release, probe, close. At most one job of a consumer is under way,
 * and nothing may be taken meanwhile; its end is told on the loop.
 *
 *     kafka_consumer_create ─> open ─> ASSIGNED ─> look up ─> place ─> MESSAGE ... ─> REVOKED ─> release ─> ASSIGNED ...
 *                                                     <── again, from another offset ──┘           any time: close
 */
#ifndef IO_KAFKA_CONSUMER_H
#define IO_KAFKA_CONSUMER_H
#include "base/json.h"
#include "base/str.h"
#include "pawl/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct kafka_consumer;
struct worker;

#define KAFKA_TIMEOUT_MS 2000 /* of one question to the brokers */
#define KAFKA_CLOSE_MS 3000   /* to leave the group */

/* A partition that the group has given to this member. */
struct kafka_place {
    int32_t partition;
    int64_t next; /* place: where to begin; release and commit: what is committed, where it is not negative */
    /* from look up: */
    int64_t low, high;  /* the first offset that is kept, and the one that the next message will get */
    int64_t committed;  /* by the group; negative: none */
    bool ended;         /* it was committed when somebody stopped listening (kafka_consumer_close) */
};

enum kafka_news_type {
    KAFKA_NOTHING,   /* for now; woken() will be called */
    KAFKA_IDLE,      /* nothing of interest; there may be more */
    KAFKA_MESSAGE,
    KAFKA_ASSIGNED,  /* partitions; look them up and place them */
    KAFKA_REVOKED,   /* all of them; release them soon: the group waits */
    KAFKA_COMMITTED, /* what kafka_commit() asked for; err when it was not */
    KAFKA_MISPLACED, /* a partition's offset is not there: look up again */
    KAFKA_TROUBLE,   /* text; a broker cannot be reached, for instance. It may be over by itself */
    KAFKA_AWAY,      /* text; no broker can be reached */
};

struct kafka_news {
    enum kafka_news_type type;
    int err;
    const char *text;
    /* MESSAGE: */
    int32_t partition;
    int64_t offset;
    struct slice payload, key, content_type;
    /* ASSIGNED: */
    const int32_t *partitions;
    size_t count;
};

struct kafka_consumer_options {
    uv_loop_t *loop;
    struct worker *worker;
    const char *brokers, *topic, *group; /* copied */
    json_t *properties;                  /* NULL: none. Kept a reference; nobody changes it */
    const atomic_bool *hurry; /* set when the daemon is ending and its time is over: nobody is asked any more */
    void (*woken)(void *arg);                          /* something may be taken */
    void (*done)(void *arg, int err, const char *why); /* a job is over; why: one sentence when err is not 0 */
    void *arg;
};

struct kafka_consumer *kafka_consumer_create(const struct kafka_consumer_options *opt);

/* ---- jobs: done() follows, once, later ---- */
void kafka_open(struct kafka_consumer *c); /* joins the group; -EINVAL: it cannot be made. Then it may be asked for again */
/* The places stay where they are until done(). `fresh`: nobody here has listened before, so an `ended` place begins at its end, and the
 * group is told so. *ret_known: the group has been here before, if perhaps not in these partitions. */
void kafka_look_up(struct kafka_consumer *c, struct kafka_place *places, size_t n, bool fresh,
                   bool *ret_known);
void kafka_place(struct kafka_consumer *c, struct kafka_place *places, size_t n);
void kafka_release(struct kafka_consumer *c, struct kafka_place *places, size_t n); /* commits, too; never fails */
void kafka_probe(struct kafka_consumer *c); /* whether the brokers can be reached and have the topic */

/* Commits the places, leaves the group and frees c; then closed, on the loop. No job may be under way. `ended`: nobody listens any more. */
void kafka_consumer_close(struct kafka_consumer *c, struct kafka_place *places, size_t n, bool ended,
                          void (*closed)(void *arg), void *arg);

/* ---- at once ---- */
struct kafka_news kafka_take(struct kafka_consumer *c); /* borrowed until the next one, or the next job */
void kafka_wake(struct kafka_consumer *c);              /* woken() follows, later */
/* The offset behind a partition's last message, as the brokers said with what was fetched last; negative: they have not. */
int64_t kafka_end_seen(struct kafka_consumer *c, int32_t partition);
bool kafka_commit(struct kafka_consumer *c, const struct kafka_place *places, size_t n); /* COMMITTED follows; false: it does not */

#endif
