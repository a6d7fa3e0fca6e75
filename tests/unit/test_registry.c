#include "base/json.h"
#include "pawl/executor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void test_table(void **state)
{
    for (const struct executor_type *const *t = executor_types; *t != NULL; t++) {
        assert_non_null((*t)->name);
        assert_non_null((*t)->help);
        assert_non_null((*t)->check);
        assert_true((*t)->pull == ((*t)->start == NULL));
        assert_true((*t)->pull == ((*t)->cancel == NULL));
        assert_ptr_equal(executor_type_find((*t)->name), *t);
        if (t[1] != NULL)
            assert_true(strcmp((*t)->name, t[1]->name) < 0);
        for (const struct option_doc *o = (*t)->options; o->name != NULL; o++) {
            assert_non_null(o->type);
            assert_non_null(o->help);
            if (o[1].name != NULL)
                assert_true(strcmp(o->name, o[1].name) < 0);
        }
    }
    assert_null(executor_type_find("nope"));
}

struct row {
    const char *pipeline;
    const char *type;  /* of the executor found, or NULL */
    const char *error; /* the message, or its beginning if it ends in ... */
};

static const struct row rows[] = {
    {"{'executor':{'type':'command','argv':['true']}}", "command"},
    {"{'executor':{'type':'command','argv':['/bin/echo','a b'],'env':{'A':'','_b1':'x'},"
     "'cwd':'/tmp','kill_grace_seconds':0.5}}",
     "command"},
    {"{'executor':{'type':'pull'}}", "pull"},
    {"{'steps':[{'name':'one','argv':['true','x']}]}", "command"},
    {"{'steps':[{'name':'one','executor':{'type':'pull'}}]}", "pull"},
    {"{'steps':[{'argv':['true']}]}", "command"},
    {"{'steps':[{'argv':['true']},{'argv':['true'],'timeout_seconds':0.5},"
     "{'name':'three','executor':{'type':'command','argv':['x']}}]}",
     "command"},

    {"{}", NULL, "executor: exactly one of executor and steps is required"},
    {"{'executor':{'type':'pull'},'steps':[]}", NULL, "executor: exactly one of ..."},
    {"{'executor':'command'}", NULL, "executor: must be an object"},
    {"{'executor':{}}", NULL, "executor.type: is required..."},
    {"{'executor':{'type':7}}", NULL, "executor.type: is required..."},
    {"{'executor':{'type':'shell'}}", NULL, "executor.type: 'shell' is not one of: ..."},
    {"{'executor':{'type':'pull','argv':['x']}}", NULL, "executor.argv: is not a known field..."},
    {"{'executor':{'type':'command'}}", NULL, "executor.argv: is required"},
    {"{'executor':{'type':'command','argv':'true'}}", NULL, "executor.argv: must be an array..."},
    {"{'executor':{'type':'command','argv':[]}}", NULL, "executor.argv: must name a program"},
    {"{'executor':{'type':'command','argv':['a',1]}}", NULL,
     "executor.argv[1]: must be a string..."},
    {"{'executor':{'type':'command','argv':['']}}", NULL, "executor.argv[0]: must name a program"},
    {"{'executor':{'type':'command','argv':['a'],'env':[]}}", NULL, "executor.env: must be..."},
    {"{'executor':{'type':'command','argv':['a'],'env':{'A':1}}}", NULL,
     "executor.env: the value of 'A' must be a string"},
    {"{'executor':{'type':'command','argv':['a'],'env':{'A=B':'x'}}}", NULL,
     "executor.env: 'A=B'..."},
    {"{'executor':{'type':'command','argv':['a'],'env':{'':'x'}}}", NULL, "executor.env: ''..."},
    {"{'executor':{'type':'command','argv':['a'],'env':{'1A':'x'}}}", NULL,
     "executor.env: '1A'..."},
    {"{'executor':{'type':'command','argv':['a'],'env':{'PAWL_RUN_ID':'x'}}}", NULL,
     "executor.env: 'PAWL_RUN_ID': names that begin with PAWL_ are taken"},
    {"{'executor':{'type':'command','argv':['a'],'env':{'PAWL_X':'x'}}}", NULL,
     "executor.env: ..."},
    {"{'executor':{'type':'command','argv':['a'],'cwd':'tmp'}}", NULL,
     "executor.cwd: must be an absolute path"},
    {"{'executor':{'type':'command','argv':['a'],'cwd':1}}", NULL, "executor.cwd: must be..."},
    {"{'executor':{'type':'command','argv':['a'],'kill_grace_seconds':-1}}", NULL,
     "executor.kill_grace_seconds: ..."},
    {"{'executor':{'type':'command','argv':['a'],'kill_grace_seconds':1e9}}", NULL,
     "executor.kill_grace_seconds: ..."},
    {"{'executor':{'type':'command','argv':['a'],'bogus':1}}", NULL,
     "executor.bogus: is not a known..."},

    {"{'steps':{}}", NULL, "steps: must be an array of 1 to 100 steps"},
    {"{'steps':[]}", NULL, "steps: must be an array of 1 to 100 steps"},
    {"{'steps':['true']}", NULL, "steps[0]: must be an object"},
    {"{'steps':[{'name':'a','argv':['a']},{'name':'a','argv':['b']}]}", NULL,
     "steps[1].name: steps[0] has the name 'a' too"},
    {"{'steps':[{'name':'step-2','argv':['a']},{'argv':['b']}]}", NULL,
     "steps[1].name: steps[0] has the name 'step-2' too"},
    {"{'steps':[{'name':'A b','argv':['a']}]}", NULL, "steps[0].name: must be 1 to 63 of..."},
    {"{'steps':[{'name':'','argv':['a']}]}", NULL, "steps[0].name: must be 1 to 63 of..."},
    {"{'steps':[{'name':7,'argv':['a']}]}", NULL, "steps[0].name: must be..."},
    {"{'steps':[{'argv':['a']},{'executor':{'type':'pull'}}]}", NULL,
     "steps[1].executor.type: a pipeline whose runs are taken by workers (pull) has exactly one "
     "step, not 2"},
    {"{'steps':[{'executor':{'type':'pull'}},{'argv':['a']}]}", NULL,
     "steps[0].executor.type: a..."},
    {"{'steps':[{'argv':['a'],'timeout_seconds':-1}]}", NULL, "steps[0].timeout_seconds: ..."},
    {"{'steps':[{'argv':['a'],'timeout_seconds':'1'}]}", NULL, "steps[0].timeout_seconds: ..."},
    {"{'steps':[{'argv':['a'],'timeout_seconds':2592001}]}", NULL, "steps[0].timeout_seconds: ..."},
    {"{'steps':[{'argv':['a']},{'argv':[]}]}", NULL, "steps[1].argv: must name a program"},
    {"{'steps':[{'argv':['a']},7]}", NULL, "steps[1]: must be an object"},
    {"{'steps':[{'name':'one'}]}", NULL,
     "steps[0].executor: exactly one of executor and argv is..."},
    {"{'steps':[{'argv':['a'],'executor':{'type':'pull'}}]}", NULL,
     "steps[0].executor: exactly..."},
    {"{'steps':[{'argv':[]}]}", NULL, "steps[0].argv: must name a program"},
    {"{'steps':[{'argv':['a'],'bogus':1}]}", NULL, "steps[0].bogus: is not a known field..."},
    {"{'steps':[{'executor':{'type':'x'}}]}", NULL, "steps[0].executor.type: 'x' is not one of..."},
    {"{'steps':[{'executor':{'type':'command','argv':[3]}}]}", NULL,
     "steps[0].executor.argv[0]: ..."},
};

