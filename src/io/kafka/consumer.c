#include "io/kafka/consumer.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/kafka/librdkafka.h"
#include "io/kafka/properties.h"
#include "io/loop/worker.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ENDED "pawl: ended" /* metadata of a commit */

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

/* ---- on a worker's thread ---- */

static int fail(struct kafka_consumer *c, const char *what, rd_kafka_resp_err_t err)
{
    diag_set(&c->why, DIAG_UNAVAILABLE, "%s: %s", what, c->lib->err2str(err));
    return -EIO;
}

static rd_kafka_topic_partition_list_t *make_list(struct kafka_consumer *c)
{
    rd_kafka_topic_partition_list_t *l = c->lib->topic_partition_list_new((int)c->count + 1);
    for (size_t i = 0; i < c->count; i++)
        c->lib->topic_partition_list_add(l, c->topic, c->places[i].partition)->offset =
            c->places[i].next;
    return l;
}

static void set_metadata(struct kafka_consumer *c, rd_kafka_topic_partition_list_t *l,
                         const char *text)
{
    for (int i = 0; i < l->cnt; i++) {
        l->elems[i].metadata_size = strlen(text);
        l->elems[i].metadata = c->lib->mem_malloc(NULL, strlen(text));
        memcpy(l->elems[i].metadata, text, strlen(text));
    }
}

/* Waits for the answer, but not for ever, which rd_kafka_commit() would. */
static int commit_list(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *l)
{
    if (l->cnt == 0 || atomic_load(c->opt.hurry))
        return 0;
    rd_kafka_queue_t *q = c->lib->queue_new(c->rk);
    rd_kafka_resp_err_t err = c->lib->commit_queue(c->rk, l, q, NULL, NULL);
    rd_kafka_event_t *ev = err == 0 ? c->lib->queue_poll(q, KAFKA_TIMEOUT_MS) : NULL;
    if (err == 0)
        err = ev != NULL ? c->lib->event_error(ev) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (ev != NULL)
        c->lib->event_destroy(ev);
    c->lib->queue_destroy(q);
    return err == 0 ? 0 : fail(c, "the group's offsets cannot be committed", err);
}

static int commit_places(struct kafka_consumer *c, bool ended)
{
    rd_kafka_topic_partition_list_t *l = c->lib->topic_partition_list_new((int)c->count + 1);
    for (size_t i = 0; i < c->count; i++)
        if (c->places[i].next >= 0)
            c->lib->topic_partition_list_add(l, c->topic, c->places[i].partition)->offset =
                c->places[i].next;
    if (ended)
        set_metadata(c, l, ENDED);
    const int err = commit_list(c, l);
    c->lib->topic_partition_list_destroy(l);
    return err;
}

static int subscribe(struct kafka_consumer *c)
{
    rd_kafka_topic_partition_list_t *l = c->lib->topic_partition_list_new(1);
    c->lib->topic_partition_list_add(l, c->topic, RD_KAFKA_PARTITION_UA);
    const rd_kafka_resp_err_t err = c->lib->subscribe(c->rk, l);
    c->lib->topic_partition_list_destroy(l);
    return err == 0 ? 0 : fail(c, "the topic cannot be subscribed to", err);
}

