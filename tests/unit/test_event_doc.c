#include "core/event_doc.h"
#include "base/json.h"
#include "run_sample.h"
#include <string.h>

static struct run_start full_sample(void)
{
    struct run_start s = sample();
    s.trigger = id(TRIGGER_TEXT);
    s.subject = SLICE("a \"subject\"");
    s.payload = SLICE("{ \"a\": 1.0,\n  \"b\": [12345678901234567890] }");
    return s;
}

static void test_whole_document(void **state)
{
    struct str out = {0};
    struct run_start s = full_sample();
    event_doc_add(&out, &s);
    assert_string_equal(
        out.p, "{\"id\":\"" EVENT_TEXT "\",\"source\":\"webhook\",\"type\":\"webhook\","
               "\"subject\":\"a \\\"subject\\\"\",\"time\":\"2026-02-13T10:05:00.123Z\","
               "\"content_type\":\"application/json\",\"run_id\":\"" RUN_TEXT "\",\"attempt\":2,"
               "\"pipeline\":\"shop.silver.orders\",\"trigger\":{\"id\":\"" TRIGGER_TEXT
               "\",\"type\":\"webhook\"},\"lineage\":{\"root_event_id\":\"" ROOT_TEXT
               "\",\"depth\":3},\"payload\":{\"a\":1.0,\"b\":[12345678901234567890]}}\n");
    str_release(&out);
}

static void test_line_for_a_worker(void **state)
{
    struct str out = {0};
    struct run_start s = full_sample();
    static const char begin[] =
        "{\"id\":\"" RUN_TEXT "\",\"event_id\":\"" EVENT_TEXT "\",\"source\":\"webhook\",";
    event_line_add(&out, &s);
    assert_memory_equal(out.p, begin, strlen(begin));
    struct str doc = {0};
    event_doc_add(&doc, &s);
    assert_string_equal(strstr(out.p, "\"source\""), strstr(doc.p, "\"source\""));
    str_release(&out);
    str_release(&doc);
}

static void test_keys(void **state)
{
    struct str out = {0};
    struct run_start s = full_sample();
    s.message_key = SLICE("k\"1");
    event_doc_add(&out, &s);
    assert_non_null(strstr(out.p, "\"subject\":\"a \\\"subject\\\"\",\"key\":\"k\\\"1\",\"time\""));
    str_release(&out);
    s.message_key = SLICE("\xff");
    event_doc_add(&out, &s);
    assert_non_null(strstr(out.p, "\"key_base64\":\"/w==\",\"time\""));
    str_release(&out);
}

static void test_absent_parts(void **state)
{
    struct str out = {0};
    struct run_start s = full_sample();
    s.subject = s.content_type = s.payload = SLICE_NONE;
    s.trigger = s.root = UUID_NIL;
    event_doc_add(&out, &s);
    assert_non_null(strstr(out.p, "\"subject\":null"));
    assert_non_null(strstr(out.p, "\"content_type\":null"));
    assert_non_null(strstr(out.p, "\"trigger\":{\"id\":null,"));
    assert_non_null(strstr(out.p, "\"root_event_id\":\"" EVENT_TEXT "\""));
    assert_non_null(strstr(out.p, "\"payload\":null}\n"));
    str_release(&out);
}

struct row {
    const char *content_type;
    struct slice payload;
    const char *tail; /* of the document, from its payload on */
};

/* What a run of several steps adds: the end of the document from "step" on. */
static void test_steps(void **state)
{
    static const struct {
        struct slice previous;
        const char *tail;
    } cases[] = {
        {{NULL, 0}, "\"load\"}\n"},
        {{"", 0}, "\"load\",\"previous_output\":null}\n"},
        {{"{ \"a\": 1.0 }\n", 13}, "\"load\",\"previous_output\":{\"a\":1.0}}\n"},
        {{"12345678901234567890\n", 21}, "\"load\",\"previous_output\":12345678901234567890}\n"},
        {{" \n", 2}, "\"load\",\"previous_output\":\" \\n\"}\n"},
        {{"a \"b\"", 5}, "\"load\",\"previous_output\":\"a \\\"b\\\"\"}\n"},
        {{"\xff\0", 2}, "\"load\",\"previous_output\":null,\"previous_output_base64\":\"/wA=\"}\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str out = {0};
        struct run_start s = full_sample();
        s.step = SLICE("load");
        s.previous = cases[i].previous;
        event_doc_add(&out, &s);
        assert_string_equal(strstr(out.p, ",\"step\":") + strlen(",\"step\":"), cases[i].tail);
        str_release(&out);
    }
}

static const struct row rows[] = {
    {NULL, SLICE("{\"a\":1}"), "{\"a\":1}}\n"},
    {NULL, SLICE(" \n[1, 2]"), "[1,2]}\n"},
    {NULL, SLICE("42"), "\"42\"}\n"},
    {NULL, SLICE("\"x\""), "\"\\\"x\\\"\"}\n"},
    {NULL, SLICE("{broken"), "\"{broken\"}\n"},
    {NULL, SLICE(""), "null}\n"},
    {NULL, SLICE("a=b&c=d"), "\"a=b&c=d\"}\n"},
    {NULL, SLICE("   "), "\"   \"}\n"},
    {"application/json", SLICE("42"), "42}\n"},
    {"application/json", SLICE("\"x\""), "\"x\"}\n"},
    {"Application/JSON; charset=utf-8", SLICE("true"), "true}\n"},
    {"application/cloudevents+json", SLICE("null"), "null}\n"},
    {"text/json", SLICE("1"), "1}\n"},
    {"application/json", SLICE("not json"), "\"not json\"}\n"},
    {"application/jsonlines", SLICE("1"), "\"1\"}\n"},
    {"text/plain", SLICE("{\"a\" : 1}"), "{\"a\":1}}\n"},
    {NULL, SLICE("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"}\n"},
    {NULL, SLICE("a\nb\tc"), "\"a\\nb\\tc\"}\n"},
    {NULL, SLICE("\xff"), "null,\"payload_base64\":\"/w==\"}\n"},
    {NULL, SLICE("\xff\xfe"), "null,\"payload_base64\":\"//4=\"}\n"},
    {NULL, SLICE("\xff\xfe\xfd"), "null,\"payload_base64\":\"//79\"}\n"},
    {NULL, SLICE("\xff\0\x10\x20"), "null,\"payload_base64\":\"/wAQIA==\"}\n"},
    {"application/json", SLICE("{\"a\":\"\xff\"}"), "null,\"payload_base64\":\"eyJhIjoi/yJ9\"}\n"},
};

static void test_payloads(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str out = {0};
        struct run_start s = full_sample();
        s.content_type = slice_of(rows[i].content_type);
        s.payload = rows[i].payload;
        event_doc_add(&out, &s);
        assert_string_equal(strstr(out.p, ",\"payload\":") + strlen(",\"payload\":"), rows[i].tail);
        assert_ptr_equal(strchr(out.p, '\n'), out.p + out.len - 1);
        str_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_document), cmocka_unit_test(test_line_for_a_worker),
        cmocka_unit_test(test_keys),           cmocka_unit_test(test_absent_parts),
        cmocka_unit_test(test_payloads),       cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
