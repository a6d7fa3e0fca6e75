/* Where values stand: by field, in YAML and in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/mem.h"
#include "io/yaml/places.h"
#include "io/yaml/yaml.h"

static const char yaml[] = "# a comment\r\n"
                           "a: 1\r\n"
                           "b:\r\n"
                           "  - x\r\n"
                           "  - {y: [2, 3], z.z: 4}\r\n"
                           "---\r\n"
                           "# nothing\r\n"
                           "---\r\n"
                           "anchor: &a\r\n"
                           "  in: [1]\r\n"
                           "alias: *a\r\n"
                           "text: |\r\n"
                           "  long\r\n"
                           "after: \"\xc3\xa9\"\r\n";

static const char json[] =
    "\xef\xbb\xbf\n{\"a\": 1,\n \"b\":[\"x}\\\"\",\t{\"y\":[2,3] , \"z.z\": true}],\n"
    "\"\xc3\xa9\":{}, \"c\":\"\\ud83d\\ude00\"}\n";

static const struct {
    const char *text;
    size_t document;
    const char *field;
    enum place_of what;
    uint32_t line, column;
} cases[] = {
    {yaml, 0, "", PLACE_VALUE, 2, 1},
    {yaml, 0, "a", PLACE_VALUE, 2, 4},
    {yaml, 0, "a", PLACE_KEY, 2, 1},
    {yaml, 0, "b", PLACE_VALUE, 4, 3},
    {yaml, 0, "b", PLACE_KEY, 3, 1},
    {yaml, 0, "b[0]", PLACE_VALUE, 4, 5},
    {yaml, 0, "b[1].y[1]", PLACE_VALUE, 5, 13},
    {yaml, 0, "b[1].z.z", PLACE_VALUE, 5, 22},
    {yaml, 0, "b[1].z.z", PLACE_KEY, 5, 17},
    {yaml, 0, "b[1].missing.more", PLACE_VALUE, 5, 5},
    {yaml, 0, "b[7]", PLACE_VALUE, 3, 1},
    {yaml, 0, "missing", PLACE_VALUE, 2, 1},
    {yaml, 1, "anchor.in[0]", PLACE_VALUE, 10, 8},
    {yaml, 1, "alias", PLACE_VALUE, 11, 8},
    {yaml, 1, "alias.in[0]", PLACE_VALUE, 11, 1},
    {yaml, 1, "after", PLACE_VALUE, 14, 8},
    {yaml, 2, "a", PLACE_VALUE, 1, 1},
    {json, 0, "", PLACE_VALUE, 2, 1},
    {json, 0, "a", PLACE_VALUE, 2, 7},
    {json, 0, "b[0]", PLACE_VALUE, 3, 7},
    {json, 0, "b[1].y[1]", PLACE_VALUE, 3, 23},
    {json, 0, "b[1].z.z", PLACE_KEY, 3, 28},
    {json, 0, "b[1].z.z", PLACE_VALUE, 3, 35},
    {json, 0, "\xc3\xa9", PLACE_VALUE, 4, 5},
    {json, 0, "c", PLACE_KEY, 4, 9},
};

static void test_places(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct diag why = {.msg = ""};
        struct places at;
        json_t *all = yaml_parse_places(slice_of(cases[i].text), &at, &why);
        if (all == NULL)
            fail_msg("%zu: %s", i, why.msg);
        json_t *doc = json_array_get(all, cases[i].document);
        const struct place p =
            places_find(&at, cases[i].document, doc, cases[i].field, cases[i].what);
        if (p.line != cases[i].line || p.column != cases[i].column)
            fail_msg("%zu: '%s' is at %u:%u, expected %u:%u", i, cases[i].field, p.line, p.column,
                     cases[i].line, cases[i].column);
        places_release(&at);
        json_decref(all);
    }
}

/* What JSON may be that libyaml does not take, and what is neither. */
static void test_json(void **state)
{
    static const char *const taken[] = {
        "\t{\"a\":\"\\ud83d\\ude00\\/\"}",
        "[1,[],{},\"\",null,true,-1.5e3]",
        "{\"a\":{\"b\":[]}}\n",
        "{}",
    };
    static const struct {
        const char *text;
        int line, column;
        const char *field;
    } refused[] = {
        {"{\"a\":1,\n\"a\":2}", 2, 1, "a"},
        {"{\"a\":1}}", 1, 8, ""},
        {"{\"a\":\n\"\\u0000\"}", 2, 1, "a"},
        {"a: 1\nb:\n  c: [1, {d: 2, e: .inf}]\n", 3, 20, "b.c[1].e"},
        {"b:\n  c: {d: 1, d: 2}\n", 2, 13, "b.c.d"},
        {"b:\n- - 1\n  - *c\n", 3, 5, "b[0][1]"},
        {"b:\n\tc: 1\n", 2, 1, "b"},
        {"a: 1\n---\n- {b: [}\n", 3, 8, "[0].b"},
    };
    struct places at;
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        json_t *all = yaml_parse_places(slice_of(taken[i]), &at, NULL);
        json_t *alone = json_parse(slice_of(taken[i]), NULL);
        assert_true(json_array_size(all) == 1 && json_equal(json_array_get(all, 0), alone));
        assert_int_equal(at.documents.len, 1);
        json_decref(alone);
        json_decref(all);
        places_release(&at);
    }
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct diag why = {.msg = ""};
        assert_null(yaml_parse_places(slice_of(refused[i].text), &at, &why));
        if (why.line != refused[i].line || why.column != refused[i].column)
            fail_msg("%s: %d:%d %s", refused[i].text, why.line, why.column, why.msg);
        assert_string_equal(at.failed, refused[i].field);
        assert_int_equal(at.nodes.len, 0);
        places_release(&at);
    }
}

/* As many values as YAML may have, in JSON. */
static void test_many(void **state)
{
    struct str s = {0};
    struct places at;
    str_add_char(&s, '[');
    for (size_t i = 0; i + 2 < YAML_NODES_MAX; i++)
        str_add_cstr(&s, "1,");
    str_add_cstr(&s, "1]");
    json_t *all = yaml_parse_places(str_slice(&s), &at, NULL);
    assert_non_null(all);
    json_decref(all);
    places_release(&at);
    s.len--;
    str_add_cstr(&s, ",1]");
    assert_null(yaml_parse_places(str_slice(&s), &at, NULL));
    places_release(&at);
    str_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
