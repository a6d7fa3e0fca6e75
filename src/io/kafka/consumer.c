#include "base/check.h"
#include "base/mem.h"
#include "io/kafka/consumer_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* On the thread. */
static void run(struct worker_job *j, void *thread_state)
{
    struct kafka_consumer *c = container_of(j, struct kafka_consumer, job);
    c->err = atomic_load(c->opt.hurry) && c->work != consumer_work_close ? -ECANCELED : c->work(c);
}

/* ---- jobs, on the loop ---- */

static void drop_event(struct kafka_consumer *c)
{
    if (c->event != NULL)
        c->lib->event_destroy(c->event);
    free(c->partitions);
    c->event = NULL;
    c->partitions = NULL;
}

static void job_done(struct worker_job *j, bool cancelled)
{
    struct kafka_consumer *c = container_of(j, struct kafka_consumer, job);
    CHECK(!cancelled); /* the worker is closed after its consumers */
    c->busy = false;
    c->opt.done(c->opt.arg, c->err, c->why.msg);
}

static void start(struct kafka_consumer *c, int (*work)(struct kafka_consumer *c),
                  struct kafka_place *places, size_t n)
{
    CHECK(!c->busy);
    drop_event(c);
    c->busy = true;
    c->why.msg[0] = '\0';
    c->work = work;
    c->places = places;
    c->count = n;
    CHECK(worker_post(c->opt.worker, &c->job) == 0);
}

void kafka_open(struct kafka_consumer *c)
{
    CHECK(c->rk == NULL);
    start(c, consumer_work_open, NULL, 0);
}

void kafka_look_up(struct kafka_consumer *c, struct kafka_place *places, size_t n, bool fresh,
                   bool *ret_known)
{
    c->fresh = fresh;
    c->ret_known = ret_known;
    start(c, consumer_work_look_up, places, n);
}

void kafka_place(struct kafka_consumer *c, struct kafka_place *places, size_t n)
{
    start(c, consumer_work_place, places, n);
}

void kafka_release(struct kafka_consumer *c, struct kafka_place *places, size_t n)
{
    start(c, consumer_work_release, places, n);
}

void kafka_probe(struct kafka_consumer *c)
{
    start(c, consumer_work_probe, NULL, 0);
}

/* ---- what comes ---- */

static struct slice find_content_type(struct kafka_consumer *c, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t len;
    if (c->lib->message_headers(m, &headers) != 0)
        return SLICE_NONE;
    for (size_t i = 0; c->lib->header_get_all(headers, i, &name, &value, &len) == 0; i++)
        if (slice_is_nocase(slice_of(name), "content-type") && value != NULL)
            return (struct slice){value, len};
    return SLICE_NONE;
}

static struct kafka_news take_message(struct kafka_consumer *c)
{
    const rd_kafka_message_t *m = c->lib->event_message_next(c->event);
    if (m == NULL)
        return (struct kafka_news){.type = KAFKA_IDLE};
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return (struct kafka_news){.type = KAFKA_MISPLACED, .partition = m->partition};
    if (m->err != 0)
        return (struct kafka_news){.type = KAFKA_TROUBLE, .text = c->lib->err2str(m->err)};
    return (struct kafka_news){
        .type = KAFKA_MESSAGE,
        .partition = m->partition,
        .offset = m->offset,
        .payload = {m->payload, m->len},
        .key = {m->key, m->key_len},
        .content_type = find_content_type(c, m),
    };
}

static struct kafka_news take_rebalance(struct kafka_consumer *c)
{
    if (c->lib->event_error(c->event) != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        return (struct kafka_news){.type = KAFKA_REVOKED};
    const rd_kafka_topic_partition_list_t *l = c->lib->event_topic_partition_list(c->event);
    const size_t n = (size_t)l->cnt;
    c->partitions = mem_alloc((n + 1) * sizeof(c->partitions[0]));
    for (size_t i = 0; i < n; i++)
        c->partitions[i] = l->elems[i].partition;
    return (struct kafka_news){.type = KAFKA_ASSIGNED, .partitions = c->partitions, .count = n};
}

static struct kafka_news take_error(struct kafka_consumer *c)
{
    struct kafka_news n = {.type = KAFKA_TROUBLE, .text = c->lib->event_error_string(c->event)};
    switch (c->lib->event_error(c->event)) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        n.type = KAFKA_MISPLACED;
        break;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        n.type = KAFKA_AWAY;
        break;
    default:
        break;
    }
    return n;
}

