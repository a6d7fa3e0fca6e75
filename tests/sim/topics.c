/* topics.c - topics and positions through failed commits and crashes, from one seed.
 *
 * The store here is the judge: a topic's offsets are 0, 1, 2, ... in the order they are written, none left out, none twice, and its bytes add
 * up; a position only grows. What was acknowledged is where the answer said, also after a crash in the middle of a commit.
 *
 *     sim_topics [seed [steps]]
 */
#include "core/topic.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/vec.h"
#include "core/engine.h"
#include "seeds.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES 3
#define PARTITIONS 3
#define BATCH_MAX 5

/* A topic as it is on disk. Dropped ones stay: offsets of theirs were acknowledged. */
struct row {
    int64_t key;
    int name;
    bool dropped;
    uint64_t total;
    VEC(struct uuid) events; /* by offset */
};

/* What somebody was told, or will be. */
struct promise {
    struct ticket ticket;
    struct sim *sim;
    bool message;
    int name;
    uint64_t count;
};

struct sim {
    struct prng rng;
    struct now now;
    struct engine *engine;
    struct batch *out;
    VEC(struct row) rows;
    uint64_t positions[PARTITIONS]; /* on disk, plus one; 0: none */
    uint64_t answered, refused, passed, messages;
    unsigned failures, crashes;
    struct digest digest;
};

static const char *const names[NAMES] = {"a", "orders", "z"};

static uint64_t below(struct sim *s, uint64_t n)
{
    return prng_below(&s->rng, n);
}

/* ---- the disk ---- */

static struct row *find_row(struct sim *s, int64_t key)
{
    for (size_t i = 0; i < s->rows.len; i++)
        if (s->rows.items[i].key == key)
            return &s->rows.items[i];
    return NULL;
}

static struct row *row_of_name(struct sim *s, int name)
{
    for (size_t i = 0; i < s->rows.len; i++)
        if (s->rows.items[i].name == name && !s->rows.items[i].dropped)
            return &s->rows.items[i];
    return NULL;
}

static void write_topic(struct sim *s, const struct effect_put_topic *t)
{
    if (find_row(s, t->key) != NULL)
        return;
    struct row r = {.key = t->key, .name = -1};
    for (int i = 0; i < NAMES; i++)
        if (slice_is(t->name, names[i]))
            r.name = i;
    CHECK(r.name >= 0 && row_of_name(s, r.name) == NULL);
    vec_push(&s->rows, r);
}

static void write_message(struct sim *s, const struct effect_put_event *e)
{
    struct row *r = find_row(s, message_topic(e->message));
    CHECK(r != NULL && !r->dropped);
    CHECK(message_offset(e->message) == r->events.len);
    r->total += e->payload.len;
    CHECK(e->message_total == r->total);
    vec_push(&r->events, e->id);
    digest_add(&s->digest, &e->id, sizeof(e->id));
    s->messages++;
}

static void write_position(struct sim *s, const struct effect_put_position *p)
{
    CHECK(p->partition < PARTITIONS && p->at + 1 > s->positions[p->partition]);
    s->positions[p->partition] = p->at + 1;
}

static void apply(struct sim *s, const struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        digest_add(&s->digest, &f->type, sizeof(f->type));
        if (f->type == EFFECT_PUT_TOPIC)
            write_topic(s, &f->put_topic);
        else if (f->type == EFFECT_DROP_TOPIC)
            find_row(s, f->drop.key)->dropped = true;
        else if (f->type == EFFECT_PUT_POSITION)
            write_position(s, &f->put_position);
        else if (f->type == EFFECT_PUT_EVENT && f->put_event.message != 0)
            write_message(s, &f->put_event);
    }
}

static void boot(struct sim *s)
{
    const struct engine_options opt = {.running_max = 1, .batch_bytes_max = 1 << 20};
    s->engine = engine_create(&opt, s->now, prng_u64(&s->rng));
    for (size_t i = 0; i < s->rows.len; i++) {
        const struct row *r = &s->rows.items[i];
        if (r->key > engine_catalog(s->engine)->topic_key_last)
            engine_catalog(s->engine)->topic_key_last = r->key;
        if (r->dropped)
            continue;
        struct topic *t = mem_zalloc(sizeof(*t));
        *t = (struct topic){.key = r->key,
                            .name = mem_strdup(names[r->name]),
                            .state = {.next_offset = r->events.len, .total = r->total}};
        engine_load_topic(s->engine, t);
    }
    for (uint32_t i = 0; i < PARTITIONS; i++)
        if (s->positions[i] > 0)
            engine_load_position(s->engine,
                                 &(struct position){SLICE("s"), i, s->positions[i] - 1, 0, false});
}

/* ---- those who wait ---- */

/* The answer is right when it is given: the row is there. */
static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct promise *p = container_of(t, struct promise, ticket);
    struct sim *s = p->sim;
    if (o->err != 0)
        s->refused++;
    else if (p->message) {
        bool there = false;
        for (size_t i = 0; i < s->rows.len && !there; i++) {
            const struct row *r = &s->rows.items[i];
            there = r->name == p->name && o->offset + p->count <= r->events.len &&
                    uuid_cmp(r->events.items[o->offset], o->event) == 0;
        }
        CHECK(there);
        s->answered++;
    } else {
        s->passed += uuid_is_nil(o->event);
        s->answered++;
    }
    free(p);
}

