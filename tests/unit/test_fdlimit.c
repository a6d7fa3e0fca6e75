/* The limit goes up once, and a child gets back what there was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <cmocka.h>
#include "base/fdlimit.h"

static void set(rlim_t soft, rlim_t hard)
{
    const struct rlimit l = {.rlim_cur = soft, .rlim_max = hard};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
}

static struct rlimit get(void)
{
    struct rlimit l;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
    return l;
}

static void test_raise_and_restore(void **state)
{
    set(100, 200);
    fdlimit_restore(); /* nothing was raised */
    assert_int_equal(get().rlim_cur, 100);
    assert_int_equal(fdlimit_raise(), 200);
    assert_int_equal(get().rlim_cur, 200);
    fdlimit_restore();
    assert_int_equal(get().rlim_cur, 100);
    assert_int_equal(get().rlim_max, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_raise_and_restore)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
