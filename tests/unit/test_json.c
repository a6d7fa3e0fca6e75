#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/json.h"

/* ---- parsing and writing ---- */

static const struct {
    const char *in, *out;
} values[] = {
    {"null", "null"},
    {"true", "true"},
    {"false", "false"},
    {" 12 ", "12"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"9223372036854775807", "9223372036854775807"},
    {"1.1", "1.1"},
    {"0.1", "0.1"},
    {"2.0", "2.0"},
    {"1e3", "1000.0"},
    {"1e300", "1e+300"},
    {"123456789.123456789", "123456789.12345679"},
    {"\"a\\u00e9\\n\"", "\"a\xc3\xa9\\n\""},
    {"[]", "[]"},
    {"{}", "{}"},
    {"[1, [2, [3]], {}]", "[1,[2,[3]],{}]"},
    {"{\"z\": 1, \"a\": {\"b\": null}, \"m\": [true]}",
     "{\"z\":1,\"a\":{\"b\":null},\"m\":[true]}"},
};

static void test_values(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        struct diag why = {.msg = "untouched"};
        json_t *v = json_parse(slice_of(values[i].in), &why);
        struct str s = {0};

        assert_non_null(v);
        assert_string_equal(why.msg, "untouched");
        str_add_json_value(&s, v);
        assert_string_equal(s.p, values[i].out);
        str_release(&s);
        json_decref(v);
    }
}

/* Every double reads back as itself. */
static void test_reals_round_trip(void **state)
{
    static const double reals[] = {0.0,       -0.0,    1.0 / 3, DBL_MIN,
                                   DBL_MAX,   5e-324,  1e15,    1e16,
                                   123456.75, 1e-7,    -2.5,    4503599627370497.5,
                                   2.1e-05,   100000., 3.14,    1.7976e+3};

    for (size_t i = 0; i < ARRAY_SIZE(reals); i++) {
        json_t *v = json_real(reals[i]);
        struct str s = {0};

        str_add_json_value(&s, v);
        json_t *back = json_parse(str_slice(&s), NULL);

        assert_true(json_is_real(back));
        assert_true(json_real_value(back) == reals[i]);
        json_decref(back);
        json_decref(v);
        str_release(&s);
    }
}

static void test_absent_value(void **state)
{
    struct str s = {0};

    str_add_json_value(&s, NULL);
    assert_string_equal(s.p, "null");
    str_release(&s);
}

static const struct {
    struct slice text;
    int line, column; /* 0: not checked */
} refused[] = {
    {SLICE(""), 1, 0},
    {SLICE_NONE, 1, 0},
    {SLICE("{"), 1, 0},
    {SLICE("{\"a\":1,}"), 1, 0},
    {SLICE("{\"a\":1}{"), 1, 0},
    {SLICE("1 2"), 1, 0},
    {SLICE("{\n  \"a\": 1,\n  \"a\": 2\n}"), 3, 0},
    {SLICE("{\"a\":{\"b\":1,\"b\":1}}"), 1, 0},
    {SLICE("\"\xff\""), 1, 0},
    {SLICE("\"\\u0000\""), 1, 0},
    {SLICE("{\"a\\u0000b\":1}"), 1, 0},
    {SLICE("\"a\0b\""), 1, 0},
    {SLICE("1\0"), 1, 0},
    {SLICE("\"\\ud800\""), 1, 0},
    {SLICE("\"a\nb\""), 1, 0},
    {SLICE("9223372036854775808"), 1, 0},
    {SLICE("1e999"), 1, 0},
    {SLICE("01"), 1, 0},
    {SLICE("NaN"), 1, 0},
    {SLICE("'a'"), 1, 0},
    {SLICE("// no\n1"), 1, 0},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct diag why = {.msg = ""};

        if (json_parse(refused[i].text, &why) != NULL)
            fail_msg("accepted: %s (row %zu)", refused[i].text.p, i);
        assert_int_equal(why.code, DIAG_INVALID_ARGUMENT);
        assert_int_equal(why.line, refused[i].line);
        assert_true(why.column >= 1);
        assert_ptr_equal(strstr(why.msg, "not valid JSON at line "), why.msg);
        assert_null(json_parse(refused[i].text, NULL));
    }
}