static void destroy(struct kafka_consumer *c)
{
    if (c->rkt != NULL)
        c->lib->topic_destroy(c->rkt);
    if (c->queue != NULL) {
        c->lib->queue_io_event_enable(c->queue, -1, NULL, 0);
        c->lib->queue_destroy(c->queue);
    }
    if (c->rk != NULL)
        c->lib->destroy_flags(c->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    c->rkt = NULL;
    c->queue = NULL;
    c->rk = NULL;
}

static int open_work(struct kafka_consumer *c)
{
    static const uint64_t one = 1;
    char text[400];
    rd_kafka_conf_t *conf = kafka_conf_make(c->brokers, c->group, c->opt.properties, &c->why);
    if (conf == NULL)
        return -EINVAL;
    c->lib = librdkafka_load(NULL);
    c->lib->conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR |
                                      RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT);
    c->rk = c->lib->new (RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (c->rk == NULL) {
        c->lib->conf_destroy(conf); /* it is taken on success only */
        diag_set(&c->why, DIAG_UNAVAILABLE, "librdkafka: %s", text);
        return -EINVAL;
    }
    c->lib->poll_set_consumer(c->rk);
    c->queue = c->lib->queue_get_consumer(c->rk);
    c->lib->queue_io_event_enable(c->queue, c->fd, &one, sizeof(one));
    c->rkt = c->lib->topic_new(c->rk, c->topic, NULL);
    const int err = subscribe(c);
    if (err != 0)
        destroy(c);
    return err;
}

/* Partition 0 is asked for in any case: it is where a group that was here before has committed. */
static int look_up_committed(struct kafka_consumer *c)
{
    rd_kafka_topic_partition_list_t *l = make_list(c);
    c->lib->topic_partition_list_add(l, c->topic, 0);
    const rd_kafka_resp_err_t err = c->lib->committed(c->rk, l, KAFKA_TIMEOUT_MS);
    for (size_t i = 0; err == 0 && i < c->count; i++) {
        const rd_kafka_topic_partition_t *p = &l->elems[i];
        c->places[i].committed = p->err == 0 && p->offset >= 0 ? p->offset : -1;
        c->places[i].ended =
            p->metadata_size == strlen(ENDED) && memcmp(p->metadata, ENDED, p->metadata_size) == 0;
        *c->ret_known |= c->places[i].committed >= 0 && !(c->fresh && c->places[i].ended);
    }
    const rd_kafka_topic_partition_t *first = &l->elems[c->count];
    *c->ret_known |= err == 0 && first->offset >= 0 && !(c->fresh && first->metadata_size > 0);
    c->lib->topic_partition_list_destroy(l);
    return err == 0 ? 0 : fail(c, "the group's offsets cannot be read", err);
}

static int look_up_ends(struct kafka_consumer *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct kafka_place *p = &c->places[i];
        const rd_kafka_resp_err_t err = c->lib->query_watermark_offsets(
            c->rk, c->topic, p->partition, &p->low, &p->high, KAFKA_TIMEOUT_MS);
        if (err != 0)
            return fail(c, "the topic's offsets cannot be read", err);
        if (atomic_load(c->opt.hurry))
            return -ECANCELED;
    }
    return 0;
}

/* Before anybody can crash with the mark still there. */
static int clear_ended(struct kafka_consumer *c)
{
    rd_kafka_topic_partition_list_t *l = c->lib->topic_partition_list_new((int)c->count + 1);
    for (size_t i = 0; i < c->count; i++)
        if (c->places[i].ended)
            c->lib->topic_partition_list_add(l, c->topic, c->places[i].partition)->offset =
                c->places[i].committed = c->places[i].high;
    const int err = commit_list(c, l);
    c->lib->topic_partition_list_destroy(l);
    return err;
}

static int look_up_work(struct kafka_consumer *c)
{
    int err = look_up_committed(c);
    if (err == 0)
        err = look_up_ends(c);
    if (err == 0 && c->fresh)
        err = clear_ended(c);
    return err;
}

/* Where the group has nothing yet, its members learn where it begins before anything is consumed. */
static int commit_beginnings(struct kafka_consumer *c)
{
    rd_kafka_topic_partition_list_t *l = c->lib->topic_partition_list_new((int)c->count + 1);
    for (size_t i = 0; i < c->count; i++)
        if (c->places[i].committed < 0)
            c->lib->topic_partition_list_add(l, c->topic, c->places[i].partition)->offset =
                c->places[i].next;
    const int err = commit_list(c, l);
    c->lib->topic_partition_list_destroy(l);
    return err;
}

static int place_work(struct kafka_consumer *c)
{
    if (commit_beginnings(c) != 0)
        return -EIO;
    rd_kafka_topic_partition_list_t *l = make_list(c);
    const rd_kafka_resp_err_t err = c->lib->assign(c->rk, l);
    c->lib->topic_partition_list_destroy(l);
    return err == 0 ? 0 : fail(c, "the partitions cannot be consumed", err);
}

/* Whoever gets the partitions next goes on at what was committed; what was not is delivered again. */
static int release_work(struct kafka_consumer *c)
{
    if (!c->lib->assignment_lost(c->rk))
        commit_places(c, false);
    c->lib->assign(c->rk, NULL);
    return 0;
}

