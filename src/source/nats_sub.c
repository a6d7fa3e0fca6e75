/* nats_sub.c - states of a topic's subscription:
 *
 *     DOWN ──link up──> FIND_STREAM ──> ASK_STREAM ──> ASK_MESSAGE ──> ASK_CONSUMER ──> CONSUMING
 *      ^                     ^               │              │           ^    │ not there   ^
 *      │                     │               └── not what ──┤           │    v             │
 *      └─link down, always   │                   it was     v           │  MAKE_CONSUMER ──┘
 *                          LATER <── whatever fails      GO_BACK ──> RECORD
 *
 *     GO_BACK   the consumer is deleted; from ASK_CONSUMER, too, when it does not deliver again: then MAKE_CONSUMER follows
 *     RECORD    the position that is gone back to is on its way to the disk
 *     DROPPING  nobody listens any more: the consumer is deleted, wherever it was
 *     ENDED     the commits that are on their way are waited for, then nothing
 */
#include "source/nats_held.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "core/rule.h"
#include "io/secret/seal.h"
#include "io/secret/secret.h"
#include "source/nats_wire.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ANSWER_MS_MAX 5000
#define AGAIN_MS 1000     /* after something failed */
#define AGAIN_SOON_MS 100 /* after a gap: what was acknowledged is being counted */
#define PULL_S_MAX 30     /* how long a request for messages stays open */
#define PULL_MS_MAX (PULL_S_MAX * 1000 + ANSWER_MS_MAX)
/* Without one of those that are waited for: how many there are is asked again. */
#define REDELIVERY_MS_MAX (3 * NATS_ACK_WAIT_MS)
#define REDELIVERY_TRIES_MAX 10 /* then those that are still missing are gone from the stream */

static void begin(struct nats_sub *s);

/* ---- the end ---- */

static void stop_timers(struct nats_sub *s)
{
    timer_cancel(nats_sub_timers(s), &s->timer);
    timer_cancel(nats_sub_timers(s), &s->redelivery);
    timer_cancel(nats_sub_timers(s), &s->feed_again);
}

static void end(struct nats_sub *s)
{
    stop_timers(s);
    held_forget_all(s);
    s->state = ENDED;
    if (s->fed_count == 0)
        s->ended(s->arg); /* may be gone now */
}

void nats_sub_stop(struct nats_sub *s)
{
    if (s->state != ENDED)
        end(s);
}

/* ---- sessions ---- */

/* Whatever the session had is given up. */
static void leave(struct nats_sub *s, enum nats_sub_state to, uint64_t again_ms)
{
    stop_timers(s);
    held_forget_all(s);
    s->failed = false;
    s->state = to;
    s->pull_left = 0;
    s->rebuild = false;
    s->asked++; /* what still comes in answers nothing */
    if (to == LATER)
        timer_set(nats_sub_timers(s), &s->timer, again_ms);
}

void nats_sub_fail(struct nats_sub *s, const char *why)
{
    if (strcmp(s->why, why) != 0) {
        snprintf(s->why, sizeof(s->why), "%s", why);
        log_warn("topic is not consumed", LOG_STR("topic", s->topic), LOG_STR("error", why));
    }
    leave(s, LATER, AGAIN_MS);
}

void nats_sub_ask(struct nats_sub *s, enum nats_sub_state state, const char *what,
                  const char *names, struct slice body)
{
    char subject[2 * NATS_NAME_SIZE + 64], reply[128];
    s->state = state;
    s->asked++;
    snprintf(subject, sizeof(subject), "$JS.API.%s%s", what, names);
    snprintf(reply, sizeof(reply), "%s.%u.%llu", s->hub->inbox, s->id,
             (unsigned long long)s->asked);
    timer_set(nats_sub_timers(s), &s->timer, state == CONSUMING ? PULL_MS_MAX : ANSWER_MS_MAX);
    if (!nats_link_send(s->hub->link, subject, reply, body))
        nats_sub_fail(s, "a request to NATS could not be sent");
}

