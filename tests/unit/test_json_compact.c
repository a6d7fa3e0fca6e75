#include "base/json_compact.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct row {
    const char *text, *expected; /* expected NULL: refused */
};

static const struct row rows[] = {
    {"{}", "{}"},
    {"[]", "[]"},
    {" [ 1 , 2 ] ", "[1,2]"},
    {"{ \"a\" : [ true , false , null ] , \"b\" : { } }", "{\"a\":[true,false,null],\"b\":{}}"},
    {"\t\r\n42\n", "42"},
    {"-0", "-0"},
    {"1.50e+07", "1.50e+07"},
    {"123456789012345678901234567890", "123456789012345678901234567890"},
    {"0.1000", "0.1000"},
    {"\"a b\\n\\u00e9 \\\" \\\\ \\/\"", "\"a b\\n\\u00e9 \\\" \\\\ \\/\""},
    {"\"\xc3\xa9\"", "\"\xc3\xa9\""},
    {"{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}"},
    {"[[[]],{\"a\":[{}]}]", "[[[]],{\"a\":[{}]}]"},
    {"", NULL},
    {"  ", NULL},
    {"{", NULL},
    {"[", NULL},
    {"}", NULL},
    {"[1,]", NULL},
    {"[,1]", NULL},
    {"[1 2]", NULL},
    {"[1}", NULL},
    {"{\"a\"]", NULL},
    {"{\"a\":1]", NULL},
    {"{\"a\"}", NULL},
    {"{\"a\":}", NULL},
    {"{\"a\" 1}", NULL},
    {"{a:1}", NULL},
    {"{1:1}", NULL},
    {"{\"a\":1,}", NULL},
    {"{,}", NULL},
    {"1 2", NULL},
    {"{}{}", NULL},
    {"{} x", NULL},
    {"01", NULL},
    {"1.", NULL},
    {".5", NULL},
    {"-", NULL},
    {"+1", NULL},
    {"1e", NULL},
    {"1e+", NULL},
    {"0x10", NULL},
    {"tru", NULL},
    {"True", NULL},
    {"nul", NULL},
    {"NaN", NULL},
    {"\"a", NULL},
    {"\"\\x\"", NULL},
    {"\"\\u12g4\"", NULL},
    {"\"\\u12", NULL},
    {"\"\\", NULL},
    {"\"a\nb\"", NULL},
    {"\"a\tb\"", NULL},
    {"'a'", NULL},
    {"\"\xff\"", NULL},
    {"// c\n1", NULL},
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str out = {0};
        /* an exact copy on the heap, so that reading past its end is noticed */
        size_t len = strlen(rows[i].text);
        char *exact = malloc(len > 0 ? len : 1);
        memcpy(exact, rows[i].text, len);
        str_add_cstr(&out, "before");
        bool ok = json_compact((struct slice){exact, len}, &out);
        if (ok != (rows[i].expected != NULL))
            fail_msg("%s: %s", rows[i].text, ok ? "accepted" : "refused");
        assert_memory_equal(out.p, "before", 6);
        assert_string_equal(out.p + 6, ok ? rows[i].expected : "");
        str_release(&out);
        free(exact);
    }
}

static void test_nul_byte_is_refused(void **state)
{
    struct str out = {0};
    assert_false(json_compact((struct slice){"1\0", 2}, &out));
    assert_false(json_compact((struct slice){"[\0]", 3}, &out));
    assert_false(json_compact((struct slice){"\"\0\"", 3}, &out));
    str_release(&out);
}

static bool accepts_depth(size_t depth)
{
    struct str text = {0}, out = {0};
    for (size_t i = 0; i < depth; i++)
        str_add_char(&text, '[');
    for (size_t i = 0; i < depth; i++)
        str_add_char(&text, ']');
    bool ok = json_compact(str_slice(&text), &out);
    str_release(&text);
    str_release(&out);
    return ok;
}

static void test_depth(void **state)
{
    assert_true(accepts_depth(JSON_COMPACT_DEPTH_MAX));
    assert_false(accepts_depth(JSON_COMPACT_DEPTH_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_nul_byte_is_refused),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
