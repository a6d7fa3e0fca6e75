#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/hex.h"

static void test_every_byte_round_trips(void **state)
{
    uint8_t bytes[256], back[256];
    char text[513];

    for (size_t i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    hex_encode(bytes, 256, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(hex_decode(slice_of(text), back, 256));
    assert_memory_equal(bytes, back, 256);
    for (size_t i = 0; i < 512; i++)
        if (text[i] >= 'a')
            text[i] = (char)(text[i] - 'a' + 'A');
    memset(back, 0, sizeof(back));
    assert_true(hex_decode(slice_of(text), back, 256));
    assert_memory_equal(bytes, back, 256);
}

static void test_nothing(void **state)
{
    char text[1] = "x";

    hex_encode(NULL, 0, text);
    assert_string_equal(text, "");
    assert_true(hex_decode(SLICE(""), NULL, 0));
    assert_false(hex_decode(SLICE("0"), NULL, 0));
}

static void test_every_other_character_is_refused(void **state)
{
    for (int c = 0; c < 256; c++) {
        const bool digit = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
        const char low[] = {'0', (char)c}, high[] = {(char)c, '0'};
        uint8_t ret;

        assert_int_equal(hex_decode((struct slice){low, 2}, &ret, 1), digit);
        assert_int_equal(hex_decode((struct slice){high, 2}, &ret, 1), digit);
    }
}

static void test_lengths(void **state)
{
    uint8_t ret[4];

    assert_true(hex_decode(SLICE("01020304"), ret, 4));
    assert_false(hex_decode(SLICE("0102030"), ret, 4));
    assert_false(hex_decode(SLICE("010203040"), ret, 4));
    assert_false(hex_decode(SLICE_NONE, ret, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_round_trips),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_every_other_character_is_refused),
        cmocka_unit_test(test_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
