#include "core/cloud_event.h"
#include "base/check.h"
#include "run_sample.h"
#include <string.h>

#define ATTRIBUTES                                                                                 \
    "{\"specversion\":\"1.0\",\"id\":\"" EVENT_TEXT                                                \
    "\",\"source\":\"/pawl/webhook\",\"type\":\"webhook\","                                        \
    "\"time\":\"2026-02-13T10:05:00.123Z\""
#define EXTENSIONS                                                                                 \
    ",\"pawlrunid\":\"" RUN_TEXT                                                                   \
    "\",\"pawlpipeline\":\"shop.silver.orders\",\"pawlversion\":\"7\","                            \
    "\"pawlattempt\":\"2\",\"pawltriggertype\":\"webhook\",\"pawlrootid\":\"" ROOT_TEXT            \
    "\",\"pawldepth\":\"3\""

/* The headers as lines. */
static struct str headers(const struct run_start *s)
{
    struct str out = {0};
    const size_t n = cloud_event_add_headers(&out, s);
    size_t found = 0;
    for (size_t i = 0; i < out.len; i++) {
        if (out.p[i] != '\0')
            continue;
        out.p[i] = '\n';
        found++;
    }
    assert_int_equal(found, n);
    return out;
}

static void headers_carry_the_attributes(void **state)
{
    struct run_start s = sample();
    s.subject = SLICE("a/b.csv");
    s.message_key = SLICE("k 1");
    struct str out = headers(&s);
    assert_string_equal(out.p, "ce-specversion: 1.0\n"
                               "ce-id: " EVENT_TEXT "\n"
                               "ce-source: /pawl/webhook\n"
                               "ce-type: webhook\n"
                               "ce-time: 2026-02-13T10:05:00.123Z\n"
                               "ce-subject: a/b.csv\n"
                               "ce-partitionkey: k%201\n"
                               "ce-pawlrunid: " RUN_TEXT "\n"
                               "ce-pawlpipeline: shop.silver.orders\n"
                               "ce-pawlversion: 7\n"
                               "ce-pawlattempt: 2\n"
                               "ce-pawltriggertype: webhook\n"
                               "ce-pawlrootid: " ROOT_TEXT "\n"
                               "ce-pawldepth: 3\n");
    str_release(&out);
}

/* The name of every attribute is at most 20 lower-case letters and digits. */
static void names_are_valid(void **state)
{
    struct run_start s = sample();
    struct str out = headers(&s);
    for (const char *p = out.p; *p != '\0'; p = strchr(p, '\n') + 1) {
        assert_memory_equal(p, "ce-", 3);
        const size_t len = strspn(p + 3, "abcdefghijklmnopqrstuvwxyz0123456789");
        assert_int_equal(p[3 + len], ':');
        assert_true(len <= 20);
    }
    str_release(&out);
}

