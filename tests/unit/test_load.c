/* What a daemon reads at its start and while it works the queue off. */
#include "store_fixture.h"

static struct pipeline_def *make_pipeline(struct slice spec, uint32_t version,
                                          struct wall updated_at, struct diag *reterr)
{
    if (slice_is(spec, "bad")) {
        diag_set(reterr, DIAG_INTERNAL, "spec is bad");
        return NULL;
    }
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){
        .version = version,
        .spec = mem_dup(spec.p, spec.len),
        .retry = {.max_attempts = 2,
                  .backoff_ms = 1000,
                  .backoff_factor = 2,
                  .backoff_ms_max = 9000},
        .updated_at = updated_at,
    };
    return d;
}

static struct trigger_def *make_trigger(struct slice type, struct slice config, bool enabled,
                                        uint64_t cooldown_ms, struct wall updated_at,
                                        const char **ret_type, struct diag *reterr)
{
    if (!slice_is(type, "webhook")) {
        diag_set(reterr, DIAG_INTERNAL, "type is unknown");
        return NULL;
    }
    struct rule rule = {0};
    rule_set_key(&rule, (struct match_key){{'w', 'x'}});
    struct trigger_def *d = trigger_def_create(config, enabled, cooldown_ms, &rule);
    d->updated_at = updated_at;
    *ret_type = "webhook";
    return d;
}

static const struct def_maker maker = {make_pipeline, make_trigger};

static struct now now_of(struct store *s)
{
    return (struct now){{1000}, s->now};
}

static struct engine *load(struct store *s, int expected, struct diag *why)
{
    const struct engine_options opt = {.running_max = 8, .batch_bytes_max = 1 << 20};
    struct engine *e = engine_create(&opt, now_of(s), 1);
    assert_int_equal(store_load(s->db, e, now_of(s), &maker, why), expected);
    return e;
}

static void catalog_comes_back(void **state)
{
    struct store *s = *state;
    struct diag why;
    const struct uuid pipeline = put_pipeline(s, 3, "default.bronze.orders", "{\"a\":1}");
    const struct uuid trigger = put_trigger(s, 5, 3), quiet = put_trigger(s, 6, 3);
    s->now.ms += 1000;
    put_webhook(s, trigger, 5, 3, RUN_PENDING);
    put_webhook(s, UUID_NIL, 0, 3, RUN_PENDING);
    put_pipeline(s, 7, "default.bronze.gone", "{}");
    put_trigger(s, 9, 7);
    batch_add(s->b, EFFECT_DROP_PIPELINE)->drop = (struct effect_drop){7, s->now};
    store_write(s);

    struct engine *e = load(s, 0, &why);
    const struct catalog *c = engine_catalog(e);
    const struct pipeline *p = catalog_pipeline_at(c, SLICE("default.bronze.orders"));
    assert_non_null(p);
    assert_int_equal(uuid_cmp(p->id, pipeline), 0);
    assert_int_equal(p->key, 3);
    assert_string_equal(p->def->spec, "{\"a\":1}");
    assert_int_equal(p->pending, 2);
    assert_int_equal(p->created_at.ms, T0.ms);
    assert_int_equal(engine_stats(e).pending, 2);
    const struct trigger *t = catalog_trigger(c, trigger);
    assert_non_null(t);
    assert_ptr_equal(t->pipeline, p);
    assert_int_equal(t->state.last_fired.ms, s->now.ms);
    assert_false(wall_is_set(catalog_trigger(c, quiet)->state.last_fired));
    assert_null(catalog_pipeline_at(c, SLICE("default.bronze.gone")));
    assert_int_equal(c->pipeline_key_last, 7); /* the keys of deleted ones stay in use */
    assert_int_equal(c->trigger_key_last, 9);
    engine_destroy(e);
}

static void end_webhook(struct store *s, enum run_status status, int64_t later_ms)
{
    const struct uuid run = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING).run;
    put_move(s, run, status)->finished_at = (struct wall){s->now.ms + later_ms};
}

static void last_successes_come_back(void **state)
{
    struct store *s = *state;
    struct diag why;
    const struct uuid pipeline = put_pipeline(s, 1, "default.bronze.orders", "{}");
    for (int64_t i = 0; i < 3; i++) {
        store_write(s);
        struct engine *e = load(s, 0, &why);
        const struct pipeline *p = catalog_pipeline(engine_catalog(e), pipeline);
        assert_int_equal(p->last_success.ms, i > 0 ? T0.ms + i * 10 : 0);
        engine_destroy(e);
        end_webhook(s, RUN_SUCCESS, (i + 1) * 10);
        end_webhook(s, RUN_FAILED, 1000);
    }
}

