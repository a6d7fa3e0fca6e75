#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/str.h"
#include "pawl/err.h"

static const struct {
    enum diag_code code;
    const char *name;
    int status;
} codes[] = {
    {DIAG_INVALID_ARGUMENT, "INVALID_ARGUMENT", 400},
    {DIAG_UNAUTHENTICATED, "UNAUTHENTICATED", 401},
    {DIAG_PERMISSION_DENIED, "PERMISSION_DENIED", 403},
    {DIAG_NOT_FOUND, "NOT_FOUND", 404},
    {DIAG_ALREADY_EXISTS, "ALREADY_EXISTS", 409},
    {DIAG_FAILED_PRECONDITION, "FAILED_PRECONDITION", 409},
    {DIAG_PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", 413},
    {DIAG_RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", 429},
    {DIAG_INTERNAL, "INTERNAL", 500},
    {DIAG_UNAVAILABLE, "UNAVAILABLE", 503},
    {DIAG_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 504},
};

static void test_codes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        assert_string_equal(diag_code_name(codes[i].code), codes[i].name);
        assert_int_equal(diag_code_status(codes[i].code), codes[i].status);
    }
}

static void test_set(void **state)
{
    struct diag d = {.line = 3, .column = 4};

    assert_int_equal(diag_set(&d, DIAG_NOT_FOUND, "pipeline %s not found (%d)", "a.b.c", 7),
                     -EINVAL);
    assert_int_equal(d.code, DIAG_NOT_FOUND);
    assert_string_equal(d.msg, "pipeline a.b.c not found (7)");
    assert_int_equal(d.line, 0);
    assert_int_equal(d.column, 0);
    assert_int_equal(diag_set(NULL, DIAG_INTERNAL, "%d", 1), -EINVAL);
}

static void test_cleaning(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
        {"a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?"},
        {"a\xc2\x9b"
         "b",
         "a?b"},
        {"a\xff\xc3z\xe2\x82", "a??z??"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct diag d;

        diag_set(&d, DIAG_INTERNAL, "%s", cases[i].in);
        assert_string_equal(d.msg, cases[i].out);
    }
}

/* Cut at a character wherever the limit falls. */
static void test_cutting(void **state)
{
    for (size_t before = 470; before < 490; before++) {
        struct diag d;
        char text[2000] = "";

        memset(text, 'a', before);
        for (int i = 0; i < 300; i++)
            strcat(text, "\xe2\x82\xac");
        diag_set(&d, DIAG_INTERNAL, "%s", text);
        assert_true(strlen(d.msg) >= sizeof(d.msg) - 4);
        assert_true(utf8_valid(slice_of(d.msg)));
        assert_memory_equal(d.msg, text, strlen(d.msg));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_cleaning),
        cmocka_unit_test(test_cutting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
