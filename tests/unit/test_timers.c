#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/mem.h"
#include "io/loop/timers.h"

static uv_loop_t loop;
static struct timers timers;
static bool closed;

static void timers_closed(struct timers *ts)
{
    assert_ptr_equal(ts, &timers);
    closed = true;
}

static int setup(void **state)
{
    closed = false;
    assert_int_equal(uv_loop_init(&loop), 0);
    timers_init(&timers, &loop);
    return 0;
}

static int teardown(void **state)
{
    if (!uv_is_closing((uv_handle_t *)&timers.alarm))
        timers_close(&timers, timers_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

struct probe {
    struct timer t;
    uint64_t expected, fired_at;
    int count, order;
};
static int orders;

static void probe_fired(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, t);

    p->fired_at = uv_now(&loop);
    p->count++;
    p->order = ++orders;
}

static void probe_set(struct probe *p, uint64_t in_ms)
{
    p->t.fired = probe_fired;
    p->expected = uv_now(&loop) + in_ms;
    timer_set(&timers, &p->t, in_ms);
}

static void test_nothing_set(void **state)
{
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_false(uv_is_active((uv_handle_t *)&timers.alarm));
}

static void test_fire_in_order_and_never_early(void **state)
{
    static const uint64_t delays[] = {7, 0, 3, 12, 3, 1};
    static const int expected_order[] = {5, 1, 3, 6, 4, 2};
    struct probe p[ARRAY_SIZE(delays)] = {0};

    orders = 0;
    for (size_t i = 0; i < ARRAY_SIZE(delays); i++)
        probe_set(&p[i], delays[i]);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
        assert_int_equal(p[i].count, 1);
        assert_true(p[i].fired_at >= p[i].expected);
        assert_int_equal(p[i].order, expected_order[i]);
    }
    assert_false(uv_is_active((uv_handle_t *)&timers.alarm));
}

/* The alarm stands at the first deadline whatever is set, moved or cancelled: an idle loop is not
 * woken for nothing. */
static void test_alarm_is_exact(void **state)
{
    struct probe a = {0}, b = {0}, c = {0};

    probe_set(&b, 2000000);
    assert_true(timers.armed_at == b.expected);
    probe_set(&a, 1000000);
    assert_true(timers.armed_at == a.expected);
    probe_set(&c, 1500000);
    timer_cancel(&timers, &a.t);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(timers.armed_at == c.expected);
    assert_true(uv_timer_get_due_in(&timers.alarm) == c.expected - uv_now(&loop));
    probe_set(&c, 3000000);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(timers.armed_at == b.expected);
    assert_false(uv_is_active((uv_handle_t *)&timers.correction));
    timer_cancel(&timers, &b.t);
    timer_cancel(&timers, &c.t);
    assert_false(uv_is_active((uv_handle_t *)&timers.alarm));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static void test_never(void **state)
{
    struct probe p = {0};

    probe_set(&p, UINT64_MAX);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(p.count, 0);
    timer_cancel(&timers, &p.t);
}

/* ---- what fired() may do ---- */

static void again(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, t);

    if (++p->count < 5)
        timer_set(&timers, t, p->count % 2);
}

static void test_set_again(void **state)
{
    struct probe p = {.t.fired = again};

    timer_set(&timers, &p.t, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(p.count, 5);
}

static struct probe victim;

static void cancel_victim(struct timer *t)
{
    timer_cancel(&timers, &victim.t);
}

static void test_cancel_another_due_one(void **state)
{
    struct timer t = {.fired = cancel_victim};

    victim = (struct probe){0};
    timer_set(&timers, &t, 0);
    probe_set(&victim, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(victim.count, 0);
}

static void free_owner(struct timer *t)
{
    free(container_of(t, struct probe, t));
}

static void test_free_the_owner(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct probe *p = mem_zalloc(sizeof(*p));

        p->t.fired = free_owner;
        timer_set(&timers, &p->t, (uint64_t)i);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void close_all(struct timer *t)
{
    timers_close(&timers, timers_closed);
}

static void test_close_with_timers_set(void **state)
{
    struct timer t = {.fired = close_all};

    victim = (struct probe){0};
    timer_set(&timers, &t, 0);
    probe_set(&victim, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(victim.count, 0);
    timer_cancel(&timers, &victim.t);
}

/* A deadline that is set just before the loop waits, by somebody else's prepare handle, is not
 * slept over. */
static void set_from_prepare(uv_prepare_t *h)
{
    uv_prepare_stop(h);
    timer_cancel(&timers, &victim.t);
    probe_set(h->data, 2);
}

static void test_set_before_waiting(void **state)
{
    struct probe p = {0};
    uv_prepare_t prepare;

    victim = (struct probe){0};
    probe_set(&victim, 60000000);
    assert_int_equal(uv_prepare_init(&loop, &prepare), 0);
    prepare.data = &p;
    assert_int_equal(uv_prepare_start(&prepare, set_from_prepare), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(p.count, 1);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void test_clock(void **state)
{
    struct now a = clock_now(&loop);
    time_t wall = time(NULL);

    assert_true(a.mono.ms == uv_now(&loop));
    assert_true(a.wall.ms / 1000 <= wall && wall - a.wall.ms / 1000 <= 60);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_nothing_set),        ROW(test_fire_in_order_and_never_early),
        ROW(test_alarm_is_exact),     ROW(test_never),
        ROW(test_set_again),          ROW(test_cancel_another_due_one),
        ROW(test_free_the_owner),     ROW(test_close_with_timers_set),
        ROW(test_set_before_waiting), ROW(test_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
