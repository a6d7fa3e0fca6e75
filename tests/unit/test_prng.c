#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/prng.h"

/* The reference implementation's numbers for the state 1, 2, 3, 4. */
static void test_reference(void **state)
{
    static const uint64_t expected[] = {
        11520u,
        0u,
        1509978240u,
        1215971899390074240u,
        1216172134540287360u,
        607988272756665600u,
        16172922978634559625u,
        8476171486693032832u,
        10595114339597558777u,
        2904607092377533576u,
    };
    struct prng p = {{1, 2, 3, 4}};

    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_true(prng_u64(&p) == expected[i]);
}

/* splitmix64's first numbers for the seed 0. */
static void test_seeding(void **state)
{
    static const uint64_t expected[] = {0xe220a8397b1dcdafu, 0x6e789e6aa1b965f4u,
                                        0x06c45d188009454fu, 0xf88bb8a8724c81ecu};
    struct prng p;

    prng_init(&p, 0);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_true(p.s[i] == expected[i]);
}

static void test_below(void **state)
{
    struct prng p;
    unsigned seen[6] = {0};

    prng_init(&p, 7);
    for (int i = 0; i < 60000; i++)
        seen[prng_below(&p, 6)]++;
    for (int i = 0; i < 6; i++)
        assert_in_range(seen[i], 9500, 10500);
    for (int i = 0; i < 100; i++)
        assert_true(prng_below(&p, 1) == 0);
    for (int i = 0; i < 100; i++)
        assert_true(prng_below(&p, ((uint64_t)1 << 63) + 1) <= (uint64_t)1 << 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_seeding),
        cmocka_unit_test(test_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