/* As the HTTP binding says, with its own example. */
static void values_are_encoded(void **state)
{
    static const struct {
        struct slice text;
        const char *value;
    } cases[] = {
        {SLICE("Euro \u20AC \U0001F600"), "Euro%20%E2%82%AC%20%F0%9F%98%80"},
        {SLICE("a\r\nX-Evil: 1"), "a%0D%0AX-Evil:%201"},
        {SLICE("\"50%\""), "%2250%25%22"},
        {SLICE("\xff\x7f"), "%FF%7F"},
        {SLICE("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"), "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str out = {0};
        cloud_event_add_value(&out, cases[i].text);
        assert_string_equal(out.p, cases[i].value);
        str_release(&out);
    }
}

static void binary_data_is_the_payload(void **state)
{
    static const struct {
        struct slice payload, type, files;
        const char *body, *content_type;
    } cases[] = {
        {SLICE("{ \"a\": 1.0 }"),
         SLICE("application/json"),
         {0},
         "{ \"a\": 1.0 }",
         "application/json"},
        {SLICE("a,b"), SLICE(" text/csv "), {0}, "a,b", "text/csv"},
        {SLICE("a,b"), {0}, {0}, "a,b", "application/octet-stream"},
        {SLICE("a,b"), SLICE("text/x\r\nX-Evil: 1"), {0}, "a,b", "application/octet-stream"},
        {{0}, SLICE("application/json"), {0}, NULL, NULL},
        {SLICE("{\"f\":2}"), SLICE("application/json"), SLICE("[{\"f\":1},{\"f\":2}]"),
         "{\"files\":[{\"f\":1},{\"f\":2}]}", "application/json"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str out = {0};
        struct run_start s = sample();
        s.payload = cases[i].payload;
        s.content_type = cases[i].type;
        s.files = cases[i].files;
        const struct slice type = cloud_event_add_data(&out, &s);
        assert_true(slice_eq(str_slice(&out), slice_of(cases[i].body)));
        assert_true(slice_eq(type, slice_of(cases[i].content_type)));
        str_release(&out);
    }
}

static void a_structured_one_is_one_object(void **state)
{
    static const struct {
        struct slice payload, type;
        const char *data;
    } cases[] = {
        {SLICE("{ \"a\": 1.0 }"), SLICE("application/json"),
         ",\"datacontenttype\":\"application/json\",\"data\":{\"a\":1.0}}"},
        {SLICE("a\nb"), SLICE("text/plain"),
         ",\"datacontenttype\":\"text/plain\",\"data\":\"a\\nb\"}"},
        {SLICE("{bad"), SLICE("application/json"),
         ",\"datacontenttype\":\"application/json\",\"data_base64\":\"e2JhZA==\"}"},
        {SLICE("\xff"), SLICE("text/plain"),
         ",\"datacontenttype\":\"text/plain\",\"data_base64\":\"/w==\"}"},
        {SLICE("[1]"), SLICE("application/x+json; v=1"),
         ",\"datacontenttype\":\"application/x+json; v=1\",\"data\":[1]}"},
        {{0}, SLICE("text/plain"), "}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str out = {0}, wanted = {0};
        struct run_start s = sample();
        s.payload = cases[i].payload;
        s.content_type = cases[i].type;
        cloud_event_add(&out, &s);
        str_printf(&wanted, "%s%s", ATTRIBUTES EXTENSIONS, cases[i].data);
        assert_string_equal(out.p, wanted.p);
        str_release(&out);
        str_release(&wanted);
    }
}

static void files_are_the_data(void **state)
{
    struct str out = {0};
    struct run_start s = sample();
    s.subject = SLICE("\xff.csv");
    s.files = SLICE("[{\"f\":1}]");
    s.files_cut = true;
    cloud_event_add(&out, &s);
    assert_string_equal(out.p,
                        ATTRIBUTES ",\"subject\":\"\uFFFD.csv\"" EXTENSIONS
                                   ",\"datacontenttype\":\"application/json\","
                                   "\"data\":{\"files\":[{\"f\":1}],\"files_truncated\":true}}");
    str_release(&out);
}

static void a_later_step_gets_the_output_before_it(void **state)
{
    static const struct {
        struct slice previous;
        const char *type;
    } cases[] = {
        {SLICE("{\"n\":1}"), "application/json"},
        {SLICE("plain\n"), "text/plain; charset=utf-8"},
        {SLICE("\xff"), "application/octet-stream"},
        {SLICE(""), NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct str out = {0};
        struct run_start s = sample();
        s.files = SLICE("[{\"f\":1}]");
        s.step = SLICE("load");
        s.previous = cases[i].previous;
        const struct slice type = cloud_event_add_data(&out, &s);
        assert_true(slice_eq(str_slice(&out), cases[i].previous));
        assert_true(slice_eq(type, slice_of(cases[i].type)));
        str_release(&out);
        out = headers(&s);
        assert_non_null(strstr(out.p, "\nce-pawlstep: load\n"));
        str_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_carry_the_attributes),
        cmocka_unit_test(names_are_valid),
        cmocka_unit_test(values_are_encoded),
        cmocka_unit_test(binary_data_is_the_payload),
        cmocka_unit_test(a_structured_one_is_one_object),
        cmocka_unit_test(files_are_the_data),
        cmocka_unit_test(a_later_step_gets_the_output_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