void nats_sub_ask_of_consumer(struct nats_sub *s, enum nats_sub_state state, const char *what)
{
    char names[2 * NATS_NAME_SIZE];
    snprintf(names, sizeof(names), "%s.%s", s->stream, s->consumer);
    nats_sub_ask(s, state, what, names, SLICE(""));
}

static void find_stream(struct nats_sub *s)
{
    struct str body = {0};
    nats_write_lookup(slice_of(s->subject), &body);
    nats_sub_ask(s, FIND_STREAM, "STREAM.NAMES", "", str_slice(&body));
    str_release(&body);
}

/* Commits that are on their way know a position that the new session must not overtake. */
static void begin(struct nats_sub *s)
{
    if (!s->hub->up)
        leave(s, DOWN, 0);
    else if (s->fed_count > 0)
        leave(s, LATER, AGAIN_SOON_MS);
    else
        find_stream(s);
}

/* When the first of the triggers that listen now came to be, or later, if all before that is dealt with. */
static struct wall listening_since(struct nats_sub *s)
{
    const struct match_key key = topic_match_key(slice_of(s->topic));
    const struct match_bucket *m = catalog_match(engine_catalog(s->hub->host->engine), &key);
    struct wall since = s->hub->host->now(s->hub->host).wall;
    for (const struct trigger *t = m != NULL ? m->triggers : NULL; t != NULL; t = t->match_next)
        if (t->def->rule.scope != NULL && strcmp(t->def->rule.scope, s->topic) == 0 &&
            t->created_at.ms < since.ms)
            since = t->created_at;
    struct position own;
    if (nats_stream_position(s, &own) && own.at == 0 && since.ms <= (int64_t)(own.mark / NS_PER_MS))
        since.ms = (int64_t)(own.mark / NS_PER_MS) + 1;
    return since;
}

/* A consumer that is made in the place of one begins behind what is dealt with, whatever that one had delivered to whom. */
static void make_consumer(struct nats_sub *s)
{
    struct position own;
    const bool goes_on = s->rebuild && nats_stream_position(s, &own) && own.at > 0;
    const struct nats_consumer_config c = {
        .stream = s->stream,
        .name = s->consumer,
        .subject = s->subject,
        .since = listening_since(s),
        .all = s->info.work_queue,
        .first_seq = goes_on ? own.at + 1 : 0,
        .ack_wait_ms = NATS_ACK_WAIT_MS,
        .ack_pending_max = NATS_HELD_MAX,
    };
    struct str body = {0};
    char names[2 * NATS_NAME_SIZE];
    nats_write_consumer(&c, &body);
    snprintf(names, sizeof(names), "%s.%s", s->stream, s->consumer);
    nats_sub_ask(s, MAKE_CONSUMER, "CONSUMER.DURABLE.CREATE.", names, str_slice(&body));
    str_release(&body);
}

static void wait_for_redelivery(struct nats_sub *s)
{
    if (s->missing > 0)
        timer_set(nats_sub_timers(s), &s->redelivery, REDELIVERY_MS_MAX);
    else
        timer_cancel(nats_sub_timers(s), &s->redelivery);
}

/* What is dealt with is known, so what was delivered to somebody else need not be waited for for ever: it may be held there, its consumer may
 * have been told to wait longer, or to pause. But a stream that keeps messages for its consumers only would lose them with this one. */
static bool must_rebuild(const struct nats_sub *s, const struct nats_consumer_info *info)
{
    return info->unacknowledged > 0 && !s->info.interest &&
           (s->tries >= REDELIVERY_TRIES_MAX || info->ack_wait_ms > NATS_ACK_WAIT_MS);
}

static void rebuild(struct nats_sub *s, uint64_t missing)
{
    log_warn("messages are not delivered again, the consumer is made anew",
             LOG_STR("topic", s->topic), LOG_INT("messages", missing));
    s->tries = 0;
    s->rebuild = true;
    nats_sub_ask_of_consumer(s, GO_BACK, "CONSUMER.DELETE.");
}

