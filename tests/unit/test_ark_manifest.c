#include "core/ark_manifest.h"
#include "base/check.h"
#include "base/str.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define SPEC "\"spec\":{\"source\":{\"type\":\"webhook\"},\"targets\":[{\"team\":\"a\"}]}"
#define HEAD "\"apiVersion\":\"arkonis.dev/v1alpha1\",\"kind\":\"ArkEvent\","
#define WITH(metadata) "{" HEAD "\"metadata\":" metadata "," SPEC "}"

static json_t *load(const char *text)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    return v;
}

static void test_kept(void **state)
{
    static const struct {
        const char *doc, *ns, *path, *metadata;
    } rows[] = {
        {WITH("{\"name\":\"ev\"}"), NULL, "default/ev",
         "{\"name\": \"ev\", \"namespace\": \"default\"}"},
        {WITH("{\"name\":\"ev\",\"namespace\":\"ai-team\"}"), NULL, "ai-team/ev",
         "{\"name\": \"ev\", \"namespace\": \"ai-team\"}"},
        {WITH("{\"name\":\"e.v-1\"}"), "ns", "ns/e.v-1",
         "{\"name\": \"e.v-1\", \"namespace\": \"ns\"}"},
        {WITH("{\"name\":\"ev\",\"namespace\":\"ns\",\"labels\":{\"a.b/c\":\"X_1\",\"e\":\"\"},"
              "\"annotations\":{\"k\":\"any\\nthing\"},\"uid\":\"u\",\"resourceVersion\":\"7\","
              "\"generation\":3,\"creationTimestamp\":null,\"managedFields\":[]}"),
         "ns", "ns/ev",
         "{\"name\": \"ev\", \"namespace\": \"ns\", \"labels\": {\"a.b/c\": \"X_1\", \"e\": \"\"}, "
         "\"annotations\": {\"k\": \"any\\nthing\"}}"},
        {WITH("{\"name\":\"ev\",\"namespace\":\"\",\"labels\":{},\"annotations\":null}"), NULL,
         "default/ev", "{\"name\": \"ev\", \"namespace\": \"default\"}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ark_manifest m;
        struct problems p = {0};
        json_t *doc = load(rows[i].doc);
        if (ark_manifest_read(doc, rows[i].ns, &m, &p) != 0)
            fail_msg("%s: %s: %s", rows[i].doc, p.list.items[0].field, p.list.items[0].message);
        assert_int_equal(p.list.len, 0);
        assert_string_equal(m.path, rows[i].path);
        char *metadata = json_dumps(json_object_get(m.config, "metadata"), 0);
        assert_string_equal(metadata, rows[i].metadata);
        assert_true(json_equal(json_object_get(m.config, "spec"), json_object_get(doc, "spec")));
        free(metadata);
        ark_manifest_release(&m);
        json_decref(doc);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *doc, *ns, *field, *message;
    } rows[] = {
        {"{\"kind\":\"ArkEvent\",\"metadata\":{\"name\":\"ev\"}," SPEC "}", NULL, "apiVersion",
         "Required value"},
        {"{\"apiVersion\":\"v1\",\"kind\":\"ArkEvent\",\"metadata\":{\"name\":\"ev\"}," SPEC "}",
         NULL, "apiVersion", "supported values: \"arkonis.dev/v1alpha1\""},
        {"{\"apiVersion\":\"arkonis.dev/v1alpha1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"ev\"}"
         "," SPEC "}",
         NULL, "kind", "supported values: \"ArkEvent\""},
        {"{" HEAD SPEC "}", NULL, "metadata.name", "Required value"},
        {WITH("[]"), NULL, "metadata", "must be of type object"},
        {WITH("{\"name\":7}"), NULL, "metadata.name", "must be of type string"},
        {WITH("{\"name\":\"Ev\"}"), NULL, "metadata.name", "Invalid value: \"Ev\""},
        {WITH("{\"name\":\"a/b\"}"), NULL, "metadata.name", "Invalid value"},
        {WITH("{\"name\":\"-a\"}"), NULL, "metadata.name", "Invalid value"},
        {WITH("{\"name\":\"a..b\"}"), NULL, "metadata.name", "Invalid value"},
        {WITH("{\"name\":\"ev\",\"namespace\":\"9x\"}"), NULL, "metadata.namespace",
         "Invalid value"},
        {WITH("{\"name\":\"ev\",\"namespace\":\"other\"}"), "ns", "metadata.namespace",
         "does not match the namespace on the request"},
        {WITH("{\"name\":\"ev\",\"labels\":{\"a b\":\"x\"}}"), NULL, "metadata.labels",
         "Invalid value: \"a b\""},
        {WITH("{\"name\":\"ev\",\"labels\":{\"a/b/c\":\"x\"}}"), NULL, "metadata.labels",
         "Invalid value"},
        {WITH("{\"name\":\"ev\",\"labels\":{\"a\":\"x y\"}}"), NULL, "metadata.labels",
         "Invalid value: \"x y\""},
        {WITH("{\"name\":\"ev\",\"labels\":{\"a\":1}}"), NULL, "metadata.labels.a",
         "must be of type string"},
        {WITH("{\"name\":\"ev\",\"annotations\":{\"\":\"x\"}}"), NULL, "metadata.annotations",
         "Invalid value"},
        {"{" HEAD "\"metadata\":{\"name\":\"ev\"}}", NULL, "spec", "Required value"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ark_manifest m;
        struct problems p = {0};
        json_t *doc = load(rows[i].doc);
        if (ark_manifest_read(doc, rows[i].ns, &m, &p) != -EINVAL || p.list.len != 1)
            fail_msg("%s: %zu problems", rows[i].doc, p.list.len);
        assert_string_equal(p.list.items[0].field, rows[i].field);
        if (strstr(p.list.items[0].message, rows[i].message) == NULL)
            fail_msg("%s: '%s' lacks '%s'", rows[i].doc, p.list.items[0].message, rows[i].message);
        problems_release(&p);
        json_decref(doc);
    }
}

static void test_annotations_are_bounded(void **state)
{
    struct ark_manifest m;
    struct problems p = {0};
    json_t *doc = load(WITH("{\"name\":\"ev\"}"));
    struct str text = {0};
    for (size_t i = 0; i < ARK_ANNOTATION_BYTES_MAX; i++)
        str_add_char(&text, 'x');
    json_object_set_new(json_object_get(doc, "metadata"), "annotations",
                        json_pack("{s:s}", "k", text.p));
    assert_int_equal(ark_manifest_read(doc, NULL, &m, &p), -EINVAL);
    assert_string_equal(p.list.items[0].field, "metadata.annotations");
    problems_release(&p);
    text.p[text.len - 1] = '\0';
    json_object_set_new(json_object_get(doc, "metadata"), "annotations",
                        json_pack("{s:s}", "k", text.p));
    assert_int_equal(ark_manifest_read(doc, NULL, &m, &p), 0);
    ark_manifest_release(&m);
    str_release(&text);
    json_decref(doc);
}

static void test_unknown_fields_are_said(void **state)
{
    struct ark_manifest m;
    struct problems p = {0};
    json_t *doc =
        load("{" HEAD "\"metadata\":{\"name\":\"ev\",\"colour\":1},\"bogus\":1," SPEC "}");
    assert_int_equal(ark_manifest_read(doc, NULL, &m, &p), 0);
    assert_int_equal(p.list.len, 2);
    assert_string_equal(p.list.items[0].message, "unknown field \"metadata.colour\"");
    assert_string_equal(p.list.items[1].message, "unknown field \"bogus\"");
    assert_non_null(json_object_get(doc, "bogus"));
    ark_manifest_release(&m);
    problems_release(&p);
    json_decref(doc);
}

static void test_unknown_fields_are_pruned(void **state)
{
    struct ark_manifest m;
    struct problems p = {.prunes = true};
    json_t *doc = load("{" HEAD "\"metadata\":{\"name\":\"ev\"},\"spec\":{\"a\":1,\"source\":{"
                       "\"type\":\"team-output\",\"b\":1,\"teamOutput\":{\"c\":1,\"name\":\"t\"}},"
                       "\"targets\":[{\"team\":\"u\",\"d\":1,\"input\":{\"e\":\"\"}}]}}");
    json_t *kept = load("{\"source\":{\"type\":\"team-output\",\"teamOutput\":{\"name\":\"t\"}},"
                        "\"targets\":[{\"team\":\"u\",\"input\":{\"e\":\"\"}}]}");
    assert_int_equal(ark_manifest_read(doc, NULL, &m, &p), 0);
    assert_int_equal(p.list.len, 4);
    assert_true(json_equal(json_object_get(m.config, "spec"), kept));
    ark_manifest_release(&m);
    problems_release(&p);
    json_decref(doc);
    json_decref(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_annotations_are_bounded),
        cmocka_unit_test(test_unknown_fields_are_said),
        cmocka_unit_test(test_unknown_fields_are_pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
