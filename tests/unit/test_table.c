#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "cli/table.h"

static void assert_prints(const struct table *t, const char *expected)
{
    char text[1024] = "";
    FILE *f = fmemopen(text, sizeof(text), "w");
    table_print(t, f);
    fclose(f);
    assert_string_equal(text, expected);
}

static void test_columns_are_as_wide_as_they_must_be(void **state)
{
    struct table t = {0};
    static const char *const cells[] = {"a", "1", "a long name", "22222222", "\xc3\xa9\xc3\xa9",
                                        ""};
    table_column(&t, "NAME");
    table_column(&t, "COUNT");
    assert_prints(&t, "NAME   COUNT\n");
    for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
        table_cell(&t, cells[i]);
    assert_prints(&t, "NAME          COUNT\n"
                      "a             1\n"
                      "a long name   22222222\n"
                      "\xc3\xa9\xc3\xa9            <none>\n");
    table_release(&t);
}

static void test_what_breaks_rows_is_not_printed(void **state)
{
    struct table t = {0};
    table_column(&t, "A");
    table_cell(&t, "x\ny\t\x1b[1m\x7f");
    table_cell(&t, NULL);
    assert_prints(&t, "A\nx?y??[1m?\n<none>\n");
    table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_they_must_be),
        cmocka_unit_test(test_what_breaks_rows_is_not_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
