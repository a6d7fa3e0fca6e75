#include "store_fixture.h"
#include "io/store/retention.h"

static const struct run_filter any = {.started_after = {INT64_MIN}, .started_before = {INT64_MIN}};

static struct fired put_failed(struct store *s, int64_t pipeline_key)
{
    const struct fired f = put_webhook(s, UUID_NIL, 0, pipeline_key, RUN_RUNNING);
    put_move(s, f.run, RUN_FAILED);
    return f;
}

static struct uuid put_replay(struct store *s, struct fired of, int64_t pipeline_key)
{
    const struct uuid id = next_id(s);
    batch_add(s->b, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){
        .id = id,
        .event = of.event,
        .pipeline_key = pipeline_key,
        .version = 1,
        .status = RUN_PENDING,
        .attempt = 1,
        .started_at = WALL_UNSET,
        .replay_of = of.run,
    };
    return id;
}

static void expect_dead(struct store *s, const struct run_filter *f, size_t max, size_t n,
                        uint64_t left, const struct fired *first)
{
    struct replay r[8];
    size_t got;
    uint64_t got_left;
    assert_int_equal(query_dead(s->db, f, r, max, &got, &got_left), 0);
    assert_int_equal(got, n);
    assert_int_equal(got_left, left);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(&r[i].run, &first[i].run, sizeof(struct uuid));
        assert_memory_equal(&r[i].event, &first[i].event, sizeof(struct uuid));
    }
}

static size_t listed_dead(struct store *s)
{
    struct run_filter f = any;
    const struct page page = {.limit = 50};
    f.dead = true;
    str_reset(&s->text);
    assert_int_equal(query_runs(s->db, &f, &page, &s->text), 0);
    return text_times(s, "\"dead\":true");
}

static void dead_ones_are_found_oldest_first(void **state)
{
    struct store *s = *state;
    struct fired f[5];
    put_pipeline(s, 1, "a.b.c", "{}");
    put_pipeline(s, 2, "a.x.d", "{}");
    for (int i = 0; i < 5; i++)
        f[i] = put_failed(s, i < 3 ? 1 : 2);
    put_move(s, put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING).run, RUN_SUCCESS);
    put_move(s, put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING).run, RUN_CANCELLED);
    put_webhook(s, UUID_NIL, 0, 1, RUN_PENDING);
    store_write(s);
    expect_dead(s, &any, 8, 5, 0, f);
    expect_dead(s, &any, 2, 2, 3, f);
    struct run_filter some = any;
    some.layer = SLICE("x");
    expect_dead(s, &some, 8, 2, 0, f + 3);
    some = any;
    some.pipeline = SLICE("c");
    expect_dead(s, &some, 1, 1, 2, f);
    some.started_after = (struct wall){s->now.ms + 1};
    expect_dead(s, &some, 8, 0, 0, f);
    assert_int_equal(listed_dead(s), 5);

    /* One is made again. */
    put_replay(s, f[0], 1);
    store_write(s);
    expect_dead(s, &any, 8, 4, 0, f + 1);
    assert_int_equal(listed_dead(s), 4);

    /* A pipeline goes. */
    batch_add(s->b, EFFECT_DROP_PIPELINE)->drop = (struct effect_drop){.key = 1, .at = s->now};
    store_write(s);
    expect_dead(s, &any, 8, 2, 0, f + 3);

    /* So does an event. */
    assert_int_equal(store_count(s, "SELECT count(*) FROM events WHERE key > 0"), 8);
    struct row_key k;
    assert_true(row_key_of(f[3].event, &k));
    char *sql = mem_printf("DELETE FROM events WHERE key = %lld", (long long)k.key);
    assert_int_equal(sqlite3_exec(s->db->sql, sql, NULL, NULL, NULL), SQLITE_OK);
    free(sql);
    expect_dead(s, &any, 8, 1, 0, f + 4);
    struct replay_row row;
    assert_int_equal(query_replay(s->db, f[3].run, &row), 0);
    assert_true(row.event_is_gone);
    assert_int_equal(query_replay(s->db, next_id(s), &row), -ENOENT);
}

