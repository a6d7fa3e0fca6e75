#include "io/process/run_output.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define OUTPUT_MARK "\n[output truncated at 1048576 bytes]"

static void test_output_is_bounded(void **state)
{
    struct run_output o = {0};
    char chunk[1000];
    memset(chunk, 'x', sizeof(chunk));
    for (int i = 0; i < 3000; i++)
        run_output_add(&o, (struct slice){chunk, sizeof(chunk)});
    assert_int_equal(o.text.len, RUN_OUTPUT_BYTES_MAX + strlen(OUTPUT_MARK));
    assert_string_equal(o.text.p + RUN_OUTPUT_BYTES_MAX, OUTPUT_MARK);
    assert_true(o.text.cap <= 4 * RUN_OUTPUT_BYTES_MAX);
    run_output_release(&o);
}

static void test_output_of_exactly_the_limit_is_whole(void **state)
{
    struct run_output o = {0};
    char *text = calloc(1, RUN_OUTPUT_BYTES_MAX + 1);
    memset(text, 'x', RUN_OUTPUT_BYTES_MAX);
    run_output_add(&o, slice_of(text));
    assert_string_equal(o.text.p, text);
    run_output_release(&o);
    free(text);
}

static void test_output_is_cut_between_characters(void **state)
{
    struct run_output o = {0};
    char *text = calloc(1, RUN_OUTPUT_BYTES_MAX + 8);
    memset(text, 'x', RUN_OUTPUT_BYTES_MAX - 1);
    strcat(text, "\xe2\x82\xac");
    run_output_add(&o, slice_of(text));
    assert_string_equal(o.text.p + RUN_OUTPUT_BYTES_MAX - 1, OUTPUT_MARK);
    assert_true(utf8_valid(str_slice(&o.text)));
    run_output_release(&o);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_is_bounded),
        cmocka_unit_test(test_output_of_exactly_the_limit_is_whole),
        cmocka_unit_test(test_output_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
