#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/slurp.h"

/* A file of so many bytes, open at its beginning. */
static int make_file(size_t bytes)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    for (size_t i = 0; i < bytes; i++)
        assert_int_not_equal(putc((int)('a' + i % 26), f), EOF);
    assert_int_equal(fflush(f), 0);
    const int fd = dup(fileno(f));
    assert_true(fd >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void test_files(void **state)
{
    static const struct {
        size_t size, max;
        bool whole;
    } rows[] = {
        {0, 0, true},           {1, 0, false},         {100, 100, true},
        {300000, 300000, true}, {300000, 1000, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str s = {0};
        const int fd = make_file(rows[i].size);
        assert_int_equal(slurp(fd, rows[i].max, &s), 0);
        if (rows[i].whole)
            assert_int_equal(s.len, rows[i].size);
        assert_int_equal(s.len > rows[i].max, rows[i].size > rows[i].max);
        for (size_t k = 0; k < s.len; k++)
            assert_int_equal(s.p[k], 'a' + k % 26);
        str_release(&s);
        close(fd);
    }
}

static void test_appends(void **state)
{
    struct str s = {0};
    const int fd = make_file(3);
    str_add_cstr(&s, "what was there, ");
    assert_int_equal(slurp(fd, 100, &s), 0);
    assert_true(slice_is(str_slice(&s), "what was there, abc"));
    str_release(&s);
    close(fd);
}

/* A pipe gives less than was asked for. */
static void test_pipe(void **state)
{
    int ends[2];
    struct str s = {0};
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one", 3), 3);
    close(ends[1]);
    assert_int_equal(slurp(ends[0], 100, &s), 0);
    assert_true(slice_is(str_slice(&s), "one"));
    str_release(&s);
    close(ends[0]);
}

static void test_no_descriptor(void **state)
{
    struct str s = {0};
    assert_int_equal(slurp(-1, 100, &s), -EBADF);
    assert_int_equal(s.len, 0);
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
