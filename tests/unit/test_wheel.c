#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/prng.h"
#include "core/wheel.h"

static void test_empty(void **state)
{
    struct wheel w;
    struct wheel_timer t = {0};

    wheel_init(&w, 1000);
    assert_true(wheel_next(&w) == WHEEL_NEVER);
    assert_null(wheel_take(&w));
    wheel_cancel(&w, &t);
    wheel_advance(&w, UINT64_MAX);
    assert_null(wheel_take(&w));
    assert_int_equal(w.count, 0);
}

/* One timer, set at `now`: not due a millisecond early, due on time. */
static const struct {
    uint64_t now, expires;
} single_cases[] = {
    {0, 1},
    {0, 63},
    {0, 64},
    {0, 65},
    {63, 64},
    {63, 65},
    {0, 4095},
    {0, 4096},
    {0, 4097},
    {4095, 4096},
    {4095, 8192},
    {0, ((uint64_t)1 << 18) - 1},
    {0, (uint64_t)1 << 18},
    {0, ((uint64_t)1 << 48) - 1},
    {0, (uint64_t)1 << 48},
    {12345, ((uint64_t)1 << 60) - 1},
    {12345, (uint64_t)1 << 60},
    {12345, ((uint64_t)1 << 60) + 1},
    {((uint64_t)1 << 63) - 1, (uint64_t)1 << 63},
    {0, UINT64_MAX - 1},
    {UINT64_MAX - 2, UINT64_MAX - 1},
};

static void test_single(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(single_cases); i++) {
        struct wheel w;
        struct wheel_timer t = {0};

        wheel_init(&w, single_cases[i].now);
        wheel_set(&w, &t, single_cases[i].expires);
        assert_true(wheel_is_set(&t));
        assert_true(wheel_next(&w) == single_cases[i].expires);
        wheel_advance(&w, single_cases[i].expires - 1);
        assert_null(wheel_take(&w));
        assert_true(wheel_next(&w) == single_cases[i].expires);
        wheel_advance(&w, single_cases[i].expires);
        assert_true(wheel_next(&w) == w.now);
        assert_ptr_equal(wheel_take(&w), &t);
        assert_false(wheel_is_set(&t));
        assert_null(wheel_take(&w));
    }
}

static void test_late_is_due_at_next_advance(void **state)
{
    struct wheel w;
    struct wheel_timer past = {0}, present = {0};

    wheel_init(&w, 1000);
    wheel_set(&w, &present, 1000);
    wheel_set(&w, &past, 3);
    assert_null(wheel_take(&w));
    assert_true(wheel_next(&w) == 1000);
    wheel_advance(&w, 1000);
    assert_ptr_equal(wheel_take(&w), &past);
    assert_ptr_equal(wheel_take(&w), &present);
    assert_null(wheel_take(&w));
}

static void test_going_back_is_ignored(void **state)
{
    struct wheel w;
    struct wheel_timer t = {0};

    wheel_init(&w, 1000);
    wheel_set(&w, &t, 1010);
    wheel_advance(&w, 5);
    assert_true(w.now == 1000);
    assert_true(wheel_next(&w) == 1010);
    wheel_advance(&w, 1010);
    assert_ptr_equal(wheel_take(&w), &t);
}

/* Timers of one millisecond that were set far from it and near it. */
static void test_equal_expiries_keep_their_order(void **state)
{
    struct wheel w;
    struct wheel_timer t[5] = {0};
    const uint64_t at = 1000000;
    const uint64_t set_at[5] = {0, 700000, 999000, 999990, 999999};

    wheel_init(&w, 0);
    for (int i = 0; i < 5; i++) {
        wheel_advance(&w, set_at[i]);
        wheel_set(&w, &t[i], at);
    }
    wheel_advance(&w, at + 500);
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(wheel_take(&w), &t[i]);
}

static void test_due_ones_can_move_and_go(void **state)
{
    struct wheel w;
    struct wheel_timer a = {0}, b = {0}, c = {0};

    wheel_init(&w, 0);
    wheel_set(&w, &a, 10);
    wheel_set(&w, &b, 20);
    wheel_set(&w, &c, 30);
    wheel_advance(&w, 100);
    assert_ptr_equal(wheel_take(&w), &a);
    wheel_cancel(&w, &b);
    wheel_set(&w, &c, 5000);
    wheel_set(&w, &a, 100);
    assert_null(wheel_take(&w));
    assert_int_equal(w.count, 2);
    assert_true(wheel_next(&w) == 100);
    wheel_advance(&w, 100);
    assert_ptr_equal(wheel_take(&w), &a);
    assert_true(wheel_next(&w) == 5000);
}

/* ---- against a model that keeps a plain array ---- */

#define TIMERS 48
#define STEPS 60000

