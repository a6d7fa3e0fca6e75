/* topic.c - messages get their offsets, topics change, outside streams move on: at once in memory, with an undo.
 *
 * Offsets are given here and not by the store, so that everything about a message is decided when it comes in. A commit that fails
 * takes them back, and with them those of the messages that came later: no offset is left out, none is given twice.
 */
#include "core/topic.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- names and numbers ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool topic_name_valid(struct slice name)
{
    if (name.len == 0 || name.len > TOPIC_NAME_LEN_MAX || !is_alnum(name.p[0]))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!is_alnum(name.p[i]) && name.p[i] != '.' && name.p[i] != '_' && name.p[i] != '-')
            return false;
    return true;
}

int64_t message_number(int64_t topic_key, uint64_t offset)
{
    CHECK(topic_key > 0 && topic_key <= TOPIC_KEY_MAX && offset >> TOPIC_OFFSET_BITS == 0);
    return topic_key << TOPIC_OFFSET_BITS | (int64_t)offset;
}

int64_t message_topic(int64_t number)
{
    return number >> TOPIC_OFFSET_BITS;
}

uint64_t message_offset(int64_t number)
{
    return (uint64_t)number & ((UINT64_C(1) << TOPIC_OFFSET_BITS) - 1);
}

struct uuid message_span_encode(struct message_span s)
{
    return uuid_join(s.offset, s.count);
}

struct message_span message_span_decode(struct uuid u)
{
    return (struct message_span){uuid_high(u), uuid_low(u)};
}

void topic_destroy(struct topic *t)
{
    if (t == NULL)
        return;
    free(t->name);
    free(t);
}

/* ---- topics ---- */

void engine_load_topic(struct engine *e, struct topic *t)
{
    catalog_link_topic(&e->catalog, t);
}

static void record_topic(struct engine *e, const struct topic *t)
{
    emit(e, EFFECT_PUT_TOPIC)->put_topic = (struct effect_put_topic){
        .key = t->key,
        .name = keep(e, slice_of(t->name)),
        .age_ms = t->state.age_ms,
        .bytes_max = t->state.bytes_max,
        .created_at = t->created_at,
        .updated_at = t->state.updated_at,
    };
}

/* NULL when there can be no further one. */
static struct topic *add_topic(struct engine *e, struct now now, struct slice name)
{
    struct catalog *c = &e->catalog;
    if (HASH_COUNT(c->topics) >= TOPICS_MAX || c->topic_key_last >= TOPIC_KEY_MAX)
        return NULL;
    struct topic *t = mem_zalloc(sizeof(*t));
    *t = (struct topic){
        .key = c->topic_key_last + 1,
        .name = mem_dup(name.p, name.len),
        .created_at = now.wall,
        .state = {.age_ms = RETENTION_DEFAULT,
                  .bytes_max = RETENTION_DEFAULT,
                  .updated_at = now.wall},
    };
    catalog_link_topic(c, t);
    undo_add(e, UNDO_ADD_TOPIC)->topic = t;
    return t;
}

int engine_put_topic(struct engine *e, struct now now, struct slice name, uint64_t age_ms,
                     uint64_t bytes_max, struct ticket *t)
{
    struct topic *topic = catalog_topic(&e->catalog, name);
    if (topic == NULL)
        topic = add_topic(e, now, name);
    if (topic == NULL)
        return -EDQUOT;
    struct undo *u = undo_add(e, UNDO_CHANGE_TOPIC);
    u->topic = topic;
    u->old_topic = topic->state;
    topic->state.age_ms = age_ms;
    topic->state.bytes_max = bytes_max;
    topic->state.updated_at = now.wall;
    record_topic(e, topic);
    emit_reply(e, t, UUID_NIL, NULL, 0);
    return 0;
}

void engine_drop_topic(struct engine *e, struct now now, struct topic *topic, struct ticket *t)
{
    catalog_unlink_topic(&e->catalog, topic);
    undo_add(e, UNDO_DROP_TOPIC)->topic = topic;
    emit(e, EFFECT_DROP_TOPIC)->drop = (struct effect_drop){.key = topic->key, .at = now.wall};
    emit_reply(e, t, UUID_NIL, NULL, 0);
}

/* ---- messages ---- */

void topic_record_message(struct engine *e, struct now now, const struct event *ev,
                          struct effect_put_event *rec)
{
    struct topic *t = catalog_topic(&e->catalog, ev->topic);
    CHECK(t != NULL);
    rec->message = message_number(t->key, t->state.next_offset++);
    t->state.total += ev->payload.len + ev->message_key.len;
    rec->message_total = t->state.total;
}

/* Where the topic is before the batch's first message is all that has to be known to take them back. */
static void begin_messages(struct engine *e, struct topic *t)
{
    if (t->undo_batch == e->batch_number)
        return;
    t->undo_batch = e->batch_number;
    struct undo *u = undo_add(e, UNDO_PUBLISH);
    u->topic = t;
    u->old_topic = t->state;
}

/* A repetition of the request is answered with the offsets of its messages. */
static void remember_span(struct effect_put_event *rec, const struct event *ev, size_t n)
{
    rec->dedupe = true;
    rec->dedupe_key = ev->dedupe_key;
    rec->dedupe_run = message_span_encode((struct message_span){message_offset(rec->message), n});
}

