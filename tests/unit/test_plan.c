/* Specs that are read once for many runs. */
#include "executor/plan.h"
#include "base/check.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TRUE_SPEC "{\"executor\":{\"type\":\"command\",\"argv\":[\"/bin/true\"]}}"

static struct plan *get(struct plans *l, const char *spec)
{
    return plans_get(l, slice_of(spec));
}

static void a_spec_is_read_once(void **state)
{
    struct plans l = {0};
    char copy[] = TRUE_SPEC;
    struct plan *a = get(&l, TRUE_SPEC), *b = get(&l, copy);
    struct plan *c = get(&l, "{\"executor\":{\"type\":\"http\",\"url\":\"http://a.invalid/\"}}");
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(a->steps.count, 1);
    assert_string_equal(a->steps.items[0].type->name, "command");
    assert_string_equal(c->steps.items[0].type->name, "http");
    plan_unref(a);
    plan_unref(b);
    plan_unref(c);
    plans_release(&l);
}

static void what_cannot_be_carried_out_says_why(void **state)
{
    static const struct {
        const char *spec, *why;
    } cases[] = {
        {"{", ""},
        {"{}", "exactly one of executor and steps"},
        {"{\"executor\":{\"type\":\"teleport\"}}", "teleport"},
        {"{\"executor\":{\"type\":\"pull\"}}", "pull runs are taken by workers"},
    };
    struct plans l = {0};
    for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) { /* twice: the reason is kept, too */
        const size_t k = i % ARRAY_SIZE(cases);
        struct plan *p = get(&l, cases[k].spec);
        assert_string_not_equal(p->refused.msg, "");
        if (strstr(p->refused.msg, cases[k].why) == NULL)
            fail_msg("'%s' does not have '%s'", p->refused.msg, cases[k].why);
        plan_unref(p);
    }
    plans_release(&l);
}

static struct plan *get_numbered(struct plans *l, int i)
{
    char *spec =
        mem_printf("{\"executor\":{\"type\":\"command\",\"argv\":[\"/bin/true\",\"%d\"]}}", i);
    struct plan *p = get(l, spec);
    free(spec);
    return p;
}

static void the_oldest_are_forgotten_but_live_on(void **state)
{
    struct plans l = {0};
    struct plan *first = get_numbered(&l, 0);
    for (int i = 1; i <= PLANS_KEPT_MAX; i++)
        plan_unref(get_numbered(&l, i));
    assert_int_equal(HASH_COUNT(l.by_spec), PLANS_KEPT_MAX);
    assert_int_equal(first->refs, 1);
    assert_string_equal(first->steps.items[0].type->name, "command");
    struct plan *again = get_numbered(&l, 0);
    assert_ptr_not_equal(first, again);
    plan_unref(first);
    plans_release(&l);
    assert_int_equal(again->refs, 1);
    plan_unref(again);
}

static void a_long_one_is_not_kept(void **state)
{
    struct plans l = {0};
    char *spec =
        mem_printf("{\"description\":\"%*s\",%s", PLAN_BYTES_KEPT_MAX, "long", &TRUE_SPEC[1]);
    struct plan *p = get(&l, spec);
    assert_string_equal(p->refused.msg, "");
    assert_int_equal(p->steps.count, 1);
    assert_int_equal(p->refs, 1);
    assert_null(l.by_spec);
    plan_unref(p);
    plans_release(&l);
    free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spec_is_read_once),
        cmocka_unit_test(what_cannot_be_carried_out_says_why),
        cmocka_unit_test(the_oldest_are_forgotten_but_live_on),
        cmocka_unit_test(a_long_one_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
