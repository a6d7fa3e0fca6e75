#include "core/selector.h"
#include "base/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* Against the labels {"a":"x","b":"","app.io/tier":"in"}. */
static const struct {
    const char *text;
    int matches; /* -1: refused */
} labels[] = {
    {"", 1},
    {"  ", 1},
    {"a", 1},
    {"!a", 0},
    {"z", 0},
    {"!z", 1},
    {" ! z ", 1},
    {"a=x", 1},
    {"a==x", 1},
    {" a = x ", 1},
    {"a=y", 0},
    {"a!=y", 1},
    {"a!=x", 0},
    {"z!=x", 1}, /* what is not there is something else */
    {"z=x", 0},
    {"b=", 1},
    {"b", 1},
    {"a=", 0},
    {"a in (x,y)", 1},
    {"a in(x)", 1},
    {"a in ( y , x )", 1},
    {"a in (y)", 0},
    {"b in (,x)", 1},
    {"z in (x)", 0},
    {"a notin (x,y)", 0},
    {"a notin (y)", 1},
    {"z notin (x)", 1},
    {"a=x,b=", 1},
    {"a=x,z", 0},
    {"a in (x,y),!z,b!=1", 1},
    {"app.io/tier=in", 1},
    {"app.io/tier in (in,out)", 1},
    {"in", 0},
    {"in=1", 0},
    {"!in", 1},
    {"a=x,", -1},
    {",a=x", -1},
    {"=x", -1},
    {"a in", -1},
    {"a in x", -1},
    {"a in (x", -1},
    {"a (x)", -1},
    {"a=x y", -1},
    {"a>1", -1},
    {"!a=x", -1},
    {"a=\"x\"", -1},
};

static void label_selectors(void **state)
{
    json_t *v = json_pack("{s:s,s:s,s:s}", "a", "x", "b", "", "app.io/tier", "in");
    for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
        struct diag why = {0};
        struct selector s;
        const int err = selector_parse(slice_of(labels[i].text), &s, &why);
        const int got = err < 0 ? -1 : selector_matches(&s, v);
        if (got != labels[i].matches)
            fail_msg("'%s': %d (%s)", labels[i].text, got, why.msg);
        selector_release(&s);
    }
    json_decref(v);
}

static void without_labels(void **state)
{
    struct selector s;
    assert_int_equal(selector_parse(SLICE("!a,b!=1"), &s, NULL), 0);
    assert_true(selector_matches(&s, NULL));
    selector_release(&s);
    assert_int_equal(selector_parse(SLICE("a"), &s, NULL), 0);
    assert_false(selector_matches(&s, NULL));
    selector_release(&s);
}

/* Against ns/ev. */
static const struct {
    const char *text;
    int matches;
} fields[] = {
    {"", 1},
    {"metadata.name=ev", 1},
    {"metadata.name==ev", 1},
    {"metadata.name=other", 0},
    {"metadata.name!=other", 1},
    {"metadata.namespace=ns", 1},
    {"metadata.namespace!=ns", 0},
    {"metadata.name=ev,metadata.namespace=ns", 1},
    {"metadata.name=ev,metadata.namespace=x", 0},
    {"spec.x=1", -1},
    {"metadata.name", -1},
    {"!metadata.name", -1},
    {"metadata.name in (ev)", 1},
    {"metadata.name in (ev,x)", -1},
};

static void field_selectors(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        struct diag why = {0};
        struct selector s;
        const int err = selector_parse_fields(slice_of(fields[i].text), &s, &why);
        const int got = err < 0 ? -1 : selector_matches_fields(&s, SLICE("ns"), SLICE("ev"));
        if (got != fields[i].matches)
            fail_msg("'%s': %d (%s)", fields[i].text, got, why.msg);
        selector_release(&s);
    }
}

static void names_the_field(void **state)
{
    struct diag why;
    struct selector s;
    assert_true(selector_parse_fields(SLICE("spec.x=1"), &s, &why) < 0);
    assert_string_equal(why.msg, "field label not supported: spec.x");
    selector_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_selectors),
        cmocka_unit_test(without_labels),
        cmocka_unit_test(field_selectors),
        cmocka_unit_test(names_the_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
