/* Messages, topics and positions on disk: written, read back into an engine, kept and removed. */
#include "store_fixture.h"
#include "core/topic.h"
#include "io/store/retention.h"

#define HOUR_MS INT64_C(3600000)

static void put_topic(struct store *s, int64_t key, const char *name, uint64_t age_ms,
                      uint64_t bytes_max)
{
    batch_add(s->b, EFFECT_PUT_TOPIC)->put_topic = (struct effect_put_topic){
        .key = key,
        .name = slice_of(name),
        .age_ms = age_ms,
        .bytes_max = bytes_max,
        .created_at = s->now,
        .updated_at = s->now,
    };
}

/* Messages of ten bytes; `total` is what the last one brings it to. */
static void put_messages(struct store *s, int64_t topic, uint64_t from, uint64_t to)
{
    for (uint64_t offset = from; offset < to; offset++)
        batch_add(s->b, EFFECT_PUT_EVENT)->put_event = (struct effect_put_event){
            .id = next_id(s),
            .source = "topic",
            .type = SLICE("message"),
            .subject = SLICE("t"),
            .payload = SLICE("0123456789"),
            .message_key = SLICE("k"),
            .time = s->now,
            .message = message_number(topic, offset),
            .message_total = (offset + 1) * 10,
        };
    store_write(s);
}

static void retain(struct store *s, struct retention r)
{
    struct retention_plan p;
    assert_int_equal(retention_plan(s->db, &r, s->now, &p), 0);
    for (int steps = 0; p.stage != RETAIN_DONE; steps++) {
        assert_true(steps < 1000);
        assert_int_equal(retention_step(s->db, &p), 0);
    }
}

static struct engine *load(struct store *s)
{
    static const struct def_maker none = {0};
    const struct engine_options opt = {.running_max = 1, .batch_bytes_max = 1 << 20};
    const struct now now = {{1000}, s->now};
    struct engine *e = engine_create(&opt, now, 1);
    struct diag why;
    assert_int_equal(store_load(s->db, e, now, &none, &why), 0);
    return e;
}

static void expect_next(struct store *s, const char *name, uint64_t offset, uint64_t total)
{
    struct engine *e = load(s);
    const struct topic *t = catalog_topic(engine_catalog(e), slice_of(name));
    assert_non_null(t);
    assert_int_equal(t->state.next_offset, offset);
    assert_int_equal(t->state.total, total);
    engine_destroy(e);
}

static void expect_messages(struct store *s, int64_t messages, int64_t events)
{
    assert_int_equal(store_count(s, "SELECT count(*) FROM messages"), messages);
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), events);
}

static void the_next_offset_comes_back(void **state)
{
    struct store *s = *state;
    put_topic(s, 1, "t", RETENTION_DEFAULT, 5000);
    put_topic(s, 2, "empty", 0, RETENTION_DEFAULT);
    put_messages(s, 1, 0, 7);
    put_topic(s, 3, "u", 0, 0);
    put_messages(s, 3, 0, 2);
    store_reopen(s);
    expect_next(s, "t", 7, 70);
    expect_next(s, "empty", 0, 0);
    expect_next(s, "u", 2, 20);
}

static void positions_come_back(void **state)
{
    struct store *s = *state;
    for (uint64_t at = 1; at < 4; at++) {
        batch_add(s->b, EFFECT_PUT_POSITION)->put_position =
            (struct effect_put_position){SLICE("nats:x"), 2, at, 10 * at};
        batch_add(s->b, EFFECT_PUT_POSITION)->put_position =
            (struct effect_put_position){SLICE("nats:x"), 3, at, 0};
        store_write(s);
    }
    batch_add(s->b, EFFECT_DROP_POSITION)->drop_position =
        (struct effect_drop_position){SLICE("nats:x"), 3};
    store_write(s);
    assert_int_equal(store_count(s, "SELECT count(*) FROM positions"), 1);
    struct engine *e = load(s);
    const struct position p = {SLICE("nats:x"), 2, 3, 0, false},
                          next = {SLICE("nats:x"), 2, 4, 0, false};
    struct position found = {.subscription = SLICE("nats:x"), .partition = 2};
    assert_true(engine_position(e, &found));
    assert_int_equal(found.mark, 30);
    struct event ev = {.source = "topic", .type = SLICE("message"), .keep = true, .position = &p};
    const struct now now = {{1000}, s->now};
    engine_feed(e, now, &ev);
    assert_true(engine_is_idle(e));
    ev.position = &next;
    engine_feed(e, now, &ev);
    assert_false(engine_is_idle(e));
    engine_destroy(e);
}

