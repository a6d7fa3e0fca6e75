#include "executor/answer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ID "0190a000-0000-7000-8000-000000000001"
#define BEGIN "{\"id\":\"" ID "\",\"status\":"

struct row {
    const char *line;
    const char *output, *error; /* NULL: absent */
    bool success, conclusive;
};

static const struct row rows[] = {
    {BEGIN "\"success\"}", NULL, NULL, true, false},
    {" " BEGIN " \"success\" } ", NULL, NULL, true, false},
    {BEGIN "\"success\",\"output\":null,\"error\":null}", NULL, NULL, true, false},
    {BEGIN "\"success\",\"output\":\"\"}", "", NULL, true, false},
    {BEGIN "\"success\",\"output\":\"plain\"}", "plain", NULL, true, false},
    {BEGIN "\"success\",\"output\":\"a\\n\\u00e9\\\"\"}", "a\n\xc3\xa9\"", NULL, true, false},
    {BEGIN "\"success\",\"output\": {\"a\" : [1.50, {\"id\":\"x\"}], \"b\":\"]}\"}}",
     "{\"a\":[1.50,{\"id\":\"x\"}],\"b\":\"]}\"}", NULL, true, false},
    {BEGIN "\"success\",\"output\":12345678901234567890123}", "12345678901234567890123", NULL, true,
     false},
    {BEGIN "\"success\",\"output\":[],\"more\":{\"status\":\"failed\"}}", "[]", NULL, true, false},
    {BEGIN "\"failed\"}", NULL, NULL, false, false},
    {BEGIN "\"failed\",\"error\":\"no \\\"luck\\\"\",\"output\":1}", "1", "no \"luck\"", false,
     false},
    {BEGIN "\"failed\",\"error\":\"x\",\"retry\":false}", NULL, "x", false, true},
    {BEGIN "\"failed\",\"retry\":true}", NULL, NULL, false, false},
    {BEGIN "\"success\",\"retry\":false}", NULL, NULL, true, false},
    {"{\"status\":\"success\",\"\\\\\":1,\"id\":\"" ID "\"}", NULL, NULL, true, false},
};

static void expect_text(struct slice s, const char *expected)
{
    assert_int_equal(s.p == NULL, expected == NULL);
    if (expected != NULL) {
        assert_int_equal(s.len, strlen(expected));
        assert_memory_equal(s.p, expected, s.len);
    }
}

/* One struct for all of them: nothing of an answer is left in the next one. */
static void test_answers(void **state)
{
    struct answer a = {0};
    struct diag why;
    struct uuid id;
    assert_true(uuid_parse(SLICE(ID), &id));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(answer_is(slice_of(rows[i].line)));
        if (answer_read(&a, slice_of(rows[i].line), &why) < 0)
            fail_msg("%s: %s", rows[i].line, why.msg);
        assert_int_equal(uuid_cmp(a.id, id), 0);
        assert_int_equal(a.success, rows[i].success);
        assert_int_equal(a.conclusive, rows[i].conclusive);
        expect_text(a.output, rows[i].output);
        expect_text(a.error, rows[i].error);
    }
    answer_release(&a);
}

#define NOT_JSON "not valid JSON at line 1, column "
#define WRONG_ERROR "its error must be a string without a NUL or half of a surrogate pair"
#define WRONG_OUTPUT "its output must not have a NUL or half of a surrogate pair in it"
#define DEEP                                                                                       \
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]" \
    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

static const struct {
    const char *line, *why;
} wrong[] = {
    {"{", NOT_JSON},
    {"{}", "its id must be the id of an event that it was given"},
    {"{\"id\":1,\"status\":\"success\"}", "its id must be the id of an event that it was given"},
    {"{\"id\":\"x\",\"status\":\"success\"}",
     "its id must be the id of an event that it was given"},
    {"{\"id\":\"" ID "\"}", "its status must be \"success\" or \"failed\""},
    {BEGIN "\"done\"}", "its status must be \"success\" or \"failed\""},
    {BEGIN "true}", "its status must be \"success\" or \"failed\""},
    {BEGIN "\"success\"", NOT_JSON},
    {BEGIN "\"success\"} {}", NOT_JSON},
    {BEGIN "\"success\",}", NOT_JSON},
    {BEGIN "\"success\",\"output\":\"\xff\"}", NOT_JSON},
    {BEGIN "\"success\",\"output\":" DEEP "}", NOT_JSON},
    {BEGIN "\"success\",\"status\":\"failed\"}", "it has a member twice"},
    {BEGIN "\"failed\",\"error\":5}", WRONG_ERROR},
    {BEGIN "\"failed\",\"error\":\"a\\u0000\"}", WRONG_ERROR},
    {BEGIN "\"success\",\"output\":\"a\\u0000\"}", WRONG_OUTPUT},
    {BEGIN "\"success\",\"output\":\"a\\ud800\"}", WRONG_OUTPUT},
};

static void test_wrong_answers(void **state)
{
    struct answer a = {0};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct diag why = {0};
        assert_true(answer_is(slice_of(wrong[i].line)));
        assert_true(answer_read(&a, slice_of(wrong[i].line), &why) < 0);
        if (!slice_starts(slice_of(why.msg), wrong[i].why))
            fail_msg("%s: %s", wrong[i].line, why.msg);
    }
    answer_release(&a);
}

static void test_lines_that_are_none(void **state)
{
    static const char *const lines[] = {"", " ", "hello", "[1]", "\"x\"", "x{}"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_false(answer_is(slice_of(lines[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_wrong_answers),
        cmocka_unit_test(test_lines_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
