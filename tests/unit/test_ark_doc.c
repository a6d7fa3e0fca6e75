#include "core/ark_doc.h"
#include "base/check.h"
#include "base/json.h"
#include "core/ark.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define T0 INT64_C(1770000000000) /* 2026-02-02T02:40:00Z */

#define CONFIG(spec)                                                                               \
    SLICE("{\"metadata\":{\"name\":\"ev\",\"namespace\":\"ns\",\"annotations\":{\"a\":\"}\\\"{\"}" \
          "},\"spec\":" spec "}")
#define HOOK "{\"source\":{\"type\":\"webhook\"},\"targets\":[{\"team\":\"a\"}]}"
#define CRON                                                                                       \
    "{\"source\":{\"type\":\"cron\",\"cron\":\"0 8 * * *\"},\"targets\":[{\"team\":\"a\"}]}"

static struct ark_view view_of(struct slice config, enum ark_reason reason)
{
    return (struct ark_view){
        .id = {{0x01, 0x9c, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x2a}},
        .path = SLICE("ns/ev"),
        .config = config,
        .version = 154,
        .generation = 2,
        .fired = 3,
        .reason = (int)reason,
        .ready_since = {T0 - 5500},
        .created_at = {T0 - 125000},
        .last_fired = {T0 - 3000},
        .last_due = {T0},
    };
}

static const struct ark_style style = {.base_url = "http://h:1", .now = {T0}};

static json_t *object_of(const struct ark_view *v)
{
    struct str text = {0};
    ark_doc_add(v, &style, &text);
    json_t *o = json_loads(text.p, 0, NULL);
    if (o == NULL)
        fail_msg("no JSON: %s", text.p);
    str_release(&text);
    return o;
}

static const char *at(json_t *o, const char *a, const char *b)
{
    return json_string_value(json_object_get(json_object_get(o, a), b));
}

static void test_object(void **state)
{
    const struct ark_view v = view_of(CONFIG(HOOK), ARK_WEBHOOK_READY);
    json_t *o = object_of(&v);
    assert_string_equal(json_string_value(json_object_get(o, "apiVersion")),
                        "arkonis.dev/v1alpha1");
    assert_string_equal(at(o, "metadata", "name"), "ev");
    assert_string_equal(at(o, "metadata", "resourceVersion"), "154");
    assert_string_equal(at(o, "metadata", "uid"), "019c0000-0000-7000-8000-00000000002a");
    assert_string_equal(at(o, "metadata", "creationTimestamp"), "2026-02-02T02:37:55Z");
    assert_string_equal(at(o, "status", "webhookURL"), "http://h:1/triggers/ns/ev/fire");
    assert_string_equal(at(o, "status", "lastFiredAt"), "2026-02-02T02:39:57Z");
    assert_null(at(o, "status", "nextFireAt"));
    json_t *status = json_object_get(o, "status");
    assert_int_equal(json_integer_value(json_object_get(status, "firedCount")), 3);
    assert_int_equal(json_integer_value(json_object_get(status, "observedGeneration")), 2);
    json_t *condition = json_array_get(json_object_get(status, "conditions"), 0);
    char *text = json_dumps(condition, JSON_COMPACT);
    assert_string_equal(text, "{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"WebhookReady\","
                              "\"message\":\"waiting for webhook POST\","
                              "\"lastTransitionTime\":\"2026-02-02T02:39:54Z\"}");
    free(text);
    json_decref(o);
}

