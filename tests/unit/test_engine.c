/* The engine's rules one by one; tests/sim looks at all of them together. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/mem.h"
#include "core/decision.h"
#include "core/engine.h"
#include "core/engine_internal.h"

/* An engine with one pipeline and one trigger, whose commits come back when the test says so. */
struct world {
    struct engine *engine;
    struct now now;
    struct pipeline *pipeline;
    struct trigger *trigger;
    /* what the last redeemed ticket said */
    struct ticket ticket;
    unsigned redeemed;
    int err;
    enum verdict verdict;
    uint64_t retry_after_ms;
    struct uuid run;
};

static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct world *w = container_of(t, struct world, ticket);
    w->redeemed++;
    w->err = o->err;
    w->run = UUID_NIL;
    if (o->decision_count == 0)
        return;
    w->verdict = o->decisions[0].verdict;
    w->retry_after_ms = o->decisions[0].retry_after_ms;
    if (o->decisions[0].run_count > 0)
        w->run = o->decisions[0].runs[0];
}

static unsigned count_effects(const struct batch *b, enum effect_type type)
{
    unsigned n = 0;
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        n += f->type == type;
    return n;
}

static const struct effect *find_effect(const struct batch *b, enum effect_type type)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == type)
            return f;
    return NULL;
}

/* Settles what has filled up and redeems its tickets; the caller recycles. */
static struct batch *settle(struct world *w, int err)
{
    struct batch *b = engine_take(w->engine);
    assert_non_null(b);
    engine_settle(w->engine, w->now, b, err);
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_REPLY)
            f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    return b;
}

static void commit(struct world *w, int err)
{
    engine_recycle(w->engine, settle(w, err));
}

static struct pipeline_def *pipeline_def(uint32_t running_max, uint32_t max_attempts)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){
        .spec = mem_strdup("{}"),
        .running_max = running_max,
        .retry = {.max_attempts = max_attempts,
                  .backoff_ms = 1000,
                  .backoff_factor = 2,
                  .backoff_ms_max = 3000},
    };
    return d;
}