static void dead_ones_are_filtered(void **state)
{
    struct store *s = *state;
    struct fired f[3];
    put_pipeline(s, 1, "a.b.c", "{}");
    put_pipeline(s, 2, "z.b.c", "{}");
    const struct uuid trigger = put_trigger(s, 5, 1);
    f[0] = put_failed(s, 1);
    f[1] = put_webhook(s, trigger, 5, 1, RUN_RUNNING);
    put_move(s, f[1].run, RUN_FAILED);
    f[2] = put_failed(s, 2);
    store_write(s);
    const struct {
        struct slice ns, layer, pipeline;
        struct uuid trigger;
        size_t first, n;
    } rows[] = {
        {.n = 3},
        {.ns = SLICE("a"), .n = 2},
        {.ns = SLICE("z"), .first = 2, .n = 1},
        {.ns = SLICE("b")},
        {.layer = SLICE("b"), .n = 3},
        {.pipeline = SLICE("c"), .n = 3},
        {.pipeline = SLICE("b")},
        {.trigger = trigger, .first = 1, .n = 1},
        {.ns = SLICE("z"), .trigger = trigger},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct run_filter some = any;
        some.ns = rows[i].ns;
        some.layer = rows[i].layer;
        some.pipeline = rows[i].pipeline;
        some.trigger = rows[i].trigger;
        expect_dead(s, &some, 8, rows[i].n, 0, f + rows[i].first);
    }
}

static void both_runs_know_each_other(void **state)
{
    struct store *s = *state;
    char part[128];
    put_pipeline(s, 1, "a.b.c", "{}");
    const struct fired f = put_failed(s, 1);
    struct effect *e = s->b->first;
    while (e->type != EFFECT_PUT_RUN)
        e = e->next;
    e->put_run.input = SLICE("[7]");
    store_write(s);
    const struct uuid again = put_replay(s, f, 1);
    store_write(s);
    assert_int_equal(store_count(s, "SELECT count(*) FROM run_inputs WHERE input = x'5b375d'"), 2);
    struct replay_row row;
    assert_int_equal(query_replay(s->db, f.run, &row), 0);
    assert_int_equal(row.status, RUN_FAILED);
    assert_false(row.event_is_gone);
    assert_int_equal(query_run(s->db, f.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'status':'failed'"));
    assert_true(text_has(s, "'input':[7]"));
    snprintf(part, sizeof(part), "'dead':false,'replay_of':null,'replayed_as':'%s'",
             text_of(again));
    assert_true(text_has(s, part));
    str_reset(&s->text);
    assert_int_equal(query_run(s->db, again, &s->text, NULL), 0);
    snprintf(part, sizeof(part), "'dead':false,'replay_of':'%s','replayed_as':null",
             text_of(f.run));
    assert_true(text_has(s, part));
    str_reset(&s->text);
    assert_int_equal(query_event(s->db, f.event, &s->text), 0);
    snprintf(part, sizeof(part), ",'%s']", text_of(again));
    assert_true(text_has(s, part));
    assert_true(text_has(s, "'run_ids':['"));
}

/* Retention took the event after the run was looked for. */
static void without_its_event_it_is_cancelled(void **state)
{
    struct store *s = *state;
    put_pipeline(s, 1, "a.b.c", "{}");
    struct fired f = put_failed(s, 1);
    store_write(s);
    f.event = next_id(s);
    const struct uuid again = put_replay(s, f, 1);
    store_write(s);
    assert_int_equal(query_run(s->db, again, &s->text, NULL), 0);
    assert_true(text_has(s, "'status':'cancelled'"));
    assert_true(text_has(s, "'error':'its event was removed by retention'"));
}

static void retention_keeps_an_event_that_is_replayed(void **state)
{
    struct store *s = *state;
    const struct retention r = {.age_ms = 1000};
    struct retention_plan p;
    put_pipeline(s, 1, "a.b.c", "{}");
    const struct fired f = put_failed(s, 1);
    store_write(s);
    const struct uuid again = put_replay(s, f, 1);
    store_write(s);
    s->now.ms += 3600000;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(retention_plan(s->db, &r, s->now, &p), 0);
        while (p.stage != RETAIN_DONE)
            assert_int_equal(retention_step(s->db, &p), 0);
        assert_int_equal(store_count(s, "SELECT count(*) FROM runs"), 1 - round);
        assert_int_equal(store_count(s, "SELECT count(*) FROM events"), 1 - round);
        assert_int_equal(store_count(s, "SELECT count(*) FROM replays"), 1 - round);
        put_move(s, again, RUN_CANCELLED);
        store_write(s);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dead_ones_are_found_oldest_first),
        TEST(dead_ones_are_filtered),
        TEST(both_runs_know_each_other),
        TEST(without_its_event_it_is_cancelled),
        TEST(retention_keeps_an_event_that_is_replayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
