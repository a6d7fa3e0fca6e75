#include "source/nats_held.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/rule.h"
#include "core/topic.h"
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#define FEED_AGAIN_MS 20         /* the journal is full */
#define FEED_AGAIN_FAILED_MS 500 /* a commit has failed */
#define MESSAGE_KEY_LEN_MAX 255

void held_release(struct nats_sub *s, const struct nats_message *m)
{
    nats_link_release(s->hub->link, m->handle);
}

static void let_go(struct nats_sub *s, struct held *h)
{
    DL_DELETE(s->held, h);
    s->held_count--;
    s->held_bytes -= h->message.data.len;
    held_release(s, &h->message);
}

void held_forget_all(struct nats_sub *s)
{
    struct held *h, *tmp;
    DL_FOREACH_SAFE (s->held, h, tmp) {
        let_go(s, h);
        h->forgotten = true;
        if (!h->fed)
            free(h);
    }
    s->next = NULL;
}

void held_acknowledge(struct nats_sub *s, const struct nats_message *m, struct slice how)
{
    nats_link_send(s->hub->link, m->reply.p, NULL, how);
}

void held_add(struct nats_sub *s, const struct nats_message *m, const struct nats_delivery *d,
              struct held *before)
{
    struct held *h = mem_zalloc(sizeof(*h));
    h->sub = s;
    h->seq = d->seq;
    h->time_ns = d->time_ns;
    h->message = *m;
    if (before != NULL)
        DL_PREPEND_ELEM(s->held, before, h);
    else
        DL_APPEND(s->held, h);
    s->held_count++;
    s->held_bytes += m->data.len;
    if (s->next == NULL || s->next == before)
        s->next = h;
}

/* From the end: what is delivered again comes in order, too. */
struct held *held_find(const struct nats_sub *s, uint64_t seq)
{
    struct held *place = NULL, *h = s->held != NULL ? s->held->prev : NULL;
    while (h != NULL && h->seq >= seq) {
        place = h;
        h = h == s->held ? NULL : h->prev;
    }
    return place;
}

/* ---- to the journal and back ---- */

static struct slice header(struct nats_sub *s, const struct nats_message *m, const char *name)
{
    const struct slice v = slice_of(nats_link_header(s->hub->link, m->handle, name));
    return v.len > 0 && utf8_valid(v) ? v : SLICE_NONE;
}

static void settled(struct ticket *t, const struct outcome *o)
{
    struct held *h = container_of(t, struct held, ticket);
    struct nats_sub *s = h->sub;
    s->fed_count--;
    h->fed = false;
    if (o->err == 0 && uuid_is_nil(o->event))
        s->duplicates++;
    else if (o->err == 0)
        s->received++;
    if (h->forgotten) {
        free(h);
        if (s->state == ENDED && s->fed_count == 0)
            s->ended(s->arg);
        return;
    }
    if (o->err == 0) {
        held_acknowledge(s, &h->message, SLICE("+ACK"));
        let_go(s, h);
        free(h);
    } else {
        s->failed = true;
    }
    if (s->failed && s->fed_count == 0) {
        s->failed = false;
        s->next = s->held;
        timer_set(nats_sub_timers(s), &s->feed_again, FEED_AGAIN_FAILED_MS);
    }
    nats_sub_pull(s);
}

static int feed_one(struct nats_sub *s, struct held *h)
{
    struct host *host = s->hub->host;
    const struct position at = {
        .subscription = slice_of(s->position), .at = h->seq, .mark = h->time_ns};
    struct event ev = {
        .source = "topic",
        .type = SLICE("message"),
        .subject = h->message.subject,
        .scope = slice_of(s->topic),
        .key = topic_match_key(slice_of(s->topic)),
        .message_key = header(s, &h->message, "Nats-Msg-Id"),
        .content_type = header(s, &h->message, "Content-Type"),
        .payload = h->message.data,
        .position = &at,
        .ticket = &h->ticket,
    };
    if (ev.message_key.len > MESSAGE_KEY_LEN_MAX)
        ev.message_key = SLICE_NONE;
    h->ticket.done = settled;
    return host->feed(host, &ev);
}

void held_feed(struct nats_sub *s)
{
    while (s->next != NULL && s->missing == 0 && !s->failed && !s->hub->host->stopping &&
           !wheel_is_set(&s->feed_again.w)) {
        struct held *h = s->next;
        if (feed_one(s, h) < 0) {
            timer_set(nats_sub_timers(s), &s->feed_again, FEED_AGAIN_MS);
            return;
        }
        h->fed = true;
        s->fed_count++;
        s->next = h->next;
    }
}

void held_feed_again(struct timer *t)
{
    held_feed(container_of(t, struct nats_sub, feed_again));
}
