#include "core/ark_spec.h"
#include "base/check.h"
#include "pawl/run.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define HOOK "\"source\":{\"type\":\"webhook\"}"
#define ONE "\"targets\":[{\"team\":\"a\"}]"

static json_t *load(const char *text)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    return v;
}

static void test_meaning(void **state)
{
    static const struct {
        const char *spec;
        enum ark_source source;
        const char *team;
        unsigned ends;
        size_t targets;
        bool suspended, forbid;
        uint64_t cooldown_ms;
    } rows[] = {
        {"{" HOOK "," ONE "}", ARK_WEBHOOK, NULL, 0, 1, false, false, 0},
        {"{" HOOK ",\"targets\":[{\"team\":\"a\"},{\"pipeline\":\"b\"}]}", ARK_WEBHOOK, NULL, 0, 2,
         false, false, 0},
        {"{\"source\":{\"type\":\"cron\",\"cron\":\"0 8 * * *\"}," ONE "}", ARK_CRON, NULL, 0, 1,
         false, false, 0},
        {"{\"source\":{\"type\":\"team-output\",\"teamOutput\":{\"name\":\"r\"}}," ONE "}",
         ARK_TEAM_OUTPUT, "r", 1 << RUN_SUCCESS, 1, false, false, 0},
        {"{\"source\":{\"type\":\"pipeline-output\",\"pipelineOutput\":{\"name\":\"r\",\"onPhase\":"
         "\"Failed\"}}," ONE "}",
         ARK_TEAM_OUTPUT, "r", 1 << RUN_FAILED, 1, false, false, 0},
        {"{\"source\":{\"type\":\"team-output\",\"teamOutput\":{\"name\":\"r\",\"onPhase\":\"*\"}}"
         "," ONE "}",
         ARK_TEAM_OUTPUT, "r", 1 << RUN_SUCCESS | 1 << RUN_FAILED | 1 << RUN_CANCELLED, 1, false,
         false, 0},
        {"{" HOOK "," ONE
         ",\"suspended\":true,\"concurrencyPolicy\":\"Forbid\",\"cooldownSeconds\":60}",
         ARK_WEBHOOK, NULL, 0, 1, true, true, 60000},
        {"{" HOOK "," ONE
         ",\"suspended\":null,\"concurrencyPolicy\":\"Allow\",\"cooldownSeconds\":null}",
         ARK_WEBHOOK, NULL, 0, 1, false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ark_spec s;
        struct problems p = {0};
        json_t *spec = load(rows[i].spec);
        if (ark_spec_read(spec, &s, &p) != 0)
            fail_msg("%s: %s", rows[i].spec, p.list.items[0].message);
        assert_int_equal(p.list.len, 0);
        assert_int_equal(s.source, rows[i].source);
        assert_int_equal(s.target_count, rows[i].targets);
        assert_int_equal(s.ends, rows[i].ends);
        assert_int_equal(s.suspended, rows[i].suspended);
        assert_int_equal(s.forbid, rows[i].forbid);
        assert_int_equal(s.cooldown_ms, rows[i].cooldown_ms);
        if (rows[i].team != NULL)
            assert_string_equal(s.team, rows[i].team);
        ark_spec_release(&s);
        json_decref(spec);
    }
}

static const struct {
    const char *spec, *field, *message;
    enum cause cause;
} refused[] = {
    {"null", "spec", "Required value", CAUSE_REQUIRED},
    {"7", "spec", "must be of type object", CAUSE_WRONG_TYPE},
    {"{" ONE "}", "spec.source", "Required value", CAUSE_REQUIRED},
    {"{\"source\":[]," ONE "}", "spec.source", "must be of type object: \"array\"",
     CAUSE_WRONG_TYPE},
    {"{\"source\":{}," ONE "}", "spec.source.type", "Required value", CAUSE_REQUIRED},
    {"{\"source\":{\"type\":\"x\"}," ONE "}", "spec.source.type",
     "Unsupported value: \"x\": supported values: \"webhook\", \"cron\", \"team-output\"",
     CAUSE_NOT_SUPPORTED},
    {"{\"source\":{\"type\":5}," ONE "}", "spec.source.type", "must be of type string",
     CAUSE_WRONG_TYPE},
    {"{\"source\":{\"type\":\"cron\"}," ONE "}", "spec.source.cron", "Required value",
     CAUSE_REQUIRED},
    {"{\"source\":{\"type\":\"cron\",\"cron\":\"0 25 * * *\"}," ONE "}", "spec.source.cron",
     "Invalid value: \"0 25 * * *\": field 2 (hour): 25 is out of range 0-23", CAUSE_INVALID},
    {"{\"source\":{\"type\":\"cron\",\"cron\":\" 0\\t0 8 *  * * \"}," ONE "}", "spec.source.cron",
     "must have five fields", CAUSE_INVALID},
    {"{\"source\":{\"type\":\"cron\",\"cron\":\"hourly\"}," ONE "}", "spec.source.cron",
     "must have five fields", CAUSE_INVALID},
    {"{\"source\":{\"type\":\"cron\",\"cron\":\"TZ=Asia/Tokyo 0 8 * * *\"}," ONE "}",
     "spec.source.cron", "must have five fields", CAUSE_INVALID},
    {"{\"source\":{\"type\":\"cron\",\"cron\":\" \"}," ONE "}", "spec.source.cron", "is empty",
     CAUSE_INVALID},
    {"{\"source\":{\"type\":\"team-output\",\"teamOutput\":{\"name\":\"a\"},"
     "\"pipelineOutput\":{\"name\":\"b\"}}," ONE "}",
     "spec.source.pipelineOutput", "give one", CAUSE_INVALID},
    {"{\"source\":{\"type\":\"webhook\",\"cron\":\"0 8 * * *\"}," ONE "}", "spec.source.cron",
     "has no such field", CAUSE_INVALID},
    {"{\"source\":{\"type\":\"team-output\"}," ONE "}", "spec.source.teamOutput", "Required value",
     CAUSE_REQUIRED},
    {"{\"source\":{\"type\":\"team-output\",\"teamOutput\":{}}," ONE "}",
     "spec.source.teamOutput.name", "Required value", CAUSE_REQUIRED},
    {"{\"source\":{\"type\":\"team-output\",\"teamOutput\":{\"name\":\"A\"}}," ONE "}",
     "spec.source.teamOutput.name", "Invalid value: \"A\"", CAUSE_INVALID},
    {"{\"source\":{\"type\":\"team-output\",\"teamOutput\":{\"name\":\"a\",\"onPhase\":"
     "\"Done\"}"
     "}," ONE "}",
     "spec.source.teamOutput.onPhase", "supported values: \"Succeeded\", \"Failed\", \"*\"",
     CAUSE_NOT_SUPPORTED},
    {"{" HOOK "}", "spec.targets", "Required value", CAUSE_REQUIRED},
    {"{" HOOK ",\"targets\":[]}", "spec.targets", "Required value", CAUSE_REQUIRED},
    {"{" HOOK ",\"targets\":{}}", "spec.targets", "must be of type array", CAUSE_WRONG_TYPE},
    {"{" HOOK ",\"targets\":[7]}", "spec.targets[0]", "must be of type object", CAUSE_WRONG_TYPE},
    {"{" HOOK ",\"targets\":[null]}", "spec.targets[0]", "Required value", CAUSE_REQUIRED},
    {"{" HOOK ",\"targets\":[{}]}", "spec.targets[0].team", "Required value", CAUSE_REQUIRED},
    {"{" HOOK ",\"targets\":[{\"team\":\"a\"},{\"team\":\"a/b\"}]}", "spec.targets[1].team",
     "Invalid value: \"a/b\"", CAUSE_INVALID},
    {"{" HOOK ",\"targets\":[{\"team\":\"a\"},{\"team\":\"a\"}]}", "spec.targets[1].team",
     "Duplicate value: \"a\"", CAUSE_DUPLICATE},
    {"{" HOOK ",\"targets\":[{\"team\":\"a\",\"pipeline\":\"b\"}]}", "spec.targets[0].pipeline",
     "give one", CAUSE_INVALID},
    {"{" HOOK ",\"targets\":[{\"team\":\"a\",\"input\":{\"x\":\"{{ .env }}\"}}]}",
     "spec.targets[0].input.x", "'.env' is not a look-up", CAUSE_INVALID},
    {"{" HOOK ",\"targets\":[{\"team\":\"a\",\"input\":{\"x\":1}}]}", "spec.targets[0].input.x",
     "must be of type string", CAUSE_WRONG_TYPE},
    {"{" HOOK "," ONE ",\"suspended\":\"yes\"}", "spec.suspended", "must be of type boolean",
     CAUSE_WRONG_TYPE},
    {"{" HOOK "," ONE ",\"concurrencyPolicy\":\"Replace\"}", "spec.concurrencyPolicy",
     "supported values: \"Allow\", \"Forbid\"", CAUSE_NOT_SUPPORTED},
    {"{" HOOK "," ONE ",\"cooldownSeconds\":-1}", "spec.cooldownSeconds", "from 0 to",
     CAUSE_INVALID},
    {"{" HOOK "," ONE ",\"cooldownSeconds\":1.5}", "spec.cooldownSeconds",
     "must be of type integer", CAUSE_WRONG_TYPE},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct ark_spec s;
        struct problems p = {0};
        json_t *spec = load(refused[i].spec);
        if (ark_spec_read(spec, &s, &p) != -EINVAL || p.list.len != 1 || !p.fatal)
            fail_msg("%s: %zu problems", refused[i].spec, p.list.len);
        assert_string_equal(p.list.items[0].field, refused[i].field);
        if (strstr(p.list.items[0].message, refused[i].message) == NULL)
            fail_msg("%s: '%s' lacks '%s'", refused[i].spec, p.list.items[0].message,
                     refused[i].message);
        assert_int_equal(p.list.items[0].cause, refused[i].cause);
        problems_release(&p);
        json_decref(spec);
    }
}

