#include "base/json_members.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void test_found(void **state)
{
    static const struct {
        const char *text, *outer, *inner, *want; /* want NULL: there is none */
    } rows[] = {
        {"{\"a\":1}", "a", NULL, "1"},
        {" { \"a\" : -0.10e5 , \"b\" : \"}\\\"{\" } ", "b", NULL, "\"}\\\"{\""},
        {"{\"a\":12345678901234567890}", "a", NULL, "12345678901234567890"},
        {"{\"a\":{ \"b\" : null }, \"c\":[{\"a\":1},{\"a\":2}]}", "a", "b", "null"},
        {"{\"a\":{ \"b\" : null }, \"c\":[{\"a\":1}, {\"a\":2}]}", "a", NULL, "{ \"b\" : null }"},
        {"{\"a\":{ \"b\" : null }, \"c\":[{\"a\":1}, {\"a\":2}]}", "c", NULL,
         "[{\"a\":1}, {\"a\":2}]"},
        {"{\"c\":[{\"a\":1}]}", "c", "a", NULL},
        {"{\"a\":{}}", "a", NULL, "{}"},
        {"{\"a\":{}}", "a", "a", NULL},
        {"{\"a\":{}}", "b", NULL, NULL},
        {"{\"\\u0061\":true}", "a", NULL, "true"},
        {"{\"\":1,\"a\":{\"\":2},\"\":3}", "a", NULL, "{\"\":2}"},
        {"{\"\\u0000\":1,\"\\ud800\":2,\"\\ud800\":2,\"a\":3}", "a", NULL, "3"},
        {"[1]", "a", NULL, NULL},
        {"\"a\"", "a", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct json_members m;
        assert_true(json_members_open(&m, slice_of(rows[i].text)));
        const json_t *v = json_members_get(m.root, slice_of(rows[i].outer));
        if (v != NULL && rows[i].inner != NULL)
            v = json_members_get(v, slice_of(rows[i].inner));
        if ((v != NULL) != (rows[i].want != NULL))
            fail_msg("'%s': %s", rows[i].text, v != NULL ? "found" : "not found");
        if (v != NULL && !slice_is(json_members_text(&m, v), rows[i].want))
            fail_msg("'%s': not '%s'", rows[i].text, rows[i].want);
        json_members_close(&m);
    }
}

static void test_whole(void **state)
{
    static const char *const texts[] = {"{}", "[]", "1", "\"x\"", "null", "{\"a\":[{}]}"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct json_members m;
        assert_true(json_members_open(&m, slice_of(texts[i])));
        assert_true(slice_is(json_members_text(&m, m.root), texts[i]));
        json_members_close(&m);
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"\\u0062\":2}}",
        "1 2",
        "{a:1}",
        "{\"a\":1,}",
        "\xff",
        "\"\xff\"",
        "nul",
        "{\"a\"}",
        "[1",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct json_members m;
        if (json_members_open(&m, slice_of(texts[i])))
            fail_msg("'%s' is accepted", texts[i]);
        json_members_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
