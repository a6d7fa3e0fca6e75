/* Workers outside: claims meet pipelines, leases begin, last and end. */
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
#include "core/engine_internal.h"

#define LEASED_MAX 4
#define LEASE_MS 10000

/* An engine with a pipeline that is pulled, whose commits come back when the test says so. */
struct world {
    struct engine *engine;
    struct now now;
    struct pipeline *pipeline;
    struct claim_ticket claim;
    unsigned leased, done; /* what the claim has been told */
    struct run_lease last;
    int claim_err;
    struct ticket ticket;
    unsigned redeemed;
    struct uuid made[16]; /* runs, oldest first: the durable queue */
    size_t made_count;
    unsigned fetches;
    struct effect_fetch_runs fetch; /* the last that was carried out and not answered */
};

static void told_lease(struct claim_ticket *t, const struct run_lease *l)
{
    struct world *w = container_of(t, struct world, claim);
    w->leased++;
    w->last = *l;
}

static void told_done(struct claim_ticket *t, int err)
{
    struct world *w = container_of(t, struct world, claim);
    w->done++;
    w->claim_err = err;
}

static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct world *w = container_of(t, struct world, ticket);
    w->redeemed += o->err == 0;
    if (o->decision_count > 0)
        w->made[w->made_count++] = o->decisions[0].runs[0];
}

static void carry_out(struct world *w, const struct effect *f)
{
    if (f->type == EFFECT_REPLY)
        f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    if (f->type == EFFECT_LEASE_RUN)
        f->lease_run.ticket->leased(f->lease_run.ticket, &f->lease_run.lease);
    if (f->type == EFFECT_CLAIM_DONE)
        f->claim_done.ticket->done(f->claim_done.ticket, f->claim_done.err);
    if (f->type == EFFECT_FETCH_RUNS) {
        assert_true(f->fetch_runs.leased);
        w->fetches++;
        w->fetch = f->fetch_runs;
    }
    assert_int_not_equal(f->type, EFFECT_START_RUN);
}

/* Settles the filling batch, if there is one. The number of records of that type in it. */
static unsigned commit(struct world *w, int err, enum effect_type type)
{
    struct batch *b = engine_take(w->engine);
    unsigned n = 0;
    if (b == NULL)
        return 0;
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        n += f->type == type;
    engine_settle(w->engine, w->now, b, err);
    for (const struct effect *next, *f = b->first; f != NULL; f = next) {
        next = f->next;
        carry_out(w, f);
    }
    engine_recycle(w->engine, b);
    return n;
}

static struct lease_hash hash(uint8_t n)
{
    return (struct lease_hash){{n, 1}};
}

/* Answers the fetch with the first runs of the queue; the i-th run ever made has the hash i + 1. */
static void offer(struct world *w, size_t from, size_t n)
{
    struct offered_run runs[16] = {0};
    for (size_t i = 0; i < n; i++) {
        runs[i].start.run = w->made[from + i];
        runs[i].start.attempt = 1;
        runs[i].token.b[0] = (uint8_t)(from + i + 1);
        runs[i].hash = hash((uint8_t)(from + i + 1));
    }
    w->fetches = 0;
    engine_offer(w->engine, w->now, w->fetch.pipeline, runs, n, WALL_UNSET, 0);
}

static struct pipeline_def *def(uint32_t running_max, uint32_t attempts)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){
        .spec = mem_strdup("{}"),
        .running_max = running_max,
        .pull = true,
        .retry = {.max_attempts = attempts, .backoff_factor = 1},
    };
    return d;
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    const struct engine_options opt = {
        .running_max = 1, .leased_max = LEASED_MAX, .batch_bytes_max = 1 << 20};
    w->now = (struct now){{1000000}, {1770000000000}};
    w->ticket.done = redeemed;
    w->claim = (struct claim_ticket){.leased = told_lease, .done = told_done};
    w->engine = engine_create(&opt, w->now, 1);
    w->pipeline =
        engine_add_pipeline(w->engine, w->now, SLICE("default.silver.orders"), def(0, 1), NULL);
    commit(w, 0, EFFECT_REPLY);
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
    engine_tick(w->engine, w->now);
}

static void feed(struct world *w)
{
    const struct event ev = {.source = "manual",
                             .type = SLICE("manual"),
                             .pipeline = w->pipeline->id,
                             .ticket = &w->ticket};
    assert_int_equal(engine_feed(w->engine, w->now, &ev), 1);
}

