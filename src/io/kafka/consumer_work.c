#include "io/kafka/consumer_internal.h"
#include "io/kafka/properties.h"
#include <errno.h>
#include <string.h>

#define ENDED "pawl: ended" /* metadata of a commit */

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

int consumer_work_open(struct kafka_consumer *c)
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

int consumer_work_look_up(struct kafka_consumer *c)
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

int consumer_work_place(struct kafka_consumer *c)
{
    if (commit_beginnings(c) != 0)
        return -EIO;
    rd_kafka_topic_partition_list_t *l = make_list(c);
    const rd_kafka_resp_err_t err = c->lib->assign(c->rk, l);
    c->lib->topic_partition_list_destroy(l);
    return err == 0 ? 0 : fail(c, "the partitions cannot be consumed", err);
}

/* Whoever gets the partitions next goes on at what was committed; what was not is delivered again. */
int consumer_work_release(struct kafka_consumer *c)
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

int consumer_work_probe(struct kafka_consumer *c)
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

int consumer_work_close(struct kafka_consumer *c)
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
