/* Topics and positions in the engine: offsets, repetition, failed commits, who listens. */
#include "core/topic.h"
#include "engine_fixture.h"
#include "base/ndjson.h"

struct answer {
    struct ticket ticket;
    unsigned count;
    int err;
    uint64_t offset;
    struct uuid event;
};

static void note(struct ticket *t, const struct outcome *o)
{
    struct answer *a = container_of(t, struct answer, ticket);
    a->count++;
    a->err = o->err;
    a->offset = o->offset;
    a->event = o->event;
}

/* A batch as the store sees it. */
struct written {
    unsigned events, positions, forgotten, topics, arms;
    int64_t first_message, last_message;
    uint64_t total, position;
    bool dedupe;
    struct message_span span;
};

static void look_at(const struct effect *f, struct written *ret)
{
    if (f->type == EFFECT_PUT_EVENT && f->put_event.message != 0) {
        if (ret->events++ == 0) {
            ret->first_message = f->put_event.message;
            ret->dedupe = f->put_event.dedupe;
            ret->span = message_span_decode(f->put_event.dedupe_run);
        }
        ret->last_message = f->put_event.message;
        ret->total = f->put_event.message_total;
    }
    if (f->type == EFFECT_PUT_POSITION)
        ret->position = f->put_position.at;
    ret->positions += f->type == EFFECT_PUT_POSITION;
    ret->forgotten += f->type == EFFECT_DROP_POSITION;
    ret->topics += f->type == EFFECT_PUT_TOPIC;
    ret->arms += f->type == EFFECT_ARM;
}

/* Ends the batch that is out, or fills, and says what was in it. */
static struct written settle(struct world *w, struct batch *b, int err)
{
    struct written ret = {0};
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        look_at(f, &ret);
    engine_settle(w->engine, w->now, b, err);
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_REPLY) {
            struct outcome o = f->reply.outcome;
            f->reply.ticket->done(f->reply.ticket, &o);
        }
    engine_recycle(w->engine, b);
    return ret;
}

static struct written commit_one(struct world *w, int err)
{
    struct batch *b = engine_take(w->engine);
    assert_non_null(b);
    return settle(w, b, err);
}

static int publish_to(struct world *w, const char *topic, size_t n, bool dedupe, struct answer *a)
{
    static const struct slice payloads[8] = {SLICE("abc"), SLICE("de"), SLICE(""),  SLICE("f"),
                                             SLICE("g"),   SLICE("h"),  SLICE("i"), SLICE("j")};
    const struct event ev = {
        .source = "topic",
        .type = SLICE("message"),
        .topic = slice_of(topic),
        .scope = slice_of(topic),
        .key = topic_match_key(slice_of(topic)),
        .dedupe = dedupe,
        .ticket = a != NULL ? &a->ticket : NULL,
    };
    if (a != NULL)
        *a = (struct answer){.ticket.done = note};
    return engine_publish(w->engine, w->now, &ev, payloads, n);
}

static struct topic *find(struct world *w, const char *name)
{
    return catalog_topic(engine_catalog(w->engine), slice_of(name));
}

static void offsets_follow_one_another(void **state)
{
    struct world *w = *state;
    struct answer a, b;
    assert_int_equal(publish_to(w, "t", 3, true, &a), 0);
    assert_int_equal(publish_to(w, "t", 2, false, &b), 0);
    const struct written r = commit_one(w, 0);
    const int64_t key = find(w, "t")->key;
    assert_int_equal(r.events, 5);
    assert_int_equal(r.topics, 1);
    assert_int_equal(r.first_message, message_number(key, 0));
    assert_int_equal(r.last_message, message_number(key, 4));
    assert_int_equal(r.total, 3 + 2 + 0 + 3 + 2);
    assert_true(r.dedupe);
    assert_int_equal(r.span.offset, 0);
    assert_int_equal(r.span.count, 3);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.offset, 0);
    assert_int_equal(b.offset, 3);
}

