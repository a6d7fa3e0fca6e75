#include "core/redact.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static void secrets_are_not_shown(void **state)
{
    static const struct {
        const char *spec, *shown;
    } cases[] = {
        {"{\"executor\":{\"type\":\"command\", \"argv\":[]}}",
         "{\"executor\":{\"type\":\"command\", \"argv\":[]}}"},
        {"{\"executor\":{\"secret\":\"s\",\"url\":\"u\"}}",
         "{\"executor\":{\"secret\":\"" REDACTED "\",\"url\":\"u\"}}"},
        {"{\"executor\":{\"headers\":{\"X-Api-KEY\":\"k\",\"authorization\":\"b\",\"X-Team\":\"t\","
         "\"X-N\":1}}}",
         "{\"executor\":{\"headers\":{\"X-Api-KEY\":\"" REDACTED "\",\"authorization\":\"" REDACTED
         "\",\"X-Team\":\"t\",\"X-N\":1}}}"},
        {"{\"steps\":[{\"executor\":{\"secret\":\"s\"}},{\"argv\":[\"secret\"]}]}",
         "{\"steps\":[{\"executor\":{\"secret\":\"" REDACTED "\"}},{\"argv\":[\"secret\"]}]}"},
        {"{\"options\":{\"secret\":\"mine\"},\"executor\":{}}",
         "{\"options\":{\"secret\":\"mine\"},\"executor\":{}}"},
        {"{\"executor\":{\"secret\":{\"sealed\":\"eA==\"},\"headers\":{\"X-Token\":{\"sealed\":"
         "\"eA==\"}}}}",
         "{\"executor\":{\"secret\":\"" REDACTED "\",\"headers\":{\"X-Token\":\"" REDACTED "\"}}}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str out = {0};
        redact_add(&out, slice_of(cases[i].spec));
        assert_string_equal(out.p, cases[i].shown);
        str_release(&out);
    }
}

static void what_was_hidden_comes_back(void **state)
{
#define OLD(url)                                                                                   \
    "{\"executor\":{\"url\":\"" url "\",\"secret\":\"s\",\"headers\":{\"Cookie\":\"c\"}}}"
#define HIDDEN(url)                                                                                \
    "{\"executor\":{\"url\":\"" url "\",\"secret\":\"" REDACTED                                    \
    "\",\"headers\":{\"Cookie\":\"" REDACTED "\"}}}"
    static const struct {
        const char *old, *written, *expected;
    } cases[] = {
        {OLD("http://a/x"), HIDDEN("http://a/y"), OLD("http://a/y")},
        {OLD("http://a/x"), HIDDEN("HTTP://A?z"), OLD("HTTP://A?z")},
        {OLD("http://a/x"), HIDDEN("http://b/x"), HIDDEN("http://b/x")},
        {OLD("http://a/x"), HIDDEN("http://a:81/x"), HIDDEN("http://a:81/x")},
        {OLD("http://a/x"), HIDDEN("http://a.b/x"), HIDDEN("http://a.b/x")},
        {OLD("http://a/x"), HIDDEN("https://a/x"), HIDDEN("https://a/x")},
        {OLD("http://a/x"), HIDDEN("http://a@b/x"), HIDDEN("http://a@b/x")},
        {OLD("http://a/x"), "{\"executor\":{\"url\":\"http://a/x\",\"secret\":\"new\"}}",
         "{\"executor\":{\"url\":\"http://a/x\",\"secret\":\"new\"}}"},
        {"{\"steps\":[{\"name\":\"p\",\"executor\":{\"url\":\"http://a\",\"secret\":\"s\"}}]}",
         "{\"steps\":[{\"name\":\"q\",\"executor\":{}},{\"name\":\"p\",\"executor\":{\"url\":"
         "\"http://a\",\"secret\":\"" REDACTED "\"}}]}",
         "{\"steps\":[{\"name\":\"q\",\"executor\":{}},{\"name\":\"p\",\"executor\":{\"url\":"
         "\"http://a\",\"secret\":\"s\"}}]}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct diag why;
        struct str out = {0};
        json_t *old = json_parse_object(slice_of(cases[i].old), &why);
        json_t *spec = json_parse_object(slice_of(cases[i].written), &why);
        redact_undo(spec, old);
        str_add_json_value(&out, spec);
        assert_string_equal(out.p, cases[i].expected);
        json_decref(old);
        json_decref(spec);
        str_release(&out);
    }
}

#define SEALED "{\"sealed\":\"eA==\"}"

static void what_is_sealed_is_named(void **state)
{
    static const struct {
        const char *spec, *why; /* NULL: there is nothing sealed */
    } cases[] = {
        {"{}", NULL},
        {"{\"executor\":{\"secret\":\"s\",\"headers\":{\"X-Token\":\"t\"}}}", NULL},
        {"{\"executor\":{\"secret\":{\"sealed\":1}}}", NULL},
        {"{\"executor\":{\"secret\":{\"sealed\":\"\",\"more\":1}}}", NULL},
        {"{\"executor\":{\"headers\":{\"X-Team\":" SEALED "}}}", NULL},
        {"{\"executor\":{\"secret\":" SEALED "}}", "executor.secret: cannot be read"},
        {"{\"executor\":{\"secret\":\"s\",\"headers\":{\"secret\":" SEALED "}}}",
         "executor.headers: secret: cannot be read"},
        {"{\"steps\":[{\"argv\":[]},{\"executor\":{\"secret\":" SEALED "}}]}",
         "steps[1].executor.secret: cannot be read"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct diag why = {0};
        json_t *spec = json_parse_object(slice_of(cases[i].spec), &why);
        assert_int_equal(redact_refuse_sealed_in(spec, &why) < 0, cases[i].why != NULL);
        if (cases[i].why != NULL)
            assert_memory_equal(why.msg, cases[i].why, strlen(cases[i].why));
        json_decref(spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(secrets_are_not_shown),
                                       cmocka_unit_test(what_is_sealed_is_named),
                                       cmocka_unit_test(what_was_hidden_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
