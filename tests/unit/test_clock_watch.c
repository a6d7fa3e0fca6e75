#include "base/check.h"
#include "io/loop/clock_watch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <cmocka.h>

struct watched {
    struct clock_watch watch; /* first */
    uv_loop_t loop;
    unsigned steps, closed;
};

static void stepped(struct clock_watch *w)
{
    struct watched *x = container_of(w, struct watched, watch);
    x->steps++;
    uv_stop(&x->loop);
}

static void closed(struct clock_watch *w)
{
    container_of(w, struct watched, watch)->closed++;
}

static void end(struct watched *x)
{
    clock_watch_close(&x->watch, closed);
    uv_run(&x->loop, UV_RUN_DEFAULT);
    assert_int_equal(x->closed, 1);
    assert_int_equal(uv_loop_close(&x->loop), 0);
}

static void keeps_nobody_awake(void **state)
{
    struct watched x = {.steps = 0};
    assert_int_equal(uv_loop_init(&x.loop), 0);
    assert_int_equal(clock_watch_open(&x.watch, &x.loop, stepped), 0);
    assert_int_equal(uv_run(&x.loop, UV_RUN_DEFAULT), 0); /* nothing to wait for */
    assert_int_equal(x.steps, 0);
    end(&x);
}

/* Nobody may set the clock of a machine for a test: the timer is made to expire instead, which looks the same from here. */
static void says_each_step_once(void **state)
{
    struct watched x = {.steps = 0};
    const struct itimerspec now = {.it_value.tv_nsec = 1};
    assert_int_equal(uv_loop_init(&x.loop), 0);
    assert_int_equal(clock_watch_open(&x.watch, &x.loop, stepped), 0);
    uv_ref((uv_handle_t *)&x.watch.poll);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(timerfd_settime(x.watch.fd, 0, &now, NULL), 0);
        uv_run(&x.loop, UV_RUN_DEFAULT);
        assert_int_equal(x.steps, i);
        uv_run(&x.loop, UV_RUN_NOWAIT);
        assert_int_equal(x.steps, i);
    }
    end(&x);
}

static void closes_when_it_is_not_open(void **state)
{
    struct watched x = {.steps = 0};
    clock_watch_close(&x.watch, closed);
    assert_int_equal(x.closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_nobody_awake),
        cmocka_unit_test(says_each_step_once),
        cmocka_unit_test(closes_when_it_is_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
