#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "pawl/topic.h"
#include "source/kafka_flow_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "kafka:"
#define TAKEN_PER_TURN 500 /* then others have theirs */
#define RETRY_MS 500       /* after a failed commit; doubled up to: */
#define RETRY_MS_MAX 8000
#define COMMIT_MS 100 /* from a settled message to the group's offset */
#define PROBE_MS 1000 /* while something is wrong */
#define TICK_MS 20000 /* else; far below max.poll.interval.ms */

static void step(struct kafka_flow *f);

void flow_say(struct kafka_flow *f, const char *why)
{
    snprintf(f->why, sizeof(f->why), "%s", why);
}

static void place_later(struct kafka_flow *f)
{
    f->retry_ms = f->retry_ms == 0 ? RETRY_MS : f->retry_ms * 2;
    if (f->retry_ms > RETRY_MS_MAX)
        f->retry_ms = RETRY_MS_MAX;
    timer_set(f->host->timers, &f->retry, f->retry_ms);
}

void flow_misplace(struct kafka_flow *f, const char *why)
{
    flow_say(f, why);
    f->recording = false;
    if (f->misplaced)
        return;
    f->misplaced = true;
    place_later(f);
}

void flow_set_away(struct kafka_flow *f, bool away)
{
    if (away && !f->away)
        log_warn("a Kafka topic is out of reach", LOG_STR("topic", f->topic),
                 LOG_STR("error", f->why));
    else if (!away && f->away)
        log_info("a Kafka topic is within reach again", LOG_STR("topic", f->topic));
    f->away = away;
}

static void settled(struct kafka_parts *ps, int err)
{
    struct kafka_flow *f = container_of(ps, struct kafka_flow, parts);
    if (err != 0)
        flow_misplace(f, FLOW_STORE_FULL);
    else
        f->retry_ms = 0;
    if (ps->in_flight == 0 || ps->in_flight == FLOW_WINDOW / 2)
        kafka_wake(f->consumer);
}

/* ---- jobs ---- */

static bool is_well(const struct kafka_flow *f)
{
    return f->state == FLOW_FLOWING && !f->away && !f->misplaced && !f->revoked;
}

static void opened(struct kafka_flow *f, int err)
{
    if (err == 0) {
        f->state = FLOW_WAITING;
        f->retry_ms = 0;
    } else {
        place_later(f);
    }
}

static void looked(struct kafka_flow *f, int err, const char *why)
{
    if (f->revoked || f->host->stopping) {
        f->misplaced = true;
    } else if (err != 0) {
        flow_misplace(f, why);
    } else {
        f->recording = true;
        if (kafka_parts_begin(&f->parts) < 0)
            flow_misplace(f, FLOW_STORE_FULL);
    }
}

static void placed(struct kafka_flow *f, int err, const char *why)
{
    if (err != 0) {
        flow_misplace(f, why);
        return;
    }
    f->state = FLOW_FLOWING;
    f->parts.fresh = f->paused = false;
    f->parts.known = true;
    f->why[0] = '\0';
}

static void probed(struct kafka_flow *f, int err)
{
    f->suspect = false;
    flow_set_away(f, err != 0);
    if (err == 0 && is_well(f))
        f->why[0] = '\0';
}

static void released(struct kafka_flow *f)
{
    kafka_parts_drop(&f->parts);
    f->revoked = f->misplaced = f->committing = false;
    f->state = FLOW_WAITING;
}

static void job_done(void *arg, int err, const char *why)
{
    struct kafka_flow *f = arg;
    const enum flow_job job = f->job;
    f->job = JOB_NONE;
    if (err != 0 && err != -ECANCELED)
        flow_say(f, why);
    switch (job) {
    case JOB_OPEN:
        opened(f, err);
        break;
    case JOB_LOOK_UP:
        looked(f, err, why);
        break;
    case JOB_PLACE:
        placed(f, err, why);
        break;
    case JOB_PAUSE:
        f->paused = true;
        break;
    case JOB_RELEASE:
        released(f);
        break;
    case JOB_PROBE:
        probed(f, err);
        break;
    default:
        CHECK(!"a job that was not begun");
    }
    step(f);
}

