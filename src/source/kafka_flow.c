#include "source/kafka_flow.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "core/rule.h"
#include "io/kafka/consumer.h"
#include "io/loop/timers.h"
#include "pawl/topic.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "kafka:"
#define TAKEN_PER_TURN 500 /* then others have theirs */
#define RETRY_MS 500       /* after a failed commit; doubled up to: */
#define RETRY_MS_MAX 8000
#define HOLD_MS 25           /* a message that the engine has no room for is offered again, */
#define HOLDS_MAX 80         /* that often; then its partitions are placed again */
#define COMMIT_MS 100        /* from a settled message to the group's offset */
#define COMMIT_AGAIN_MS 2000 /* after it failed */
#define PROBE_MS 1000        /* while something is wrong */
#define TICK_MS 20000        /* else; far below max.poll.interval.ms */
#define GENERATIONS_MAX 1000 /* that often a topic may be made anew */

enum flow_state { FLOW_OPENING, FLOW_WAITING, FLOW_PLACING, FLOW_FLOWING, FLOW_RELEASING };

enum flow_job {
    JOB_NONE,
    JOB_OPEN,
    JOB_LOOK_UP,
    JOB_PLACE,
    JOB_PAUSE,
    JOB_RELEASE,
    JOB_PROBE,
    JOB_CLOSE
};

/* A partition that is ours. */
struct part {
    int32_t partition;
    unsigned
        generation; /* of the topic, as far as can be told: offsets began again that often, and once */
    int64_t next;    /* the offset that is fed next; negative: not known */
    int64_t settled; /* up to here all is on disk; negative: nothing is known */
    bool dirty;      /* and the group has not been told */
};