static json_t *parse_nested(const char *open, const char *close, size_t depth, struct diag *why)
{
    struct str s = {0};

    str_add_cstr(&s, "\n ");
    for (size_t i = 0; i < depth; i++)
        str_add_cstr(&s, open);
    for (size_t i = 0; i < depth; i++)
        str_add_cstr(&s, close);
    json_t *v = json_parse(str_slice(&s), why);

    str_release(&s);
    return v;
}

static void test_depth(void **state)
{
    struct diag why;
    json_t *v = parse_nested("[", "]", 64, &why);

    assert_non_null(v);
    json_decref(v);
    assert_null(parse_nested("[", "]", 65, &why));
    assert_string_equal(why.msg,
                        "not valid JSON at line 2, column 66: more than 64 levels of nesting");
    assert_int_equal(why.line, 2);
    assert_int_equal(why.column, 66);
    assert_null(parse_nested("{\"a\":[", "]}", 33, &why));
    assert_null(parse_nested("[", "", 1000000, &why));
    /* brackets in strings do not nest */
    v = parse_nested("{\"[[[[\\\"[[\\\\\":[", "]}", 20, &why);
    assert_non_null(v);
    json_decref(v);
}

/* Many values side by side are not nested. */
static void test_width(void **state)
{
    struct str s = {0};

    str_add_char(&s, '[');
    for (int i = 0; i < 1000; i++)
        str_add_cstr(&s, "[{}],");
    str_add_cstr(&s, "0]");
    json_t *v = json_parse(str_slice(&s), NULL);

    assert_int_equal(json_array_size(v), 1001);
    json_decref(v);
    str_release(&s);
}

static void test_objects(void **state)
{
    static const char *const others[] = {"", " \n\t", "[]", "1", "null", "\"{}\""};
    json_t *v = json_parse_object(SLICE(" {\"a\": 1} "), NULL);

    assert_true(json_is_object(v));
    json_decref(v);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct diag why;

        assert_null(json_parse_object(slice_of(others[i]), &why));
        assert_non_null(strstr(why.msg, "a JSON object is expected"));
    }
    assert_null(json_parse_object(SLICE_NONE, NULL));
}

/* ---- fields ---- */

static json_t *object;
static struct json_fields f;
static struct diag why;

static struct json_fields *begin(const char *text, const char *path)
{
    json_decref(object);
    object = json_parse(slice_of(text), NULL);
    assert_non_null(object);
    why = (struct diag){.msg = "untouched"};
    json_fields_begin(&f, object, path, &why);
    return &f;
}

static int teardown(void **state)
{
    json_decref(object);
    object = NULL;
    return 0;
}

static void assert_failed(const char *msg)
{
    assert_int_equal(json_fields_end(&f), -EINVAL);
    assert_string_equal(why.msg, msg);
    assert_int_equal(why.code, DIAG_INVALID_ARGUMENT);
}

static void assert_fine(void)
{
    assert_int_equal(json_fields_end(&f), 0);
    assert_string_equal(why.msg, "untouched");
}

static void test_take_everything(void **state)
{
    begin("{\"s\":\"x\",\"b\":true,\"i\":7,\"n\":2,\"r\":2.5,\"o\":{},\"a\":[],\"any\":3,\"id\":"
          "\"ignored\"}",
          "");
    assert_string_equal(json_take_string(&f, "s", JSON_REQUIRED), "x");
    assert_true(json_take_bool(&f, "b", false));
    assert_int_equal(json_take_int(&f, "i", 0, 0, 10), 7);
    assert_true(json_take_number(&f, "n", 0, 0, 10) == 2);
    assert_true(json_take_number(&f, "r", 0, 0, 10) == 2.5);
    assert_true(json_is_object(json_take_object(&f, "o", JSON_REQUIRED)));
    assert_true(json_is_array(json_take_array(&f, "a", JSON_REQUIRED)));
    assert_int_equal(json_integer_value(json_take_any(&f, "any")), 3);
    json_ignore(&f, "id");
    assert_fine();
}