static void test_conditions(void **state)
{
    static const struct {
        const char *spec;
        enum ark_reason reason;
        const char *status, *name, *message;
    } rows[] = {
        {"{\"metadata\":{},\"spec\":" CRON "}", ARK_ACTIVE, "True", "Active",
         "next fire at 2026-02-02T08:00:00Z"},
        {"{\"metadata\":{},\"spec\":{\"source\":{\"type\":\"team-output\",\"teamOutput\":{\"name\":"
         "\"up\"}}}}",
         ARK_WATCHING, "True", "Watching", "watching team up"},
        {"{\"metadata\":{},\"spec\":{\"source\":{\"type\":\"pipeline-output\",\"pipelineOutput\":{"
         "\"pipeline\":\"old\"}}}}",
         ARK_WATCHING, "True", "Watching", "watching team old"},
        {"{\"metadata\":{},\"spec\":" HOOK "}", ARK_SUSPENDED, "False", "Suspended",
         "the event is suspended"},
        {"{\"metadata\":{},\"spec\":" HOOK "}", ARK_TARGET_NOT_FOUND, "False", "TargetNotFound",
         "team a not found"},
        {"{\"metadata\":{},\"spec\":" CRON "}", ARK_INVALID_CRON, "False", "InvalidCron",
         "the schedule cannot be read"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ark_view v = view_of(slice_of(rows[i].spec), rows[i].reason);
        v.missing = SLICE("ns.team.a");
        struct str text = {0};
        ark_doc_add(&v, &style, &text);
        struct str want = {0};
        str_printf(&want, "\"status\":\"%s\",\"reason\":\"%s\",\"message\":\"%s\"", rows[i].status,
                   rows[i].name, rows[i].message);
        if (strstr(text.p, want.p) == NULL)
            fail_msg("%s lacks %s", text.p, want.p);
        str_release(&want);
        str_release(&text);
    }
}

static void test_rows(void **state)
{
    static const struct {
        const char *spec, *cells;
        bool fired;
    } rows[] = {
        {"{\"metadata\":{\"name\":\"ev\"},\"spec\":" HOOK "}",
         "[\"ev\",\"webhook\",false,3,\"3s\",null,\"2m5s\",\"http://h:1/triggers/ns/ev/fire\"]",
         true},
        {"{\"metadata\":{\"name\":\"ev\"},\"spec\":" CRON "}",
         "[\"ev\",\"cron\",false,3,null,\"in 5h20m\",\"2m5s\",null]", false},
        {"{\"metadata\":{\"name\":\"ev\"},\"spec\":{\"source\":{\"type\":\"cron\",\"cron\":\"0 8 * "
         "* "
         "*\"},\"suspended\":true}}",
         "[\"ev\",\"cron\",true,3,\"3s\",null,\"2m5s\",null]", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ark_view v = view_of(slice_of(rows[i].spec), ARK_ACTIVE);
        if (!rows[i].fired)
            v.last_fired = WALL_UNSET;
        struct str text = {0};
        ark_doc_add_row(&v, &style, &text);
        json_t *row = json_loads(text.p, 0, NULL);
        char *cells = json_dumps(json_object_get(row, "cells"), JSON_COMPACT);
        assert_string_equal(cells, rows[i].cells);
        assert_string_equal(at(row, "object", "kind"), "PartialObjectMetadata");
        assert_null(json_object_get(json_object_get(row, "object"), "spec"));
        free(cells);
        json_decref(row);
        str_release(&text);
    }
    struct str columns = {0};
    ark_doc_add_columns(&columns);
    json_t *all = json_loads(columns.p, 0, NULL);
    assert_int_equal(json_array_size(all), 8);
    json_decref(all);
    str_release(&columns);
}

static void test_ages(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } rows[] = {
        {-5, "0s"},          {0, "0s"},        {119, "119s"},     {120, "2m"},
        {125, "2m5s"},       {600, "10m"},     {601, "10m"},      {10799, "179m"},
        {10800, "3h"},       {10860, "3h1m"},  {28800, "8h"},     {172799, "47h"},
        {172800, "2d"},      {176400, "2d1h"}, {8 * 86400, "8d"}, {729 * 86400, "729d"},
        {730 * 86400, "2y"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str text = {0};
        str_add_age(&text, rows[i].s * 1000);
        assert_string_equal(text.p, rows[i].text);
        str_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