/* The batch that fails takes the one that fills with it; then offsets go on where the disk is. */
static void a_failed_commit_gives_its_offsets_back(void **state)
{
    struct world *w = *state;
    struct answer a, b;
    publish_to(w, "t", 2, false, NULL);
    commit_one(w, 0);
    publish_to(w, "t", 3, false, &a);
    publish_to(w, "new", 1, false, NULL);
    struct batch *out = engine_take(w->engine);
    publish_to(w, "t", 1, false, &b);
    assert_int_equal(find(w, "t")->state.next_offset, 6);
    settle(w, out, -EIO);
    assert_int_equal(a.err, -EIO);
    assert_int_equal(b.err, -EIO);
    assert_int_equal(a.count + b.count, 2);
    assert_null(find(w, "new"));
    assert_int_equal(find(w, "t")->state.next_offset, 2);
    assert_int_equal(find(w, "t")->state.total, 5);
    publish_to(w, "t", 1, false, &a);
    publish_to(w, "new", 1, false, NULL);
    const struct written r = commit_one(w, 0);
    assert_int_equal(a.offset, 2);
    assert_int_equal(message_offset(r.last_message), 0);
}

static void changes_and_drops_are_undone(void **state)
{
    struct world *w = *state;
    publish_to(w, "t", 4, false, NULL);
    commit_one(w, 0);
    const int64_t key = find(w, "t")->key;
    publish_to(w, "t", 1, false, NULL);
    assert_int_equal(engine_put_topic(w->engine, w->now, SLICE("t"), 7, 8, NULL), 0);
    publish_to(w, "t", 1, false, NULL);
    engine_drop_topic(w->engine, w->now, find(w, "t"), NULL);
    publish_to(w, "t", 1, false, NULL);
    assert_int_not_equal(find(w, "t")->key, key);
    assert_int_equal(find(w, "t")->state.next_offset, 1);
    commit_one(w, -ENOSPC);
    assert_int_equal(find(w, "t")->key, key);
    assert_int_equal(find(w, "t")->state.next_offset, 4);
    assert_true(find(w, "t")->state.bytes_max == RETENTION_DEFAULT);
    engine_drop_topic(w->engine, w->now, find(w, "t"), NULL);
    commit_one(w, 0);
    assert_null(find(w, "t"));
}

static void there_are_only_so_many_topics(void **state)
{
    struct world *w = *state;
    char name[16];
    for (int i = 0; i < TOPICS_MAX; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        assert_int_equal(publish_to(w, name, 1, false, NULL), 0);
    }
    assert_int_equal(publish_to(w, "more", 1, false, NULL), -EDQUOT);
    assert_int_equal(engine_put_topic(w->engine, w->now, SLICE("more"), 0, 0, NULL), -EDQUOT);
    assert_int_equal(publish_to(w, "t5", 1, false, NULL), 0);
    commit_one(w, 0);
}

/* ---- positions ---- */

static int feed_position(struct world *w, struct position p, bool keep, struct answer *a)
{
    const struct event ev = {
        .source = "topic",
        .type = SLICE("message"),
        .key = topic_match_key(SLICE("nats:x")),
        .scope = SLICE("nats:x"),
        .keep = keep,
        .position = &p,
        .ticket = &a->ticket,
    };
    *a = (struct answer){.ticket.done = note};
    return engine_feed(w->engine, w->now, &ev);
}

static int feed_at(struct world *w, const char *subscription, uint32_t partition, uint64_t at,
                   bool keep, struct answer *a)
{
    return feed_position(w, (struct position){slice_of(subscription), partition, at, 0, false},
                         keep, a);
}

static void a_position_is_passed_once(void **state)
{
    struct world *w = *state;
    struct answer a, b, c, d;
    assert_int_equal(feed_at(w, "s", 0, 0, true, &a), 0);
    assert_int_equal(feed_at(w, "s", 0, 5, true, &b), 0);
    assert_int_equal(feed_at(w, "s", 0, 5, true, &c), 0);
    assert_int_equal(feed_at(w, "s", 1, 5, false, &d), 0);
    const struct written r = commit_one(w, 0);
    assert_int_equal(r.positions, 2);
    assert_int_equal(a.count + b.count + c.count + d.count, 4);
    assert_false(uuid_is_nil(a.event));
    assert_false(uuid_is_nil(b.event));
    assert_true(uuid_is_nil(c.event));
    assert_true(uuid_is_nil(d.event)); /* nobody listens, nothing is kept; the position is */
    feed_at(w, "s", 0, 4, true, &a);
    feed_at(w, "s", 1, 6, true, &b);
    assert_int_equal(commit_one(w, 0).position, 6);
    assert_true(uuid_is_nil(a.event));
}