static void put_pause(struct store *s, enum pause_kind kind, int64_t key, int64_t pipeline_key)
{
    batch_add(s->b, EFFECT_PAUSE)->pause =
        (struct effect_pause){.kind = kind, .key = key, .pipeline_key = pipeline_key, .at = s->now};
}

static void pauses_come_back(void **state)
{
    static const struct {
        enum pause_kind kind;
        int64_t key, pipeline_key;
    } rows[] = {{PAUSE_ALL, 0, 0}, {PAUSE_PIPELINE, 3, 0}, {PAUSE_TRIGGER, 5, 3}};
    struct store *s = *state;
    struct diag why;
    const struct uuid pipeline = put_pipeline(s, 3, "default.bronze.orders", "{}");
    const struct uuid trigger = put_trigger(s, 5, 3);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put_pause(s, rows[i].kind, rows[i].key, rows[i].pipeline_key);
        store_write(s);
        struct engine *e = load(s, 0, &why);
        const struct catalog *c = engine_catalog(e);
        assert_true(engine_is_paused(e));
        assert_int_equal(catalog_pipeline(c, pipeline)->paused, i >= 1);
        assert_int_equal(catalog_trigger(c, trigger)->paused, i >= 2);
        engine_destroy(e);
    }
}

static void bad_definitions_name_themselves(void **state)
{
    struct store *s = *state;
    struct diag why;
    put_pipeline(s, 1, "default.bronze.orders", "bad");
    store_write(s);
    engine_destroy(load(s, -EINVAL, &why));
    assert_string_equal(why.msg, "stored pipeline default.bronze.orders: spec is bad");
}

static void interrupted_runs_follow_their_policy(void **state)
{
    struct store *s = *state;
    struct diag why;
    put_pipeline(s, 1, "default.bronze.orders", "{}");
    put_pipeline(s, 2, "default.bronze.gone", "{}");
    const struct fired first = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
    const struct fired second = put_webhook(s, UUID_NIL, 0, 1, RUN_RUNNING);
    put_move(s, second.run, RUN_RUNNING)->attempt = 2;
    const struct fired orphan = put_webhook(s, UUID_NIL, 0, 2, RUN_RUNNING);
    batch_add(s->b, EFFECT_DROP_PIPELINE)->drop = (struct effect_drop){2, s->now};
    store_write(s);
    struct engine *e = load(s, 0, &why);
    struct batch *b = engine_take(e);
    assert_non_null(b);
    assert_int_equal(journal_write(s->db, b), 0);
    struct run_row row;
    assert_int_equal(query_run_row(s->db, first.run, &row), 0);
    assert_int_equal(row.status, RUN_PENDING);
    assert_int_equal(row.attempt, 2);
    assert_int_equal(query_run_row(s->db, second.run, &row), 0);
    assert_int_equal(row.status, RUN_FAILED);
    assert_int_equal(query_run_row(s->db, orphan.run, &row), 0);
    assert_int_equal(row.status, RUN_FAILED);
    assert_int_equal(query_run(s->db, second.run, &s->text, NULL), 0);
    assert_true(text_has(s, "'error':'interrupted'"));
    engine_settle(e, now_of(s), b, 0);
    batch_reset(b);
    engine_recycle(e, b);
    engine_destroy(e);
}

/* ---- the queue ---- */

struct offers {
    struct arena a;
    struct offered_run runs[16];
    size_t n;
    struct wall next_due;
};

static void fetch(struct store *s, uint32_t max, struct offers *o)
{
    arena_reset(&o->a);
    assert_int_equal(query_pending(s->db, 1, s->now, max, &o->a, o->runs, &o->n, &o->next_due), 0);
}

static void expect_run(const struct offers *o, size_t i, struct uuid run)
{
    assert_true(i < o->n);
    assert_int_equal(uuid_cmp(o->runs[i].start.run, run), 0);
}

