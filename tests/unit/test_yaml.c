#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "io/yaml/yaml.h"

static void assert_json(json_t *v, const char *text, const char *expected)
{
    struct str got = {0};

    if (v == NULL)
        fail_msg("refused: %s", text);
    str_add_json_value(&got, v);
    if (strcmp(got.p, expected) != 0)
        fail_msg("%s\nis:       %s\nexpected: %s", text, got.p, expected);
    str_release(&got);
    json_decref(v);
}

static const struct {
    const char *yaml, *json;
} documents[] = {
    {"", "null"},
    {"# nothing but a comment\n", "null"},
    {"---\n", "null"},
    {"---\n...\n", "null"},
    {"a", "\"a\""},
    {"a: 1\nb: two\n", "{\"a\":1,\"b\":\"two\"}"},
    {"z: 1\na: 2\nm: 3\n", "{\"z\":1,\"a\":2,\"m\":3}"},
    {"- 1\n- [2, 3]\n- {a: 4}\n", "[1,[2,3],{\"a\":4}]"},
    {"[]", "[]"},
    {"{}", "{}"},
    {"a:\nb: ~\n", "{\"a\":null,\"b\":null}"},
    {"a: |\n  one\n  two\nb: >\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\\n\"}"},
    {"1: a\ntrue: b\n\"\": c\n", "{\"1\":\"a\",\"true\":\"b\",\"\":\"c\"}"},
    {"a: '1'\nb: \"true\"\nc: 'null'\n", "{\"a\":\"1\",\"b\":\"true\",\"c\":\"null\"}"},
    {"a: \"\\u00e9\\x41\\n\"", "{\"a\":\"\xc3\xa9"
                               "A\\n\"}"},
    {"\xef\xbb\xbf"
     "a: 1",
     "{\"a\":1}"}, /* a byte order mark */
    {"a: &x [1, 2]\nb: *x\n", "{\"a\":[1,2],\"b\":[1,2]}"},
    {"- &x 1\n- &x 2\n- *x\n", "[1,2,2]"},
    {"'<<': 1", "{\"<<\":1}"},
    {"a: !!str 1\nb: !!int '7'\nc: ! 2\nd: !!float 1\ne: !!null ''\nf: !!bool 'true'",
     "{\"a\":\"1\",\"b\":7,\"c\":\"2\",\"d\":1.0,\"e\":null,\"f\":true}"},
    {"a: !!map {b: !!seq []}", "{\"a\":{\"b\":[]}}"},
};

static void test_documents(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
        struct diag why = {.msg = ""};
        json_t *v = yaml_parse(slice_of(documents[i].yaml), &why);

        assert_json(v, documents[i].yaml, documents[i].json);
    }
    assert_json(yaml_parse(SLICE_NONE, NULL), "absent", "null");
}

/* Plain scalars, as section 10.3.2 of YAML 1.2 reads them. */
static const struct {
    const char *yaml, *json;
} scalars[] = {
    {"null", "null"},
    {"Null", "null"},
    {"NULL", "null"},
    {"nULL", "\"nULL\""},
    {"true", "true"},
    {"True", "true"},
    {"TRUE", "true"},
    {"tRUE", "\"tRUE\""},
    {"false", "false"},
    {"yes", "\"yes\""},
    {"off", "\"off\""},
    {"0", "0"},
    {"-0", "0"},
    {"+12", "12"},
    {"-19", "-19"},
    {"0777", "777"},
    {"0o777", "511"},
    {"0o8", "\"0o8\""},
    {"0x1F", "31"},
    {"-0x1F", "\"-0x1F\""},
    {"0x", "\"0x\""},
    {"1_000", "\"1_000\""},
    {"12:30", "\"12:30\""},
    {"2026-02-13", "\"2026-02-13\""},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"0.", "0.0"},
    {".5", "0.5"},
    {"-0.0", "-0.0"},
    {"1e3", "1000.0"},
    {"12e03", "12000.0"},
    {"-2E+05", "-200000.0"},
    {"1.1", "1.1"},
    {"1.1.1", "\"1.1.1\""},
    {".", "\".\""},
    {"+", "\"+\""},
    {"e3", "\"e3\""},
    {"1e", "\"1e\""},
    {"inf", "\"inf\""},
};

