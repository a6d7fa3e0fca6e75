#include "base/check.h"
#include "base/log.h"
#include "core/rule.h"
#include "pawl/topic.h"
#include "source/kafka_flow_internal.h"
#include <errno.h>

#define HOLD_MS 25           /* a message that the engine has no room for is offered again, */
#define HOLDS_MAX 80         /* that often; then its partitions are placed again */
#define COMMIT_AGAIN_MS 2000 /* after it failed */

/* ---- messages ---- */

/* A message that cannot become an event is passed over by recording the position behind it. */
static int feed(struct kafka_flow *f, struct kafka_part *p, const struct kafka_news *n)
{
    const struct slice topic = slice_of(f->topic);
    struct event ev = {.source = "topic", .type = SLICE("message")};
    if (n->payload.len > FLOW_MESSAGE_BYTES_MAX)
        return kafka_parts_feed(&f->parts, p, &ev, n->offset + 1);
    ev.subject = ev.scope = topic;
    ev.key = topic_match_key(topic);
    ev.content_type = utf8_valid(n->content_type) ? n->content_type : SLICE_NONE;
    ev.payload = n->payload;
    if (n->key.len > 0 && n->key.len <= FLOW_KEY_LEN_MAX && utf8_valid(n->key))
        ev.message_key = n->key;
    return kafka_parts_feed(&f->parts, p, &ev, n->offset + 1);
}

static void hold(struct kafka_flow *f, const struct kafka_news *n)
{
    f->held = *n;
    if (++f->holds <= HOLDS_MAX) {
        timer_set(f->host->timers, &f->hold, HOLD_MS);
        return;
    }
    f->held.type = KAFKA_NOTHING;
    f->holds = 0;
    flow_misplace(f, FLOW_STORE_FULL);
}

/* What belongs to a partition that is not ours, or that will be read again from further back, is dropped. */
static void message(struct kafka_flow *f, const struct kafka_news *n)
{
    struct kafka_part *p = kafka_parts_find(&f->parts, n->partition);
    if (f->host->stopping)
        flow_misplace(f, "the daemon is stopping");
    if (f->state != FLOW_FLOWING || f->misplaced || f->revoked || p == NULL || n->offset < p->next)
        return;
    if (feed(f, p, n) < 0) {
        hold(f, n);
        return;
    }
    f->holds = 0;
    if (n->payload.len <= FLOW_MESSAGE_BYTES_MAX)
        return;
    f->passed_over++;
    log_error("a message is too large and was passed over", LOG_STR("topic", f->topic),
              LOG_INT("partition", n->partition), LOG_INT("offset", n->offset),
              LOG_INT("bytes", n->payload.len));
}

void flow_offer_held(struct kafka_flow *f)
{
    if (f->held.type != KAFKA_MESSAGE || wheel_is_set(&f->hold.w))
        return;
    const struct kafka_news n = f->held;
    f->held.type = KAFKA_NOTHING;
    message(f, &n);
}

void flow_drop_held(struct kafka_flow *f)
{
    timer_cancel(f->host->timers, &f->hold);
    f->held.type = KAFKA_NOTHING;
}

/* ---- the group ---- */

static void assigned(struct kafka_flow *f, const struct kafka_news *n)
{
    if (f->parts.items !=
        NULL) { /* without a revocation in between: what we have is not ours any more */
        f->revoked = true;
        return;
    }
    kafka_parts_assign(&f->parts, n->partitions, n->count);
    f->state = FLOW_PLACING;
    f->misplaced = f->paused = true;
    f->retry_ms = 0;
    timer_cancel(f->host->timers, &f->retry);
    log_info("partitions were assigned", LOG_STR("topic", f->topic), LOG_INT("count", n->count));
}

static void committed(struct kafka_flow *f, int err)
{
    f->committing = false;
    if (err == 0)
        return;
    timer_set(f->host->timers, &f->commit, COMMIT_AGAIN_MS);
    kafka_parts_untold(&f->parts);
}

void flow_commit_due(struct timer *t)
{
    struct kafka_flow *f = container_of(t, struct kafka_flow, commit);
    if (f->state != FLOW_FLOWING || f->job != JOB_NONE || f->committing || f->misplaced ||
        !kafka_parts_offsets(&f->parts, false))
        return;
    f->committing = kafka_commit(f->consumer, f->parts.places, f->parts.count);
    if (!f->committing)
        committed(f, -EIO);
}

/* ---- all of it ---- */

void flow_take(struct kafka_flow *f, const struct kafka_news *n)
{
    switch (n->type) {
    case KAFKA_MESSAGE:
        message(f, n);
        break;
    case KAFKA_ASSIGNED:
        assigned(f, n);
        break;
    case KAFKA_REVOKED:
        f->revoked = true;
        break;
    case KAFKA_COMMITTED:
        committed(f, n->err);
        break;
    case KAFKA_MISPLACED:
        flow_misplace(f, "an offset is not there any more");
        break;
    case KAFKA_AWAY:
        f->suspect = true;
        flow_say(f, n->text);
        flow_set_away(f, true);
        break;
    case KAFKA_TROUBLE:
        f->suspect = true;
        flow_say(f, n->text);
        log_debug("Kafka", LOG_STR("topic", f->topic), LOG_STR("trouble", f->why));
        break;
    case KAFKA_IDLE:
    case KAFKA_NOTHING:
        break;
    }
}
