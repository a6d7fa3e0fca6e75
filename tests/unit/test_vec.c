#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/vec.h"

struct point {
    int x;
    double y;
};

static void test_push(void **state)
{
    VEC(struct point) v = {0};

    for (int i = 0; i < 1000; i++)
        vec_push(&v, ((struct point){i, i / 2.0}));
    assert_int_equal(v.len, 1000);
    assert_true(v.cap >= v.len);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(v.items[i].x, i);
        assert_true(v.items[i].y == i / 2.0);
    }
    vec_release(&v);
    assert_null(v.items);
    assert_int_equal(v.len + v.cap, 0);
    vec_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