struct kafka_flow {
    struct host *host;
    struct kafka_consumer *consumer;
    char *topic; /* with its prefix */
    enum flow_state state;
    enum flow_job job;
    bool fresh, known;
    bool
        misplaced; /* the partitions are to be placed again when nothing is in flight, and may_retry() */
    bool paused;    /* and until then nothing is fetched */
    bool recording; /* the tickets in flight are of where partitions begin */
    bool revoked;
    bool closing, ended;
    bool suspect; /* is to be probed */
    bool away;    /* the last probe said so */
    bool committing;
    struct kafka_news held; /* type MESSAGE: was taken, but there was no room */
    unsigned holds;
    uint64_t retry_ms;
    struct timer retry; /* set: nothing is placed or opened before it fires */
    struct timer hold, commit, tick;
    struct part *parts; /* NULL: none were assigned, which is less than an assignment without any */
    struct kafka_place *places; /* as many; a job's, and what is committed */
    size_t part_count;
    size_t in_flight, in_flight_bytes;
    uint64_t received, duplicates, passed_over;
    char why[480]; /* the last trouble */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* One message, or one beginning, on its way to the disk. */
struct flight {
    struct ticket ticket;
    struct kafka_flow *flow;
    struct part *part; /* they stay while something is in flight */
    int64_t next;
    size_t bytes;
    bool is_message; /* that can be an event */
};

static const char store_full[] = "the store cannot take messages";

static void step(struct kafka_flow *f);

static void say(struct kafka_flow *f, const char *why)
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

static void misplace(struct kafka_flow *f, const char *why)
{
    say(f, why);
    f->recording = false;
    if (f->misplaced)
        return;
    f->misplaced = true;
    place_later(f);
}

/* ---- positions ---- */

#define POSITION_NAME_SIZE 300

static struct position position_of(const struct kafka_flow *f, const struct part *p,
                                   char name[POSITION_NAME_SIZE])
{
    const int len = p->generation == 1
                        ? snprintf(name, POSITION_NAME_SIZE, "%s", f->topic)
                        : snprintf(name, POSITION_NAME_SIZE, "%s#%u", f->topic, p->generation);
    return (struct position){.subscription = {name, (size_t)len},
                             .partition = (uint32_t)p->partition};
}

/* Of the topic's newest generation. Negative when there is none. */
static int64_t own_position(struct kafka_flow *f, struct part *p)
{
    char name[POSITION_NAME_SIZE];
    int64_t at = -1;
    for (p->generation = 1; p->generation < GENERATIONS_MAX; p->generation++) {
        struct position pos = position_of(f, p, name);
        if (!engine_position(f->host->engine, &pos))
            break;
        at = (int64_t)pos.at;
    }
    p->generation -= p->generation > 1;
    return at;
}

static void settled(struct ticket *t, const struct outcome *o)
{
    struct flight *x = container_of(t, struct flight, ticket);
    struct kafka_flow *f = x->flow;
    f->in_flight--;
    f->in_flight_bytes -= x->bytes;
    if (o->err != 0) {
        misplace(f, store_full);
    } else {
        x->part->settled = x->next;
        x->part->dirty = true;
        f->retry_ms = 0;
        if (x->is_message && uuid_is_nil(o->event))
            f->duplicates++;
        else if (x->is_message)
            f->received++;
    }
    free(x);
    if (f->in_flight == 0 || f->in_flight == FLOW_WINDOW / 2)
        kafka_wake(f->consumer);
}

static int feed(struct kafka_flow *f, struct part *p, struct event *ev, int64_t next)
{
    char name[POSITION_NAME_SIZE];
    struct position pos = position_of(f, p, name);
    struct flight *x = mem_alloc(sizeof(*x));
    *x = (struct flight){{settled}, f, p, next, ev->payload.len, ev->scope.p != NULL};
    pos.at = (uint64_t)next;
    ev->position = &pos;
    ev->ticket = &x->ticket;
    const int err = f->host->feed(f->host, ev);
    if (err < 0) {
        free(x);
        return err;
    }
    p->next = next;
    f->in_flight++;
    f->in_flight_bytes += ev->payload.len;
    return 0;
}

/* ---- where a partition begins ---- */

static void log_place(const struct kafka_flow *f, const struct part *p, const char *what,
                      int64_t from, int64_t to)
{
    log_warn(what, LOG_STR("topic", f->topic), LOG_INT("partition", p->partition),
             LOG_INT("from", from), LOG_INT("to", to));
}

/* The further one of what pawl has and what the group has committed: another pawl may have had the partition meanwhile. */
static int64_t resume_at(const struct kafka_flow *f, const struct kafka_place *at, int64_t own,
                         bool anew)
{
    const int64_t mine = f->fresh || anew ? -1 : own;
    if (at->committed > mine && at->committed <= at->high)
        return at->committed;
    if (mine >= 0)
        return mine;
    return f->known || (anew && !f->fresh) ? at->low : at->high;
}

/* Positions only grow: one that goes back is another one's, of the topic's next generation. */
static void decide_place(struct kafka_flow *f, struct part *p, struct kafka_place *at)
{
    const int64_t own = own_position(f, p);
    const bool anew = own > at->high;
    at->next = resume_at(f, at, own, anew);
    if (anew && !f->fresh)
        log_place(f, p, "the topic was made anew, it is read from there", own, at->next);
    if (at->next < at->low) {
        log_place(f, p, "messages are gone from the topic before they were read", at->next,
                  at->low);
        at->next = at->low;
    }
    p->generation += at->next < own;
}

/* 0, or negative when the engine takes nothing now. What was recorded is recorded. */
static int record_beginnings(struct kafka_flow *f)
{
    char name[POSITION_NAME_SIZE];
    for (size_t i = 0; i < f->part_count; i++) {
        struct part *p = &f->parts[i];
        struct event ev = {.source = "topic", .type = SLICE("beginning")};
        struct position pos = position_of(f, p, name);
        p->next = f->places[i].next;
        p->dirty = f->places[i].committed != p->next;
        if (engine_position(f->host->engine, &pos) && (int64_t)pos.at >= p->next)
            p->settled = p->next;
        else if (feed(f, p, &ev, p->next) < 0)
            return -EAGAIN;
    }
    return 0;
}

static void looked_up(struct kafka_flow *f)
{
    bool any = f->known;
    for (size_t i = 0; i < f->part_count; i++)
        any |= !f->fresh && own_position(f, &f->parts[i]) >= 0;
    f->known = any;
    for (size_t i = 0; i < f->part_count; i++)
        decide_place(f, &f->parts[i], &f->places[i]);
    f->recording = true;
    if (record_beginnings(f) < 0)
        misplace(f, store_full);
}

/* ---- messages ---- */

static struct part *find_part(struct kafka_flow *f, int32_t partition)
{
    for (size_t i = 0; i < f->part_count; i++)
        if (f->parts[i].partition == partition)
            return &f->parts[i];
    return NULL;
}

/* A message that cannot become an event is passed over by recording the position behind it. */
static int feed_message(struct kafka_flow *f, struct part *p, const struct kafka_news *n)
{
    const struct slice topic = slice_of(f->topic);
    struct event ev = {.source = "topic", .type = SLICE("message")};
    if (n->payload.len > FLOW_MESSAGE_BYTES_MAX)
        return feed(f, p, &ev, n->offset + 1);
    ev.subject = ev.scope = topic;
    ev.key = topic_match_key(topic);
    ev.content_type = utf8_valid(n->content_type) ? n->content_type : SLICE_NONE;
    ev.payload = n->payload;
    if (n->key.len > 0 && n->key.len <= FLOW_KEY_LEN_MAX && utf8_valid(n->key))
        ev.message_key = n->key;
    return feed(f, p, &ev, n->offset + 1);
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
    misplace(f, store_full);
}

/* What belongs to a partition that is not ours, or that will be read again from further back, is dropped. */
static void message(struct kafka_flow *f, const struct kafka_news *n)
{
    struct part *p = find_part(f, n->partition);
    if (f->host->stopping)
        misplace(f, "the daemon is stopping");
    if (f->state != FLOW_FLOWING || f->misplaced || f->revoked || p == NULL || n->offset < p->next)
        return;
    if (feed_message(f, p, n) < 0) {
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

/* ---- the group ---- */

static void drop_parts(struct kafka_flow *f)
{
    free(f->parts);
    free(f->places);
    f->parts = NULL;
    f->places = NULL;
    f->part_count = 0;
}

static void assigned(struct kafka_flow *f, const struct kafka_news *n)
{
    if (f->parts != NULL) { /* without a revocation in between: what we have is not ours any more */
        f->revoked = true;
        return;
    }
    CHECK(f->in_flight == 0);
    f->parts = mem_zalloc((n->count + 1) * sizeof(f->parts[0]));
    f->places = mem_zalloc((n->count + 1) * sizeof(f->places[0]));
    f->part_count = n->count;
    for (size_t i = 0; i < n->count; i++) {
        f->parts[i] = (struct part){n->partitions[i], 1, -1, -1, false};
        f->places[i] = (struct kafka_place){.partition = n->partitions[i], .next = -1};
    }
    f->state = FLOW_PLACING;
    f->misplaced = f->paused = true;
    f->retry_ms = 0;
    timer_cancel(f->host->timers, &f->retry);
    log_info("partitions were assigned", LOG_STR("topic", f->topic), LOG_INT("count", n->count));
}

/* All settled offsets, or those that the group has not been told, into the places. */
static bool collect_offsets(struct kafka_flow *f, bool all)
{
    bool some = false;
    for (size_t i = 0; i < f->part_count; i++) {
        struct part *p = &f->parts[i];
        f->places[i].next = all || p->dirty ? p->settled : -1;
        some |= p->dirty;
        p->dirty = false;
    }
    return some;
}

static void committed(struct kafka_flow *f, int err)
{
    f->committing = false;
    if (err != 0)
        timer_set(f->host->timers, &f->commit, COMMIT_AGAIN_MS);
    for (size_t i = 0; err != 0 && i < f->part_count; i++)
        f->parts[i].dirty = f->parts[i].settled >= 0;
}

static void commit_due(struct timer *t)
{
    struct kafka_flow *f = container_of(t, struct kafka_flow, commit);
    if (f->state != FLOW_FLOWING || f->job != JOB_NONE || f->committing || f->misplaced ||
        !collect_offsets(f, false))
        return;
    f->committing = kafka_commit(f->consumer, f->places, f->part_count);
    if (!f->committing)
        committed(f, -EIO);
}

static bool is_dirty(const struct kafka_flow *f)
{
    for (size_t i = 0; i < f->part_count; i++)
        if (f->parts[i].dirty)
            return true;
    return false;
}

static void set_away(struct kafka_flow *f, bool away)
{
    if (away && !f->away)
        log_warn("a Kafka topic is out of reach", LOG_STR("topic", f->topic),
                 LOG_STR("error", f->why));
    else if (!away && f->away)
        log_info("a Kafka topic is within reach again", LOG_STR("topic", f->topic));
    f->away = away;
}

static void take(struct kafka_flow *f, const struct kafka_news *n)
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
        misplace(f, "an offset is not there any more");
        break;
    case KAFKA_AWAY:
        f->suspect = true;
        say(f, n->text);
        set_away(f, true);
        break;
    case KAFKA_TROUBLE:
        f->suspect = true;
        say(f, n->text);
        log_debug("Kafka", LOG_STR("topic", f->topic), LOG_STR("trouble", f->why));
        break;
    case KAFKA_IDLE:
    case KAFKA_NOTHING:
        break;
    }
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
    if (f->revoked || f->host->stopping)
        f->misplaced = true;
    else if (err == 0)
        looked_up(f);
    else
        misplace(f, why);
}

static void placed(struct kafka_flow *f, int err, const char *why)
{
    if (err != 0) {
        misplace(f, why);
        return;
    }
    f->state = FLOW_FLOWING;
    f->fresh = f->paused = false;
    f->known = true;
    f->why[0] = '\0';
}

static void probed(struct kafka_flow *f, int err)
{
    f->suspect = false;
    set_away(f, err != 0);
    if (err == 0 && is_well(f))
        f->why[0] = '\0';
}

static void released(struct kafka_flow *f)
{
    drop_parts(f);
    f->revoked = f->misplaced = f->committing = false;
    f->state = FLOW_WAITING;
}

static void job_done(void *arg, int err, const char *why)
{
    struct kafka_flow *f = arg;
    const enum flow_job job = f->job;
    f->job = JOB_NONE;
    if (err != 0 && err != -ECANCELED)
        say(f, why);
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

static void flow_closed(void *arg)
{
    struct kafka_flow *f = arg;
    void (*closed)(void *) = f->closed;
    void *closed_arg = f->closed_arg;
    drop_parts(f);
    free(f->topic);
    free(f);
    closed(closed_arg);
}

static void close_now(struct kafka_flow *f)
{
    f->job = JOB_CLOSE;
    timer_cancel(f->host->timers, &f->retry);
    timer_cancel(f->host->timers, &f->hold);
    timer_cancel(f->host->timers, &f->commit);
    timer_cancel(f->host->timers, &f->tick);
    collect_offsets(f, true);
    kafka_consumer_close(f->consumer, f->places, f->away ? 0 : f->part_count, f->ended, flow_closed,
                         f);
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
    kafka_look_up(f->consumer, f->places, f->part_count, f->fresh, &f->known);
}

static void place(struct kafka_flow *f)
{
    f->recording = false;
    f->job = JOB_PLACE;
    kafka_place(f->consumer, f->places, f->part_count);
}

static void release(struct kafka_flow *f)
{
    f->state = FLOW_RELEASING;
    f->job = JOB_RELEASE;
    collect_offsets(f, true);
    kafka_release(f->consumer, f->places, f->away ? 0 : f->part_count);
}

static bool may_retry(const struct kafka_flow *f)
{
    return !wheel_is_set(&f->retry.w);
}

/* Begins what is to be done while nothing is in flight. */
static void begin_job(struct kafka_flow *f)
{
    if (f->closing) {
        close_now(f);
    } else if (f->state == FLOW_OPENING && may_retry(f)) {
        f->job = JOB_OPEN;
        kafka_open(f->consumer);
    } else if (f->revoked) {
        release(f);
    } else if (f->misplaced && f->parts != NULL && !f->paused) {
        pause_all(f);
    } else if (f->misplaced && f->parts != NULL && may_retry(f) && !f->host->stopping) {
        look_up(f);
    } else if (f->recording) {
        place(f);
    }
}

/* ---- the driver ---- */

static bool is_full(const struct kafka_flow *f)
{
    return f->in_flight >= FLOW_WINDOW || f->in_flight_bytes >= FLOW_WINDOW_BYTES ||
           f->held.type == KAFKA_MESSAGE;
}

/* Not while opening: there is nothing to take from. Not while beginnings are recorded: what is assigned must not change under them. */
static bool may_take(const struct kafka_flow *f)
{
    return f->job == JOB_NONE && !f->closing && f->state != FLOW_OPENING && !f->recording &&
           !f->revoked && !is_full(f);
}

static void take_some(struct kafka_flow *f)
{
    for (int i = 0; i < TAKEN_PER_TURN && may_take(f); i++) {
        const struct kafka_news n = kafka_take(f->consumer);
        if (n.type == KAFKA_NOTHING)
            return;
        take(f, &n);
    }
    if (may_take(f))
        kafka_wake(f->consumer);
}

static bool must_begin(const struct kafka_flow *f)
{
    return f->job == JOB_NONE && f->in_flight == 0;
}

/* A message that is held has to go first, unless it is not wanted any more. */
static void offer_held(struct kafka_flow *f)
{
    if (f->held.type != KAFKA_MESSAGE || wheel_is_set(&f->hold.w))
        return;
    const struct kafka_news n = f->held;
    f->held.type = KAFKA_NOTHING;
    message(f, &n);
}

static void drop_held(struct kafka_flow *f)
{
    timer_cancel(f->host->timers, &f->hold);
    f->held.type = KAFKA_NOTHING;
}

static void arm(struct kafka_flow *f)
{
    if (f->closing)
        return;
    if (is_dirty(f) && !wheel_is_set(&f->commit.w) && !f->committing && is_well(f))
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
    if (f->closing || f->revoked || f->misplaced || f->host->stopping)
        drop_held(f);
    offer_held(f);
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
        .fresh = fresh,
        .consumer = kafka_consumer_create(&opt),
        .retry.fired = retry_fired,
        .hold.fired = hold_fired,
        .commit.fired = commit_due,
        .tick.fired = tick_fired,
    };
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
    if (is_well(f) && f->part_count > 0)
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
    for (size_t i = 0; i < f->part_count; i++) {
        const struct part *p = &f->parts[i];
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
        .received = f->received,
        .duplicates = f->duplicates,
        .passed_over = f->passed_over,
        .in_flight = f->in_flight,
    };
    ret->lag_known = is_well(f) && f->job == JOB_NONE && count_lag(f, &ret->lag);
}

void kafka_flow_close(struct kafka_flow *f, bool ended, void (*closed)(void *arg), void *arg)
{
    f->closing = true;
    f->ended = ended;
    f->closed = closed;
    f->closed_arg = arg;
    step(f);
}
