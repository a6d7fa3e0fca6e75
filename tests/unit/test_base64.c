#include "base/base64.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void decodes(void **state)
{
    static const struct {
        const char *text, *bytes;
    } rows[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zg", "f"},
        {"Zm8=", "fo"},
        {"Zm8", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\xfb\xff\xbf"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str s = {0};
        str_add_char(&s, '>');
        assert_true(base64_decode(slice_of(rows[i].text), &s));
        assert_true(slice_is((struct slice){s.p + 1, s.len - 1}, rows[i].bytes));
        str_release(&s);
    }
}

static void refuses(void **state)
{
    static const char *const rows[] = {
        "Z",        "Zg=",   "Z===",   "=",    "==",   "====",  "Zm9v=",
        "Zg==Zg==", "Zm 9v", "Zm9v\n", "-_-_", "Zh==", "Zm9=v", "Zm9vY",
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str s = {0};
        str_add_char(&s, '>');
        if (base64_decode(slice_of(rows[i]), &s))
            fail_msg("'%s' was taken", rows[i]);
        assert_string_equal(s.p, ">");
        str_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
