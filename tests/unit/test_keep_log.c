/* What an attempt has written goes to disk while it goes on, never behind its end, and the end takes it away. */
#include "core/engine_internal.h"
#include "engine_fixture.h"

#define LINE SLICE("{\"message\":\"one\"}\n")

static struct uuid start_run(struct world *w, uint32_t attempts)
{
    struct pipeline_def *d = command_pipeline();
    struct rule rule = {0};
    d->retry.max_attempts = attempts;
    struct pipeline *p = engine_add_pipeline(w->engine, w->now, SLICE("a.b.c"), d, NULL);
    rule_set_key(&rule, (struct match_key){{'w', 1}});
    add_trigger(w, p, &rule, 0);
    const struct event ev = {.source = "webhook", .type = SLICE("webhook"), .key = {{'w', 1}}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w);
    assert_int_equal(w->started.len, 1);
    return w->started.items[0].run;
}

static int keep_log(struct world *w, struct uuid run, uint32_t attempt, uint64_t at)
{
    return engine_keep_log(w->engine, run, attempt, at, LINE);
}

/* The only effect of that type in the batch that has filled up, which is committed. */
static struct effect only(struct world *w, enum effect_type type)
{
    struct effect found = {.type = EFFECT_TYPE_COUNT};
    struct batch *b = engine_take(w->engine);
    assert_non_null(b);
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        if (f->type != type)
            continue;
        assert_int_equal(found.type, EFFECT_TYPE_COUNT);
        found.type = type;
        if (type == EFFECT_PUT_LOG_PART)
            found.put_log_part = f->put_log_part;
        else if (type == EFFECT_PUT_ATTEMPT)
            found.put_attempt = f->put_attempt;
        else
            found.move_run = f->move_run;
    }
    engine_settle(w->engine, w->now, b, w->disk_err);
    engine_recycle(w->engine, b);
    return found;
}

static void finish(struct world *w, struct uuid run, enum run_status status, struct slice log)
{
    const struct run_result r = {.run = run, .status = status, .log = log};
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
}

static void it_decides_nothing(void **state)
{
    struct world *w = *state;
    const struct uuid run = start_run(w, 1);
    const struct engine_stats before = engine_stats(w->engine);
    assert_int_equal(keep_log(w, run, 1, 42), 0);
    assert_int_equal(engine_filled(w->engine), 1);
    const struct effect f = only(w, EFFECT_PUT_LOG_PART);
    assert_int_equal(f.put_log_part.attempt, 1);
    assert_int_equal(f.put_log_part.at, 42);
    const struct engine_stats after = engine_stats(w->engine);
    assert_memory_equal(&before, &after, sizeof(before));
}

/* Of the attempt that is being carried out here, and of no other. */
static void of_whom(void **state)
{
    struct world *w = *state;
    const struct uuid run = start_run(w, 2), other = {{9}};
    const struct lease_hash hash = {{1}};
    assert_int_equal(keep_log(w, other, 1, 0), -ENOENT);
    assert_int_equal(keep_log(w, run, 2, 0), -ENOENT);
    assert_int_equal(keep_log(w, run, 1, 0), 0);
    commit(w);
    assert_true(engine_entrust(w->engine, w->now, run, hash, 60000, NULL));
    assert_int_equal(keep_log(w, run, 1, 0), -ENOENT); /* somebody else has it */
    const struct run_result r = {.run = run, .status = RUN_FAILED};
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash, &r, NULL), LEASE_DONE);
    assert_int_equal(keep_log(w, run, 1, 0), -ENOENT); /* it is over */
    commit(w);
}

static void the_end_takes_it_away(void **state)
{
    static const struct {
        bool kept, logged;
        uint32_t attempts;
        bool whole;
    } rows[] = {
        {false, true, 1, false}, /* as of every short run: not a statement more */
        {true, true, 1, true},   {true, false, 1, false}, /* it is all there is */
        {false, true, 2, false}, {true, true, 2, true},   {true, false, 2, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct world *w;
        world_setup((void **)&w);
        const struct uuid run = start_run(w, rows[i].attempts);
        if (rows[i].kept)
            assert_int_equal(keep_log(w, run, 1, 0), 0);
        commit(w);
        finish(w, run, RUN_FAILED, rows[i].logged ? LINE : SLICE_NONE);
        if (rows[i].attempts == 1)
            assert_int_equal(only(w, EFFECT_MOVE_RUN).move_run.log_is_whole, rows[i].whole);
        else
            assert_int_equal(only(w, EFFECT_PUT_ATTEMPT).put_attempt.log_is_whole, rows[i].whole);
        world_teardown((void **)&w);
    }
}

/* The next attempt has nothing of the one before. */
static void each_attempt_has_its_own(void **state)
{
    struct world *w = *state;
    const struct uuid run = start_run(w, 2);
    assert_int_equal(keep_log(w, run, 1, 0), 0);
    commit(w);
    finish(w, run, RUN_FAILED, LINE);
    commit(w);
    struct run_start s = {.run = run, .attempt = 2};
    struct pipeline *p = engine_catalog(w->engine)->pipelines_by_id;
    queue_begin(w->engine, w->now, p, &s, NULL);
    commit(w);
    assert_int_equal(keep_log(w, run, 1, 0), -ENOENT);
    finish(w, run, RUN_SUCCESS, LINE);
    assert_false(only(w, EFFECT_MOVE_RUN).move_run.log_is_whole);
}

/* The end comes after a part whose commit failed, too: nothing is there, and nothing is left. */
static void a_failed_commit(void **state)
{
    struct world *w = *state;
    const struct uuid run = start_run(w, 1);
    assert_int_equal(keep_log(w, run, 1, 0), 0);
    w->disk_err = -ENOSPC;
    commit(w);
    w->disk_err = 0;
    assert_int_equal(keep_log(w, run, 1, 0), 0);
    finish(w, run, RUN_SUCCESS, LINE);
    assert_true(only(w, EFFECT_MOVE_RUN).move_run.log_is_whole);
}

static void a_full_batch(void **state)
{
    struct world *w = *state;
    const struct uuid run = start_run(w, 1);
    char *text = mem_zalloc(1 << 20);
    int err = 0;
    for (unsigned i = 0; err == 0; i++) {
        assert_in_range(i, 0, 64);
        err = engine_keep_log(w->engine, run, 1, i, (struct slice){text, 1 << 20});
    }
    assert_int_equal(err, -ENOBUFS);
    commit(w);
    assert_int_equal(keep_log(w, run, 1, 0), 0);
    free(text);
    commit(w);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_decides_nothing),
        TEST(of_whom),
        cmocka_unit_test(the_end_takes_it_away),
        TEST(each_attempt_has_its_own),
        TEST(a_failed_commit),
        TEST(a_full_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
