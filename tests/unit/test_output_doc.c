#include "base/check.h"
#include "core/output_doc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define BYTES(s)                                                                                   \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
#define TEN "[[[[[[[[[["
#define NET "]]]]]]]]]]"

static void one_rule(void **state)
{
    static const struct {
        struct slice output;
        const char *expected;
    } rows[] = {
        {{NULL, 0}, "null"},
        {{"", 0}, "null"},
        {BYTES("{\"a\": [1, 2.50]}\n"), "{\"a\":[1,2.50]}"},
        {BYTES(" [true , null]\r\n\t"), "[true,null]"},
        {BYTES("42\n"), "42"},
        {BYTES("-0.10e+3"), "-0.10e+3"},
        {BYTES("true"), "true"},
        {BYTES("null\n"), "null"},
        {BYTES("\"quoted\"\n"), "\"quoted\""},
        {BYTES("hello\n"), "\"hello\\n\""},
        {BYTES("\n"), "\"\\n\""},
        {BYTES("{\"a\":1}\n{\"a\":2}\n"),
         "\"{\\\"a\\\":1}\\n{\\\"a\\\":2}\\n\""}, /* two values are none */
        {BYTES("{'a':1}"), "\"{'a':1}\""},
        {BYTES("007"), "\"007\""},
        {BYTES("NaN"), "\"NaN\""},
        {BYTES("12\n[output truncated at 2 bytes]"), "\"12\\n[output truncated at 2 bytes]\""},
        {BYTES("h\xc3\xa9"), "\"h\xc3\xa9\""},
        {BYTES("\xff\x00\x01"), "null,\"output_base64\":\"/wAB\""},
        {BYTES("\"\xff\""), "null,\"output_base64\":\"Iv8i\""}, /* JSON is UTF-8 */
        {BYTES(TEN TEN TEN TEN TEN TEN NET NET NET NET NET NET),
         TEN TEN TEN TEN TEN TEN NET NET NET NET NET NET},
        {BYTES(TEN TEN TEN TEN TEN TEN TEN NET NET NET NET NET NET NET),
         "\"" TEN TEN TEN TEN TEN TEN TEN NET NET NET NET NET NET NET "\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str s = {0};
        str_add_cstr(&s, "{");
        output_doc_add(&s, rows[i].output);
        assert_memory_equal(s.p, "{\"output\":", 10);
        assert_string_equal(s.p + 10, rows[i].expected);
        str_release(&s);
    }
}

static void the_beginning_of_an_output_is_never_a_value(void **state)
{
    static const struct {
        struct slice output;
        const char *expected;
    } rows[] = {
        {BYTES("123"), "\"123\""},
        {BYTES("\"a\""), "\"\\\"a\\\"\""},
        {BYTES("h\xc3"), "\"h\""},
        {BYTES("h\xe2\x82"), "\"h\""},
        {BYTES("h\xc3\xa9"), "\"h\xc3\xa9\""},
        {BYTES("\xf0\x9f\x98"), "\"\""},
        {BYTES("\x80\x80\x80\x80"), "null,\"output_base64\":\"gICAgA==\""},
        {BYTES("\xff"
               "abc"),
         "null,\"output_base64\":\"/2FiYw==\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str s = {0}, expected = {0};
        str_printf(&expected, "\"output\":%s,\"output_truncated\":true", rows[i].expected);
        output_doc_add_cut(&s, rows[i].output);
        assert_string_equal(s.p, expected.p);
        str_release(&s);
        str_release(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rule),
        cmocka_unit_test(the_beginning_of_an_output_is_never_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
