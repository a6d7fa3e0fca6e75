#include "base/check.h"
#include "core/pipeline_spec.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define X "\"executor\":{\"type\":\"command\"}"

static void takes_defaults(void **state)
{
    struct pipeline_def d = {.version = 7, .pull = true};
    struct diag why;
    assert_int_equal(pipeline_spec_parse(SLICE("{" X "}"), &d, NULL, &why), 0);
    assert_int_equal(d.running_max, 0);
    assert_int_equal(d.timeout_ms, 0);
    assert_int_equal(d.retry.max_attempts, 1);
    assert_int_equal(d.retry.backoff_ms, 1000);
    assert_int_equal(d.retry.backoff_ms_max, 300000);
    assert_true(d.retry.backoff_factor == 2.0);
    assert_true(d.retry.jitter == 0);
    assert_int_equal(d.version, 7); /* not its business */
    assert_true(d.pull);
}

static void reads_policy(void **state)
{
    struct pipeline_def d = {0};
    json_t *spec = NULL;
    struct diag why;
    const struct slice text = SLICE(
        "{" X ",\"concurrency\":{\"max_runs\":4,\"policy\":\"queue\"},\"timeout_seconds\":1.5,"
        "\"retry\":{\"max_attempts\":3,\"backoff_seconds\":0.25,\"backoff_factor\":1.5,\"max_"
        "backoff_seconds\":10,\"jitter\":0.25},"
        "\"description\":\"d\",\"type\":\"sql\",\"source\":\"s\",\"unique_key\":[\"id\"],\"owner\":"
        "\"o\",\"options\":{}}");
    assert_int_equal(pipeline_spec_parse(text, &d, &spec, &why), 0);
    assert_int_equal(d.running_max, 4);
    assert_int_equal(d.timeout_ms, 1500);
    assert_int_equal(d.retry.max_attempts, 3);
    assert_int_equal(d.retry.backoff_ms, 250);
    assert_int_equal(d.retry.backoff_ms_max, 10000);
    assert_true(d.retry.backoff_factor == 1.5);
    assert_true(d.retry.jitter == 0.25);
    assert_string_equal(json_string_value(json_object_get(spec, "owner")), "o");
    json_decref(spec);

    assert_int_equal(pipeline_spec_parse(SLICE("{" X ",\"concurrency\":2}"), &d, NULL, &why), 0);
    assert_int_equal(d.running_max, 2);
    assert_int_equal(d.policy, CONCURRENCY_QUEUE);
    assert_int_equal(d.queue_max, 0);

    assert_int_equal(
        pipeline_spec_parse(SLICE("{" X ",\"concurrency\":{\"max_queue\":9}}"), &d, NULL, &why), 0);
    assert_int_equal(d.queue_max, 9);
    assert_int_equal(pipeline_spec_parse(
                         SLICE("{" X ",\"concurrency\":{\"max_runs\":1,\"policy\":\"replace\"}}"),
                         &d, NULL, &why),
                     0);
    assert_int_equal(d.policy, CONCURRENCY_REPLACE);
    assert_int_equal(d.queue_max, 0);
}

/* Each message begins with the name of the field. */
static void refuses(void **state)
{
    static const struct {
        const char *text, *field;
    } rows[] = {
        {"{\"steps\":{}}", "steps: "},
        {"{\"executor\":\"command\"}", "executor: "},
        {"{" X ",\"bogus\":1}", "bogus: "},
        {"{" X ",\"options\":[]}", "options: "},
        {"{" X ",\"concurrency\":0}", "concurrency: "},
        {"{" X ",\"concurrency\":-1}", "concurrency: "},
        {"{" X ",\"concurrency\":1.5}", "concurrency: "},
        {"{" X ",\"concurrency\":\"2\"}", "concurrency: "},
        {"{" X ",\"concurrency\":9999999999}", "concurrency: "},
        {"{" X ",\"concurrency\":{\"max_runs\":0}}", "concurrency.max_runs: "},
        {"{" X ",\"concurrency\":{\"policy\":\"replace\"}}", "concurrency.max_runs: "},
        {"{" X ",\"concurrency\":{\"policy\":\"skip\"}}", "concurrency.max_runs: "},
        {"{" X ",\"concurrency\":{\"policy\":\"drop\",\"max_runs\":1}}",
         "concurrency.policy: 'drop'"},
        {"{" X ",\"concurrency\":{\"policy\":\"skip\",\"max_runs\":1,\"max_queue\":1}}",
         "concurrency.max_queue: "},
        {"{" X ",\"concurrency\":{\"max_queue\":0}}", "concurrency.max_queue: "},
        {"{" X ",\"concurrency\":{\"max\":1}}", "concurrency.max: "},
        {"{" X ",\"retry\":3}", "retry: "},
        {"{" X ",\"retry\":{\"max_attempts\":0}}", "retry.max_attempts: "},
        {"{" X ",\"retry\":{\"max_attempts\":101}}", "retry.max_attempts: "},
        {"{" X ",\"retry\":{\"max_attempts\":\"3\"}}", "retry.max_attempts: "},
        {"{" X ",\"retry\":{\"backoff_seconds\":-1}}", "retry.backoff_seconds: "},
        {"{" X ",\"retry\":{\"backoff_factor\":0.5}}", "retry.backoff_factor: "},
        {"{" X ",\"retry\":{\"max_backoff_seconds\":86401}}", "retry.max_backoff_seconds: "},
        {"{" X ",\"retry\":{\"jitter\":1.1}}", "retry.jitter: "},
        {"{" X ",\"retry\":{\"jitter\":-0.1}}", "retry.jitter: "},
        {"{" X ",\"retry\":{\"jitter\":true}}", "retry.jitter: "},
        {"{" X ",\"timeout_seconds\":-1}", "timeout_seconds: "},
        {"{" X ",\"timeout_seconds\":true}", "timeout_seconds: "},
        {"{" X ",\"timeout_seconds\":1e300}", "timeout_seconds: "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pipeline_def d = {.running_max = 77, .timeout_ms = 78};
        struct diag why = {0};
        assert_int_equal(pipeline_spec_parse(slice_of(rows[i].text), &d, NULL, &why), -EINVAL);
        assert_int_equal(why.code, DIAG_INVALID_ARGUMENT);
        if (strncmp(why.msg, rows[i].field, strlen(rows[i].field)) != 0)
            fail_msg("%s -> %s", rows[i].text, why.msg);
        assert_int_equal(d.running_max, 77);
        assert_int_equal(d.timeout_ms, 78);
    }
}

static void refuses_what_is_no_object(void **state)
{
    static const char *const rows[] = {"", "[]", "1", "{", "{}x", "null"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pipeline_def d = {0};
        struct diag why;
        assert_int_equal(pipeline_spec_parse(slice_of(rows[i]), &d, NULL, &why), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_defaults),
        cmocka_unit_test(reads_policy),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_what_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
