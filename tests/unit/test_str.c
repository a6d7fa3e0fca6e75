#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/json.h"
#include "base/str.h"

static void test_slices(void **state)
{
    assert_null(slice_of(NULL).p);
    assert_int_equal(slice_of("abc").len, 3);
    assert_true(slice_eq(SLICE("abc"), slice_of("abc")));
    assert_false(slice_eq(SLICE("abc"), SLICE("abd")));
    assert_false(slice_eq(SLICE("abc"), SLICE("abcd")));
    assert_true(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
    assert_true(slice_eq(SLICE(""), SLICE_NONE));
    assert_true(slice_is(SLICE("x"), "x"));
    assert_false(slice_is(SLICE("x"), "xy"));
    assert_true(slice_is_nocase(SLICE("Content-LENGTH"), "content-length"));
    assert_false(slice_is_nocase(SLICE("content-lengt"), "content-length"));
    assert_true(slice_is_nocase(SLICE_NONE, ""));
    assert_true(slice_starts(SLICE("Bearer x"), "Bearer "));
    assert_true(slice_starts(SLICE("x"), ""));
    assert_false(slice_starts(SLICE("Bear"), "Bearer "));
}

static void test_trim(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},       {"a", "a"},         {" \ta b\t ", "a b"},
        {" \t \t", ""}, {"\na\n", "\na\n"}, /* not blanks */
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_true(slice_is(slice_trim(slice_of(cases[i].in)), cases[i].out));
}

static void test_u64(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t n;
    } cases[] = {
        {"0", UINT64_MAX, true, 0},
        {"007", UINT64_MAX, true, 7},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"9999999999999999999", UINT64_MAX, true, 9999999999999999999u},
        {"10000000000000000000", UINT64_MAX, false, 0}, /* 20 digits */
        {"", UINT64_MAX, false, 0},
        {"-1", UINT64_MAX, false, 0},
        {"+1", UINT64_MAX, false, 0},
        {" 1", UINT64_MAX, false, 0},
        {"1 ", UINT64_MAX, false, 0},
        {"0x1", UINT64_MAX, false, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t n = 42;

        assert_int_equal(slice_u64(slice_of(cases[i].text), cases[i].max, &n), cases[i].ok);
        assert_true(n == (cases[i].ok ? cases[i].n : 42));
    }
}

static void test_building(void **state)
{
    struct str s = {0};

    assert_non_null(str_slice(&s).p);
    assert_int_equal(str_slice(&s).len, 0);
    str_add_char(&s, 'a');
    str_add(&s, "bcd", 2);
    str_add_slice(&s, SLICE_NONE);
    str_add_slice(&s, SLICE("d"));
    str_add_cstr(&s, "");
    str_printf(&s, "-%d-%s", 7, "x");
    assert_string_equal(s.p, "abcd-7-x");
    assert_int_equal(s.len, 8);
    str_reset(&s);
    assert_string_equal(s.p, "");
    assert_int_equal(s.len, 0);
    str_release(&s);
    assert_null(s.p);
    str_reset(&s);
}

static void test_numbers(void **state)
{
    struct str s = {0};

    str_add_u64(&s, 0);
    str_add_char(&s, ' ');
    str_add_u64(&s, UINT64_MAX);
    str_add_char(&s, ' ');
    str_add_i64(&s, INT64_MIN);
    str_add_char(&s, ' ');
    str_add_i64(&s, -1);
    str_add_char(&s, ' ');
    str_add_i64(&s, INT64_MAX);
    assert_string_equal(s.p, "0 18446744073709551615 -9223372036854775808 -1 9223372036854775807");
    str_release(&s);
}

/* Lengths around every doubling, and one printf that has to grow. */
static void test_growing(void **state)
{
    struct str s = {0};

    for (size_t i = 0; i < 5000; i++) {
        str_add_char(&s, (char)('a' + i % 26));
        assert_int_equal(s.p[s.len], 0);
        assert_true(s.len < s.cap);
    }
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(s.p[i], 'a' + i % 26);
    str_printf(&s, "%10000d", 1);
    assert_int_equal(s.len, 15000);
    assert_int_equal(s.p[14999], '1');
    str_release(&s);
}

static void test_detach(void **state)
{
    struct str s = {0};
    char *p = str_detach(&s);

    assert_string_equal(p, "");
    free(p);
    str_add_cstr(&s, "abc");
    p = str_detach(&s);
    assert_string_equal(p, "abc");
    assert_null(s.p);
    free(p);
}

static const struct {
    struct slice in;
    const char *out;
} escapes[] = {
    {SLICE(""), "\"\""},
    {SLICE_NONE, "\"\""},
    {SLICE("plain text ~!"), "\"plain text ~!\""},
    {SLICE("a\"b\\c/"), "\"a\\\"b\\\\c/\""},
    {SLICE("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
    {SLICE("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\\u007f\""},
    {SLICE("\xc2\x9b"
           "31m"),
     "\"\\u009b31m\""},
    {SLICE("\xc2\xa0"), "\"\xc2\xa0\""},
    {SLICE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {SLICE("a\xff"
           "b"),
     "\"a\xef\xbf\xbd"
     "b\""},
    {SLICE("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {SLICE("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {SLICE("x\xe2\x82"), "\"x\xef\xbf\xbd\xef\xbf\xbd\""}, /* cut in a character */
};

static void test_json_escapes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
        struct str s = {0};

        str_add_json(&s, escapes[i].in);
        assert_string_equal(s.p, escapes[i].out);
        assert_int_equal(s.len, strlen(escapes[i].out));
        str_release(&s);
    }
}

/* Whatever the bytes are, what comes out is JSON; and what was UTF-8 reads back as it was. */
static void test_json_is_always_valid(void **state)
{
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            const char bytes[] = {'<', (char)first, (char)second, '>'};
            const struct slice in = {bytes, sizeof(bytes)};
            struct str s = {0};
            json_error_t err;

            str_add_json(&s, in);
            json_t *v = json_loadb(s.p, s.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &err);

            assert_non_null(v);
            if (utf8_valid(in)) {
                assert_int_equal(json_string_length(v), in.len);
                assert_memory_equal(json_string_value(v), in.p, in.len);
            }
            json_decref(v);
            str_release(&s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_building),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_json_escapes),
        cmocka_unit_test(test_json_is_always_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
