#include "base/check.h"
#include "base/slug.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void accepts(void **state)
{
    static const char *const rows[] = {"a",  "default", "raw_orders", "raw-orders",
                                       "a1", "z_",      "b-"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_true(slug_valid(slice_of(rows[i])));
}

static void refuses(void **state)
{
    static const char *const rows[] = {"",    "A",        "1a", "_a",  "-a", "a.b",  "a/b",
                                       "a b", "\xc3\xa4", "aB", "a\n", "..", "a\x7f"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (slug_valid(slice_of(rows[i])))
            fail_msg("'%s' was taken", rows[i]);
    }
    assert_false(slug_valid(SLICE_NONE));
    assert_false(slug_valid((struct slice){"a\0b", 3}));
}

static void is_bounded(void **state)
{
    char text[SLUG_LEN_MAX + 1];
    memset(text, 'a', sizeof(text));
    assert_true(slug_valid((struct slice){text, SLUG_LEN_MAX}));
    assert_false(slug_valid((struct slice){text, SLUG_LEN_MAX + 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