struct model {
    struct wheel w;
    struct wheel_timer t[TIMERS];
    struct {
        bool set, due;
        uint64_t expires, order;
    } m[TIMERS];
    uint64_t now, orders;
    struct prng prng;
};

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* Distances of every magnitude, often just at the edge of a level. */
static uint64_t random_distance(struct prng *p)
{
    uint64_t n = (uint64_t)1 << prng_below(p, 64);

    switch (prng_below(p, 5)) {
    case 0:
        return prng_below(p, 8);
    case 1:
        return n;
    case 2:
        return n - 1;
    case 3:
        return prng_below(p, n);
    default:
        return prng_below(p, 10000);
    }
}

static void do_set(struct model *x, size_t i)
{
    uint64_t expires = add_capped(x->now, random_distance(&x->prng));

    if (prng_below(&x->prng, 8) == 0)
        expires = x->now - prng_below(&x->prng, x->now < 5000 ? x->now + 1 : 5000);
    if (prng_below(&x->prng, 8) == 0) /* the same as another one's */
        expires = x->m[prng_below(&x->prng, TIMERS)].expires;
    wheel_set(&x->w, &x->t[i], expires);
    x->m[i].set = true;
    x->m[i].due = false;
    x->m[i].expires = expires;
    x->m[i].order = ++x->orders;
}

static uint64_t model_next(const struct model *x)
{
    uint64_t next = WHEEL_NEVER;

    for (size_t i = 0; i < TIMERS; i++) {
        uint64_t e = x->m[i].expires > x->now ? x->m[i].expires : x->now;

        if (x->m[i].set && e < next)
            next = e;
    }
    return next;
}

static void do_advance(struct model *x)
{
    uint64_t next = model_next(x), to;

    switch (prng_below(&x->prng, 6)) {
    case 0:
    case 1:
        to = next == WHEEL_NEVER ? x->now : next;
        break;
    case 2:
        to = next == WHEEL_NEVER || next == x->now ? x->now : next - 1;
        break;
    case 3:
        to = x->now > 100 ? x->now - 100 : 0;
        break;
    case 4:
        to = add_capped(x->now, prng_below(&x->prng, 300));
        break;
    default: /* seldom far, or time would be used up */
        to = add_capped(x->now, (uint64_t)1 << prng_below(&x->prng, 56));
    }
    if (to > UINT64_MAX - 2)
        to = x->now;
    wheel_advance(&x->w, to);
    if (to > x->now)
        x->now = to;
    for (size_t i = 0; i < TIMERS; i++)
        x->m[i].due |= x->m[i].set && x->m[i].expires <= x->now;
}

static size_t model_first_due(const struct model *x)
{
    size_t first = TIMERS;

    for (size_t i = 0; i < TIMERS; i++) {
        if (!x->m[i].due)
            continue;
        if (first == TIMERS || x->m[i].expires < x->m[first].expires ||
            (x->m[i].expires == x->m[first].expires && x->m[i].order < x->m[first].order))
            first = i;
    }
    return first;
}

static void do_take(struct model *x)
{
    size_t i = model_first_due(x);

    if (i == TIMERS) {
        assert_null(wheel_take(&x->w));
        return;
    }
    assert_ptr_equal(wheel_take(&x->w), &x->t[i]);
    x->m[i].set = x->m[i].due = false;
}

static void do_cancel(struct model *x, size_t i)
{
    wheel_cancel(&x->w, &x->t[i]);
    x->m[i].set = x->m[i].due = false;
}

static void compare(struct model *x)
{
    uint64_t count = 0;

    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(wheel_is_set(&x->t[i]), x->m[i].set);
        count += x->m[i].set;
    }
    assert_int_equal(x->w.count, count);
    assert_true(x->w.now == x->now);
    if (prng_below(&x->prng, 2) == 0)
        assert_true(wheel_next(&x->w) == model_next(x));
}

static void run_model(uint64_t seed)
{
    static struct model x;

    memset(&x, 0, sizeof(x));
    prng_init(&x.prng, seed);
    x.now = prng_u64(&x.prng) >> prng_below(&x.prng, 64);
    wheel_init(&x.w, x.now);
    for (int step = 0; step < STEPS; step++) {
        size_t i = prng_below(&x.prng, TIMERS);

        switch (prng_below(&x.prng, 8)) {
        case 0:
        case 1:
        case 2:
            do_set(&x, i);
            break;
        case 3:
            do_cancel(&x, i);
            break;
        case 4:
            do_advance(&x);
            break;
        default:
            do_take(&x);
        }
        compare(&x);
    }
}

static void test_model(void **state)
{
    for (uint64_t seed = 1; seed <= 16; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        run_model(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_late_is_due_at_next_advance),
        cmocka_unit_test(test_going_back_is_ignored),
        cmocka_unit_test(test_equal_expiries_keep_their_order),
        cmocka_unit_test(test_due_ones_can_move_and_go),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
