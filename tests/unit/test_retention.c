#include "store_fixture.h"
#include "io/store/retention.h"

#define DAY_MS ((uint64_t)86400000)

struct catalog_ids {
    struct uuid pipeline, trigger;
};

static struct catalog_ids put_catalog(struct store *s, int64_t key, const char *path)
{
    struct catalog_ids c = {put_pipeline(s, key, path, "{}")};
    c.trigger = put_trigger(s, key, key);
    store_write(s);
    return c;
}

/* A run that began and ended now. */
static struct fired put_ended(struct store *s, struct uuid trigger, int64_t key)
{
    const struct fired f = put_webhook(s, trigger, key, key, RUN_RUNNING);
    struct effect_move_run *m = put_move(s, f.run, RUN_SUCCESS);
    m->output = SLICE("done");
    batch_add(s->b, EFFECT_PUT_ATTEMPT)->put_attempt = (struct effect_put_attempt){
        .run = f.run, .attempt = 1, .started_at = s->now, .finished_at = s->now};
    return f;
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

static void expect_counts(struct store *s, int64_t events, int64_t runs)
{
    assert_int_equal(store_count(s, "SELECT count(*) FROM events"), events);
    assert_int_equal(store_count(s, "SELECT count(*) FROM runs"), runs);
}

static void nothing_asked_nothing_goes(void **state)
{
    struct store *s = *state;
    const struct catalog_ids c = put_catalog(s, 1, "a.b.c");
    put_ended(s, c.trigger, 1);
    store_write(s);
    s->now.ms += 10000 * (int64_t)DAY_MS;
    retain(s, (struct retention){0});
    expect_counts(s, 1, 1);
}

static void the_old_goes(void **state)
{
    struct store *s = *state;
    const struct catalog_ids c = put_catalog(s, 1, "a.b.c");
    for (int day = 0; day < 10; day++) {
        put_ended(s, c.trigger, 1);
        store_write(s);
        s->now.ms += (int64_t)DAY_MS;
    }
    retain(s, (struct retention){.age_ms = 4 * DAY_MS});
    expect_counts(s, 4, 4);
    assert_int_equal(store_count(s, "SELECT count(*) FROM run_outputs"), 4);
    assert_int_equal(store_count(s, "SELECT count(*) FROM run_attempts"), 4);
    assert_int_equal(store_count(s, "SELECT min(time) FROM events"),
                     s->now.ms - 4 * (int64_t)DAY_MS);
}

static void the_newest_stay(void **state)
{
    struct store *s = *state;
    const struct catalog_ids c = put_catalog(s, 1, "a.b.c");
    for (int i = 0; i < 3 * RETENTION_ROWS_MAX + 5; i++)
        put_ended(s, c.trigger, 1);
    store_write(s);
    const int64_t newest = store_count(s, "SELECT max(key) FROM runs");
    retain(s, (struct retention){.count_max = 7});
    expect_counts(s, 7, 7);
    assert_int_equal(store_count(s, "SELECT max(key) FROM runs"), newest);
    retain(s, (struct retention){.count_max = 7});
    expect_counts(s, 7, 7);
}

static void both_limits_hold(void **state)
{
    struct store *s = *state;
    const struct catalog_ids c = put_catalog(s, 1, "a.b.c");
    for (int day = 0; day < 10; day++) {
        put_ended(s, c.trigger, 1);
        store_write(s);
        s->now.ms += (int64_t)DAY_MS;
    }
    retain(s, (struct retention){.age_ms = 8 * DAY_MS, .count_max = 5});
    expect_counts(s, 5, 5);
    retain(s, (struct retention){.age_ms = 2 * DAY_MS, .count_max = 5});
    expect_counts(s, 2, 2);
}

static void unfinished_runs_and_their_events_stay(void **state)
{
    struct store *s = *state;
    const struct catalog_ids c = put_catalog(s, 1, "a.b.c");
    const struct fired pending = put_webhook(s, c.trigger, 1, 1, RUN_PENDING);
    const struct fired running = put_webhook(s, c.trigger, 1, 1, RUN_RUNNING);
    const struct fired delayed = put_webhook(s, c.trigger, 1, 1, RUN_RUNNING);
    put_move(s, delayed.run, RUN_PENDING)->due_at = (struct wall){s->now.ms + 1000};
    put_ended(s, c.trigger, 1);
    store_write(s);
    s->now.ms += 100 * (int64_t)DAY_MS;
    retain(s, (struct retention){.age_ms = DAY_MS, .count_max = 1});
    expect_counts(s, 3, 3);
    struct run_row row;
    assert_int_equal(query_run_row(s->db, pending.run, &row), 0);
    assert_int_equal(query_run_row(s->db, running.run, &row), 0);
    assert_int_equal(query_run_row(s->db, delayed.run, &row), 0);
    assert_int_equal(query_event(s->db, pending.event, &s->text), 0);
    assert_int_equal(query_event(s->db, running.event, &s->text), 0);
    assert_int_equal(query_event(s->db, delayed.event, &s->text), 0);
}

static void repeated_requests_are_forgotten_after_a_day(void **state)
{
    struct store *s = *state;
    const struct catalog_ids c = put_catalog(s, 1, "a.b.c");
    for (int i = 0; i < RETENTION_ROWS_MAX + 3; i++) {
        const struct fired f = put_webhook(s, c.trigger, 1, 1, RUN_PENDING);
        struct effect *e = s->b->first;
        while (e->type != EFFECT_PUT_EVENT || uuid_cmp(e->put_event.id, f.event) != 0)
            e = e->next;
        e->put_event.dedupe = true;
        e->put_event.dedupe_run = f.run;
        memcpy(e->put_event.dedupe_key.b, &i, sizeof(i));
    }
    store_write(s);
    s->now.ms += (int64_t)DAY_MS - 1;
    retain(s, (struct retention){0});
    assert_int_equal(store_count(s, "SELECT count(*) FROM dedupe"), RETENTION_ROWS_MAX + 3);
    s->now.ms += 2;
    retain(s, (struct retention){0});
    assert_int_equal(store_count(s, "SELECT count(*) FROM dedupe"), 0);
}

static void drop(struct store *s, enum effect_type type, int64_t key)
{
    batch_add(s->b, type)->drop = (struct effect_drop){.key = key, .at = s->now};
    store_write(s);
}

static void deleted_things_stay_while_something_names_them(void **state)
{
    struct store *s = *state;
    const struct catalog_ids kept = put_catalog(s, 1, "a.b.c"), gone = put_catalog(s, 2, "a.b.d");
    const struct fired f = put_ended(s, gone.trigger, 2);
    store_write(s);
    s->now.ms += (int64_t)DAY_MS;
    drop(s, EFFECT_DROP_PIPELINE, 2);
    s->now.ms += (int64_t)DAY_MS;
    put_ended(s, kept.trigger, 1);
    store_write(s);

    retain(s, (struct retention){.age_ms = 3 * DAY_MS});
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, text_of(gone.trigger)));
    assert_true(text_has(s, text_of(gone.pipeline)));

    s->now.ms += (int64_t)DAY_MS;
    retain(s, (struct retention){.age_ms = 2 * DAY_MS});
    expect_counts(s, 1, 1);
    assert_int_equal(store_count(s, "SELECT max(key) FROM pipelines"), 1);
    assert_int_equal(store_count(s, "SELECT max(key) FROM triggers"), 1);
    assert_int_equal(store_count(s, "SELECT max(trigger) FROM trigger_states"), 1);
    assert_int_equal(store_count(s, "SELECT max(pipeline) FROM pipeline_versions"), 1);
}