static void take_absent_ones(void)
{
    assert_null(json_take_string(&f, "s", JSON_OPTIONAL));
    assert_true(json_take_bool(&f, "b", true));
    assert_int_equal(json_take_int(&f, "i", -3, 0, 10), -3);
    assert_true(json_take_number(&f, "r", 0.5, 1, 10) == 0.5);
    assert_null(json_take_object(&f, "o", JSON_OPTIONAL));
    assert_null(json_take_array(&f, "a", JSON_OPTIONAL));
    assert_null(json_take_any(&f, "any"));
    assert_false(json_has(&f, "h"));
}

static void test_absent_and_null_are_the_same(void **state)
{
    begin("{}", "");
    take_absent_ones();
    assert_fine();
    begin("{\"s\":null,\"b\":null,\"i\":null,\"r\":null,\"o\":null,\"a\":null,\"any\":null,\"h\":"
          "null}",
          "");
    take_absent_ones();
    assert_fine();
}

static void test_no_object_is_an_empty_one(void **state)
{
    why = (struct diag){.msg = "untouched"};
    json_fields_begin(&f, NULL, "config", &why);
    take_absent_ones();
    assert_fine();
    json_fields_begin(&f, NULL, "config", &why);
    json_take_string(&f, "token", JSON_REQUIRED);
    assert_failed("config.token: is required");
}

static void test_not_an_object(void **state)
{
    begin("[1]", "config");
    assert_null(json_take_string(&f, "s", JSON_REQUIRED));
    assert_failed("config: must be an object");
    begin("[1]", "");
    assert_failed("must be an object");
}

static void test_required(void **state)
{
    begin("{}", "config");
    assert_null(json_take_string(&f, "cron_expr", JSON_REQUIRED));
    assert_failed("config.cron_expr: is required");
    begin("{\"o\":null}", "");
    assert_null(json_take_object(&f, "o", JSON_REQUIRED));
    assert_failed("o: is required");
    begin("{}", "");
    assert_null(json_take_array(&f, "a", JSON_REQUIRED));
    assert_failed("a: is required");
}

static void test_types(void **state)
{
    static const struct {
        const char *value, *types; /* those that accept it: letters of the takes below */
    } cases[] = {
        {"\"x\"", "s"}, {"true", "b"}, {"1", "in"},    {"1.0", "n"},
        {"{}", "o"},    {"[]", "a"},   {"\"1\"", "s"},
    };
    static const struct {
        char type;
        const char *msg;
    } takes[] = {
        {'s', "f: must be a string"},   {'b', "f: must be true or false"},
        {'i', "f: must be an integer"}, {'n', "f: must be a number"},
        {'o', "f: must be an object"},  {'a', "f: must be an array"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(takes); k++) {
            struct str text = {0};

            str_printf(&text, "{\"f\":%s}", cases[i].value);
            begin(text.p, "");
            if (takes[k].type == 's')
                json_take_string(&f, "f", JSON_OPTIONAL);
            else if (takes[k].type == 'b')
                json_take_bool(&f, "f", false);
            else if (takes[k].type == 'i')
                json_take_int(&f, "f", 0, 0, 10);
            else if (takes[k].type == 'n')
                json_take_number(&f, "f", 0, 0, 10);
            else if (takes[k].type == 'o')
                json_take_object(&f, "f", JSON_OPTIONAL);
            else
                json_take_array(&f, "f", JSON_OPTIONAL);
            if (strchr(cases[i].types, takes[k].type) != NULL)
                assert_fine();
            else
                assert_failed(takes[k].msg);
            str_release(&text);
        }
    }
}