struct kafka_news kafka_take(struct kafka_consumer *c)
{
    CHECK(!c->busy);
    drop_event(c);
    c->event = c->rk != NULL ? c->lib->queue_poll(c->queue, 0) : NULL;
    if (c->event == NULL)
        return (struct kafka_news){.type = KAFKA_NOTHING};
    switch (c->lib->event_type(c->event)) {
    case RD_KAFKA_EVENT_FETCH:
        return take_message(c);
    case RD_KAFKA_EVENT_REBALANCE:
        return take_rebalance(c);
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        return (struct kafka_news){.type = KAFKA_COMMITTED,
                                   .err = c->lib->event_error(c->event) != 0 ? -EIO : 0};
    case RD_KAFKA_EVENT_ERROR:
        return take_error(c);
    default:
        return (struct kafka_news){.type = KAFKA_IDLE};
    }
}

int64_t kafka_end_seen(struct kafka_consumer *c, int32_t partition)
{
    int64_t low, high;
    CHECK(!c->busy);
    if (c->rk == NULL ||
        c->lib->get_watermark_offsets(c->rk, c->topic, partition, &low, &high) != 0)
        return -1;
    return high;
}

bool kafka_commit(struct kafka_consumer *c, const struct kafka_place *places, size_t n)
{
    CHECK(!c->busy && c->rk != NULL);
    rd_kafka_topic_partition_list_t *l = c->lib->topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        if (places[i].next >= 0)
            c->lib->topic_partition_list_add(l, c->topic, places[i].partition)->offset =
                places[i].next;
    const bool asked = l->cnt > 0 && c->lib->commit_queue(c->rk, l, c->queue, NULL, NULL) == 0;
    c->lib->topic_partition_list_destroy(l);
    return asked;
}

/* ---- life ---- */

static void readable(uv_poll_t *h, int status, int events)
{
    struct kafka_consumer *c = container_of(h, struct kafka_consumer, poll);
    uint64_t count;
    while (read(c->fd, &count, sizeof(count)) > 0)
        continue;
    c->opt.woken(c->opt.arg);
}

void kafka_wake(struct kafka_consumer *c)
{
    const uint64_t one = 1;
    const ssize_t n = write(c->fd, &one, sizeof(one));
    (void)n; /* when it is full it is readable */
}

static void release(struct kafka_consumer *c)
{
    json_decref(c->opt.properties);
    free(c->brokers);
    free(c->topic);
    free(c->group);
    free(c);
}

struct kafka_consumer *kafka_consumer_create(const struct kafka_consumer_options *opt)
{
    struct kafka_consumer *c = mem_zalloc(sizeof(*c));
    *c = (struct kafka_consumer){
        .opt = *opt,
        .brokers = mem_strdup(opt->brokers),
        .topic = mem_strdup(opt->topic),
        .group = mem_strdup(opt->group),
        .job = {.work = run, .done = job_done},
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    json_incref(opt->properties);
    if (c->fd < 0 || uv_poll_init(opt->loop, &c->poll, c->fd) != 0) {
        if (c->fd >= 0)
            close(c->fd);
        release(c);
        return NULL;
    }
    CHECK(uv_poll_start(&c->poll, UV_READABLE, readable) == 0);
    return c;
}

static void poll_closed(uv_handle_t *h)
{
    struct kafka_consumer *c = container_of((uv_poll_t *)h, struct kafka_consumer, poll);
    void (*closed)(void *) = c->closed;
    void *arg = c->closed_arg;
    close(c->fd);
    release(c);
    closed(arg);
}

static void close_done(struct worker_job *j, bool cancelled)
{
    struct kafka_consumer *c = container_of(j, struct kafka_consumer, job);
    CHECK(!cancelled);
    uv_close((uv_handle_t *)&c->poll, poll_closed);
}

void kafka_consumer_close(struct kafka_consumer *c, struct kafka_place *places, size_t n,
                          bool ended, void (*closed)(void *arg), void *arg)
{
    c->closed = closed;
    c->closed_arg = arg;
    c->ended = ended;
    c->job.done = close_done;
    CHECK(uv_poll_stop(&c->poll) == 0);
    start(c, consumer_work_close, places, n);
}