static void expect_message(const struct row *row, const char *msg)
{
    size_t len = strlen(row->error);
    if (len > 3 && strcmp(row->error + len - 3, "...") == 0 &&
        strncmp(msg, row->error, len - 3) == 0)
        return;
    if (strcmp(msg, row->error) != 0)
        fail_msg("%s\n  expected: %s\n  was:      %s", row->pipeline, row->error, msg);
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct diag why = {0};
        const struct executor_type *type = NULL;
        char text[512];
        size_t n = 0;
        for (const char *c = rows[i].pipeline; *c != '\0'; c++)
            text[n++] = *c == '\'' ? '"' : *c;
        json_t *pipeline = json_parse_object((struct slice){text, n}, &why);
        assert_non_null(pipeline);
        json_t *executor = executor_of(pipeline, &type, &why);
        if ((executor != NULL) != (rows[i].type != NULL))
            fail_msg("%s: %s", rows[i].pipeline, executor != NULL ? "accepted" : why.msg);
        if (executor != NULL)
            assert_string_equal(type->name, rows[i].type);
        else
            expect_message(&rows[i], why.msg);
        json_decref(executor);
        json_decref(pipeline);
    }
}

static void test_capacity(void **state)
{
    static const struct {
        const char *text;
        uint32_t capacity;
        bool gets_ready;
    } cases[] = {
        {"{\"executor\":{\"type\":\"command\",\"argv\":[\"x\"]}}", 0, false},
        {"{\"executor\":{\"type\":\"service\",\"argv\":[\"x\"]}}", 8, true},
        {"{\"executor\":{\"type\":\"service\",\"argv\":[\"x\"],\"max_instances\":1000,\"per_"
         "instance\":1000}}",
         1000000, true},
        {"{\"steps\":[{\"name\":\"a\",\"executor\":{\"type\":\"service\",\"argv\":[\"x\"],\"max_"
         "instances\":2}},"
         "{\"name\":\"b\",\"executor\":{\"type\":\"service\",\"argv\":[\"x\"],\"max_instances\":3,"
         "\"per_instance\":4}}]}",
         14, true},
        {"{\"steps\":[{\"name\":\"a\",\"executor\":{\"type\":\"service\",\"argv\":[\"x\"]}},"
         "{\"name\":\"b\",\"argv\":[\"x\"]}]}",
         0, true},
        {"{}", 0, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *pipeline = json_loads(cases[i].text, 0, NULL);
        assert_non_null(pipeline);
        assert_int_equal(executor_capacity(pipeline), cases[i].capacity);
        assert_int_equal(executor_gets_ready(pipeline), cases[i].gets_ready);
        json_decref(pipeline);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