/* More than one step's worth, and one topic is not touched for another's sake. */
static void bytes_are_kept(void **state)
{
    struct store *s = *state;
    put_topic(s, 1, "t", 0, 55);
    put_topic(s, 2, "u", 0, RETENTION_DEFAULT);
    put_messages(s, 1, 0, 3 * RETENTION_ROWS_MAX + 7);
    put_messages(s, 2, 0, 20);
    retain(s, (struct retention){.topic_bytes_max = 100});
    expect_messages(s, 5 + 10, 5 + 10);
    assert_int_equal(store_count(s, "SELECT first_offset FROM topics WHERE key = 1"),
                     3 * RETENTION_ROWS_MAX + 2);
    expect_next(s, "t", 3 * RETENTION_ROWS_MAX + 7, (3 * RETENTION_ROWS_MAX + 7) * 10);
    put_topic(s, 1, "t", 0, 1);
    store_write(s);
    retain(s, (struct retention){0});
    expect_next(s, "t", 3 * RETENTION_ROWS_MAX + 7, (3 * RETENTION_ROWS_MAX + 7) * 10);
}

static void age_is_kept(void **state)
{
    struct store *s = *state;
    put_topic(s, 1, "t", RETENTION_DEFAULT, 0);
    put_topic(s, 2, "long", (uint64_t)(100 * HOUR_MS), 0);
    for (uint64_t hour = 0; hour < 10; hour++) {
        put_messages(s, 1, hour, hour + 1);
        put_messages(s, 2, hour, hour + 1);
        s->now.ms += HOUR_MS;
    }
    retain(s, (struct retention){.topic_age_ms = (uint64_t)(3 * HOUR_MS)});
    expect_messages(s, 3 + 10, 3 + 10);
    /* What a topic keeps stays when events of that age go. */
    retain(s, (struct retention){.age_ms = (uint64_t)HOUR_MS,
                                 .topic_age_ms = (uint64_t)(3 * HOUR_MS)});
    expect_messages(s, 3 + 10, 3 + 10);
}

static void an_event_with_a_run_under_way_stays(void **state)
{
    struct store *s = *state;
    put_pipeline(s, 1, "a.b.c", "{}");
    const struct uuid trigger = put_trigger(s, 1, 1);
    const struct fired f = put_webhook(s, trigger, 1, 1, RUN_RUNNING);
    struct effect_put_event *e = NULL;
    for (struct effect *x = s->b->first; x != NULL; x = x->next)
        if (x->type == EFFECT_PUT_EVENT)
            e = &x->put_event;
    e->message = message_number(1, 0);
    e->message_total = 10;
    put_topic(s, 1, "t", 0, 1);
    store_write(s);
    retain(s, (struct retention){0});
    expect_messages(s, 0, 1);
    put_move(s, f.run, RUN_SUCCESS);
    store_write(s);
    s->now.ms += HOUR_MS;
    retain(s, (struct retention){.age_ms = 1});
    expect_messages(s, 0, 0);
}

static void a_deleted_topic_goes_with_its_messages(void **state)
{
    struct store *s = *state;
    put_topic(s, 1, "t", 0, 0);
    put_messages(s, 1, 0, 300);
    batch_add(s->b, EFFECT_DROP_TOPIC)->drop = (struct effect_drop){.key = 1, .at = s->now};
    put_topic(s, 2, "t", 0, 0);
    put_messages(s, 2, 0, 1);
    expect_next(s, "t", 1, 10);
    retain(s, (struct retention){0});
    expect_messages(s, 1, 1);
    assert_int_equal(store_count(s, "SELECT count(*) FROM topics"), 1);
    expect_next(s, "t", 1, 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_next_offset_comes_back),
        TEST(positions_come_back),
        TEST(bytes_are_kept),
        TEST(age_is_kept),
        TEST(an_event_with_a_run_under_way_stays),
        TEST(a_deleted_topic_goes_with_its_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