static int ask(struct world *w, const char *pattern, uint32_t max, uint64_t wait_ms)
{
    const struct claim_request q = {
        .patterns = &pattern,
        .pattern_count = 1,
        .count_max = max,
        .lease_ms = LEASE_MS,
        .wait_ms = wait_ms,
        .ticket = &w->claim,
    };
    return engine_claim(w->engine, w->now, &q);
}

/* A run that the worker has. */
static void give_one(struct world *w)
{
    feed(w);
    assert_int_equal(ask(w, "*", 1, 1000), 0);
    commit(w, 0, EFFECT_REPLY);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
    w->redeemed = 0;
}

static struct run_result result(const struct world *w, enum run_status status)
{
    return (struct run_result){.run = w->made[0], .status = status};
}

/* ---- claims ---- */

static void test_pending_runs_go_to_a_claim(void **state)
{
    struct world *w = *state;
    feed(w);
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 0); /* nobody asks */
    assert_int_equal(ask(w, "default.*", 10, 0), 0);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    assert_int_equal(w->fetch.count_max, 2);
    assert_int_equal(w->done, 0);
    offer(w, 0, 2);
    assert_int_equal(w->leased, 0); /* not before it is on disk */
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 2);
    assert_int_equal(w->leased, 2);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->last.token.b[0], 2);
    assert_int_equal(w->last.expires_at.ms, w->now.wall.ms + LEASE_MS);
    assert_int_equal(engine_stats(w->engine).leased, 2);
    assert_int_equal(engine_stats(w->engine).running, 0); /* running_max is for those here */
}

static void test_a_claim_waits_for_the_first_run(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, "*.orders", 5, 1000), 0);
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
    assert_int_equal(w->done, 1);
}

static void test_a_wait_ends(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, "other.*", 5, 1000), 0);
    feed(w); /* not for that claim */
    commit(w, 0, EFFECT_REPLY);
    pass(w, 999);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, 0);
    pass(w, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->fetches + w->leased + (unsigned)w->claim_err, 0);
    assert_int_equal(engine_stats(w->engine).claims, 0);
}

static const struct {
    const char *pattern;
    bool matches;
} patterns[] = {
    {"*", true},
    {"default.silver.orders", true},
    {"default.silver.order", false},
    {"default.silver.orders?", false},
    {"default.silver.order?", true},
    {"*.silver.*", true},
    {"*silver", false},
    {"*o*e*s*", true},
    {"*s*s*", true},
    {"d*o*z", false},
    {"default.*.orders*", true},
    {"*?*?*", true},
};

static void test_patterns(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        w->fetches = 0;
        assert_int_equal(ask(w, patterns[i].pattern, 1, 0), 0);
        commit(w, 0, EFFECT_REPLY);
        if ((w->fetches == 1) != patterns[i].matches)
            fail_msg("%s: %u fetches", patterns[i].pattern, w->fetches);
        if (w->fetches == 1)
            engine_offer(w->engine, w->now, w->pipeline, NULL, 0, (struct wall){w->now.wall.ms + 1},
                         0);
        commit(w, 0, EFFECT_REPLY);
        pass(w, 2);
    }
}

static void test_limits(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < LEASED_MAX + 2; i++)
        feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(ask(w, "*", 100, 1000), 0);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetch.count_max, LEASED_MAX);
    offer(w, 0, LEASED_MAX);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, LEASED_MAX);
    assert_int_equal(ask(w, "*", 1, 1000), -EDQUOT);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_DONE);
    assert_int_equal(ask(w, "*", 1, 1000), 0);
    w->fetches = 0;
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, LEASED_MAX, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, LEASED_MAX + 1);
}

static void test_too_many_wait(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < CLAIMS_MAX; i++)
        assert_int_equal(ask(w, "x", 1, 1000), 0);
    assert_int_equal(ask(w, "x", 1, 1000), -ENOBUFS);
    engine_hold(w->engine); /* they all hear of it */
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, CLAIMS_MAX);
}

static void test_an_unheard_claim_takes_nothing(void **state)
{
    struct world *w = *state;
    feed(w);
    assert_int_equal(ask(w, "*", 1, 1000), 0);
    commit(w, 0, EFFECT_REPLY);
    engine_unclaim(w->engine, &w->claim); /* while the queue is being read */
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->done, 0);
    offer(w, 0, 1);
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 0);
    assert_int_equal(w->done, 1);
    assert_int_equal(ask(w, "*", 1, 1000), 0); /* it is there for the next one */
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
}