static struct trigger_def *trigger_def(bool enabled, uint64_t cooldown_ms)
{
    struct rule rule = {0};
    rule_set_key(&rule, (struct match_key){{'w', 1}});
    return trigger_def_create(SLICE("{}"), enabled, cooldown_ms, &rule);
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    const struct engine_options opt = {.running_max = 3, .batch_bytes_max = 1 << 20};
    w->now = (struct now){{1000000}, {1770000000000}};
    w->ticket.done = redeemed;
    w->engine = engine_create(&opt, w->now, 1);
    w->pipeline = engine_add_pipeline(w->engine, w->now, SLICE("default.silver.orders"),
                                      pipeline_def(1, 1), NULL);
    w->trigger = engine_add_trigger(w->engine, w->now, w->pipeline, "webhook",
                                    trigger_def(true, 60000), SLICE("trigger:webhook"), NULL);
    commit(w, 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    engine_destroy(w->engine);
    free(w);
    return 0;
}

static void pass(struct world *w, uint64_t ms)
{
    w->now.mono.ms += ms;
    w->now.wall.ms += (int64_t)ms;
}

static int feed(struct world *w)
{
    const struct event ev = {
        .source = "webhook",
        .type = SLICE("webhook"),
        .payload = SLICE("hello"),
        .key = {{'w', 1}},
        .ticket = &w->ticket,
    };
    return engine_feed(w->engine, w->now, &ev);
}

static enum verdict fire(struct world *w)
{
    assert_int_equal(feed(w), 1);
    commit(w, 0);
    return w->verdict;
}

static void finish(struct world *w, struct uuid run, enum run_status status)
{
    const struct run_result r = {.run = run, .status = status, .error = SLICE("exit status 1")};
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
}

/* The window ends to the millisecond; refused calls do not extend it. */
static void test_cooldown_ends_exactly(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    pass(w, 59999);
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    assert_int_equal(w->retry_after_ms, 1);
    pass(w, 1);
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    assert_int_equal(w->retry_after_ms, 60000);
}

static void test_cooldown_holds_within_a_batch(void **state)
{
    struct world *w = *state;
    assert_int_equal(feed(w), 1);
    assert_int_equal(feed(w), 1);
    struct batch *b = settle(w, 0);
    assert_int_equal(w->verdict, VERDICT_COOLDOWN);
    assert_int_equal(count_effects(b, EFFECT_PUT_EVENT), 2);
    assert_int_equal(count_effects(b, EFFECT_PUT_RUN), 1);
    assert_int_equal(count_effects(b, EFFECT_TRIGGER_STATE), 1);
    engine_recycle(w->engine, b);
}

static void test_cooldown_ignores_wall_clock_steps(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    w->now.wall.ms += 3600000;
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    w->now.wall.ms -= 7200000;
    pass(w, 60000);
    assert_int_equal(fire(w), VERDICT_FIRED);
}

/* What the store says of the last firing, how long ago; whether it may fire again after a restart. */
static void test_cooldown_survives_restart(void **state)
{
    static const struct {
        int64_t ago_ms;
        enum verdict expected;
    } cases[] = {
        {0, VERDICT_COOLDOWN},     {59999, VERDICT_COOLDOWN},    {60000, VERDICT_FIRED},
        {86400000, VERDICT_FIRED}, {-3600000, VERDICT_COOLDOWN}, /* the clock stepped back while we were down */
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trigger *t = mem_zalloc(sizeof(*t));
        *t = (struct trigger){
            .id = {{(uint8_t)(i + 1)}},
            .key = (int64_t)(100 + i),
            .type = "webhook",
            .pipeline = w->pipeline,
            .def = trigger_def(true, 60000),
            .state = {.last_fired = {w->now.wall.ms - cases[i].ago_ms}},
        };
        t->def->rule.key->b[1] = (uint8_t)(100 + i);
        engine_load_trigger(w->engine, w->now, t);
        const struct event ev = {
            .source = "webhook", .key = *t->def->rule.key, .ticket = &w->ticket};
        assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
        commit(w, 0);
        assert_int_equal(w->verdict, cases[i].expected);
    }
    /* A window is never longer than the cooldown, however far back the clock went. */
    assert_true(w->retry_after_ms <= 60000);
}

static void test_changed_cooldown_counts_from_last_firing(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    pass(w, 10000);
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 15000), SLICE("x"),
                          NULL);
    commit(w, 0);
    assert_int_equal(fire(w), VERDICT_COOLDOWN);
    assert_int_equal(w->retry_after_ms, 5000);
    pass(w, 5000);
    assert_int_equal(fire(w), VERDICT_FIRED);
}

static void test_disabled(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(false, 0), SLICE("x"), NULL);
    commit(w, 0);
    assert_int_equal(fire(w), VERDICT_DISABLED);
    assert_true(uuid_is_nil(w->run));
    assert_false(wall_is_set(w->trigger->state.last_fired));
}

static void test_unmatched_event_leaves_no_trace(void **state)
{
    struct world *w = *state;
    struct event ev = {.source = "webhook", .key = {{'w', 9}}, .ticket = &w->ticket};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 0);
    assert_null(engine_take(w->engine));
    ev.keep = true;
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 0);
    struct batch *b = settle(w, 0);
    assert_int_equal(count_effects(b, EFFECT_PUT_EVENT), 1);
    assert_int_equal(w->redeemed, 1);
    engine_recycle(w->engine, b);
}

