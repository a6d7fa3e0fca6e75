#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/arena.h"
#include "base/check.h"
#include "base/prng.h"

static void test_empty(void **state)
{
    struct arena a = {0};

    arena_reset(&a);
    arena_release(&a);
    assert_null(a.blocks);
}

static void test_copies(void **state)
{
    struct arena a = {0};
    char text[] = "hello";
    struct slice s = arena_copy(&a, (struct slice){text, 4});
    char *c = arena_strdup(&a, slice_of(text));

    memset(text, 'x', sizeof(text));
    assert_int_equal(s.len, 4);
    assert_string_equal(s.p, "hell");
    assert_string_equal(c, "hello");
    assert_null(arena_copy(&a, SLICE_NONE).p);
    assert_non_null(arena_copy(&a, SLICE("")).p);
    assert_string_equal(arena_strdup(&a, SLICE_NONE), "");
    arena_release(&a);
}

/* Pieces of every size are aligned, apart from each other and stay as they were written. */
static void test_pieces(void **state)
{
    enum { PIECES = 800 };
    static const size_t sizes[] = {0,    1,    7,     16,    17,    100,   1000,
                                   1023, 4096, 16384, 16385, 70000, 300000};
    static struct {
        uint8_t *p;
        size_t size;
    } piece[PIECES];
    struct arena a = {0};
    struct prng prng;

    prng_init(&prng, 1);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PIECES; i++) {
            piece[i].size = sizes[prng_below(&prng, i % 50 ? 9 : ARRAY_SIZE(sizes))];
            piece[i].p = i % 2 ? arena_alloc(&a, piece[i].size) : arena_zalloc(&a, piece[i].size);
            assert_non_null(piece[i].p);
            assert_int_equal((uintptr_t)piece[i].p % _Alignof(max_align_t), 0);
            for (size_t k = 0; i % 2 == 0 && k < piece[i].size; k++)
                assert_int_equal(piece[i].p[k], 0);
            memset(piece[i].p, (int)i, piece[i].size);
        }
        for (size_t i = 0; i < PIECES; i++)
            for (size_t k = 0; k < piece[i].size; k++)
                assert_int_equal(piece[i].p[k], (uint8_t)i);
        assert_true(a.used > 0);
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_release(&a);
}

/* What a reset leaves is used again, so a steady user does not go back to malloc. */
static void test_reset_keeps_a_block(void **state)
{
    struct arena a = {0};

    for (int i = 0; i < 20; i++)
        arena_alloc(&a, 1000);
    arena_reset(&a);
    struct arena_block *kept = a.blocks;
    char *first = arena_alloc(&a, 1000);

    assert_non_null(kept);
    arena_reset(&a);
    assert_ptr_equal(a.blocks, kept);
    assert_ptr_equal(arena_alloc(&a, 1000), first);
    arena_release(&a);
}

/* Nothing big is kept: an idle connection's arena stays small. */
static void test_reset_gives_big_blocks_back(void **state)
{
    struct arena a = {0};

    arena_alloc(&a, 1000000);
    arena_reset(&a);
    assert_null(a.blocks);
    for (int i = 0; i < 200; i++)
        arena_alloc(&a, 5000);
    arena_reset(&a);
    assert_true(a.end - a.at <= 16384);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_reset_keeps_a_block),
        cmocka_unit_test(test_reset_gives_big_blocks_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
