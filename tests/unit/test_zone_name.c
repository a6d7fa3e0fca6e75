/* Names of uploaded files. */
#include "base/check.h"
#include "source/zone_name.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void safe_names(void **state)
{
    static const struct {
        const char *given, *safe;
    } cases[] = {
        {"orders.csv", "orders.csv"},
        {"../../etc/passwd", "passwd"},
        {"/etc/passwd", "passwd"},
        {"C:\\temp\\x.txt", "x.txt"},
        {"a/..", "file"},
        {".", "file"},
        {"..", "file"},
        {"", "file"},
        {"dir/", "file"},
        {"...", "..."},
        {"a b", "a b"},
        {"a\nb\x7f", "a_b_"},
        {"\xc2\x85x", "_x"},
        {"\xff\xfex", "__x"},
        {"sn\xc3\xb6w", "sn\xc3\xb6w"},
        {"\xc3", "_"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str s = {0};
        str_add_cstr(&s, "kept/");
        zone_name_make_safe(slice_of(cases[i].given), &s);
        assert_memory_equal(s.p, "kept/", 5);
        assert_string_equal(s.p + 5, cases[i].safe);
        str_release(&s);
    }
}

static void long_names_keep_their_extension(void **state)
{
    for (size_t len = 190; len < 260; len++) {
        struct str given = {0}, s = {0};
        while (given.len < len)
            str_add_cstr(&given, "\xc3\xb6");
        str_add_cstr(&given, ".csv");
        zone_name_make_safe(str_slice(&given), &s);
        assert_true(s.len <= ZONE_NAME_LEN_MAX && utf8_valid(str_slice(&s)));
        assert_string_equal(s.p + s.len - 4, ".csv");
        str_release(&given);
        str_release(&s);
    }
}

static void stored_names_can_be_told(void **state)
{
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"orders.csv", "orders.csv"},
        {"sub/orders.csv", "orders.csv"},
        {"20260213T100500123Z-4f1d2c_orders.csv", "orders.csv"},
        {"sub/20260213T100500123Z-4f1d2c_x", "x"},
        {"20260213T100500123Z-4f1d2c_", "20260213T100500123Z-4f1d2c_"},
        {"20260213T100500123Z-4f1d2g_x", "20260213T100500123Z-4f1d2g_x"},
        {"2026021XT100500123Z-4f1d2c_x", "2026021XT100500123Z-4f1d2c_x"},
    };
    struct str s = {0};
    zone_name_store(SLICE("orders.csv"), (struct wall){1771000000123}, 0xff0000ab, &s);
    assert_string_equal(s.p, "20260213T162640123Z-0000ab_orders.csv");
    assert_true(slice_is(zone_name_of(str_slice(&s)), "orders.csv"));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_true(slice_is(zone_name_of(slice_of(cases[i].path)), cases[i].name));
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safe_names),
        cmocka_unit_test(long_names_keep_their_extension),
        cmocka_unit_test(stored_names_can_be_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
