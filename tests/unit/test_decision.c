#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "core/decision.h"

static struct prng prng;
static struct arena arena;

static int setup(void **state)
{
    prng_init(&prng, 1);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static void assert_same(const struct decision *a, const struct decision *b)
{
    assert_int_equal(uuid_cmp(a->trigger, b->trigger), 0);
    assert_int_equal(a->verdict, b->verdict);
    assert_int_equal(a->run_count, b->run_count);
    for (size_t i = 0; i < a->run_count; i++)
        assert_int_equal(uuid_cmp(a->runs[i], b->runs[i]), 0);
    assert_true(slice_eq(a->detail, b->detail));
    assert_int_equal(b->retry_after_ms, 0);
}

static void test_names(void **state)
{
    static const char *const expected[] = {"fired",      "cooldown",    "disabled",  "no_match",
                                           "deps_unmet", "concurrency", "duplicate", "depth"};

    assert_int_equal(ARRAY_SIZE(expected), VERDICT_COUNT);
    for (size_t i = 0; i < VERDICT_COUNT; i++)
        assert_string_equal(verdict_name((enum verdict)i), expected[i]);
}

static void test_one_fired_run_takes_39_bytes(void **state)
{
    const struct uuid run = uuid_random(&prng);
    const struct decision d = {.trigger = uuid_random(&prng), .runs = &run, .run_count = 1};
    struct slice text = decision_encode(&arena, &d, 1);

    assert_int_equal(text.len, 39);
    assert_memory_equal(text.p, d.trigger.b, 16);
    assert_memory_equal(text.p + 16, "\0\1\0\0\0", 5);
    assert_memory_equal(text.p + 21, run.b, 16);
    assert_memory_equal(text.p + 37, "\0\0", 2);
}

static void test_round_trip(void **state)
{
    struct uuid runs[300];

    for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
        runs[i] = uuid_random(&prng);
    const struct decision in[] = {
        {.trigger = uuid_random(&prng), .verdict = VERDICT_FIRED, .runs = runs, .run_count = 300},
        {.trigger = uuid_random(&prng), .verdict = VERDICT_COOLDOWN},
        {.trigger = uuid_random(&prng),
         .verdict = VERDICT_DEPS_UNMET,
         .detail = SLICE("a.b.c is missing")},
        {.trigger = UUID_NIL,
         .verdict = VERDICT_FIRED,
         .runs = runs + 7,
         .run_count = 2,
         .detail = SLICE("x")},
        {.trigger = uuid_random(&prng), .verdict = VERDICT_DEPTH},
    };
    struct slice at = decision_encode(&arena, in, ARRAY_SIZE(in));

    for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
        struct decision out;

        assert_true(decision_decode(&at, &arena, &out));
        assert_same(&in[i], &out);
    }
    struct decision untouched = {.run_count = 77};

    assert_int_equal(at.len, 0);
    assert_false(decision_decode(&at, &arena, &untouched));
    assert_int_equal(untouched.run_count, 77);
}

static void test_none(void **state)
{
    struct slice at = decision_encode(&arena, NULL, 0);
    struct decision out;

    assert_non_null(at.p);
    assert_int_equal(at.len, 0);
    assert_false(decision_decode(&at, &arena, &out));
}

/* The detail is cut to 65535 bytes, but not in the middle of a character. */
static void test_long_detail_is_cut(void **state)
{
    static const struct {
        size_t before, kept; /* bytes before a character of three, and of all */
    } rows[] = {
        {65531, 65534}, {65532, 65535}, {65533, 65533},
        {65534, 65534}, {65535, 65535}, {65536, 65535},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const size_t before = rows[i].before;
        char *text = mem_alloc(before + 3);
        struct decision d = {.verdict = VERDICT_NO_MATCH}, out;

        memset(text, 'a', before);
        memcpy(text + before, "\xe2\x82\xac", 3);
        d.detail = (struct slice){text, before + 3};
        struct slice at = decision_encode(&arena, &d, 1);

        assert_true(decision_decode(&at, &arena, &out));
        assert_int_equal(out.detail.len, rows[i].kept);
        assert_memory_equal(out.detail.p, text, out.detail.len);
        free(text);
    }
}

/* Every prefix of an encoding but itself is refused and leaves the position alone. */
static void test_cut_encodings(void **state)
{
    const struct uuid run = uuid_random(&prng);
    const struct decision d = {.runs = &run, .run_count = 1, .detail = SLICE("why not")};
    struct slice whole = decision_encode(&arena, &d, 1);

    for (size_t len = 0; len < whole.len; len++) {
        char *copy = mem_dup(whole.p, len);
        struct slice at = {copy, len};
        struct decision out;

        assert_false(decision_decode(&at, &arena, &out));
        assert_ptr_equal(at.p, copy);
        assert_int_equal(at.len, len);
        free(copy);
    }
}

static void test_garbage(void **state)
{
    for (int round = 0; round < 20000; round++) {
        size_t len = prng_below(&prng, 120);
        uint8_t *bytes = malloc(len ? len : 1);

        for (size_t i = 0; i < len; i++)
            bytes[i] = prng_below(&prng, 3) ? 0 : (uint8_t)prng_u64(&prng);
        struct slice at = {(char *)bytes, len};
        struct decision out;

        while (decision_decode(&at, &arena, &out)) {
            assert_true(out.verdict < VERDICT_COUNT);
            assert_true(at.len < len);
        }
        free(bytes);
        arena_reset(&arena);
    }
}

static void test_unknown_verdict(void **state)
{
    const struct decision d = {.verdict = VERDICT_DEPTH};
    struct slice text = decision_encode(&arena, &d, 1);
    struct decision out;

    ((char *)text.p)[16] = VERDICT_COUNT;
    assert_false(decision_decode(&text, &arena, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_one_fired_run_takes_39_bytes),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_long_detail_is_cut),
        cmocka_unit_test(test_cut_encodings),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_unknown_verdict),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
