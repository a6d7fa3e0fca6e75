#include "base/json_scan.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void members_are_found(void **state)
{
    static const struct {
        struct slice object;
        const char *name, *value;
    } cases[] = {
        {SLICE("{\"a\":1,\"b\":2}"), "b", "2"},
        {SLICE(" { \"a\" : 1.50 , \"b\" : \"x\\\"}\" } "), "b", "\"x\\\"}\""},
        {SLICE("{\"a\":{\"b\":1},\"b\":[2,{\"c\":3}]}"), "b", "[2,{\"c\":3}]"},
        {SLICE("{\"a\":\"b\",\"b\":null}"), "b", "null"},
        {SLICE("{\"bb\":1,\"b\":12345678901234567890}"), "b", "12345678901234567890"},
        {SLICE("{\"a\":1}"), "b", NULL},
        {SLICE("{}"), "b", NULL},
        {SLICE("{\"b\":1,\"b\":2}"), "b", "1"},
        /* no JSON: anything, but not beyond it */
        {SLICE("{\"b\":\"x"), "b", "\"x"},
        {SLICE("{\"b\":{\"x\":"), "b", "{\"x\":"},
        {SLICE("{\"b\\"), "b", NULL},
        {SLICE("{\"b"), "b", NULL},
        {SLICE(""), "b", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_true(
            slice_eq(json_scan_member(cases[i].object, cases[i].name), slice_of(cases[i].value)));
}

static void items_come_in_order(void **state)
{
    static const struct {
        struct slice array;
        const char *items[4];
    } cases[] = {
        {SLICE("[]"), {NULL}},
        {SLICE(" [ 1 , \"a,]\" ,[2,3]] "), {"1", "\"a,]\"", "[2,3]"}},
        {SLICE("[[1]]"), {"[1]"}},
        {SLICE("[[1],[2]]"), {"[1]", "[2]"}},
        {SLICE("[{\"a\":[]},{}]"), {"{\"a\":[]}", "{}"}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice rest = cases[i].array, item;
        for (size_t k = 0; cases[i].items[k] != NULL; k++) {
            assert_true(json_scan_item(&rest, &item));
            assert_true(slice_is(item, cases[i].items[k]));
        }
        assert_false(json_scan_item(&rest, &item));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(members_are_found),
                                       cmocka_unit_test(items_come_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