static int judge_topic(struct kafka_consumer *c, const rd_kafka_metadata_topic_t *t)
{
    if (t->err != 0 || t->partition_cnt == 0)
        return fail(c, c->topic, t->err != 0 ? t->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    for (int i = 0; i < t->partition_cnt; i++)
        if (t->partitions[i].leader < 0)
            return fail(c, c->topic, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
    return 0;
}

static int probe_work(struct kafka_consumer *c)
{
    const rd_kafka_metadata_t *m;
    const rd_kafka_resp_err_t err = c->lib->metadata(c->rk, 0, c->rkt, &m, KAFKA_TIMEOUT_MS);
    if (err != 0)
        return fail(c, "the brokers cannot be reached", err);
    const int bad = m->topic_cnt == 1 ? judge_topic(c, &m->topics[0]) : 0;
    c->lib->metadata_destroy(m);
    return bad;
}

/* The group takes its partitions back on the way out. */
static void leave(struct kafka_consumer *c)
{
    rd_kafka_queue_t *q = c->lib->queue_new(c->rk);
    rd_kafka_error_t *e = c->lib->consumer_close_queue(c->rk, q);
    const uint64_t until = uv_hrtime() + KAFKA_CLOSE_MS * UINT64_C(1000000);
    while (e == NULL && !c->lib->consumer_closed(c->rk) && uv_hrtime() < until &&
           !atomic_load(c->opt.hurry)) {
        rd_kafka_event_t *ev = c->lib->queue_poll(q, 50);
        if (ev != NULL && c->lib->event_type(ev) == RD_KAFKA_EVENT_REBALANCE)
            c->lib->assign(c->rk, NULL);
        if (ev != NULL)
            c->lib->event_destroy(ev);
    }
    if (e != NULL)
        c->lib->error_destroy(e);
    c->lib->queue_destroy(q);
}

static int close_work(struct kafka_consumer *c)
{
    if (c->rk == NULL)
        return 0;
    if (!atomic_load(c->opt.hurry)) {
        c->lib->queue_io_event_enable(c->queue, -1, NULL, 0);
        if (!c->lib->assignment_lost(c->rk))
            commit_places(c, c->ended);
        c->lib->queue_destroy(c->queue);
        c->queue = NULL;
        leave(c);
    }
    destroy(c);
    return 0;
}

static void run(struct worker_job *j, void *thread_state)
{
    struct kafka_consumer *c = container_of(j, struct kafka_consumer, job);
    c->err = atomic_load(c->opt.hurry) && c->work != close_work ? -ECANCELED : c->work(c);
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
    start(c, open_work, NULL, 0);
}

void kafka_look_up(struct kafka_consumer *c, struct kafka_place *places, size_t n, bool fresh,
                   bool *ret_known)
{
    c->fresh = fresh;
    c->ret_known = ret_known;
    start(c, look_up_work, places, n);
}

void kafka_place(struct kafka_consumer *c, struct kafka_place *places, size_t n)
{
    start(c, place_work, places, n);
}

void kafka_release(struct kafka_consumer *c, struct kafka_place *places, size_t n)
{
    start(c, release_work, places, n);
}

void kafka_probe(struct kafka_consumer *c)
{
    start(c, probe_work, NULL, 0);
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
    if (c->fd < 0 || uv_poll_init(opt->loop, &c->poll, c->fd) != 0) {
        if (c->fd >= 0)
            close(c->fd);
        free(c->brokers);
        free(c->topic);
        free(c->group);
        free(c);
        return NULL;
    }
    json_incref(opt->properties);
    CHECK(uv_poll_start(&c->poll, UV_READABLE, readable) == 0);
    return c;
}

static void poll_closed(uv_handle_t *h)
{
    struct kafka_consumer *c = container_of((uv_poll_t *)h, struct kafka_consumer, poll);
    void (*closed)(void *) = c->closed;
    void *arg = c->closed_arg;
    close(c->fd);
    json_decref(c->opt.properties);
    free(c->brokers);
    free(c->topic);
    free(c->group);
    free(c);
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
    start(c, close_work, places, n);
}
