/* consumer_internal.h - what consumer.c (on the loop) and consumer_work.c (on a worker's thread) share. Nobody else includes it. */
#ifndef IO_KAFKA_CONSUMER_INTERNAL_H
#define IO_KAFKA_CONSUMER_INTERNAL_H
#include "io/kafka/consumer.h"
#include "io/kafka/librdkafka.h"
#include "io/loop/worker.h"

struct kafka_consumer {
    struct kafka_consumer_options opt;
    char *brokers, *topic, *group;
    uv_poll_t poll;
    int fd;
    rd_kafka_event_t *event; /* what was taken last */
    int32_t *partitions;     /* the same, of an assignment */
    bool busy;
    void (*closed)(void *arg);
    void *closed_arg;

    /* the worker's thread's while a job is under way, else the loop's */
    struct worker_job job;
    int (*work)(struct kafka_consumer *c);
    const struct librdkafka *lib;
    rd_kafka_t *rk; /* NULL: not open */
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *rkt;
    struct kafka_place *places;
    size_t count;
    bool fresh, ended, *ret_known;
    int err;
    struct diag why;
};

/* ---- the jobs, on a worker's thread: 0, or negative with c->why ---- */

int consumer_work_open(struct kafka_consumer *c);
int consumer_work_look_up(struct kafka_consumer *c);
int consumer_work_place(struct kafka_consumer *c);
int consumer_work_release(struct kafka_consumer *c);
int consumer_work_probe(struct kafka_consumer *c);
int consumer_work_close(struct kafka_consumer *c);

#endif