/* Repetitions and chains that are too deep are recorded and fire nothing. */
static void test_duplicate_and_depth(void **state)
{
    struct world *w = *state;
    struct event ev = {
        .source = "webhook", .key = {{'w', 1}}, .ticket = &w->ticket, .duplicate = true};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_int_equal(w->verdict, VERDICT_DUPLICATE);
    ev = (struct event){
        .source = "webhook", .key = {{'w', 1}}, .ticket = &w->ticket, .lineage = {.depth = 65}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_int_equal(w->verdict, VERDICT_DEPTH);
    ev.lineage.depth = 64;
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_int_equal(w->verdict, VERDICT_FIRED);
}

static void test_dedupe_key_goes_with_the_first_run(void **state)
{
    struct world *w = *state;
    const struct event ev = {.source = "webhook",
                             .key = {{'w', 1}},
                             .ticket = &w->ticket,
                             .dedupe = true,
                             .dedupe_key = {{7}}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    struct batch *b = settle(w, 0);
    const struct effect_put_event *p = &find_effect(b, EFFECT_PUT_EVENT)->put_event;
    assert_true(p->dedupe);
    assert_int_equal(uuid_cmp(p->dedupe_run, w->run), 0);
    engine_recycle(w->engine, b);
    /* Refused by the cooldown: nothing to repeat. */
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    b = settle(w, 0);
    assert_false(find_effect(b, EFFECT_PUT_EVENT)->put_event.dedupe);
    engine_recycle(w->engine, b);
}

/* A failed commit takes everything back, and what was decided on top of it. */
static void test_failed_commit_is_undone(void **state)
{
    struct world *w = *state;
    assert_int_equal(feed(w), 1);
    struct batch *out = engine_take(w->engine);
    assert_int_equal(feed(w), 1); /* sees the cooldown of the first */
    engine_drop_trigger(w->engine, w->now, w->trigger, &w->ticket);
    assert_null(catalog_trigger(engine_catalog(w->engine), w->trigger->id));

    engine_settle(w->engine, w->now, out, -ENOSPC);
    assert_int_equal(count_effects(out, EFFECT_REPLY), 3);
    assert_int_equal(out->record_count, 0);
    for (const struct effect *f = out->first; f != NULL; f = f->next) {
        assert_int_equal(f->type, EFFECT_REPLY);
        assert_int_equal(f->reply.outcome.err, -ENOSPC);
    }
    engine_recycle(w->engine, out);
    assert_null(engine_take(w->engine));
    assert_ptr_equal(catalog_trigger(engine_catalog(w->engine), w->trigger->id), w->trigger);
    assert_false(wall_is_set(w->trigger->state.last_fired));
    assert_int_equal(engine_stats(w->engine).running, 0);
    assert_int_equal(fire(w), VERDICT_FIRED);
}

static void test_failed_change_is_undone(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(false, 1), SLICE("x"), NULL);
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(9, 9), NULL);
    engine_add_pipeline(w->engine, w->now, SLICE("default.silver.other"), pipeline_def(1, 1), NULL);
    commit(w, -EIO);
    assert_true(w->trigger->def->enabled);
    assert_int_equal(w->pipeline->def->version, 1);
    assert_null(catalog_pipeline_at(engine_catalog(w->engine), SLICE("default.silver.other")));
}

/* One at a time: the second waits on disk, is asked for when the first ends, and starts when it is offered. */
static void test_queue(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid first = w->run;
    assert_int_equal(feed(w), 1);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_PUT_RUN)->put_run.status, RUN_PENDING);
    assert_null(find_effect(b, EFFECT_START_RUN));
    engine_recycle(w->engine, b);
    struct uuid second = w->run;

    finish(w, first, RUN_SUCCESS);
    b = settle(w, 0);
    const struct effect *fetch = find_effect(b, EFFECT_FETCH_RUNS);
    assert_non_null(fetch);
    assert_int_equal(fetch->fetch_runs.count_max, 1);
    assert_int_equal(find_effect(b, EFFECT_RUN_ENDED)->run_ended.status, RUN_SUCCESS);
    engine_recycle(w->engine, b);

    const struct offered_run offer = {
        .start = {.run = second, .attempt = 1, .payload = SLICE("hello")}};
    engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
    b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_MOVE_RUN)->move_run.status, RUN_RUNNING);
    assert_true(slice_is(find_effect(b, EFFECT_START_RUN)->start_run.payload, "hello"));
    engine_recycle(w->engine, b);
    assert_int_equal(engine_stats(w->engine).pending, 0);
}