static struct ticket *promise(struct sim *s, int name, uint64_t count)
{
    struct promise *p = mem_zalloc(sizeof(*p));
    *p = (struct promise){
        .ticket.done = redeemed, .sim = s, .message = count > 0, .name = name, .count = count};
    return &p->ticket;
}

/* ---- what happens ---- */

static void publish(struct sim *s)
{
    static const struct slice payloads[BATCH_MAX] = {SLICE("1"), SLICE("22"), SLICE(""),
                                                     SLICE("4444"), SLICE("x")};
    const int name = (int)below(s, NAMES);
    const uint64_t n = 1 + below(s, BATCH_MAX);
    const struct event ev = {
        .source = "topic",
        .type = SLICE("message"),
        .topic = slice_of(names[name]),
        .scope = slice_of(names[name]),
        .key = topic_match_key(slice_of(names[name])),
        .ticket = promise(s, name, n),
    };
    CHECK(engine_publish(s->engine, s->now, &ev, payloads, n) == 0);
}

/* The stream goes on, or repeats itself. */
static void move_on(struct sim *s)
{
    const uint32_t partition = (uint32_t)below(s, PARTITIONS);
    const uint64_t last = s->positions[partition];
    const struct position p = {SLICE("s"), partition,
                               below(s, 3) == 0 ? below(s, last + 1) : last + below(s, 3)};
    const struct event ev = {
        .source = "topic",
        .type = SLICE("message"),
        .key = topic_match_key(SLICE("nats:x")),
        .scope = SLICE("nats:x"),
        .keep = below(s, 2) == 0,
        .position = &p,
        .ticket = promise(s, 0, 0),
    };
    CHECK(engine_feed(s->engine, s->now, &ev) == 0);
}

static void drop(struct sim *s)
{
    struct topic *t = catalog_topic(engine_catalog(s->engine), slice_of(names[below(s, NAMES)]));
    if (t != NULL && below(s, 10) == 0)
        engine_drop_topic(s->engine, s->now, t, promise(s, 0, 0));
    else if (t != NULL)
        CHECK(engine_put_topic(s->engine, s->now, slice_of(t->name), below(s, 9), below(s, 9),
                               promise(s, 0, 0)) == 0);
}

/* ---- commits ---- */

static void answer(struct sim *s, struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_REPLY) {
            const struct outcome o = f->reply.outcome;
            f->reply.ticket->done(f->reply.ticket, &o);
        }
    engine_recycle(s->engine, b);
}

static void settle(struct sim *s)
{
    struct batch *b = s->out;
    const int err = below(s, 8) == 0 ? -EIO : 0;
    s->out = NULL;
    if (err == 0)
        apply(s, b);
    s->failures += err != 0;
    engine_settle(s->engine, s->now, b, err);
    answer(s, b);
}

/* Some commits got through, but nobody hears of them; nobody hears of the others either. */
static void crash(struct sim *s)
{
    if (s->out != NULL && below(s, 2) == 0)
        apply(s, s->out);
    for (int i = 0; i < 2; i++) {
        struct batch *b = s->out != NULL ? s->out : engine_take(s->engine);
        s->out = NULL;
        if (b == NULL)
            break;
        engine_settle(s->engine, s->now, b, -EIO);
        answer(s, b);
    }
    engine_destroy(s->engine);
    boot(s);
    s->crashes++;
}

static void step(struct sim *s)
{
    s->now.mono.ms += below(s, 3);
    s->now.wall.ms += (int64_t)below(s, 3);
    const uint64_t what = below(s, 100);
    if (what < 45)
        publish(s);
    else if (what < 65)
        move_on(s);
    else if (what < 70)
        drop(s);
    else if (what == 99)
        crash(s);
    else if (s->out != NULL)
        settle(s);
    else
        s->out = engine_take(s->engine);
}

static uint64_t simulate(uint64_t seed, unsigned steps, bool loud)
{
    struct sim s = {.now = {{1000}, {1770000000000}}};
    prng_init(&s.rng, seed);
    boot(&s);
    for (unsigned i = 0; i < steps; i++)
        step(&s);
    crash(&s);
    if (loud)
        printf("%llu messages, %llu answers, %llu refused, %llu repeated, %zu topics, "
               "%u failed commits, %u crashes\n",
               (unsigned long long)s.messages, (unsigned long long)s.answered,
               (unsigned long long)s.refused, (unsigned long long)s.passed, s.rows.len, s.failures,
               s.crashes);
    CHECK(s.messages > 0 && s.failures > 0 && s.crashes > 1 && s.passed > 0);
    engine_destroy(s.engine);
    for (size_t i = 0; i < s.rows.len; i++)
        vec_release(&s.rows.items[i].events);
    vec_release(&s.rows);
    return s.digest.value;
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, simulate, 12, 20000);
}
