/* The examples of RFC 7386, appendix A, and RFC 6902, appendix A, and what people may send beside them. */
#include "base/json_patch.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct row {
    const char *doc, *patch, *expected; /* expected NULL: refused */
    enum diag_code code;
};

static const struct row merges[] = {
    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}", 0},
    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}", 0},
    {"{\"a\":\"b\"}", "{\"a\":null}", "{}", 0},
    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}", 0},
    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}", 0},
    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}", 0},
    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}", 0},
    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}", 0},
    {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]", 0},
    {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]", 0},
    {"{\"a\":\"foo\"}", "null", "null", 0},
    {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\"", 0},
    {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}", 0},
    {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}", 0},
    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}", 0},
};

#define BAD DIAG_INVALID_ARGUMENT
#define UNFIT DIAG_FAILED_PRECONDITION
static const struct row patches[] = {
    /* A.1 to A.16 */
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
     "{\"baz\":\"qux\",\"foo\":\"bar\"}", 0},
    {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
     "{\"foo\":[\"bar\",\"qux\",\"baz\"]}", 0},
    {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
     "{\"foo\":\"bar\"}", 0},
    {"{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
     "{\"foo\":[\"bar\",\"baz\"]}", 0},
    {"{\"baz\":\"qux\",\"foo\":\"bar\"}",
     "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
     "{\"baz\":\"boo\",\"foo\":\"bar\"}", 0},
    {"{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
     "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
     "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}", 0},
    {"{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
     "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
     "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}", 0},
    {"{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
     "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},"
     "{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
     "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}", 0},
    {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL, UNFIT},
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]",
     "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}", 0},
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]",
     "{\"foo\":\"bar\",\"baz\":\"qux\"}", 0},
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL,
     UNFIT},
    {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
     "{\"/\":9,\"~1\":10}", 0},
    {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL, UNFIT},
    {"{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
     "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}", 0},
    /* others */
    {"{\"a\":1}", "[]", "{\"a\":1}", 0},
    {"{\"a\":1}", "{\"a\":2}", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"drop\",\"path\":\"/a\"}]", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"a\"}]", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"remove\"}]", NULL, BAD},
    {"{\"a\":1}", "[7]", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\"}]", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b~2\",\"value\":1}]", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b~\",\"value\":1}]", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/b\"}]", NULL, BAD},
    {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"a\":1,\"b\":1}", 0},
    {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/b\"}]", NULL, UNFIT},
    {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL, UNFIT},
    {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL, UNFIT},
    {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]", NULL, UNFIT},
    {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":[2]}]", "[2]", 0},
    {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL, UNFIT},
    {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"\",\"path\":\"/a\"}]", NULL, UNFIT},
    {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", "{\"a\":1}", 0},
    {"{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/3\",\"value\":3}]", NULL, UNFIT},
    {"{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":3}]", "{\"a\":[1,2,3]}", 0},
    {"{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":3}]", NULL, UNFIT},
    {"{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/-\"}]", NULL, UNFIT},
    {"{\"a\":[1,2]}", "[{\"op\":\"replace\",\"path\":\"/a/1\",\"value\":9}]", "{\"a\":[1,9]}", 0},
    {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1.0}]", "{\"a\":1}", 0},
    {"{\"a\":[{\"b\":1}]}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[{\"b\":1.0}]}]",
     "{\"a\":[{\"b\":1}]}", 0},
    {"{\"a\":null}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", "{\"a\":null}", 0},
    {"{\"a\":1}",
     "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2},{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]",
     NULL, UNFIT},
    {"{\"\":{\"\":1}}", "[{\"op\":\"replace\",\"path\":\"//\",\"value\":2}]", "{\"\":{\"\":2}}", 0},
};

static json_t *parse(const char *text)
{
    struct diag why;
    json_t *v = json_parse(slice_of(text), &why);
    assert_non_null(v);
    return v;
}

static void check(const struct row *r,
                  json_t *(*apply)(const json_t *, const json_t *, struct diag *))
{
    struct diag why = {0};
    json_t *doc = parse(r->doc), *before = parse(r->doc), *patch = parse(r->patch);
    json_t *got = apply(doc, patch, &why);
    json_t *expected = r->expected != NULL ? parse(r->expected) : NULL;
    if ((got == NULL) != (expected == NULL) || (got != NULL && !json_equal(got, expected)))
        fail_msg("%s with %s is wrong: %s", r->doc, r->patch, why.msg);
    if (expected == NULL)
        assert_int_equal(why.code, r->code);
    assert_true(json_equal(doc, before)); /* what it is applied to stays */
    json_decref(doc);
    json_decref(before);
    json_decref(patch);
    json_decref(got);
    json_decref(expected);
}

static json_t *merge(const json_t *doc, const json_t *patch, struct diag *reterr)
{
    return json_merge_patch(doc, patch);
}

static void merge_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(merges); i++)
        check(&merges[i], merge);
}

static void patch_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(patches); i++)
        check(&patches[i], json_patch);
}

/* Each operation doubles the value, or deepens it: refused before it gets anywhere. */
static void patches_that_explode(void **state)
{
    static const char *const ops[] = {
        "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}",
        "{\"op\":\"copy\",\"from\":\"/b\",\"path\":\"/b/x\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        struct diag why = {0};
        struct str text = {0};
        for (unsigned n = 0; n < 5000; n++)
            str_printf(&text, "%s%s", n > 0 ? "," : "[", ops[i]);
        str_add_char(&text, ']');
        json_t *doc = parse("{\"a\":[1],\"b\":{}}"), *patch = parse(text.p);
        assert_null(json_patch(doc, patch, &why));
        assert_int_equal(why.code, DIAG_FAILED_PRECONDITION);
        json_decref(doc);
        json_decref(patch);
        str_release(&text);
    }
}

static void too_many_operations(void **state)
{
    struct diag why = {0};
    json_t *doc = parse("{}"), *ops = json_array();
    for (unsigned n = 0; n <= JSON_PATCH_OPS_MAX; n++)
        json_array_append_new(ops,
                              json_pack("{s:s,s:s,s:i}", "op", "add", "path", "/a", "value", 1));
    assert_null(json_patch(doc, ops, &why));
    assert_int_equal(why.code, DIAG_INVALID_ARGUMENT);
    json_decref(doc);
    json_decref(ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_rows),
        cmocka_unit_test(patch_rows),
        cmocka_unit_test(patches_that_explode),
        cmocka_unit_test(too_many_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