/* 1 s, then 2 s, then the most it may be; then it is over. */
static void test_retry_backs_off(void **state)
{
    static const int64_t waits_ms[] = {1000, 2000, 3000};
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(1, 4), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid run = w->run;
    for (uint32_t i = 0; i < ARRAY_SIZE(waits_ms); i++) {
        finish(w, run, RUN_FAILED);
        struct batch *b = settle(w, 0);
        const struct effect_move_run *m = &find_effect(b, EFFECT_MOVE_RUN)->move_run;
        assert_int_equal(m->status, RUN_PENDING);
        assert_int_equal(m->attempt, i + 2);
        assert_int_equal(m->due_at.ms - w->now.wall.ms, waits_ms[i]);
        assert_null(find_effect(b, EFFECT_RUN_ENDED));
        const struct effect_put_attempt *a = &find_effect(b, EFFECT_PUT_ATTEMPT)->put_attempt;
        assert_int_equal(a->attempt, i + 1);
        assert_int_equal(a->finished_at.ms, w->now.wall.ms);
        assert_int_equal(count_effects(b, EFFECT_PUT_ATTEMPT), 1);
        assert_non_null(
            find_effect(b, EFFECT_FETCH_RUNS)); /* there may be others; there are none */
        engine_offer(w->engine, w->now, w->pipeline, NULL, 0, m->due_at, 0);
        engine_recycle(w->engine, b);

        assert_int_equal(engine_wake_at(w->engine).ms, w->now.mono.ms + (uint64_t)waits_ms[i]);
        pass(w, (uint64_t)waits_ms[i]);
        engine_tick(w->engine, w->now);
        b = settle(w, 0);
        assert_non_null(find_effect(b, EFFECT_FETCH_RUNS));
        engine_recycle(w->engine, b);
        const struct offered_run offer = {.start = {.run = run, .attempt = i + 2}};
        engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
        commit(w, 0);
    }
    finish(w, run, RUN_FAILED);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_RUN_ENDED)->run_ended.status, RUN_FAILED);
    assert_null(find_effect(b, EFFECT_PUT_ATTEMPT)); /* the last one is the run itself */
    engine_recycle(w->engine, b);
}

/* A run that ends with its first attempt is one record, as ever. */
static void test_end_is_one_record(void **state)
{
    static const enum run_status ends[] = {RUN_SUCCESS, RUN_FAILED};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        pass(w, 10000000);
        assert_int_equal(fire(w), VERDICT_FIRED);
        finish(w, w->run, ends[i]);
        struct batch *b = settle(w, 0);
        assert_int_equal(b->record_count, 1);
        assert_non_null(find_effect(b, EFFECT_MOVE_RUN));
        engine_recycle(w->engine, b);
    }
}

/* Whoever failed may ask for a longer wait than the policy's, up to a day; never for a shorter one. */
static void test_retry_after_is_honoured(void **state)
{
    static const struct {
        uint64_t asked_ms;
        int64_t wait_ms;
    } cases[] = {{400, 1000}, {7000, 7000}, {UINT64_MAX, RETRY_AFTER_MS_MAX}};
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, pipeline_def(1, 4), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid run = w->run;
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct run_result r = {
            .run = run, .status = RUN_FAILED, .retry_after_ms = cases[i].asked_ms};
        assert_true(engine_finish(w->engine, w->now, &r, NULL));
        struct batch *b = settle(w, 0);
        const struct wall due = find_effect(b, EFFECT_MOVE_RUN)->move_run.due_at;
        assert_int_equal(due.ms - w->now.wall.ms, cases[i].wait_ms);
        engine_offer(w->engine, w->now, w->pipeline, NULL, 0, due, 0);
        engine_recycle(w->engine, b);
        pass(w, (uint64_t)cases[i].wait_ms);
        engine_tick(w->engine, w->now);
        commit(w, 0);
        const struct offered_run offer = {.start = {.run = run, .attempt = i + 2}};
        engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
        commit(w, 0);
    }
}

