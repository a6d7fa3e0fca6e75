#include "io/secret/seal_spec.h"
#include "base/check.h"
#include "core/redact.h"
#include "io/secret/secret.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define SPEC                                                                                       \
    "{\"executor\":{\"secret\":\"open\",\"headers\":{\"X-Team\":\"shown\",\"X-Token\":\"sesame\"," \
    "\"X-Key\":\"\"}},\"steps\":[{\"executor\":{\"secret\":\"sesame\"}},{\"argv\":[]}],"           \
    "\"options\":{\"secret\":\"shown\"}}"

static json_t *parse(const char *text)
{
    struct diag why;
    json_t *v = json_parse_object(slice_of(text), &why);
    assert_non_null(v);
    return v;
}

static void assert_text(const json_t *v, const char *expected)
{
    struct str text = {0};
    str_add_json_value(&text, v);
    assert_string_equal(text.p, expected);
    str_release(&text);
}

static void secrets_are_sealed_and_nothing_else(void **state)
{
    static const struct seal key = {{1}}, other = {{2}};
    struct str text = {0};
    struct diag why;
    json_t *spec = parse(SPEC);
    seal_spec(&key, spec);
    str_add_json_value(&text, spec);
    assert_null(strstr(text.p, "sesame"));
    assert_null(strstr(text.p, "\"open\""));
    assert_non_null(strstr(text.p, "\"X-Team\":\"shown\""));
    assert_non_null(strstr(text.p, "\"options\":{\"secret\":\"shown\"}"));

    seal_spec(&key, spec); /* once is enough */
    assert_text(spec, text.p);
    unseal_spec(&other, spec);
    assert_text(spec, text.p);
    assert_true(redact_refuse_sealed_in(spec, &why) < 0);
    unseal_spec(&key, spec);
    assert_text(spec, SPEC);
    str_release(&text);
    json_decref(spec);
}

static void what_was_never_sealed_stays(void **state)
{
    static const struct seal key = {{1}};
    static const char *const specs[] = {
        "{\"executor\":{\"secret\":{\"sealed\":\"\"}}}",
        "{\"executor\":{\"secret\":{\"sealed\":\"!\"}}}",
        "{\"executor\":{\"secret\":{\"sealed\":\"AAAA\"}}}",
        "{\"executor\":{\"secret\":1,\"headers\":[\"X-Token\"]},\"steps\":7}",
        "{\"executor\":\"secret\",\"steps\":[1,[],{}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
        json_t *spec = parse(specs[i]);
        unseal_spec(&key, spec);
        seal_spec(&key, spec);
        assert_text(spec, specs[i]);
        json_decref(spec);
    }
}

int main(void)
{
    secret_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(secrets_are_sealed_and_nothing_else),
                                       cmocka_unit_test(what_was_never_sealed_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
