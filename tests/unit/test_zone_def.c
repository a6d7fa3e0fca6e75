/* What a zone takes for an arrival. */
#include "base/check.h"
#include "core/zone.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct zone_def *make(const char *spec)
{
    struct diag why;
    struct zone_def *d = zone_def_parse(slice_of(spec), (struct wall){1}, &why);
    if (d == NULL)
        print_error("%s: %s\n", spec, why.msg);
    assert_non_null(d);
    return d;
}

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void names(void **state)
{
    static const struct {
        const char *spec, *path;
        bool wanted;
    } cases[] = {
        {"{}", "a.csv", true},
        {"{}", ".hidden", false},
        {"{}", "a.tmp", false},
        {"{}", "a.part", false},
        {"{}", "a.crdownload", false},
        {"{}", "a~", false},
        {"{}", "tmp", true},
        {"{\"exclude\":[]}", ".hidden", true},
        {"{\"exclude\":[\"*.csv\"]}", "a.tmp", true},
        {"{\"exclude\":[\"*.csv\"]}", "a.csv", false},
        {"{\"include\":[\"*.csv\",\"*.json\"]}", "a.json", true},
        {"{\"include\":[\"*.csv\"]}", "a.json", false},
        {"{\"include\":[\"*.csv\"]}", ".a.csv", false},
        {"{\"include\":[\"in/**\"]}", "in/a/b", true},
        {"{\"include\":[\"in/**\"]}", "out/a", false},
        {"{\"include\":[\"*\"]}", "with\nnewline", true},
        {"{\"include\":[\"*\"]}", "\xff\xfe", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct zone_def *d = make(cases[i].spec);
        const bool wanted = zone_wants(d, slice_of(base(cases[i].path)), slice_of(cases[i].path));
        if (wanted != cases[i].wanted)
            print_error("%s: %s\n", cases[i].spec, cases[i].path);
        assert_int_equal(wanted, cases[i].wanted);
        zone_def_unref(d);
    }
}

static void directories(void **state)
{
    struct zone_def *flat = make("{}"), *deep = make("{\"recursive\":true}");
    assert_false(zone_enters(flat, SLICE("a"), SLICE("a")));
    assert_true(zone_enters(deep, SLICE("a"), SLICE("a")));
    assert_false(zone_enters(deep, SLICE(".git"), SLICE("a/.git")));
    assert_false(zone_def_same_files(flat, deep));
    zone_def_unref(flat);
    zone_def_unref(deep);
}

static void what_is_stored_says_all_and_can_be_read_back(void **state)
{
    struct zone_def *a = make("{\"include\":[\"*.csv\"],\"settle_ms\":5,\"rescan_seconds\":7,"
                              "\"initial\":\"fire\",\"description\":\"d\"}");
    assert_string_equal(
        a->spec, "{\"description\":\"d\",\"include\":[\"*.csv\"],\"exclude\":[\".*\",\"*.tmp\",\"*."
                 "part\",\"*.crdownload\",\"*~\"],"
                 "\"recursive\":false,\"settle_ms\":5,\"rescan_seconds\":7,\"initial\":\"fire\"}");
    struct zone_def *b = make(a->spec);
    assert_string_equal(a->spec, b->spec);
    assert_true(zone_def_same_files(a, b));
    assert_true(b->fire_existing && b->settle_ms == 5 && b->rescan_ms == 7000);
    zone_def_unref(a);
    zone_def_unref(b);
}

static void definitions_are_counted(void **state)
{
    struct zone_def *d = make("{}");
    assert_ptr_equal(zone_def_ref(d), d);
    zone_def_unref(d);
    assert_true(zone_wants(d, SLICE("a"), SLICE("a")));
    zone_def_unref(d);
    zone_def_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(directories),
        cmocka_unit_test(what_is_stored_says_all_and_can_be_read_back),
        cmocka_unit_test(definitions_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
