/* JSON as YAML: how it looks, and that it is read back as what it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "io/yaml/print.h"
#include "io/yaml/yaml.h"

static const struct {
    const char *json, *yaml;
} cases[] = {
    {"{\"a\":1,\"b\":\"two words\",\"c\":null,\"d\":true,\"e\":1.5}",
     "a: 1\nb: two words\nc: null\nd: true\ne: 1.5\n"},
    {"{\"a\":{\"b\":{}},\"c\":[],\"d\":[1,[2,3],{\"e\":4,\"f\":[5]}]}",
     "a:\n  b: {}\nc: []\nd:\n- 1\n- - 2\n  - 3\n- e: 4\n  f:\n  - 5\n"},
    {"{\"a\":\"true\",\"b\":\"12\",\"c\":\"\",\"d\":\"~\",\"e\":\"- x\",\"f\":\"a: b\",\"g\":\"a "
     "#b\"}",
     "a: \"true\"\nb: \"12\"\nc: \"\"\nd: \"~\"\ne: \"- x\"\nf: \"a: b\"\ng: \"a #b\"\n"},
    {"{\"a\":\"x\\ny\\t\\u001b\",\"b\":\"\\\"\\\\/\",\"c\":\"0 8 * * *\",\"d\":\" a\",\"e\":\"a "
     "\"}",
     NULL},
    {"{\"...\":\"---\",\"<<\":\"=\",\"true\":\"no\",\"\":\"&a\",\"é\":\"\\ud83d\\ude00\"}", NULL},
    {"{\"on\":\"Yes\",\"y\":\"OFF\",\"a\":\"1_000\",\"b\":\"2026-02-13\"}",
     "\"on\": \"Yes\"\n\"y\": \"OFF\"\na: \"1_000\"\nb: \"2026-02-13\"\n"},
    {"{\"c\":\".5_0\",\"d\":\"yes sir\",\"e\":\".\",\"f\":\"node\"}",
     "c: \".5_0\"\nd: yes sir\ne: .\nf: node\n"},
    {"\"text\"", "text\n"},
    {"[]", "[]\n"},
    {"[[],{},[{}],\"...\",\"-\",\".\",\"_\",\"0x1f\",\"1e3\",\".5\",\".inf\",\"null\"]", NULL},
};

static void test_print(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str text = {0};
        struct diag why = {.msg = ""};
        json_t *v = json_parse(slice_of(cases[i].json), NULL);
        str_add_yaml(&text, v, 0);
        if (cases[i].yaml != NULL)
            assert_string_equal(text.p, cases[i].yaml);
        json_t *back = yaml_parse(str_slice(&text), &why);
        if (!json_equal(v, back))
            fail_msg("%s\nis not read back (%s):\n%s", cases[i].json, why.msg, text.p);
        json_decref(back);
        json_decref(v);
        str_release(&text);
    }
}

static void test_indented(void **state)
{
    struct str text = {0};
    json_t *v = json_parse(SLICE("{\"a\":{\"b\":[1]}}"), NULL);
    str_add_yaml(&text, v, 2);
    assert_string_equal(text.p, "  a:\n    b:\n    - 1\n");
    json_decref(v);
    str_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_indented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