static void test_ranges(void **state)
{
    begin("{\"cooldown_seconds\":86400}", "");
    assert_int_equal(json_take_int(&f, "cooldown_seconds", 0, 0, 86400), 86400);
    assert_fine();
    begin("{\"cooldown_seconds\":-1}", "");
    assert_int_equal(json_take_int(&f, "cooldown_seconds", 5, 0, 86400), 5);
    assert_failed("cooldown_seconds: -1 is out of range 0-86400");
    begin("{\"cooldown_seconds\":86401}", "a.b");
    json_take_int(&f, "cooldown_seconds", 5, 0, 86400);
    assert_failed("a.b.cooldown_seconds: 86401 is out of range 0-86400");
    begin("{\"factor\":0.5}", "retry");
    assert_true(json_take_number(&f, "factor", 2, 1, 10) == 2);
    assert_failed("retry.factor: 0.5 is out of range 1-10");
    begin("{\"seconds\":-1}", "");
    json_take_number(&f, "seconds", 0, 0, 2592000);
    assert_failed("seconds: -1 is out of range 0-2592000");
    begin("{\"i\":-9223372036854775808}", "");
    assert_true(json_take_int(&f, "i", 0, INT64_MIN, INT64_MAX) == INT64_MIN);
    assert_fine();
}

static void test_unknown_fields(void **state)
{
    begin("{\"name\":\"x\",\"bogus\":1}", "config");
    json_take_string(&f, "name", JSON_REQUIRED);
    json_take_int(&f, "count", 0, 0, 1);
    assert_failed("config.bogus: is not a known field (known: name, count)");
    begin("{\"bogus\":null}", "");
    assert_failed("bogus: is not a known field (known: none)");
    begin("{\"\":1}", "config");
    assert_int_equal(json_fields_end(&f), -EINVAL);
}

/* A name that somebody chose to be long or ugly does not spoil the message. */
static void test_unknown_field_with_a_long_name(void **state)
{
    struct str text = {0};

    str_add_cstr(&text, "{\"");
    for (int i = 0; i < 1000; i++)
        str_add_cstr(&text, "\xe2\x82\xac\\n");
    str_add_cstr(&text, "\":1}");
    begin(text.p, "");
    json_has(&f, "name");
    assert_int_equal(json_fields_end(&f), -EINVAL);
    assert_true(utf8_valid(slice_of(why.msg)));
    assert_non_null(strstr(why.msg, "is not a known field (known: name)"));
    assert_null(strchr(why.msg, '\n'));
    str_release(&text);
}

/* The first error stays; what comes after it returns defaults. */
static void test_first_error_sticks(void **state)
{
    begin("{\"a\":1,\"b\":2,\"c\":3}", "");
    json_take_string(&f, "a", JSON_REQUIRED);
    assert_null(json_take_string(&f, "missing", JSON_REQUIRED));
    assert_int_equal(json_take_int(&f, "b", 9, 0, 10), 9);
    assert_false(json_has(&f, "c"));
    json_fields_fail(&f, "c", "is wrong");
    assert_failed("a: must be a string");
}

static void test_own_errors(void **state)
{
    begin("{\"name\":\"x y\"}", "config");
    json_take_string(&f, "name", JSON_REQUIRED);
    json_fields_fail(&f, "name", "%s is not a slug", "\"x y\"");
    assert_failed("config.name: \"x y\" is not a slug");
    begin("{}", "config");
    json_fields_fail(&f, "", "needs one of a, b");
    assert_failed("config: needs one of a, b");
}

static void test_asking_twice(void **state)
{
    begin("{\"a\":\"x\"}", "");
    assert_true(json_has(&f, "a"));
    assert_string_equal(json_take_string(&f, "a", JSON_REQUIRED), "x");
    assert_fine();
    begin("{\"a\":\"x\",\"b\":1}", "");
    assert_true(json_has(&f, "a"));
    json_take_string(&f, "a", JSON_REQUIRED);
    assert_failed("b: is not a known field (known: a)");
}

#define ROW(fn) cmocka_unit_test_teardown(fn, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_values),
        ROW(test_reals_round_trip),
        ROW(test_absent_value),
        ROW(test_refused),
        ROW(test_depth),
        ROW(test_width),
        ROW(test_objects),
        ROW(test_take_everything),
        ROW(test_absent_and_null_are_the_same),
        ROW(test_no_object_is_an_empty_one),
        ROW(test_not_an_object),
        ROW(test_required),
        ROW(test_types),
        ROW(test_ranges),
        ROW(test_unknown_fields),
        ROW(test_unknown_field_with_a_long_name),
        ROW(test_first_error_sticks),
        ROW(test_own_errors),
        ROW(test_asking_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