static void consume(struct nats_sub *s, const struct nats_consumer_info *info)
{
    timer_cancel(nats_sub_timers(s), &s->timer);
    s->state = CONSUMING;
    s->high = info->delivered_seq;
    s->count = info->delivered_count;
    s->missing = info->unacknowledged;
    s->pending = info->pending;
    s->pending_known = true;
    s->one_by_one = s->rebuild = false;
    if (s->missing > 0 && s->tries >= REDELIVERY_TRIES_MAX) {
        log_warn("messages were not delivered again, they are gone from the stream",
                 LOG_STR("topic", s->topic), LOG_INT("messages", s->missing));
        s->missing = 0;
    }
    if (s->missing == 0)
        s->tries = 0;
    s->why[0] = '\0';
    wait_for_redelivery(s);
    log_info("topic is consumed", LOG_STR("topic", s->topic), LOG_STR("stream", s->stream),
             LOG_STR("consumer", s->consumer), LOG_INT("redelivered", s->missing));
    nats_sub_pull(s);
}

/* ---- taking messages ---- */

/* Asks for as many as there is room for. The journal makes room, unless those that are waited for have to come first. */
void nats_sub_pull(struct nats_sub *s)
{
    char names[2 * NATS_NAME_SIZE];
    if (s->state != CONSUMING || s->pull_left > 0 || s->hub->host->stopping ||
        (s->missing == 0 && s->held_count > NATS_HELD_MAX / 2) || s->held_count >= NATS_HELD_MAX ||
        s->held_bytes > NATS_HELD_BYTES_MAX / 2)
        return;
    struct str body = {0};
    s->pull_left = s->one_by_one ? 1 : NATS_HELD_MAX - s->held_count;
    str_printf(&body, "{\"batch\":%llu,\"expires\":%llu", (unsigned long long)s->pull_left,
               PULL_S_MAX * 1000000000ull);
    if (!s->one_by_one)
        str_printf(&body, ",\"max_bytes\":%llu",
                   (unsigned long long)(NATS_HELD_BYTES_MAX - s->held_bytes));
    str_add_char(&body, '}');
    snprintf(names, sizeof(names), "%s.%s", s->stream, s->consumer);
    nats_sub_ask(s, CONSUMING, "CONSUMER.MSG.NEXT.", names, str_slice(&body));
    str_release(&body);
}

static void pull_ended(struct nats_sub *s)
{
    s->pull_left = 0;
    timer_cancel(nats_sub_timers(s), &s->timer);
}

/* The server says that the request for messages has ended. */
static void pull_refused(struct nats_sub *s, const struct nats_message *m)
{
    const char *text = nats_link_header(s->hub->link, m->handle, "Description");
    if (m->status == 100)
        return; /* a heartbeat */
    pull_ended(s);
    if (m->status == 404 || m->status == 408) {
        nats_sub_pull(s);
    } else if (m->status == 409 && text != NULL && strstr(text, "Size") != NULL) {
        s->one_by_one = s->held_count == 0;
        nats_sub_pull(s);
    } else if (m->status == 409 && text != NULL && strstr(text, "Exceeded") != NULL) {
        leave(s, LATER, AGAIN_MS);
    } else {
        char why[160];
        snprintf(why, sizeof(why), "NATS refuses to deliver messages: %s",
                 text != NULL ? text : "no reason is given");
        nats_sub_fail(s, why);
    }
}

/* One of those that are waited for, or one that is here or was committed. */
static void take_again(struct nats_sub *s, const struct nats_message *m,
                       const struct nats_delivery *d)
{
    struct held *place = held_find(s, d->seq);
    const bool here = place != NULL && place->seq == d->seq;
    if (s->missing > 0 && !here) {
        held_add(s, m, d, place);
        s->missing--;
        wait_for_redelivery(s);
        return;
    }
    if (!here)
        held_acknowledge(s, m, SLICE("+ACK"));
    s->duplicates++;
    held_release(s, m);
}

static void refuse_large(struct nats_sub *s, const struct nats_message *m, uint64_t seq)
{
    log_warn("message is too large and was terminated", LOG_STR("topic", s->topic),
             LOG_STR("stream", s->stream), LOG_INT("sequence", seq), LOG_INT("bytes", m->data.len),
             LOG_INT("bytes_max", NATS_PAYLOAD_BYTES_MAX));
    held_acknowledge(s, m, SLICE("+TERM"));
    held_release(s, m);
    s->passed_over++;
    if (seq > s->high)
        s->high = seq;
    else if (s->missing > 0)
        s->missing--;
    wait_for_redelivery(s);
}

