#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/str.h"

/* One character, or the beginning of something that is none (RFC 3629). */
static const struct {
    struct slice text;
    size_t len;
} chars[] = {
    {SLICE(""), 0},
    {SLICE("a"), 1},
    {SLICE("\0"), 1},
    {SLICE("\x7f"), 1},
    {SLICE("\x80"), 0},
    {SLICE("\xbf"), 0},
    {SLICE("\xc0\x80"), 0}, /* overlong */
    {SLICE("\xc1\xbf"), 0},
    {SLICE("\xc2\x80"), 2},
    {SLICE("\xc2\x7f"), 0},
    {SLICE("\xc2\xc0"), 0},
    {SLICE("\xdf\xbf"
           "x"),
     2},
    {SLICE("\xc3"), 0}, /* cut */
    {SLICE("\xe0\x9f\xbf"), 0},
    {SLICE("\xe0\xa0\x80"), 3},
    {SLICE("\xe2\x82"), 0},
    {SLICE("\xe2\x28\xa1"), 0},
    {SLICE("\xe2\x82\x28"), 0},
    {SLICE("\xed\x9f\xbf"), 3},
    {SLICE("\xed\xa0\x80"), 0}, /* surrogates */
    {SLICE("\xed\xbf\xbf"), 0},
    {SLICE("\xee\x80\x80"), 3},
    {SLICE("\xef\xbf\xbf"), 3},
    {SLICE("\xf0\x8f\xbf\xbf"), 0},
    {SLICE("\xf0\x90\x80\x80"), 4},
    {SLICE("\xf0\x90\x80"), 0},
    {SLICE("\xf4\x8f\xbf\xbf"), 4},
    {SLICE("\xf4\x90\x80\x80"), 0}, /* beyond U+10FFFF */
    {SLICE("\xf5\x80\x80\x80"), 0},
    {SLICE("\xff"), 0},
};

static void test_chars(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(chars); i++) {
        assert_int_equal(utf8_char(chars[i].text), chars[i].len);
        if (chars[i].len == chars[i].text.len)
            assert_true(utf8_valid(chars[i].text));
    }
}

/* The same characters at every offset of a longer text, where eight bytes are looked at together. */
static void test_texts(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(chars); i++) {
        const bool valid = chars[i].len > 0 || chars[i].text.len == 0;

        for (size_t before = 0; before < 20; before++) {
            char text[64];
            const size_t len = before + chars[i].text.len + 9;

            memset(text, 'a', sizeof(text));
            memcpy(text + before, chars[i].text.p, chars[i].text.len);
            assert_int_equal(utf8_valid((struct slice){text, len}), valid);
        }
    }
}

static void test_cut(void **state)
{
    static const struct {
        struct slice text;
        size_t max, len;
    } cases[] = {
        {SLICE(""), 0, 0},
        {SLICE("abc"), 3, 3},
        {SLICE("abc"), 9, 3},
        {SLICE("abc"), 2, 2},
        {SLICE("abc"), 0, 0},
        {SLICE("a\xe2\x82\xac"), 4, 4},
        {SLICE("a\xe2\x82\xac"), 3, 1}, /* not within the character */
        {SLICE("a\xe2\x82\xac"), 2, 1},
        {SLICE("a\xe2\x82\xac"), 1, 1},
        {SLICE("\xf0\x90\x80\x80"), 3, 0},
        {SLICE("\x80\x80\x80\x80\x80\x80\x80"), 5, 5}, /* no text: anywhere */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(utf8_cut(cases[i].text, cases[i].max), cases[i].len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chars),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