/* ---- runs that are handed over ---- */

static const struct lease_hash token_hash = {{1, 2, 3}}, other_hash = {{9}};

static enum lease_answer finish_outside(struct world *w, struct lease_hash hash,
                                        enum run_status status)
{
    const struct run_result r = {.run = w->run, .status = status, .error = SLICE("told so")};
    return engine_finish_leased(w->engine, w->now, hash, &r, NULL);
}

static void test_entrusted_run_leaves_its_slot(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_true(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    assert_false(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    struct batch *b = settle(w, 0);
    const struct effect_put_lease *l = &find_effect(b, EFFECT_PUT_LEASE)->put_lease;
    assert_memory_equal(&l->hash, &token_hash, sizeof(token_hash));
    assert_int_equal(l->expires_at.ms - w->now.wall.ms, 60000);
    engine_recycle(w->engine, b);
    assert_int_equal(engine_stats(w->engine).running, 0);
    assert_int_equal(engine_stats(w->engine).leased, 1);
    const struct run_result r = {.run = w->run, .status = RUN_SUCCESS};
    assert_false(engine_finish(w->engine, w->now, &r, NULL));
    assert_int_equal(finish_outside(w, other_hash, RUN_SUCCESS), LEASE_REFUSED);
    assert_int_equal(finish_outside(w, token_hash, RUN_SUCCESS), LEASE_DONE);
    commit(w, 0);
    assert_int_equal(engine_stats(w->engine).leased, 0);
}

/* What is not on disk is not true: it is carried out here still, whatever was built on that. */
static void test_entrusting_can_be_undone(void **state)
{
    struct world *w = *state;
    for (int ended = 0; ended < 2; ended++) {
        if (ended == 0)
            assert_int_equal(fire(w), VERDICT_FIRED);
        assert_true(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
        if (ended == 1)
            assert_int_equal(finish_outside(w, token_hash, RUN_SUCCESS), LEASE_DONE);
        commit(w, -ENOSPC);
        assert_int_equal(engine_stats(w->engine).running, 1);
        assert_int_equal(engine_stats(w->engine).leased, 0);
    }
    finish(w, w->run, RUN_SUCCESS);
    commit(w, 0);
    assert_int_equal(engine_stats(w->engine).running, 0);
}

static void test_no_callback(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_true(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    commit(w, 0);
    pass(w, 59999);
    engine_tick(w->engine, w->now);
    assert_int_equal(engine_stats(w->engine).leased, 1);
    pass(w, 1);
    engine_tick(w->engine, w->now);
    struct batch *b = settle(w, 0);
    assert_true(slice_is(find_effect(b, EFFECT_RUN_ENDED)->run_ended.error,
                         "no callback within 60 seconds"));
    engine_recycle(w->engine, b);
}

/* The callback comes before the answer that asks for it: the executor is told, and what it says later counts for nothing. */
static void test_promised_run_may_end_early(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(finish_outside(w, (struct lease_hash){{0}}, RUN_SUCCESS), LEASE_REFUSED);
    engine_promise(w->engine, w->run, token_hash);
    assert_int_equal(finish_outside(w, other_hash, RUN_SUCCESS), LEASE_REFUSED);
    assert_int_equal(finish_outside(w, token_hash, RUN_SUCCESS), LEASE_DONE);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_RUN_ENDED)->run_ended.status, RUN_SUCCESS);
    assert_non_null(find_effect(b, EFFECT_CANCEL_RUN));
    engine_recycle(w->engine, b);
    assert_false(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    const struct run_result r = {.run = w->run, .status = RUN_CANCELLED};
    assert_false(engine_finish(w->engine, w->now, &r, NULL));
}

/* The next attempt may be in the table before the executor of the one that ended early has said so. */
static void test_result_is_of_its_attempt(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct run_result r = {.run = w->run, .status = RUN_CANCELLED, .attempt = 2};
    assert_false(engine_finish(w->engine, w->now, &r, NULL));
    r.attempt = 1;
    assert_true(engine_finish(w->engine, w->now, &r, NULL));
    commit(w, 0);
}

static void test_cancelled_run_is_not_entrusted(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(engine_cancel(w->engine, w->now, w->run, NULL), CANCEL_STARTED);
    assert_false(engine_entrust(w->engine, w->now, w->run, token_hash, 60000, NULL));
    commit(w, 0);
    finish(w, w->run, RUN_CANCELLED);
    commit(w, 0);
}

static void test_cancel_running(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(engine_cancel(w->engine, w->now, w->run, NULL), CANCEL_STARTED);
    struct batch *b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_CANCEL_RUN));
    assert_int_equal(b->record_count, 0);
    engine_recycle(w->engine, b);
    assert_int_equal(engine_cancel(w->engine, w->now, UUID_NIL, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, NULL, UUID_NIL, 1, NULL),
                     CANCEL_UNKNOWN);
}

/* Two look-ups that both saw it pending: one cancels it, the other learns that it is gone. */
static void test_cancel_pending_once(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid run = w->run;
    assert_int_equal(engine_cancel(w->engine, w->now, run, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel(w->engine, w->now, run, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, run, 1, NULL),
                     CANCEL_DONE);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, run, 1, NULL),
                     CANCEL_UNKNOWN);
    struct batch *b = settle(w, 0);
    assert_int_equal(count_effects(b, EFFECT_MOVE_RUN), 1);
    engine_recycle(w->engine, b);
    assert_int_equal(engine_stats(w->engine).pending, 0);
}