static void a_failed_commit_gives_its_positions_back(void **state)
{
    struct world *w = *state;
    struct answer a, b;
    feed_at(w, "s", 0, 1, true, &a);
    commit_one(w, 0);
    feed_at(w, "s", 0, 2, true, &a);
    struct batch *out = engine_take(w->engine);
    feed_at(w, "s", 0, 3, true, &b);
    settle(w, out, -EIO);
    assert_int_equal(a.err, -EIO);
    assert_int_equal(b.err, -EIO);
    feed_at(w, "s", 0, 2, true, &a);
    assert_int_equal(commit_one(w, 0).position, 2);
    assert_false(uuid_is_nil(a.event));
}

static bool known(struct world *w, const char *subscription, uint64_t *ret_at, uint64_t *ret_mark)
{
    struct position p = {.subscription = slice_of(subscription)};
    const bool is = engine_position(w->engine, &p);
    *ret_at = p.at;
    *ret_mark = p.mark;
    return is;
}

static void a_position_goes_back_when_it_is_said_so(void **state)
{
    struct world *w = *state;
    struct answer a, b;
    uint64_t at, mark;
    feed_position(w, (struct position){SLICE("s"), 0, 9, 99, false}, true, &a);
    commit_one(w, 0);
    feed_position(w, (struct position){SLICE("s"), 0, 3, 33, true}, false, &a);
    feed_at(w, "s", 0, 4, true, &b);
    struct batch *out = engine_take(w->engine);
    settle(w, out, -EIO);
    assert_true(known(w, "s", &at, &mark) && at == 9 && mark == 99);
    feed_position(w, (struct position){SLICE("s"), 0, 3, 33, true}, false, &a);
    feed_at(w, "s", 0, 3, true, &b);
    assert_int_equal(commit_one(w, 0).position, 3);
    assert_true(uuid_is_nil(b.event));
    assert_true(known(w, "s", &at, &mark) && at == 3 && mark == 33);
}

static bool is_gone(struct slice subscription, void *arg)
{
    return slice_is(subscription, arg);
}

static void positions_are_forgotten(void **state)
{
    struct world *w = *state;
    struct answer a, b;
    uint64_t at, mark;
    feed_at(w, "gone", 0, 5, true, &a);
    feed_at(w, "gone", 1, 5, true, &a);
    feed_at(w, "stays", 0, 5, true, &a);
    commit_one(w, 0);
    engine_forget_positions(w->engine, is_gone, "gone");
    assert_false(known(w, "gone", &at, &mark));
    settle(w, engine_take(w->engine), -EIO);
    assert_true(known(w, "gone", &at, &mark) && at == 5);
    engine_forget_positions(w->engine, is_gone, "gone");
    feed_at(w, "gone", 0, 2, true, &b);
    const struct written r = commit_one(w, 0);
    assert_int_equal(r.forgotten, 2);
    assert_int_equal(r.positions, 1);
    assert_false(uuid_is_nil(b.event));
    assert_true(known(w, "gone", &at, &mark) && at == 2);
    assert_true(known(w, "stays", &at, &mark) && at == 5);
    engine_forget_positions(w->engine, is_gone, "nobody");
    assert_true(engine_is_idle(w->engine));
}

static void loaded_positions_count(void **state)
{
    struct world *w = *state;
    struct answer a;
    engine_load_position(w->engine, &(struct position){SLICE("s"), 3, 7, 0, false});
    feed_at(w, "s", 3, 7, true, &a);
    assert_int_equal(commit_one(w, 0).positions, 0);
    assert_true(uuid_is_nil(a.event));
}

/* ---- who listens ---- */

static struct trigger_def *listening_to(const char *topic)
{
    struct rule r = {.scope = mem_strdup(topic)};
    rule_set_key(&r, topic_match_key(slice_of(topic)));
    return trigger_def_create(SLICE("{}"), true, 0, &r);
}

static uint32_t listeners(struct world *w, const char *topic)
{
    const struct subscribed *s = catalog_subscribed(engine_catalog(w->engine), slice_of(topic));
    return s != NULL ? s->triggers : 0;
}