void nats_sub_deliver(struct nats_sub *s, const struct nats_message *m,
                      const struct nats_delivery *d)
{
    const uint64_t seq = d->seq, count = d->count;
    if (s->state != CONSUMING) {
        held_release(s, m);
        return;
    }
    if (count > s->count + 1) {
        log_warn("messages were delivered to somebody else, they are waited for",
                 LOG_STR("topic", s->topic), LOG_INT("messages", count - s->count - 1));
        held_release(s, m);
        leave(s, LATER, AGAIN_SOON_MS);
        return;
    }
    if (count <= s->count && s->missing == 0) {
        log_warn("the server's count of deliveries went back, the topic is subscribed to anew",
                 LOG_STR("topic", s->topic), LOG_INT("from", s->count), LOG_INT("to", count));
        held_release(s, m);
        leave(s, LATER, AGAIN_SOON_MS);
        return;
    }
    if (count > s->count)
        s->count = count;
    if (s->pull_left > 0 && --s->pull_left == 0)
        pull_ended(s);
    s->one_by_one = false;
    s->pending = d->pending;
    if (m->data.len > NATS_PAYLOAD_BYTES_MAX) {
        refuse_large(s, m, seq);
    } else if (seq > s->high) {
        s->high = seq;
        held_add(s, m, d, NULL);
    } else {
        take_again(s, m, d);
    }
    held_feed(s);
    nats_sub_pull(s);
}

/* ---- answers ---- */

static void consumer_told(struct nats_sub *s, struct slice data)
{
    struct nats_consumer_info info;
    struct diag why;
    const int err = nats_read_consumer(data, &info, &why);
    if (err == 0 && must_rebuild(s, &info))
        rebuild(s, info.unacknowledged);
    else if (err == 0)
        consume(s, &info);
    else if (err == -ENOENT && s->state == ASK_CONSUMER)
        make_consumer(s);
    else
        nats_sub_fail(s, why.msg);
}

static void stream_told(struct nats_sub *s, struct slice data)
{
    struct diag why;
    if (nats_read_stream(data, &s->info, &why) < 0) {
        nats_sub_fail(s, why.msg);
        return;
    }
    snprintf(s->position, sizeof(s->position), "%s %s %s", s->topic, s->stream, s->info.created);
    nats_stream_look(s);
}

static void stream_found(struct nats_sub *s, struct slice data)
{
    struct diag why;
    const int err = nats_read_lookup(data, s->stream, &why);
    if (err < 0 && !s->wanted && !s->hub->stopping)
        end(s); /* the consumer went with the stream */
    else if (err < 0)
        nats_sub_fail(s, why.msg);
    else if (s->wanted)
        nats_sub_ask(s, ASK_STREAM, "STREAM.INFO.", s->stream, SLICE(""));
    else
        nats_sub_ask_of_consumer(s, DROPPING, "CONSUMER.DELETE.");
}

/* It was there, or it was not. Who wants the topic now begins with a new one. */
static void dropped(struct nats_sub *s)
{
    log_info("topic is not consumed any more", LOG_STR("topic", s->topic));
    if (s->wanted)
        begin(s);
    else
        end(s);
}

static void answered(struct nats_sub *s, const struct nats_message *m)
{
    switch (s->state) {
    case FIND_STREAM:
        stream_found(s, m->data);
        break;
    case ASK_STREAM:
        stream_told(s, m->data);
        break;
    case ASK_MESSAGE:
        nats_stream_message_told(s, m->data);
        break;
    case GO_BACK: /* it was there, or it was not */
        if (s->rebuild)
            make_consumer(s);
        else
            nats_stream_record(s);
        break;
    case ASK_CONSUMER:
    case MAKE_CONSUMER:
        consumer_told(s, m->data);
        break;
    case CONSUMING:
        pull_refused(s, m);
        break;
    case DROPPING:
        dropped(s);
        break;
    case DOWN:
    case LATER:
    case RECORD:
    case ENDED:
        break;
    }
}