/* Look-ups without a pause: what is remembered for them stays bounded, and a run that came and went meanwhile is not cancelled. */
static void test_lookups_remember_no_end(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid running = w->run, watched = UUID_NIL;
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(fire(w), VERDICT_FIRED);
        struct uuid next = w->run;
        if (i == 4500) {
            watched = next;
            assert_int_equal(engine_cancel(w->engine, w->now, watched, NULL), CANCEL_UNKNOWN);
        } else if (i == 0) {
            assert_int_equal(engine_cancel(w->engine, w->now, next, NULL), CANCEL_UNKNOWN);
        }
        finish(w, running, RUN_SUCCESS);
        commit(w, 0);
        const struct offered_run offer = {.start = {.run = next, .attempt = 1}};
        engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
        commit(w, 0);
        running = next;
    }
    assert_true(w->engine->moved.len <= 4096 + 16);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, watched, 1, NULL),
                     CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, NULL, watched, 1, NULL),
                     CANCEL_UNKNOWN);
    assert_int_equal(w->engine->moved.len, 0);
}

static void test_full_batch_refuses(void **state)
{
    struct world *w = *state;
    char big[600000];
    memset(big, 'x', sizeof(big));
    const struct event ev = {.source = "webhook", .key = {{'w', 1}}, .payload = {big, sizeof(big)}};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    assert_int_equal(engine_feed(w->engine, w->now, &ev), -ENOBUFS);
    commit(w, 0);
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
}

static void test_manual(void **state)
{
    struct world *w = *state;
    struct event ev = {.source = "manual", .pipeline = w->pipeline->id, .ticket = &w->ticket};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
    commit(w, 0);
    assert_false(uuid_is_nil(w->run));
    ev.pipeline.b[0] ^= 1;
    assert_int_equal(engine_feed(w->engine, w->now, &ev), -ENOENT);
}

static void test_held_engine_starts_nothing(void **state)
{
    struct world *w = *state;
    engine_hold(w->engine);
    assert_int_equal(feed(w), 1);
    struct batch *b = settle(w, 0);
    assert_int_equal(find_effect(b, EFFECT_PUT_RUN)->put_run.status, RUN_PENDING);
    assert_null(find_effect(b, EFFECT_FETCH_RUNS));
    engine_recycle(w->engine, b);
}

