/* How many runs the engine starts for an executor that works on a limited number at a time. */
#include "base/check.h"
#include "base/mem.h"
#include "base/vec.h"
#include "core/engine_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define CAPACITY 3
#define RUNNING_MAX 400
#define LEAST 4 /* that wait with the executor, however slow it is */
#define MOST 256

struct world {
    struct engine *engine;
    struct now now;
    struct pipeline *pipeline;
    struct ticket ticket;
    VEC(struct uuid) started;
};

static void redeemed(struct ticket *t, const struct outcome *o)
{
}

static void commit(struct world *w)
{
    struct batch *b = engine_take(w->engine);
    assert_non_null(b);
    engine_settle(w->engine, w->now, b, 0);
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_START_RUN)
            vec_push(&w->started, f->start_run.run);
    engine_recycle(w->engine, b);
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    const struct engine_options opt = {.running_max = RUNNING_MAX, .batch_bytes_max = 16 << 20};
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    struct rule rule = {0};
    w->now = (struct now){{1000000}, {1770000000000}};
    w->ticket.done = redeemed;
    w->engine = engine_create(&opt, w->now, 1);
    *d = (struct pipeline_def){
        .spec = mem_strdup("{}"), .capacity = CAPACITY, .retry = {.max_attempts = 1}};
    w->pipeline = engine_add_pipeline(w->engine, w->now, SLICE("a.b.c"), d, NULL);
    rule_set_key(&rule, (struct match_key){{'w', 1}});
    engine_add_trigger(w->engine, w->now, w->pipeline, "webhook",
                       trigger_def_create(SLICE("{}"), true, 0, &rule), SLICE("t"), NULL);
    commit(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    engine_destroy(w->engine);
    vec_release(&w->started);
    free(w);
    return 0;
}

static void feed(struct world *w, unsigned n)
{
    const struct event ev = {
        .source = "webhook", .type = SLICE("webhook"), .key = {{'w', 1}}, .ticket = &w->ticket};
    while (n-- > 0)
        assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w);
}

static void finish_next(struct world *w, size_t *i)
{
    const struct run_result r = {.run = w->started.items[(*i)++], .status = RUN_SUCCESS};
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
}

static uint32_t limit(const struct world *w)
{
    const struct pipeline *p = w->pipeline;
    return queue_free_slots(w->engine, p, w->now.mono) + p->running + p->reserved;
}

/* A thousand come; the rest stays in the durable queue. */
static void test_at_first(void **state)
{
    struct world *w = *state;
    feed(w, 1000);
    assert_int_equal(w->started.len, CAPACITY + LEAST);
    assert_int_equal(w->pipeline->pending, 1000 - CAPACITY - LEAST);
}

static void test_grows_with_the_pace_and_shrinks(void **state)
{
    struct world *w = *state;
    size_t i = 0;
    feed(w, 1000);
    for (int n = 0; n < 6; n++)
        finish_next(w, &i);
    assert_int_equal(limit(w), CAPACITY + 12);
    w->now.mono.ms += 100; /* nothing ends any more */
    assert_int_equal(limit(w), CAPACITY + LEAST);
    finish_next(w, &i);
    assert_int_equal(limit(w), CAPACITY + LEAST);
}

static void test_is_bounded(void **state)
{
    struct world *w = *state;
    for (int n = 0; n < 1000; n++)
        queue_note_end(w->pipeline, w->now.mono);
    assert_int_equal(limit(w), CAPACITY + MOST);
    w->pipeline->def->running_max = 5; /* what the pipeline says */
    assert_int_equal(limit(w), 5);
    w->pipeline->def->running_max = 0;
    w->pipeline->def->capacity = RUNNING_MAX;
    assert_int_equal(limit(w), RUNNING_MAX); /* what the daemon says */
}

static void test_others_have_no_such_limit(void **state)
{
    struct world *w = *state;
    w->pipeline->def->capacity = 0;
    feed(w, 1000);
    assert_int_equal(w->started.len, RUNNING_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_at_first),
        TEST(test_grows_with_the_pace_and_shrinks),
        TEST(test_is_bounded),
        TEST(test_others_have_no_such_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
