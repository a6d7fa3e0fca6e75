/* The end of an attempt is kept until it is on disk, or until it is certain that nobody wants it. What is around host.c is played. */
#include "app/follow.h"
#include "app/host.h"
#include "hook_fixture.h"
#include "io/loop/timers.h"

void follow_init(struct app_host *h)
{
}

struct daemon {
    uv_loop_t loop;
    struct timers timers;
    struct app_host app;
    struct world *world;
};

static int start(void **state)
{
    struct daemon *d = mem_zalloc(sizeof(*d));
    void *world;
    assert_int_equal(setup(&world), 0);
    d->world = world;
    assert_int_equal(uv_loop_init(&d->loop), 0);
    timers_init(&d->timers, &d->loop);
    d->world->now = clock_now(&d->loop);
    host_init(&d->app, &d->loop, &d->timers, d->world->engine, NULL, NULL);
    *state = d;
    return 0;
}

static int stop(void **state)
{
    struct daemon *d = *state;
    void *world = d->world;
    assert_false(host_has_results(&d->app));
    host_deinit(&d->app);
    timers_close(&d->timers, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&d->loop), 0);
    free(d);
    return teardown(&world);
}

/* Its executor says so. */
static void end_here(struct daemon *d, enum run_status status)
{
    const struct run_result r = {
        .run = d->world->run, .status = status, .attempt = 1, .output = SLICE("here")};
    d->app.host.run_finished(&d->app.host, &r);
    assert_true(host_has_results(&d->app));
}

/* Somebody outside, who was asked by the executor, says so. */
static void end_outside(struct daemon *d, enum run_status status)
{
    static const struct lease_hash token = {{1}};
    const struct run_result r = {.run = d->world->run, .status = status};
    engine_promise(d->world->engine, r.run, token);
    assert_int_equal(engine_finish_leased(d->world->engine, d->world->now, token, &r, NULL),
                     LEASE_DONE);
}

static void await_again(struct daemon *d)
{
    while (engine_is_idle(d->world->engine))
        uv_run(&d->loop, UV_RUN_ONCE);
}

static uint64_t ended(const struct daemon *d, enum run_status status)
{
    return engine_stats(d->world->engine).runs_ended[status];
}

static void it_is_handed_in_until_it_is_written(void **state)
{
    struct daemon *d = *state;
    assert_int_equal(fire(d->world), VERDICT_FIRED);
    end_here(d, RUN_SUCCESS);
    for (int i = 0; i < 2; i++) {
        commit(d->world, -ENOSPC);
        const struct run_result *kept = host_kept_result(&d->app, d->world->run);
        assert_non_null(kept);
        assert_true(slice_is(kept->output, "here"));
        await_again(d);
    }
    commit(d->world, 0);
    assert_int_equal(ended(d, RUN_SUCCESS), 1);
}

static void one_that_was_overtaken_is_forgotten(void **state)
{
    struct daemon *d = *state;
    assert_int_equal(fire(d->world), VERDICT_FIRED);
    end_outside(d, RUN_SUCCESS);
    end_here(d, RUN_FAILED);
    commit(d->world, 0);
    assert_int_equal(ended(d, RUN_SUCCESS), 1);
    assert_int_equal(ended(d, RUN_FAILED), 0);
}

/* Nobody carries the run out any more, and whoever overtook it need not come again. */
static void one_that_was_overtaken_in_vain_counts(void **state)
{
    struct daemon *d = *state;
    assert_int_equal(fire(d->world), VERDICT_FIRED);
    end_outside(d, RUN_SUCCESS);
    end_here(d, RUN_FAILED);
    commit(d->world, -ENOSPC);
    assert_int_equal(engine_stats(d->world->engine).running, 1);
    await_again(d);
    commit(d->world, 0);
    assert_int_equal(ended(d, RUN_SUCCESS), 0);
    assert_int_equal(ended(d, RUN_FAILED), 1);
    assert_int_equal(engine_stats(d->world->engine).running, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_handed_in_until_it_is_written),
        TEST(one_that_was_overtaken_is_forgotten),
        TEST(one_that_was_overtaken_in_vain_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
