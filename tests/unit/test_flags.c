#include "base/check.h"
#include "cli/flags.h"
#include "cli/suggest.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct flag table[] = {
    {"data", "DIR", "where", FLAG_ONCE},
    {"listen", "ADDR:PORT", "where else", FLAG_REPEATABLE},
    {"loud", NULL, "say more", FLAG_ONCE, 'l'},
    {"count", "N", "how many", FLAG_ONCE, 'n'},
    {NULL},
};

static int parse(struct flags *f, struct diag *why, int argc, const char *const *argv)
{
    return flags_parse(f, table, argc, (char **)(void *)argv, why);
}
#define PARSE(f, why, ...)                                                                         \
    parse((f), (why), (int)ARRAY_SIZE(((const char *[]){__VA_ARGS__})),                            \
          (const char *[]){__VA_ARGS__})

static void reads_both_forms(void **state)
{
    struct flags f;
    struct diag why;
    assert_int_equal(PARSE(&f, &why, "--listen", "a:1", "x", "--listen=b:2", "--loud", "--data=--d",
                           "-", "--", "--data"),
                     0);
    assert_string_equal(flags_at(&f, "listen", 0), "a:1");
    assert_string_equal(flags_at(&f, "listen", 1), "b:2");
    assert_null(flags_at(&f, "listen", 2));
    assert_string_equal(flags_get(&f, "data", "?"), "--d");
    assert_non_null(flags_at(&f, "loud", 0));
    assert_int_equal(f.args.len, 3);
    assert_string_equal(f.args.items[0], "x");
    assert_string_equal(f.args.items[1], "-");
    assert_string_equal(f.args.items[2], "--data");
    flags_release(&f);

    assert_int_equal(PARSE(&f, &why, "x"), 0);
    assert_string_equal(flags_get(&f, "data", "?"), "?");
    assert_null(flags_at(&f, "loud", 0));
    flags_release(&f);
}

static void reads_letters(void **state)
{
    struct flags f;
    struct diag why;
    assert_int_equal(PARSE(&f, &why, "-n", "5", "x", "-l", "--", "-n"), 0);
    assert_string_equal(flags_get(&f, "count", "?"), "5");
    assert_non_null(flags_at(&f, "loud", 0));
    assert_int_equal(f.args.len, 2);
    flags_release(&f);
    assert_int_equal(PARSE(&f, &why, "-n5"), 0);
    assert_string_equal(flags_get(&f, "count", "?"), "5");
    flags_release(&f);
    assert_int_equal(PARSE(&f, &why, "--count=5"), 0);
    assert_string_equal(flags_get(&f, "count", "?"), "5");
    flags_release(&f);
}

static void help_comes_first(void **state)
{
    struct flags f;
    struct diag why;
    assert_int_equal(PARSE(&f, &why, "--help", "--bogus"), 0);
    assert_true(f.help);
    flags_release(&f);
    assert_int_equal(PARSE(&f, &why, "-h"), 0);
    assert_true(f.help);
    flags_release(&f);
}

static void errors_name_the_flag(void **state)
{
    static const struct {
        const char *args[3];
        const char *msg;
    } rows[] = {
        {{"--lisen", "a"}, "unknown option '--lisen'; did you mean '--listen'?"},
        {{"--dtaa=x"}, "unknown option '--dtaa'; did you mean '--data'?"},
        {{"--zzz"}, "unknown option '--zzz'"},
        {{"-d"}, "unknown option '-d'"},
        {{"-n"}, "--count: needs a value: --count N"},
        {{"-n", ""}, "--count: the value is empty"},
        {{"-n1", "-n", "2"}, "--count: is given more than once"},
        {{"-ln"}, "--loud: takes no value"},
        {{"--data"}, "--data: needs a value: --data DIR"},
        {{"--data="}, "--data: the value is empty"},
        {{"--data", ""}, "--data: the value is empty"},
        {{"--data=a", "--data=b"}, "--data: is given more than once"},
        {{"--loud=1"}, "--loud: takes no value"},
        {{"--dat", "x"}, "unknown option '--dat'; did you mean '--data'?"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct flags f;
        struct diag why;
        int argc = 0;
        while (argc < 3 && rows[i].args[argc] != NULL)
            argc++;
        assert_int_equal(parse(&f, &why, argc, rows[i].args), -EINVAL);
        assert_string_equal(why.msg, rows[i].msg);
    }
}

static void distances(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned d;
    } rows[] = {
        {"", "", 0},          {"serve", "serve", 0}, {"serve", "sever", 2},
        {"serv", "serve", 1}, {"sevre", "serve", 1}, {"key", "version", 4},
        {"abc", "", 3},       {"ab", "ba", 1},       {"kitten", "sitting", 3},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(suggest_distance(rows[i].a, rows[i].b, 3), rows[i].d);
        assert_int_equal(suggest_distance(rows[i].b, rows[i].a, 3), rows[i].d);
    }
    assert_int_equal(suggest_distance("a", "a123456789012345678901234567890123456789", 3), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_both_forms), cmocka_unit_test(reads_letters),
        cmocka_unit_test(help_comes_first), cmocka_unit_test(errors_name_the_flag),
        cmocka_unit_test(distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