static void oldest_due_runs_come_first(void **state)
{
    struct store *s = *state;
    struct offers o = {0};
    struct uuid runs[6];
    put_pipeline(s, 1, "default.bronze.orders", "{}");
    put_pipeline(s, 2, "default.bronze.other", "{}");
    for (int i = 0; i < 6; i++)
        runs[i] = put_webhook(s, UUID_NIL, 0, 1, RUN_PENDING).run;
    put_webhook(s, UUID_NIL, 0, 2, RUN_PENDING);
    put_move(s, runs[0], RUN_RUNNING);
    put_move(s, runs[1], RUN_PENDING)->due_at = (struct wall){s->now.ms + 1000};
    put_move(s, runs[3], RUN_PENDING)->due_at = s->now;
    put_move(s, runs[4], RUN_PENDING)->due_at = (struct wall){s->now.ms + 500};
    store_write(s);

    fetch(s, 16, &o);
    assert_int_equal(o.n, 3);
    expect_run(&o, 0, runs[2]);
    expect_run(&o, 1, runs[3]);
    expect_run(&o, 2, runs[5]);
    assert_int_equal(o.next_due.ms, s->now.ms + 500);
    fetch(s, 2, &o);
    assert_int_equal(o.n, 2);
    expect_run(&o, 1, runs[3]);

    s->now.ms += 1000;
    fetch(s, 16, &o);
    assert_int_equal(o.n, 5);
    for (size_t i = 0; i < 5; i++)
        expect_run(&o, i, runs[i + 1]);
    assert_false(wall_is_set(o.next_due));
    fetch(s, 0, &o);
    assert_int_equal(o.n, 0);
    arena_release(&o.a);
}

static void offer_has_all_an_executor_needs(void **state)
{
    struct store *s = *state;
    struct offers o = {0};
    put_pipeline(s, 1, "default.bronze.orders",
                 "{\"executor\":{\"type\":\"pull\"},\"timeout_seconds\":2.5}");
    const struct uuid trigger = put_trigger(s, 1, 1);
    const struct fired f = put_webhook(s, trigger, 1, 1, RUN_PENDING);
    store_write(s);
    fetch(s, 16, &o);
    assert_int_equal(o.n, 1);
    const struct run_start *r = &o.runs[0].start;
    assert_int_equal(uuid_cmp(r->run, f.run), 0);
    assert_int_equal(uuid_cmp(r->event, f.event), 0);
    assert_int_equal(r->pipeline_key, 1);
    assert_true(slice_is(r->pipeline, "default.bronze.orders"));
    assert_int_equal(r->version, 1);
    assert_int_equal(r->attempt, 1);
    assert_true(slice_starts(r->spec, "{\"executor\""));
    assert_int_equal(r->timeout_ms, 2500);
    assert_true(slice_is(r->trigger_type, "webhook"));
    assert_int_equal(uuid_cmp(r->trigger, trigger), 0);
    assert_true(slice_is(r->source, "webhook"));
    assert_true(slice_is(r->type, "webhook"));
    assert_null(r->subject.p);
    assert_true(slice_is(r->content_type, "application/json"));
    assert_true(slice_is(r->payload, "{\"n\":1}"));
    assert_int_equal(r->event_time.ms, s->now.ms);
    assert_true(uuid_is_nil(r->root));
    arena_release(&o.a);
}

static void manual_run_is_offered_as_manual(void **state)
{
    struct store *s = *state;
    struct offers o = {0};
    put_pipeline(s, 1, "default.bronze.orders", "{}");
    put_webhook(s, UUID_NIL, 0, 1, RUN_PENDING);
    store_write(s);
    fetch(s, 16, &o);
    assert_int_equal(o.n, 1);
    assert_true(slice_is(o.runs[0].start.trigger_type, "manual"));
    assert_true(uuid_is_nil(o.runs[0].start.trigger));
    arena_release(&o.a);
}

/* ---- API keys ---- */

static void keys_are_added_listed_and_dropped(void **state)
{
    struct store *s = *state;
    struct key_row *keys;
    size_t n;
    const uint8_t one[32] = {1}, two[32] = {2};
    assert_int_equal(query_keys(s->db, &keys, &n), 0);
    assert_int_equal(n, 0);
    free(keys);
    assert_int_equal(store_add_key(s->db, "zoe", one, T0), 0);
    assert_int_equal(store_add_key(s->db, "ada", two, T0), 0);
    assert_int_equal(store_add_key(s->db, "ada", (const uint8_t[32]){3}, T0), -EEXIST);
    assert_int_equal(store_add_key(s->db, "bob", one, T0), -EEXIST);
    store_reopen(s);
    assert_int_equal(query_keys(s->db, &keys, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(keys[0].name, "ada");
    assert_memory_equal(keys[0].hash, two, 32);
    assert_int_equal(keys[0].created_at.ms, T0.ms);
    assert_string_equal(keys[1].name, "zoe");
    free(keys);
    assert_int_equal(store_drop_key(s->db, "ada"), 0);
    assert_int_equal(store_drop_key(s->db, "ada"), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(catalog_comes_back),
        TEST(last_successes_come_back),
        TEST(pauses_come_back),
        TEST(bad_definitions_name_themselves),
        TEST(interrupted_runs_follow_their_policy),
        TEST(oldest_due_runs_come_first),
        TEST(offer_has_all_an_executor_needs),
        TEST(manual_run_is_offered_as_manual),
        TEST(keys_are_added_listed_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