/* A run that is made again is younger than all that it names: its event and the first run go before it. */
static void a_deleted_trigger_stays_while_a_replay_names_it(void **state)
{
    struct store *s = *state;
    const struct catalog_ids c = put_catalog(s, 1, "a.b.c");
    const struct fired f = put_ended(s, c.trigger, 1);
    store_write(s);
    s->now.ms += (int64_t)DAY_MS;
    drop(s, EFFECT_DROP_TRIGGER, 1);
    s->now.ms += (int64_t)DAY_MS;
    const struct uuid again = next_id(s);
    batch_add(s->b, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){
        .id = again,
        .event = f.event,
        .pipeline_key = 1,
        .version = 1,
        .trigger_key = 1,
        .status = RUN_SUCCESS,
        .attempt = 1,
        .started_at = s->now,
        .replay_of = f.run,
    };
    store_write(s);

    retain(s, (struct retention){.age_ms = DAY_MS});
    expect_counts(s, 0, 1);
    assert_int_equal(query_run(s->db, again, &s->text, NULL), 0);
    assert_true(text_has(s, text_of(c.trigger)));

    s->now.ms += 2 * (int64_t)DAY_MS;
    retain(s, (struct retention){.age_ms = DAY_MS});
    expect_counts(s, 0, 0);
    assert_int_equal(store_count(s, "SELECT count(*) FROM triggers"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_asked_nothing_goes),
        TEST(the_old_goes),
        TEST(the_newest_stay),
        TEST(both_limits_hold),
        TEST(unfinished_runs_and_their_events_stay),
        TEST(repeated_requests_are_forgotten_after_a_day),
        TEST(deleted_things_stay_while_something_names_them),
        TEST(a_deleted_trigger_stays_while_a_replay_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
