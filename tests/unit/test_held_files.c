/* Files that a trigger could not fire for at once: which of them its next run is told of, and that they are kept until then. */
#include "store_fixture.h"
#include "io/store/retention.h"

#define DAY_MS ((int64_t)86400000)

/* A trigger that a file in zone 1 was held back for. */
struct held {
    struct store *s;
    struct uuid trigger, first;
};

static void put_zone(struct store *s, int64_t key, const char *path)
{
    batch_add(s->b, EFFECT_PUT_ZONE)->put_zone = (struct effect_put_zone){
        .id = next_id(s),
        .key = key,
        .path = slice_of(path),
        .directory = SLICE("/in"),
        .spec = SLICE("{}"),
        .primed = true,
        .created_at = s->now,
        .updated_at = s->now,
    };
}

static struct uuid put_event(struct held *h, int64_t zone, const char *payload,
                             const struct decision *d)
{
    struct store *s = h->s;
    s->now.ms += 1000;
    const struct uuid id = next_id(s);
    batch_add(s->b, EFFECT_PUT_EVENT)->put_event = (struct effect_put_event){
        .id = id,
        .source = "zone",
        .type = SLICE("file.arrived"),
        .content_type = SLICE("application/json"),
        .payload = slice_of(payload),
        .time = s->now,
        .zone_key = zone,
        .decisions = decision_encode(&s->b->arena, d, 1),
    };
    return id;
}

static struct uuid put_file(struct held *h, int64_t zone, const char *payload, enum verdict v)
{
    const struct decision d = {.trigger = h->trigger, .verdict = v};
    const struct uuid id = put_event(h, zone, payload, &d);
    store_write(h->s);
    return id;
}

/* An event that the trigger fires for, and its run. */
static void fire(struct held *h, int64_t zone, const char *payload)
{
    struct uuid run = next_id(h->s);
    const struct decision d = {.trigger = h->trigger, .runs = &run, .run_count = 1};
    const struct uuid event = put_event(h, zone, payload, &d);
    batch_add(h->s->b, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){
        .id = run,
        .event = event,
        .pipeline_key = 1,
        .version = 1,
        .trigger_key = 1,
        .status = RUN_PENDING,
        .attempt = 1,
        .held_from = h->first,
        .started_at = WALL_UNSET,
    };
    batch_add(h->s->b, EFFECT_TRIGGER_STATE)->trigger_state =
        (struct effect_trigger_state){.trigger_key = 1, .last_fired = h->s->now, .last_run = run};
    store_write(h->s);
}

static struct held begin(struct store *s)
{
    struct held h = {.s = s};
    put_pipeline(s, 1, "a.b.c", "{}");
    h.trigger = put_trigger(s, 1, 1);
    put_zone(s, 1, "n.one");
    put_zone(s, 2, "n.two");
    store_write(s);
    h.first = put_file(&h, 1, "1", VERDICT_COOLDOWN);
    return h;
}

static void expect_files(struct held *h, const char *files)
{
    struct arena a = {0};
    struct offered_run run;
    size_t n;
    struct wall next_due;
    assert_int_equal(query_pending(h->s->db, 1, h->s->now, 1, &a, &run, &n, &next_due), 0);
    assert_int_equal(n, 1);
    str_reset(&h->s->text);
    str_add_slice(&h->s->text, run.start.files);
    assert_string_equal(h->s->text.p, files);
    arena_release(&a);
}

static void retain_a_day(struct store *s)
{
    struct retention_plan p;
    const struct retention r = {.age_ms = (uint64_t)DAY_MS};
    assert_int_equal(retention_plan(s->db, &r, s->now, &p), 0);
    while (p.stage != RETAIN_DONE)
        assert_int_equal(retention_step(s->db, &p), 0);
}

static void those_that_concern_the_trigger(void **state)
{
    struct held h = begin(*state);
    put_file(&h, 1, "2", VERDICT_NO_MATCH);
    put_file(&h, 2, "3", VERDICT_NO_MATCH);
    put_file(&h, 1, "4", VERDICT_CONCURRENCY);
    fire(&h, 1, "5");
    put_file(&h, 1, "6", VERDICT_COOLDOWN);
    expect_files(&h, "[1,4,5]");
}

static void of_every_zone_that_the_trigger_had_meanwhile(void **state)
{
    struct held h = begin(*state);
    h.s->now.ms += 1000;
    batch_add(h.s->b, EFFECT_PUT_TRIGGER)->put_trigger = (struct effect_put_trigger){
        .id = h.trigger,
        .key = 1,
        .pipeline_key = 1,
        .type = SLICE("file_pattern"),
        .config = SLICE("{}"),
        .label = SLICE("another zone's"),
        .enabled = true,
        .created_at = T0,
        .updated_at = h.s->now,
    };
    put_file(&h, 2, "2", VERDICT_COOLDOWN);
    put_file(&h, 1, "3", VERDICT_NO_MATCH);
    put_file(&h, 1, "4", VERDICT_COOLDOWN);
    fire(&h, 0, "{}"); /* the end of the cooldown */
    expect_files(&h, "[1,2,4]");
}

static void of_a_zone_that_was_deleted_and_made_again(void **state)
{
    struct held h = begin(*state);
    batch_add(h.s->b, EFFECT_DROP_ZONE)->drop = (struct effect_drop){.key = 1, .at = h.s->now};
    put_zone(h.s, 3, "n.one");
    put_file(&h, 3, "2", VERDICT_COOLDOWN);
    fire(&h, 3, "3");
    expect_files(&h, "[1,2,3]");
}

static void a_run_has_its_own_file_whatever_is_gone(void **state)
{
    struct held h = begin(*state);
    fire(&h, 1, "2");
    assert_int_equal(sqlite3_exec(h.s->db->sql,
                                  "DELETE FROM events WHERE payload = CAST('1' AS BLOB)"
                                  " OR payload = '1'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(store_count(h.s, "SELECT count(*) FROM events"), 1);
    expect_files(&h, "[2]");
}

static void what_is_held_back_is_kept_for_the_next_firing(void **state)
{
    struct held h = begin(*state);
    put_file(&h, 1, "2", VERDICT_NO_MATCH);
    put_file(&h, 1, "3", VERDICT_COOLDOWN);
    batch_add(h.s->b, EFFECT_TRIGGER_STATE)->trigger_state = (struct effect_trigger_state){
        .trigger_key = 1, .last_fired = h.s->now, .held = 2, .held_from = h.first};
    store_write(h.s);
    h.s->now.ms += 3 * DAY_MS;
    retain_a_day(h.s);
    assert_int_equal(store_count(h.s, "SELECT count(*) FROM events"), 2);

    fire(&h, 1, "4");
    h.s->now.ms += 3 * DAY_MS;
    retain_a_day(h.s); /* its run has not begun */
    expect_files(&h, "[1,3,4]");

    assert_int_equal(sqlite3_exec(h.s->db->sql, "UPDATE runs SET state = 's'", NULL, NULL, NULL),
                     SQLITE_OK);
    retain_a_day(h.s);
    assert_int_equal(store_count(h.s, "SELECT count(*) FROM events"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(those_that_concern_the_trigger),
        TEST(of_every_zone_that_the_trigger_had_meanwhile),
        TEST(of_a_zone_that_was_deleted_and_made_again),
        TEST(a_run_has_its_own_file_whatever_is_gone),
        TEST(what_is_held_back_is_kept_for_the_next_firing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