/* ---- failed commits ---- */

static void test_a_failed_commit_leases_nothing(void **state)
{
    struct world *w = *state;
    feed(w);
    assert_int_equal(ask(w, "*", 1, 60000), 0);
    commit(w, 0, EFFECT_REPLY);
    offer(w, 0, 1);
    commit(w, -ENOSPC, EFFECT_REPLY);
    assert_int_equal(w->leased, 0);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->claim_err, -ENOSPC);
    assert_int_equal(engine_stats(w->engine).leased, 0);
    assert_int_equal(engine_stats(w->engine).pending, 1);
    pass(w, LEASE_MS + 1); /* no lease that could expire */
    assert_int_equal(commit(w, 0, EFFECT_MOVE_RUN), 0);
}

static void test_a_failed_fetch_is_asked_for_again(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(ask(w, "*", 1, 60000), 0);
    commit(w, -EIO, EFFECT_REPLY);
    assert_int_equal(w->fetches + w->done, 0);
    assert_true(engine_wake_at(w->engine).ms <= w->now.mono.ms + 2000);
    pass(w, 2000);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->fetches, 1);
    offer(w, 0, 1);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(w->leased, 1);
}

static void test_an_end_that_was_not_written_leaves_the_lease(void **state)
{
    struct world *w = *state;
    give_one(w);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, &w->ticket), LEASE_DONE);
    commit(w, -EIO, EFFECT_REPLY);
    assert_int_equal(w->redeemed, 0);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, &w->ticket), LEASE_DONE);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
    assert_int_equal(w->redeemed, 1);
}

static void test_an_extension_that_was_not_written_does_not_count(void **state)
{
    struct world *w = *state;
    struct wall expires_at;
    give_one(w);
    assert_int_equal(
        engine_extend(w->engine, w->now, w->made[0], hash(1), 10 * LEASE_MS, NULL, &expires_at),
        LEASE_DONE);
    commit(w, -EIO, EFFECT_REPLY);
    pass(w, LEASE_MS);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
}

/* ---- leases ---- */

static void test_a_lease_lasts_until_it_is_over(void **state)
{
    struct world *w = *state;
    struct wall expires_at;
    give_one(w);
    pass(w, LEASE_MS - 1);
    assert_int_equal(
        engine_extend(w->engine, w->now, w->made[0], hash(1), 0, &w->ticket, &expires_at),
        LEASE_DONE);
    assert_int_equal(expires_at.ms, w->now.wall.ms + LEASE_MS);
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 1);
    assert_int_equal(w->redeemed, 1);
    pass(w, LEASE_MS - 1);
    assert_int_equal(commit(w, 0, EFFECT_MOVE_RUN), 0);
    pass(w, 1);
    struct batch *b = engine_take(w->engine);
    assert_non_null(b);
    const struct effect *f = b->first;
    while (f != NULL && f->type != EFFECT_MOVE_RUN)
        f = f->next;
    assert_non_null(f);
    assert_int_equal(f->move_run.status, RUN_FAILED); /* one attempt was all */
    assert_true(slice_is(f->move_run.error, "lease expired"));
    engine_settle(w->engine, w->now, b, 0);
    engine_recycle(w->engine, b);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_UNKNOWN);
}

static void test_tokens(void **state)
{
    struct world *w = *state;
    struct wall ignored;
    give_one(w);
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(2), &r, NULL), LEASE_REFUSED);
    assert_int_equal(engine_extend(w->engine, w->now, w->made[0], hash(2), 1, NULL, &ignored),
                     LEASE_REFUSED);
    assert_int_equal(engine_report(w->engine, w->now, &r, 1, NULL), LEASE_REFUSED);
    assert_false(engine_finish(w->engine, w->now, &r, NULL)); /* nor is it ours */
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_DONE);
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_UNKNOWN);
}

static void test_cancelling_ends_it(void **state)
{
    struct world *w = *state;
    give_one(w);
    assert_int_equal(engine_cancel(w->engine, w->now, w->made[0], &w->ticket), CANCEL_DONE);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
    assert_int_equal(w->redeemed, 1);
    assert_int_equal(engine_stats(w->engine).runs_ended[RUN_CANCELLED], 1);
}