static void close_now(struct kafka_flow *f)
{
    f->job = JOB_CLOSE;
    timer_cancel(f->host->timers, &f->retry);
    timer_cancel(f->host->timers, &f->hold);
    timer_cancel(f->host->timers, &f->commit);
    timer_cancel(f->host->timers, &f->tick);
    kafka_parts_offsets(&f->parts, true);
    kafka_consumer_close(f->consumer, f->parts.places, f->away ? 0 : f->parts.count, f->ended,
                         closing_ended, &f->closing);
}

/* While they cannot be placed they need not be fetched, to be dropped. */
static void pause_all(struct kafka_flow *f)
{
    f->state = FLOW_PLACING;
    f->job = JOB_PAUSE;
    kafka_place(f->consumer, NULL, 0);
}

static void look_up(struct kafka_flow *f)
{
    f->state = FLOW_PLACING;
    f->misplaced = f->recording = false;
    f->job = JOB_LOOK_UP;
    kafka_look_up(f->consumer, f->parts.places, f->parts.count, f->parts.fresh, &f->parts.known);
}

static void place(struct kafka_flow *f)
{
    f->recording = false;
    f->job = JOB_PLACE;
    kafka_place(f->consumer, f->parts.places, f->parts.count);
}

static void release(struct kafka_flow *f)
{
    f->state = FLOW_RELEASING;
    f->job = JOB_RELEASE;
    kafka_parts_offsets(&f->parts, true);
    kafka_release(f->consumer, f->parts.places, f->away ? 0 : f->parts.count);
}

static bool may_retry(const struct kafka_flow *f)
{
    return !wheel_is_set(&f->retry.w);
}

/* Begins what is to be done while nothing is in flight. */
static void begin_job(struct kafka_flow *f)
{
    if (f->closing.stopping) {
        close_now(f);
    } else if (f->state == FLOW_OPENING && may_retry(f)) {
        f->job = JOB_OPEN;
        kafka_open(f->consumer);
    } else if (f->revoked) {
        release(f);
    } else if (f->misplaced && f->parts.items != NULL && !f->paused) {
        pause_all(f);
    } else if (f->misplaced && f->parts.items != NULL && may_retry(f) && !f->host->stopping) {
        look_up(f);
    } else if (f->recording) {
        place(f);
    }
}

/* ---- the driver ---- */

static bool is_full(const struct kafka_flow *f)
{
    return f->parts.in_flight >= FLOW_WINDOW || f->parts.in_flight_bytes >= FLOW_WINDOW_BYTES ||
           f->held.type == KAFKA_MESSAGE;
}

/* Not while opening: there is nothing to take from. Not while beginnings are recorded: what is assigned must not change under them. */
static bool may_take(const struct kafka_flow *f)
{
    return f->job == JOB_NONE && !f->closing.stopping && f->state != FLOW_OPENING &&
           !f->recording && !f->revoked && !is_full(f);
}

static void take_some(struct kafka_flow *f)
{
    for (int i = 0; i < TAKEN_PER_TURN && may_take(f); i++) {
        const struct kafka_news n = kafka_take(f->consumer);
        if (n.type == KAFKA_NOTHING)
            return;
        flow_take(f, &n);
    }
    if (may_take(f))
        kafka_wake(f->consumer);
}

static bool must_begin(const struct kafka_flow *f)
{
    return f->job == JOB_NONE && f->parts.in_flight == 0;
}

static void arm(struct kafka_flow *f)
{
    if (f->closing.stopping)
        return;
    if (kafka_parts_dirty(&f->parts) && !wheel_is_set(&f->commit.w) && !f->committing && is_well(f))
        timer_set(f->host->timers, &f->commit, COMMIT_MS);
    if (f->suspect && f->job == JOB_NONE && f->state != FLOW_OPENING && !f->host->stopping &&
        f->held.type != KAFKA_MESSAGE) {
        f->suspect = false;
        f->job = JOB_PROBE;
        kafka_probe(f->consumer);
    }
}

