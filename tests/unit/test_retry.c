#include "base/check.h"
#include "base/prng.h"
#include "core/retry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void waits(void **state)
{
    static const struct {
        struct retry_policy policy;
        uint64_t ms[6]; /* after the first attempt, the second, ... */
    } rows[] = {
        {{100, 1000, 2, 300000, 0}, {1000, 2000, 4000, 8000, 16000, 32000}},
        {{100, 1000, 2, 5000, 0}, {1000, 2000, 4000, 5000, 5000, 5000}},
        {{100, 250, 1, 300000, 0}, {250, 250, 250, 250, 250, 250}},
        {{100, 100, 1.5, 300000, 0}, {100, 150, 225, 337, 506, 759}},
        {{100, 0, 2, 300000, 0}, {0, 0, 0, 0, 0, 0}},
        {{100, 5000, 2, 1000, 0}, {1000, 1000, 1000, 1000, 1000, 1000}},
        {{100, 1000, 100, 86400000, 0}, {1000, 100000, 10000000, 86400000, 86400000, 86400000}},
        /* With jitter: these are what the generator seeded with 1 gives. */
        {{100, 1000, 2, 300000, 0.5}, {648, 1480, 2852, 6435, 10422, 29703}},
        {{100, 1000, 2, 5000, 1}, {297, 959, 1704, 3043, 1514, 4282}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct prng dice;
        prng_init(&dice, 1);
        for (uint32_t n = 0; n < ARRAY_SIZE(rows[i].ms); n++)
            assert_int_equal(retry_wait_ms(&rows[i].policy, n + 1, &dice), rows[i].ms[n]);
    }
}

static void the_hundredth_attempt_is_no_overflow(void **state)
{
    const struct retry_policy p = {100, 86400000, 100, 86400000, 0};
    struct prng dice;
    prng_init(&dice, 1);
    assert_int_equal(retry_wait_ms(&p, 100, &dice), 86400000);
}

/* Every wait of the span comes up, none outside it. */
static void jitter_takes_off_up_to_its_part(void **state)
{
    const struct retry_policy p = {100, 40, 1, 300000, 0.25};
    unsigned times[41] = {0};
    struct prng dice;
    prng_init(&dice, 7);
    for (int i = 0; i < 11000; i++) {
        const uint64_t ms = retry_wait_ms(&p, 1, &dice);
        assert_in_range(ms, 30, 40);
        times[ms]++;
    }
    for (int ms = 30; ms <= 40; ms++)
        assert_in_range(times[ms], 800, 1200);
}

static void no_jitter_takes_no_chance(void **state)
{
    const struct retry_policy p = {100, 1000, 2, 300000, 0};
    struct prng dice, same;
    prng_init(&dice, 3);
    same = dice;
    retry_wait_ms(&p, 5, &dice);
    assert_memory_equal(&dice, &same, sizeof(same));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits),
        cmocka_unit_test(the_hundredth_attempt_is_no_overflow),
        cmocka_unit_test(jitter_takes_off_up_to_its_part),
        cmocka_unit_test(no_jitter_takes_no_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
