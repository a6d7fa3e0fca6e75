#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/uuid.h"

static const char text[] =
    "0190163d-8694-739b-aea5-966c26f8ad91"; /* an example of RFC 9562's kind */

static void test_text(void **state)
{
    static const uint8_t bytes[16] = {0x01, 0x90, 0x16, 0x3d, 0x86, 0x94, 0x73, 0x9b,
                                      0xae, 0xa5, 0x96, 0x6c, 0x26, 0xf8, 0xad, 0x91};
    struct uuid id;
    char back[UUID_TEXT_LEN + 1];
    struct str s = {0};

    assert_true(uuid_parse(slice_of(text), &id));
    assert_memory_equal(id.b, bytes, 16);
    uuid_format(id, back);
    assert_string_equal(back, text);
    str_add_uuid(&s, id);
    str_add_uuid(&s, UUID_NIL);
    assert_int_equal(s.len, 72);
    assert_string_equal(s.p,
                        "0190163d-8694-739b-aea5-966c26f8ad9100000000-0000-0000-0000-000000000000");
    str_release(&s);
    assert_true(uuid_parse(SLICE("0190163D-8694-739B-AEA5-966C26F8AD91"), &id));
    assert_memory_equal(id.b, bytes, 16);
}

static void test_refused(void **state)
{
    struct uuid id = {{7}};

    for (size_t i = 0; i < UUID_TEXT_LEN; i++) { /* one wrong character anywhere */
        char bad[sizeof(text)];

        memcpy(bad, text, sizeof(text));
        bad[i] = bad[i] == '-' ? '0' : '-';
        assert_false(uuid_parse(slice_of(bad), &id));
        bad[i] = 'g';
        assert_false(uuid_parse(slice_of(bad), &id));
    }
    assert_false(uuid_parse((struct slice){text, 35}, &id));
    assert_false(uuid_parse(SLICE("0190163d-8694-739b-aea5-966c26f8ad910"), &id));
    assert_false(uuid_parse(SLICE("{190163d-8694-739b-aea5-966c26f8ad91}"), &id));
    assert_false(uuid_parse(SLICE("0190163d8694739baea5966c26f8ad91"), &id));
    assert_false(uuid_parse(SLICE_NONE, &id));
    assert_int_equal(id.b[0], 7);
}

static void test_nil_and_order(void **state)
{
    for (size_t i = 0; i < 16; i++) {
        struct uuid a = UUID_NIL, b = UUID_NIL;

        a.b[i] = 1;
        b.b[i] = 0x80;
        assert_false(uuid_is_nil(a));
        assert_true(uuid_cmp(a, b) < 0);
        assert_true(uuid_cmp(b, a) > 0);
        assert_int_equal(uuid_cmp(a, a), 0);
    }
    assert_true(uuid_is_nil(UUID_NIL));
}

static void assert_version(struct uuid id, int version)
{
    assert_int_equal(id.b[6] >> 4, version);
    assert_int_equal(id.b[8] >> 6, 2);
}

static void test_random(void **state)
{
    struct prng p;

    prng_init(&p, 1);
    struct uuid a = uuid_random(&p), b = uuid_random(&p);

    assert_version(a, 4);
    assert_version(b, 4);
    assert_int_not_equal(uuid_cmp(a, b), 0);
}

static void test_next_tells_its_time(void **state)
{
    struct uuid_gen g = {0};
    struct prng p;

    prng_init(&p, 1);
    for (int64_t ms = 1; ms < (int64_t)1 << 42; ms = ms * 3 + 1) {
        struct uuid id = uuid_next(&g, (struct wall){ms}, &p);

        assert_version(id, 7);
        assert_true(uuid_time(id).ms == ms);
    }
}

/* A clock that stands still, goes on, and goes back. */
static void test_next_always_increases(void **state)
{
    struct uuid_gen g = {0};
    struct uuid last = UUID_NIL;
    struct prng p;
    int64_t ms = 1771000000000;

    prng_init(&p, 3);
    for (int i = 0; i < 500000; i++) {
        if (prng_below(&p, 1000) == 0)
            ms += (int64_t)prng_below(&p, 20) - 8;
        struct uuid id = uuid_next(&g, (struct wall){ms}, &p);

        assert_true(uuid_cmp(id, last) > 0);
        assert_version(id, 7);
        last = id;
    }
}

/* When the counter is used up, the time runs ahead. */
static void test_next_in_one_millisecond(void **state)
{
    struct uuid_gen g = {0};
    struct uuid last = UUID_NIL;
    struct prng p;

    prng_init(&p, 4);
    for (int i = 0; i < 5000000; i++) {
        struct uuid id = uuid_next(&g, (struct wall){1000}, &p);

        if (uuid_cmp(id, last) <= 0)
            fail_msg("id %d is not after the one before", i);
        last = id;
    }
    assert_in_range(uuid_time(last).ms, 1001, 1010);
}

static void test_next_with_a_senseless_clock(void **state)
{
    static const int64_t times[] = {-5, 0, INT64_MAX, INT64_MIN, 5};
    struct uuid_gen g = {0};
    struct uuid last = UUID_NIL;
    struct prng p;

    prng_init(&p, 5);
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        struct uuid id = uuid_next(&g, (struct wall){times[i]}, &p);

        assert_true(uuid_cmp(id, last) > 0);
        assert_version(id, 7);
        last = id;
    }
    assert_true(uuid_time(last).ms == 5);
}

static void test_halves(void **state)
{
    struct uuid id;
    assert_true(uuid_parse(SLICE("01234567-89ab-cdef-fedc-ba9876543210"), &id));
    assert_true(uuid_high(id) == UINT64_C(0x0123456789abcdef));
    assert_true(uuid_low(id) == UINT64_C(0xfedcba9876543210));
    assert_int_equal(uuid_cmp(uuid_join(uuid_high(id), uuid_low(id)), id), 0);
    assert_true(uuid_is_nil(uuid_join(0, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nil_and_order),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_next_tells_its_time),
        cmocka_unit_test(test_next_always_increases),
        cmocka_unit_test(test_next_in_one_millisecond),
        cmocka_unit_test(test_next_with_a_senseless_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