static void test_scalars(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(scalars); i++)
        assert_json(yaml_parse(slice_of(scalars[i].yaml), NULL), scalars[i].yaml, scalars[i].json);
}

static const struct {
    const char *yaml;
    int line, column;
    const char *part;
} refused[] = {
    {"a: 1\na: 2\n", 2, 1, "the key \"a\" is given twice"},
    {"a:\n  b: {c: 1, c: 2}\n", 2, 13, "the key \"c\" is given twice"},
    {"b: &b {x: 1}\na:\n  <<: *b\n", 3, 3, "merge keys"},
    {"[a]: 1\n", 1, 1, "a key must be a simple value"},
    {"? {a: b}\n: 1\n", 1, 3, "a key must be a simple value"},
    {"a: *nowhere\n", 1, 4, "&nowhere"},
    {"a: &x [1, *x]\n", 1, 11, "&x"},
    {"a: .inf\n", 1, 4, "infinity"},
    {"a: -.INF\n", 1, 4, "infinity"},
    {"a: .nan\n", 1, 4, "NaN"},
    {"a: 1e999\n", 1, 4, "too big"},
    {"a: 9223372036854775808\n", 1, 4, "64 bits"},
    {"a: -9223372036854775809\n", 1, 4, "64 bits"},
    {"a: 0xffffffffffffffffff\n", 1, 4, "64 bits"},
    {"a: \"\\0\"\n", 1, 4, "NUL"},
    {"\"\\0\": a\n", 1, 1, "NUL"},
    {"a: !!binary aGk=\n", 1, 4, "tag:yaml.org,2002:binary is not supported"},
    {"a: !mine 1\n", 1, 4, "!mine is not supported"},
    {"a: !!set {b}\n", 1, 4, "is not supported"},
    {"a: !!int x\n", 1, 4, "does not fit its tag"},
    {"a: !!null x\n", 1, 4, "does not fit its tag"},
    {"a: [1, 2\nb: 3\n", 2, 2, "not valid YAML at line 2, column 2: "},
    {"a: b: c\n", 1, 5, "mapping values are not allowed"},
    {"a:\n\t- 1\n", 2, 1, "cannot start any token"},
    {"a: \"b\n", 2, 1, "end of stream"},
    {"ok: 1\na: \xff\n", 2, 4, "UTF-8"},
    {"a: \x01\n", 1, 4, "control characters"},
    {"a: 1\n---\nb: 2\n", 2, 1, "only one document"},
    {"%YAML 3.0\n---\na\n", 1, 1, "incompatible"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct diag why = {.msg = "not filled in"};

        if (yaml_parse(slice_of(refused[i].yaml), &why) != NULL)
            fail_msg("accepted: %s", refused[i].yaml);
        if (strstr(why.msg, refused[i].part) == NULL || why.line != refused[i].line ||
            why.column != refused[i].column)
            fail_msg("%s\n%d:%d %s\nexpected %d:%d %s", refused[i].yaml, why.line, why.column,
                     why.msg, refused[i].line, refused[i].column, refused[i].part);
        assert_int_equal(why.code, DIAG_INVALID_ARGUMENT);
        assert_null(yaml_parse(slice_of(refused[i].yaml), NULL));
    }
}

