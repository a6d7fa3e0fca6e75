/* nats_stream.c - whether a stream is what it was in the session before, and what is done when it is not: nats_sub.h says how. */
#include "base/check.h"
#include "base/log.h"
#include "core/engine.h"
#include "source/nats_held.h"
#include "source/nats_wire.h"
#include <string.h>

bool nats_stream_position(const struct nats_sub *s, struct position *ret)
{
    *ret = (struct position){.subscription = slice_of(s->position)};
    return engine_position(s->hub->host->engine, ret);
}

void nats_stream_agreed(struct nats_sub *s)
{
    nats_sub_ask_of_consumer(s, ASK_CONSUMER, "CONSUMER.INFO.");
}

static void ask_message(struct nats_sub *s, uint64_t seq)
{
    struct str body = {0};
    nats_write_message_request(seq, &body);
    nats_sub_ask(s, ASK_MESSAGE, "STREAM.MSG.GET.", s->stream, str_slice(&body));
    str_release(&body);
}

void nats_stream_recorded(struct ticket *t, const struct outcome *o)
{
    struct nats_sub *s = container_of(t, struct nats_sub, recorded);
    s->fed_count--;
    if (s->state == ENDED && s->fed_count == 0)
        s->ended(s->arg);
    else if (s->state == RECORD && o->err == 0)
        nats_stream_agreed(s);
    else if (s->state == RECORD)
        nats_sub_fail(s, "the store cannot take messages");
}

void nats_stream_record(struct nats_sub *s)
{
    struct host *h = s->hub->host;
    const struct event ev = {
        .source = "topic",
        .type = SLICE("beginning"),
        .position = &s->back,
        .ticket = &s->recorded,
    };
    s->state = RECORD;
    timer_cancel(nats_sub_timers(s), &s->timer);
    if (h->stopping || h->feed(h, &ev) < 0)
        nats_sub_fail(s, "the store cannot take messages");
    else
        s->fed_count++;
}

/* Where the two agree is not known by number: messages may have come since. But what is new came after the last one that was dealt
 * with. */
static void go_back(struct nats_sub *s, const struct position *own, const char *why)
{
    log_warn("the end of a stream was lost, what came later is read", LOG_STR("topic", s->topic),
             LOG_STR("stream", s->stream), LOG_INT("sequence", own->at), LOG_STR("seen", why));
    s->back = (struct position){slice_of(s->position), 0, 0, own->mark, true};
    if (s->info.interest)
        nats_stream_record(s); /* what it keeps would go with the consumer */
    else
        nats_sub_ask_of_consumer(s, GO_BACK, "CONSUMER.DELETE.");
}

void nats_stream_message_told(struct nats_sub *s, struct slice data)
{
    struct position own;
    struct wall time;
    struct diag why;
    if (nats_read_message_time(data, &time, &why) == 0 && nats_stream_position(s, &own) &&
        (uint64_t)time.ms != own.mark / NS_PER_MS)
        go_back(s, &own, "another message has the sequence");
    else
        nats_stream_agreed(s); /* it is there, or was deleted, which says nothing */
}

/* Another one of the same name is gone for ever. */
static bool is_former(struct slice subscription, void *arg)
{
    const struct nats_sub *s = arg;
    const size_t len = strlen(s->topic) + strlen(s->stream) + 2;
    return subscription.len > len && memcmp(subscription.p, s->position, len) == 0 &&
           !slice_is(subscription, s->position);
}

void nats_stream_look(struct nats_sub *s)
{
    struct position own;
    engine_forget_positions(s->hub->host->engine, is_former, s);
    if (!nats_stream_position(s, &own))
        nats_stream_agreed(s);
    else if (own.at > s->info.last_seq)
        go_back(s, &own, "the stream ends before the sequence");
    else if (own.at > 0 && own.mark > 0)
        ask_message(s, own.at);
    else
        nats_stream_agreed(s);
}