void nats_sub_answer(struct nats_sub *s, uint64_t number, const struct nats_message *m)
{
    struct nats_hub *hub = s->hub;
    if (number == s->asked)
        answered(s, m); /* s may be gone */
    nats_link_release(hub->link, m->handle);
}

void nats_sub_unanswered(struct nats_sub *s)
{
    if (s->state == CONSUMING)
        leave(s, LATER, AGAIN_MS);
    else if (s->state != DOWN && s->state != LATER && s->state != RECORD && s->state != ENDED)
        nats_sub_fail(
            s, "JetStream does not answer: it is not enabled at this server or for this account");
}

static void timed_out(struct timer *t)
{
    struct nats_sub *s = container_of(t, struct nats_sub, timer);
    if (s->state == LATER)
        begin(s);
    else if (s->state == ASK_MESSAGE)
        nats_stream_agreed(s); /* it is too large for an answer, or nobody may ask */
    else
        nats_sub_fail(s, "NATS does not answer");
}

static void not_redelivered(struct timer *t)
{
    struct nats_sub *s = container_of(t, struct nats_sub, redelivery);
    s->tries++;
    leave(s, LATER, AGAIN_SOON_MS);
}

/* ---- life ---- */

struct nats_sub *nats_sub_create(struct nats_hub *hub, struct slice topic, uint32_t id,
                                 void (*ended)(void *arg), void *arg)
{
    struct nats_sub *s = mem_zalloc(sizeof(*s));
    uint8_t hash[SHA256_SIZE];
    s->hub = hub;
    s->id = id;
    s->ended = ended;
    s->arg = arg;
    s->wanted = true;
    s->topic = mem_dup(topic.p, topic.len);
    s->subject = strchr(s->topic, ':') + 1;
    s->timer.fired = timed_out;
    s->redelivery.fired = not_redelivered;
    s->recorded.done = nats_stream_recorded;
    s->feed_again.fired = held_feed_again;
    hmac_sha256((struct slice){(const char *)hub->host->seal->key, SEAL_KEY_SIZE}, &topic, 1, hash);
    nats_consumer_name(slice_of(s->subject), hash, s->consumer);
    begin(s);
    return s;
}

void nats_sub_destroy(struct nats_sub *s)
{
    CHECK(s->state == ENDED && s->held == NULL && s->fed_count == 0);
    free(s->topic);
    free(s);
}

const char *nats_sub_topic(const struct nats_sub *s)
{
    return s->topic;
}

const char *nats_sub_consumer(const struct nats_sub *s)
{
    return s->consumer;
}

void nats_sub_up(struct nats_sub *s)
{
    if (s->state == DOWN)
        begin(s);
}

void nats_sub_down(struct nats_sub *s)
{
    if (s->state == DOWN || s->state == ENDED)
        return;
    s->why[0] = '\0';
    leave(s, DOWN, 0);
}

void nats_sub_want(struct nats_sub *s, bool wanted)
{
    if (s->wanted == wanted || s->state == ENDED)
        return;
    s->wanted = wanted;
    if (s->state != DOWN && s->state != DROPPING)
        leave(s, LATER, 0);
}

/* What is held was delivered, and is not pending any more. */
void nats_sub_stats(const struct nats_sub *s, struct topic_stats *ret)
{
    *ret = (struct topic_stats){
        .connected = s->hub->up,
        .received = s->received,
        .duplicates = s->duplicates,
        .passed_over = s->passed_over,
        .in_flight = s->held_count,
        .lag_known = s->pending_known && s->state == CONSUMING,
        .lag = s->pending + s->held_count + s->missing,
    };
}

bool nats_sub_ready(const struct nats_sub *s, const char **ret_why)
{
    if (s->state == CONSUMING && s->wanted)
        return true;
    *ret_why = !s->hub->up ? s->hub->why : s->why[0] != '\0' ? s->why : "it is being subscribed to";
    return false;
}
