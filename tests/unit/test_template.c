#include "core/template.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void test_render(void **state)
{
    static const struct {
        const char *text, *body, *want;
    } rows[] = {
        {"", "{}", ""},
        {"plain", "{}", "plain"},
        {"{{ .trigger.body.topic }}", "{\"topic\":\"quantum\"}", "quantum"},
        {"{{.trigger.body.topic}}", "{\"topic\":\"quantum\"}", "quantum"},
        {"a {{\t.trigger.body.a.b }} z", "{\"a\":{\"b\":1.5}}", "a 1.5 z"},
        {"{{ .trigger.body.a }}", "{\"a\":{\"b\":[1,true,null]}}", "{\"b\":[1,true,null]}"},
        {"{{ .trigger.body }}", "[1,2]", "[1,2]"},
        {"{{ .trigger.body }}", "\"text\"", "text"},
        {"{{ .trigger.body }}", NULL, ""},
        {"<{{ .trigger.body.none }}>", "{}", "<>"},
        {"<{{ .trigger.body.a.none }}>", "{\"a\":7}", "<>"},
        {"<{{ .trigger.body.a }}>", "{\"a\":null}", "<>"},
        {"<{{ .trigger.body.a }}>", "{\"a\":false}", "<false>"},
        {"{{ .trigger.body.a-b_9 }}", "{\"a-b_9\":\"x\"}", "x"},
        {"{{ .trigger.name }}/{{ .trigger.firedAt }}/{{ .trigger.output }}", NULL,
         "ev/2026-02-13T10:00:00Z/out"},
        {"}} { {{ .trigger.name }} }", NULL, "}} { ev }"},
        {"{{ .trigger.body.a }}", "{\"a\":\"{{ .trigger.name }}\"}", "{{ .trigger.name }}"},
        {"{{ .trigger.body.n }}", "{ \"n\" : 12345678901234567890 }", "12345678901234567890"},
        {"{{ .trigger.body }}", "{\"n\": [1e400, 1.10, 1E2]}", "{\"n\":[1e400,1.10,1E2]}"},
        {"{{ .trigger.body.b.a }}", "{\"\":1,\"b\":{\"\\u0061\":\"\\u00e4\\n\"}}", "\xc3\xa4\n"},
        {"<{{ .trigger.body.a }}>", "{\"x\":\"\\u0000\",\"a\":\"\\ud800\"}", "<\"\\ud800\">"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct json_members body = {0};
        assert_true(rows[i].body == NULL || json_members_open(&body, slice_of(rows[i].body)));
        const struct template_values v = {
            .name = SLICE("ev"),
            .fired_at = SLICE("2026-02-13T10:00:00Z"),
            .output = SLICE("out"),
            .body = rows[i].body != NULL ? &body : NULL,
        };
        struct str got = {0};
        str_add_cstr(&got, "");
        assert_int_equal(template_check(slice_of(rows[i].text), NULL), 0);
        assert_true(template_render(slice_of(rows[i].text), &v, SIZE_MAX, &got));
        if (strcmp(got.p != NULL ? got.p : "", rows[i].want) != 0)
            fail_msg("'%s' gives '%s', not '%s'", rows[i].text, got.p, rows[i].want);
        str_release(&got);
        json_members_close(&body);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        int column;
    } rows[] = {
        {"{{", 1},
        {"abc {{ .trigger.name", 5},
        {"{{ }}", 1},
        {"{{ .trigger.name }} {{ .trigger }}", 21},
        {"{{ .trigger.names }}", 1},
        {"{{ .trigger.bodyguard }}", 1},
        {"{{ .trigger.body. }}", 1},
        {"{{ .trigger.body..a }}", 1},
        {"{{ .trigger.body.a b }}", 1},
        {"{{ .trigger.name | upper }}", 1},
        {"{{- .trigger.name -}}", 1},
        {"{{ printf \"%s\" .trigger.name }}", 1},
        {"{{ .env.HOME }}", 1},
        {"{{{{ .trigger.name }}}}", 1},
        {"{{ .trigger.body.\xc3\xa4 }}", 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct diag why = {0};
        if (template_check(slice_of(rows[i].text), &why) != -EINVAL)
            fail_msg("'%s' is accepted", rows[i].text);
        if (why.column != rows[i].column)
            fail_msg("'%s': column %d, not %d", rows[i].text, why.column, rows[i].column);
    }
}

/* What does not fit is refused, what fits exactly is not. */
static void test_too_long(void **state)
{
    static const struct {
        const char *text;
        size_t bytes_max;
        bool fits;
    } rows[] = {
        {"", 0, true},
        {"abc", 3, true},
        {"abc", 2, false},
        {"ab{{ .trigger.name }}", 4, true},
        {"ab{{ .trigger.name }}", 3, false},
        {"{{ .trigger.name }}{{ .trigger.output }}", 2, true},
    };
    const struct template_values v = {.name = SLICE("ev")};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str got = {0};
        if (template_render(slice_of(rows[i].text), &v, rows[i].bytes_max, &got) != rows[i].fits)
            fail_msg("'%s' in %zu bytes", rows[i].text, rows[i].bytes_max);
        str_release(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