static void test_streams(void **state)
{
    static const struct {
        const char *yaml, *json;
    } streams[] = {
        {"", "[]"},
        {"a", "[\"a\"]"},
        {"---\na: 1\n---\n# nothing\n---\nb: 2\n...\n", "[{\"a\":1},{\"b\":2}]"},
        {"--- &x 1\n--- &x 2\n", "[1,2]"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
        assert_json(yaml_parse_all(slice_of(streams[i].yaml), NULL), streams[i].yaml,
                    streams[i].json);
    assert_null(
        yaml_parse_all(SLICE("--- &x 1\n--- *x\n"), NULL)); /* anchors end with their document */
    assert_null(yaml_parse_all(SLICE("a: 1\n---\nb: [\n"), NULL));
}

/* ---- limits: one below is taken, one above is not ---- */

static void add_times(struct str *s, const char *text, size_t n)
{
    while (n-- > 0)
        str_add_cstr(s, text);
}

static void assert_limit(struct str *s, bool accepted, const char *part)
{
    struct diag why = {.msg = ""};
    json_t *v = yaml_parse(str_slice(s), &why);

    assert_int_equal(v != NULL, accepted);
    if (!accepted && strstr(why.msg, part) == NULL)
        fail_msg("%s, expected %s", why.msg, part);
    json_decref(v);
    str_release(s);
}

static void test_depth(void **state)
{
    for (size_t depth = YAML_DEPTH_MAX; depth <= YAML_DEPTH_MAX + 1; depth++) {
        struct str flow = {0}, map = {0}, alias = {0};

        add_times(&flow, "[", depth);
        add_times(&flow, "]", depth);
        assert_limit(&flow, depth <= YAML_DEPTH_MAX, "levels of nesting");
        add_times(&map, "{a: ", depth - 1);
        str_add_char(&map, '1');
        add_times(&map, "}", depth - 1);
        assert_limit(&map, depth <= YAML_DEPTH_MAX, "levels of nesting");
        /* an alias is as deep as what it stands for: 1 + 33 levels down, 30 more inside */
        str_add_cstr(&alias, "- &x ");
        add_times(&alias, "[", 30);
        add_times(&alias, "]", 30);
        str_add_cstr(&alias, "\n- ");
        add_times(&alias, "[", depth - 31);
        str_add_cstr(&alias, "*x");
        add_times(&alias, "]", depth - 31);
        assert_limit(&alias, depth <= YAML_DEPTH_MAX, "levels of nesting");
    }
}

static void test_nodes(void **state)
{
    for (size_t n = YAML_NODES_MAX - 1; n <= YAML_NODES_MAX; n++) {
        struct str s = {0};

        str_add_char(&s, '[');
        add_times(&s, "1,", n);
        str_add_char(&s, ']');
        assert_limit(&s, n < YAML_NODES_MAX, "values, aliases expanded");
    }
}

static void test_bytes(void **state)
{
    for (size_t n = YAML_BYTES_MAX; n <= YAML_BYTES_MAX + 1; n++) {
        struct str s = {0};

        str_add_cstr(&s, "a: b\n#");
        add_times(&s, "x", n - s.len);
        assert_limit(&s, n <= YAML_BYTES_MAX, "longer than");
    }
}

static void test_anchors(void **state)
{
    for (size_t n = YAML_ANCHORS_MAX; n <= YAML_ANCHORS_MAX + 1; n++) {
        struct str s = {0};

        for (size_t i = 0; i < n; i++)
            str_printf(&s, "- &a%zu %zu\n", i, i);
        assert_limit(&s, n <= YAML_ANCHORS_MAX, "anchors");
    }
}

/* Nine lists of nine aliases each would be 3 * 10^8 values. */
static void test_billion_laughs(void **state)
{
    struct str s = {0};

    str_add_cstr(&s, "a0: &a0 lol\n");
    for (int i = 1; i <= 9; i++) {
        str_printf(&s, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++)
            str_printf(&s, "*a%d,", i - 1);
        str_add_cstr(&s, "]\n");
    }
    assert_limit(&s, false, "values, aliases expanded");
}

/* Few values, but long ones. */
static void test_long_laughs(void **state)
{
    struct str s = {0};

    str_add_cstr(&s, "- &a ");
    add_times(&s, "x", 100000);
    str_add_char(&s, '\n');
    add_times(&s, "- *a\n", 11);
    assert_limit(&s, false, "bytes of text, aliases expanded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),      cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_depth),          cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_bytes),          cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_billion_laughs), cmocka_unit_test(test_long_laughs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