static void test_all_problems_are_found(void **state)
{
    struct ark_spec s;
    struct problems p = {0};
    json_t *spec = load("{\"bogus\":1,\"source\":{\"type\":\"x\",\"more\":{}},"
                        "\"targets\":[{\"team\":\"A\",\"t\":1}],\"suspended\":7}");
    assert_int_equal(ark_spec_read(spec, &s, &p), -EINVAL);
    static const char *const fields[] = {"spec.source.more",     "spec.source.type",
                                         "spec.targets[0].team", "spec.targets[0].t",
                                         "spec.suspended",       "spec.bogus"};
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        bool found = false;
        for (size_t k = 0; k < p.list.len; k++)
            found = found || strcmp(p.list.items[k].field, fields[i]) == 0;
        if (!found)
            fail_msg("nothing is said about %s", fields[i]);
    }
    assert_int_equal(p.list.len, ARRAY_SIZE(fields));
    problems_release(&p);
    json_decref(spec);
}

/* Unknown fields are said, and are no obstacle; however many there are, they do not hide what is one. */
static void test_unknown_fields(void **state)
{
    struct ark_spec s;
    struct problems p = {0};
    json_t *spec = load("{" HOOK "," ONE ",\"bogus\":1}");
    assert_int_equal(ark_spec_read(spec, &s, &p), 0);
    assert_int_equal(p.list.len, 1);
    assert_int_equal(p.list.items[0].cause, CAUSE_UNKNOWN);
    assert_string_equal(p.list.items[0].message, "unknown field \"spec.bogus\"");
    assert_false(p.fatal);
    ark_spec_release(&s);
    problems_release(&p);
    json_decref(spec);

    spec = load("{" HOOK ",\"targets\":[{\"team\":\"a\"}],\"cooldownSeconds\":-1}");
    json_t *target = json_array_get(json_object_get(spec, "targets"), 0);
    for (int i = 0; i < 2 * PROBLEMS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "f%d", i);
        json_object_set_new(target, name, json_true());
    }
    assert_int_equal(ark_spec_read(spec, &s, &p), -EINVAL);
    assert_true(p.fatal);
    assert_int_equal(p.list.len, PROBLEMS_MAX);
    problems_release(&p);
    json_decref(spec);
}

static void test_limits(void **state)
{
    struct ark_spec s;
    struct problems p = {0};
    json_t *spec = load("{" HOOK "}"), *targets = json_array();
    for (int i = 0; i <= ARK_TARGETS_MAX; i++) {
        char team[16];
        snprintf(team, sizeof(team), "t%d", i);
        json_array_append_new(targets, json_pack("{s:s}", "team", team));
    }
    json_object_set_new(spec, "targets", targets);
    assert_int_equal(ark_spec_read(spec, &s, &p), -EINVAL);
    assert_int_equal(p.list.items[0].cause, CAUSE_TOO_MANY);
    problems_release(&p);
    json_array_remove(targets, 0);
    assert_int_equal(ark_spec_read(spec, &s, &p), 0);
    assert_int_equal(s.target_count, ARK_TARGETS_MAX);
    ark_spec_release(&s);
    json_decref(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meaning),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_all_problems_are_found),
        cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