static void listeners_are_known_and_told_of(void **state)
{
    struct world *w = *state;
    struct pipeline *p =
        engine_add_pipeline(w->engine, w->now, SLICE("a.b.c"), pull_pipeline(), NULL);
    struct trigger *t = engine_add_trigger(w->engine, w->now, p, "topic", listening_to("kafka:a"),
                                           SLICE("x"), NULL);
    assert_int_equal(listeners(w, "kafka:a"), 1);
    assert_int_equal(commit_one(w, 0).arms, 1);
    engine_change_trigger(w->engine, w->now, t, listening_to("kafka:b"), SLICE("x"), NULL);
    assert_int_equal(listeners(w, "kafka:a"), 0);
    assert_int_equal(listeners(w, "kafka:b"), 1);
    struct batch *b = engine_take(w->engine);
    engine_settle(w->engine, w->now, b, -EIO);
    assert_int_equal(b->first->type, EFFECT_ARM); /* whoever consumes may have begun already */
    engine_recycle(w->engine, b);
    assert_int_equal(listeners(w, "kafka:a"), 1);
    engine_drop_trigger(w->engine, w->now, t, NULL);
    assert_int_equal(commit_one(w, 0).arms, 1);
    assert_int_equal(listeners(w, "kafka:a"), 0);
}

/* A run of another version than the current one is read from the queue, with that version's spec. */
static void a_pinned_version_waits_its_turn(void **state)
{
    struct world *w = *state;
    struct pipeline *p =
        engine_add_pipeline(w->engine, w->now, SLICE("a.b.c"), command_pipeline(), NULL);
    engine_change_pipeline(w->engine, w->now, p, command_pipeline(), NULL);
    struct rule r = {.scope = mem_strdup("t"), .version = 1};
    rule_set_key(&r, topic_match_key(SLICE("t")));
    add_trigger(w, p, &r, 0);
    publish_to(w, "t", 1, false, NULL);
    struct batch *b = engine_take(w->engine);
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        assert_int_not_equal(f->type, EFFECT_START_RUN);
        if (f->type == EFFECT_PUT_RUN)
            assert_int_equal(f->put_run.version, 1);
    }
    settle(w, b, 0);
    assert_int_equal(p->pending, 1);
}

/* ---- names and lines ---- */

static void names(void **state)
{
    static const char *const good[] = {"a", "orders-topic", "A.b_c-9", "0"};
    static const char *const bad[] = {"", "-a", ".a", "_", "a b", "a/b", "nats:a", "\xc3\xa4"};
    char longest[TOPIC_NAME_LEN_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(topic_name_valid(slice_of(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(topic_name_valid(slice_of(bad[i])));
    assert_true(topic_name_valid((struct slice){longest, TOPIC_NAME_LEN_MAX}));
    assert_false(topic_name_valid((struct slice){longest, TOPIC_NAME_LEN_MAX + 1}));
}

static void lines(void **state)
{
    struct slice line;
    struct ndjson n = ndjson_of(SLICE("\n {\"a\":1}\r\n\t\n2\n[\n3"));
    assert_int_equal(ndjson_next(&n, &line), 1);
    assert_true(slice_is(line, "{\"a\":1}"));
    assert_int_equal(n.line, 2);
    assert_int_equal(ndjson_next(&n, &line), 1);
    assert_true(slice_is(line, "2"));
    assert_int_equal(ndjson_next(&n, &line), -EINVAL);
    assert_int_equal(n.line, 5);
    n = ndjson_of(SLICE(""));
    assert_int_equal(ndjson_next(&n, &line), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(offsets_follow_one_another),
        TEST(a_failed_commit_gives_its_offsets_back),
        TEST(changes_and_drops_are_undone),
        TEST(there_are_only_so_many_topics),
        TEST(a_position_is_passed_once),
        TEST(a_failed_commit_gives_its_positions_back),
        TEST(a_position_goes_back_when_it_is_said_so),
        TEST(positions_are_forgotten),
        TEST(loaded_positions_count),
        TEST(listeners_are_known_and_told_of),
        TEST(a_pinned_version_waits_its_turn),
        cmocka_unit_test(names),
        cmocka_unit_test(lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