int engine_publish(struct engine *e, struct now now, const struct event *ev,
                   const struct slice *payloads, size_t n)
{
    CHECK(n > 0 && ev->topic.p != NULL);
    if (batch_is_full(e))
        return -ENOBUFS;
    struct topic *t = catalog_topic(&e->catalog, ev->topic);
    if (t == NULL) {
        t = add_topic(e, now, ev->topic);
        if (t == NULL)
            return -EDQUOT;
        record_topic(e, t);
    }
    if (t->state.next_offset + n >= UINT64_C(1) << TOPIC_OFFSET_BITS)
        return -EDQUOT;
    begin_messages(e, t);
    struct event one = *ev;
    one.keep = true;
    one.dedupe = false;
    for (size_t i = 0; i < n; i++) {
        one.payload = payloads[i];
        one.ticket = i == 0 ? ev->ticket : NULL;
        struct effect_put_event *rec = feed_message(e, now, &one);
        if (i == 0 && ev->dedupe)
            remember_span(rec, ev, n);
    }
    return 0;
}

/* ---- positions in outside streams ---- */

/* NULL when it is not there, and is not to be made. */
static struct stream_position *find_position(struct catalog *c, const struct position *p, bool make)
{
    struct str name = {0};
    struct stream_position *s;
    str_printf(&name, "%u ", (unsigned)p->partition);
    str_add_slice(&name, p->subscription);
    HASH_FIND(hh, c->positions, name.p, name.len, s);
    if (s == NULL && make) {
        s = mem_zalloc(sizeof(*s));
        HASH_ADD_KEYPTR(hh, c->positions, name.p, name.len, s);
        s->name = name.p; /* it keeps the text */
        return s;
    }
    str_release(&name);
    return s;
}

bool engine_position(struct engine *e, struct position *p)
{
    const struct stream_position *s = find_position(&e->catalog, p, false);
    if (s == NULL || !s->known)
        return false;
    p->at = s->at;
    p->mark = s->mark;
    return true;
}

void engine_load_position(struct engine *e, const struct position *p)
{
    struct stream_position *s = find_position(&e->catalog, p, true);
    s->at = p->at;
    s->mark = p->mark;
    s->known = true;
}

static void remember_position(struct engine *e, struct stream_position *s)
{
    struct undo *u = undo_add(e, UNDO_POSITION);
    u->position = s;
    u->old_position.at = s->at;
    u->old_position.mark = s->mark;
    u->old_position.known = s->known;
}

bool topic_advance(struct engine *e, const struct position *p)
{
    struct stream_position *s = find_position(&e->catalog, p, true);
    if (s->known && p->at <= s->at && !p->again)
        return false;
    if (s->effect_batch != e->batch_number) {
        remember_position(e, s);
        s->effect_batch = e->batch_number;
        s->effect = emit(e, EFFECT_PUT_POSITION);
        s->effect->put_position = (struct effect_put_position){
            .subscription = keep(e, p->subscription), .partition = p->partition};
    }
    s->at = s->effect->put_position.at = p->at;
    s->mark = s->effect->put_position.mark = p->mark;
    s->known = true;
    return true;
}

/* What is left is its name, until the daemon ends. One that is passed again in this batch needs an effect behind this one. */
static void forget_position(struct engine *e, struct stream_position *s, const char *subscription)
{
    remember_position(e, s);
    s->known = false;
    s->effect_batch = 0;
    emit(e, EFFECT_DROP_POSITION)->drop_position = (struct effect_drop_position){
        .subscription = keep(e, slice_of(subscription)),
        .partition = (uint32_t)strtoul(s->name, NULL, 10),
    };
}

void engine_forget_positions(struct engine *e, bool (*gone)(struct slice subscription, void *arg),
                             void *arg)
{
    for (struct stream_position *s = e->catalog.positions; s != NULL; s = s->hh.next) {
        const char *subscription = strchr(s->name, ' ') + 1;
        if (s->known && gone(slice_of(subscription), arg))
            forget_position(e, s, subscription);
    }
}

void positions_release(struct stream_position **all)
{
    struct stream_position *s, *next;
    HASH_ITER (hh, *all, s, next) {
        HASH_DEL(*all, s);
        free(s->name);
        free(s);
    }
}

/* ---- who listens ---- */

void topic_note_rule(struct engine *e, const struct rule *r)
{
    if (rule_topic(r) != NULL)
        emit(e, EFFECT_ARM);
}

/* ---- undo ---- */

void topic_undo_add(struct engine *e, struct now now, struct undo *u)
{
    catalog_unlink_topic(&e->catalog, u->topic);
    topic_destroy(u->topic);
}

void topic_undo_state(struct engine *e, struct now now, struct undo *u)
{
    u->topic->state = u->old_topic;
}

void topic_undo_drop(struct engine *e, struct now now, struct undo *u)
{
    catalog_link_topic(&e->catalog, u->topic);
}

void topic_done_drop(struct undo *u)
{
    topic_destroy(u->topic);
}

void topic_undo_position(struct engine *e, struct now now, struct undo *u)
{
    u->position->at = u->old_position.at;
    u->position->mark = u->old_position.mark;
    u->position->known = u->old_position.known;
}