static void test_conclusive_failures_are_not_repeated(void **state)
{
    struct world *w = *state;
    engine_change_pipeline(w->engine, w->now, w->pipeline, def(0, 3), NULL);
    give_one(w);
    struct run_result r = result(w, RUN_FAILED);
    r.conclusive = true;
    assert_int_equal(engine_finish_leased(w->engine, w->now, hash(1), &r, NULL), LEASE_DONE);
    assert_int_equal(commit(w, 0, EFFECT_RUN_ENDED), 1);
    assert_int_equal(engine_stats(w->engine).pending, 0);
}

static void test_leases_come_back_after_a_restart(void **state)
{
    struct world *w = *state;
    const struct run_start s = {.run = {{1}}, .event = {{2}}, .attempt = 1};
    w->made[0] = s.run;
    engine_recover_lease(w->engine, w->now, w->pipeline, &s, w->now.wall, hash(1),
                         (struct wall){w->now.wall.ms - 5000});
    assert_null(engine_take(w->engine)); /* nothing to write */
    feed(w);
    commit(w, -EIO, EFFECT_REPLY); /* and nothing to undo */
    assert_int_equal(engine_stats(w->engine).leased, 1);
    pass(w, LEASE_GRACE_MS - 1);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 0);
    /* How long it was given for is not on disk. */
    struct wall expires_at;
    assert_int_equal(engine_extend(w->engine, w->now, s.run, hash(1), 0, NULL, &expires_at),
                     LEASE_DONE);
    assert_int_equal(expires_at.ms, w->now.wall.ms + LEASE_MS_DEFAULT);
    pass(w, LEASE_MS_DEFAULT - 1);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 0);
    pass(w, 1);
    assert_int_equal(commit(w, 0, EFFECT_DROP_LEASE), 1);
}

/* ---- reports without a claim ---- */

static void test_reports_without_a_claim(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    const struct run_start s = {.run = w->made[0], .attempt = 1};
    struct run_result r = result(w, RUN_RUNNING);
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_UNKNOWN);
    assert_int_equal(
        engine_report_looked_up(w->engine, w->now, w->pipeline, &s, &r, 1000, &w->ticket),
        LEASE_DONE);
    assert_int_equal(commit(w, 0, EFFECT_PUT_LEASE), 1);
    assert_int_equal(engine_stats(w->engine).leased, 1);
    assert_int_equal(engine_report(w->engine, w->now, &r, 2000, NULL), LEASE_DONE);
    r.status = RUN_SUCCESS;
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_DONE);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(engine_stats(w->engine).runs_ended[RUN_SUCCESS], 1);
    /* What was read before the run moved is out of date. */
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_UNKNOWN);
    assert_int_equal(engine_report_looked_up(w->engine, w->now, NULL, &s, &r, 1000, NULL),
                     LEASE_UNKNOWN);
    assert_int_equal(w->engine->lookups, 0);
}

static void test_a_report_meets_a_cancellation(void **state)
{
    struct world *w = *state;
    feed(w);
    commit(w, 0, EFFECT_REPLY);
    const struct run_start s = {.run = w->made[0], .attempt = 1};
    const struct run_result r = result(w, RUN_SUCCESS);
    assert_int_equal(engine_report(w->engine, w->now, &r, 1000, NULL), LEASE_UNKNOWN);
    assert_int_equal(engine_cancel(w->engine, w->now, s.run, NULL), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel_looked_up(w->engine, w->now, w->pipeline, s.run, 1, NULL),
                     CANCEL_DONE);
    commit(w, 0, EFFECT_REPLY);
    assert_int_equal(engine_report_looked_up(w->engine, w->now, w->pipeline, &s, &r, 1000, NULL),
                     LEASE_UNKNOWN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_pending_runs_go_to_a_claim),
        TEST(test_a_claim_waits_for_the_first_run),
        TEST(test_a_wait_ends),
        TEST(test_patterns),
        TEST(test_limits),
        TEST(test_too_many_wait),
        TEST(test_an_unheard_claim_takes_nothing),
        TEST(test_a_failed_commit_leases_nothing),
        TEST(test_a_failed_fetch_is_asked_for_again),
        TEST(test_an_end_that_was_not_written_leaves_the_lease),
        TEST(test_an_extension_that_was_not_written_does_not_count),
        TEST(test_a_lease_lasts_until_it_is_over),
        TEST(test_tokens),
        TEST(test_cancelling_ends_it),
        TEST(test_conclusive_failures_are_not_repeated),
        TEST(test_leases_come_back_after_a_restart),
        TEST(test_reports_without_a_claim),
        TEST(test_a_report_meets_a_cancellation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