static void step(struct kafka_flow *f)
{
    if (f->job != JOB_NONE)
        return;
    if (f->closing.stopping || f->revoked || f->misplaced || f->host->stopping)
        flow_drop_held(f);
    flow_offer_held(f);
    if (must_begin(f))
        begin_job(f);
    take_some(f);
    if (must_begin(f))
        begin_job(f);
    if (f->job != JOB_CLOSE)
        arm(f);
}

static void woken(void *arg)
{
    step(arg);
}

static void retry_fired(struct timer *t)
{
    step(container_of(t, struct kafka_flow, retry));
}

static void hold_fired(struct timer *t)
{
    step(container_of(t, struct kafka_flow, hold));
}

/* Taking something now and then tells the group that we are alive; asking for the topic finds it when it has come to be. */
static void tick_fired(struct timer *t)
{
    struct kafka_flow *f = container_of(t, struct kafka_flow, tick);
    f->suspect |= !is_well(f);
    timer_set(f->host->timers, &f->tick, is_well(f) ? TICK_MS : PROBE_MS);
    step(f);
}

/* ---- life ---- */

static void gone(struct closing *c)
{
    struct kafka_flow *f = container_of(c, struct kafka_flow, closing);
    kafka_parts_drop(&f->parts);
    free(f->topic);
    free(f);
}

struct kafka_flow *kafka_flow_create(struct host *h, struct worker *w, const char *topic,
                                     bool fresh, const atomic_bool *hurry)
{
    struct kafka_flow *f = mem_zalloc(sizeof(*f));
    const char *name = topic + strlen(PREFIX);
    const char *prefix = h->brokers->kafka_group_prefix;
    char *group = mem_printf("%s%s", prefix != NULL ? prefix : "", name);
    const struct kafka_consumer_options opt = {
        .loop = h->loop,
        .worker = w,
        .brokers = h->brokers->kafka_brokers,
        .topic = name,
        .group = group,
        .properties = h->brokers->kafka,
        .hurry = hurry,
        .woken = woken,
        .done = job_done,
        .arg = f,
    };
    *f = (struct kafka_flow){
        .host = h,
        .topic = mem_strdup(topic),
        .closing.gone = gone,
        .consumer = kafka_consumer_create(&opt),
        .retry.fired = retry_fired,
        .hold.fired = hold_fired,
        .commit.fired = flow_commit_due,
        .tick.fired = tick_fired,
    };
    f->parts =
        (struct kafka_parts){.host = h, .topic = f->topic, .settled = settled, .fresh = fresh};
    free(group);
    if (f->consumer == NULL) {
        free(f->topic);
        free(f);
        return NULL;
    }
    timer_set(h->timers, &f->tick, PROBE_MS);
    step(f);
    return f;
}

bool kafka_flow_ready(struct kafka_flow *f, const char **ret_why)
{
    if (is_well(f) && f->parts.count > 0)
        return true;
    if (is_well(f))
        *ret_why = "the group has more members than the topic has partitions";
    else if (f->why[0] != '\0')
        *ret_why = f->why;
    else
        *ret_why = f->state == FLOW_OPENING ? "connecting to Kafka"
                                            : "waiting for the group to assign partitions";
    return false;
}

/* How far the settled offsets are behind the partitions' ends. False while some of these are not known. */
static bool count_lag(struct kafka_flow *f, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < f->parts.count; i++) {
        const struct kafka_part *p = &f->parts.items[i];
        const int64_t end = kafka_end_seen(f->consumer, p->partition);
        if (end < 0 || p->settled < 0)
            return false;
        *ret += end > p->settled ? (uint64_t)(end - p->settled) : 0;
    }
    return true;
}

void kafka_flow_stats(struct kafka_flow *f, struct topic_stats *ret)
{
    *ret = (struct topic_stats){
        .connected = f->state != FLOW_OPENING && !f->away,
        .received = f->parts.received,
        .duplicates = f->parts.duplicates,
        .passed_over = f->passed_over,
        .in_flight = f->parts.in_flight,
    };
    ret->lag_known = is_well(f) && f->job == JOB_NONE && count_lag(f, &ret->lag);
}

void kafka_flow_close(struct kafka_flow *f, bool ended, void (*closed)(void *arg), void *arg)
{
    f->ended = ended;
    closing_stop(&f->closing, closed, arg);
    step(f);
}