/* A fetch that was out when the engine was held comes back: its runs stay where they are. */
static void test_held_engine_starts_nothing_it_had_asked_for(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid first = w->run;
    pass(w, 60000);
    assert_int_equal(fire(w), VERDICT_FIRED);
    const struct offered_run offer = {.start = {.run = w->run, .attempt = 1}};
    finish(w, first, RUN_SUCCESS);
    struct batch *b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_FETCH_RUNS));
    engine_recycle(w->engine, b);

    engine_hold(w->engine);
    engine_offer(w->engine, w->now, w->pipeline, &offer, 1, WALL_UNSET, 0);
    assert_true(engine_is_idle(w->engine));
    assert_int_equal(engine_stats(w->engine).pending, 1);
}

static void test_drop_pipeline(void **state)
{
    struct world *w = *state;
    assert_int_equal(fire(w), VERDICT_FIRED);
    struct uuid id = w->pipeline->id, run = w->run;
    engine_drop_pipeline(w->engine, w->now, w->pipeline, &w->ticket);
    struct batch *b = settle(w, 0);
    assert_non_null(find_effect(b, EFFECT_DROP_PIPELINE));
    assert_non_null(find_effect(b, EFFECT_DROP_TRIGGER));
    assert_non_null(find_effect(b, EFFECT_CANCEL_RUN));
    engine_recycle(w->engine, b);
    assert_null(catalog_pipeline(engine_catalog(w->engine), id));
    assert_int_equal(feed(w), 0);
    finish(w, run, RUN_CANCELLED); /* the pipeline lived until here */
    commit(w, 0);
}

/* What is pending goes with its pipeline and counts as cancelled, unless the commit fails. */
static void test_drop_pipeline_counts_what_was_pending(void **state)
{
    struct world *w = *state;
    engine_change_trigger(w->engine, w->now, w->trigger, trigger_def(true, 0), SLICE("x"), NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fire(w), VERDICT_FIRED); /* one of them is started */
    for (int err = -EIO; err <= 0; err += EIO) {
        engine_drop_pipeline(w->engine, w->now, w->pipeline, NULL);
        assert_int_equal(engine_stats(w->engine).runs_ended[RUN_CANCELLED], 2);
        commit(w, err);
        assert_int_equal(engine_stats(w->engine).runs_ended[RUN_CANCELLED], err == 0 ? 2 : 0);
        assert_int_equal(engine_stats(w->engine).pending, err == 0 ? 0 : 2);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cooldown_ends_exactly),
        TEST(test_cooldown_holds_within_a_batch),
        TEST(test_cooldown_ignores_wall_clock_steps),
        TEST(test_cooldown_survives_restart),
        TEST(test_changed_cooldown_counts_from_last_firing),
        TEST(test_disabled),
        TEST(test_unmatched_event_leaves_no_trace),
        TEST(test_duplicate_and_depth),
        TEST(test_dedupe_key_goes_with_the_first_run),
        TEST(test_failed_commit_is_undone),
        TEST(test_failed_change_is_undone),
        TEST(test_queue),
        TEST(test_retry_backs_off),
        TEST(test_end_is_one_record),
        TEST(test_retry_after_is_honoured),
        TEST(test_entrusted_run_leaves_its_slot),
        TEST(test_entrusting_can_be_undone),
        TEST(test_no_callback),
        TEST(test_promised_run_may_end_early),
        TEST(test_result_is_of_its_attempt),
        TEST(test_cancelled_run_is_not_entrusted),
        TEST(test_cancel_running),
        TEST(test_cancel_pending_once),
        TEST(test_lookups_remember_no_end),
        TEST(test_full_batch_refuses),
        TEST(test_manual),
        TEST(test_held_engine_starts_nothing),
        TEST(test_held_engine_starts_nothing_it_had_asked_for),
        TEST(test_drop_pipeline),
        TEST(test_drop_pipeline_counts_what_was_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
