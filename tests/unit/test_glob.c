/* Patterns for files: what they match, and what is said about those that cannot be meant. */
#include "base/check.h"
#include "base/json.h"
#include "core/glob.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct {
    const char *glob, *path;
    bool matches;
} matches[] = {
    {"*.csv", "a.csv", true},
    {"*.csv", "sub/a.csv", true},
    {"*.csv", "a.CSV", false},
    {"[0-9]", "7", true},
    {"[!0-9]", "7", false},
    {"[]a]", "]", true},
    {"[a-]", "-", true},
    {"[[:digit:]]x", "7x", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"sub/*", "sub/a", true},
    {"sub/*", "sub/b/a", false},
    {"**/x", "x", true},
    {"**/x", "a/b/x", true},
    {"a/**", "a/b/c", true},
    {"a/**/z", "a/z", true},
    {"[\\z-\\z]", "z", true},
    {"x[\xd0\xb0-\xd1\x8f]", "y", false},
    {"[[:upper:][:digit:]]", "A", true},
    {"\\[", "[", true},
    {"**/x", "a/b", false},
    {"a/**/z", "a/b", false},
};

static void patterns_match(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(matches); i++) {
        struct json_fields f;
        struct diag why;
        const char *slash = strrchr(matches[i].path, '/');
        const char *name = slash != NULL ? slash + 1 : matches[i].path;
        json_fields_begin(&f, NULL, "", &why);
        if (!glob_check(&f, "pattern", matches[i].glob))
            fail_msg("%s: %s", matches[i].glob, why.msg);
        if (glob_matches(matches[i].glob, slice_of(name), slice_of(matches[i].path)) !=
            matches[i].matches)
            fail_msg("%s and %s", matches[i].glob, matches[i].path);
    }
}

static const struct {
    const char *glob, *why;
} bad[] = {
    {"", "pattern: must not be empty"},
    {"[", "pattern: at column 1: the [ is never closed"},
    {"a*[b", "pattern: at column 3: the [ is never closed"},
    {"[!]", "pattern: at column 1: the [ is never closed"},
    {"[a\\]", "pattern: at column 1: the [ is never closed"},
    {"[[:alpha:]", "pattern: at column 1: the [ is never closed"},
    {"x\\", "pattern: at column 2: the \\ is followed by nothing"},
    {"[z-a]", "pattern: at column 2: the range z-a runs backwards"},
    {"\xe2\x98\x83[0-9z-ab]", "pattern: at column 6: the range z-a runs backwards"},
    {"[\xc3\xa9-z]", "pattern: at column 2: the range \xc3\xa9-z runs backwards"},
    {"[\\z-\\a]", "pattern: at column 2: the range \\z-\\a runs backwards"},
    {"[[:foo:]]", "pattern: at column 2: there is no such class"},
    {"[[:ALPHA:]]", "pattern: at column 2: there is no such class"},
    {"**/**/**/**/**", "pattern: at column 13: there are more than 4 **"},
    {"/srv/in/*.csv",
     "pattern: at column 1: the path below the landing zone does not begin with a slash"},
    {"a//b", "pattern: at column 3: no path has an empty part"},
    {"caf\xc3\xa9/", "pattern: at column 6: no path has an empty part"},
    {"../*", "pattern: at column 1: no path has . or .. in it"},
    {"a/./b", "pattern: at column 3: no path has . or .. in it"},
    {"a[b/c]", "pattern: at column 4: no name has a slash in it, so no set can"},
    {"a\\/b", "pattern: at column 2: a slash cannot be escaped"},
};

static void bad_ones_are_explained(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct json_fields f;
        struct diag why;
        json_fields_begin(&f, NULL, "", &why);
        if (glob_check(&f, "pattern", bad[i].glob))
            fail_msg("%s is taken", bad[i].glob);
        assert_true(f.failed);
        if (strncmp(why.msg, bad[i].why, strlen(bad[i].why)) != 0)
            fail_msg("%s: %s", bad[i].glob, why.msg);
    }
}

static void long_ones_are_refused(void **state)
{
    char glob[GLOB_LEN_MAX + 2];
    struct json_fields f;
    struct diag why;
    memset(glob, 'a', sizeof(glob));
    glob[GLOB_LEN_MAX + 1] = '\0';
    json_fields_begin(&f, NULL, "", &why);
    assert_false(glob_check(&f, "pattern", glob));
    glob[GLOB_LEN_MAX] = '\0';
    json_fields_begin(&f, NULL, "", &why);
    assert_true(glob_check(&f, "pattern", glob));
}

/* No file system has such names. */
static void long_names_match_nothing(void **state)
{
    char name[NAME_MAX + 2];
    memset(name, 'a', sizeof(name));
    for (size_t len = NAME_MAX; len <= NAME_MAX + 1; len++) {
        const struct slice s = {name, len};
        char path[NAME_MAX + 4] = "b/";
        memcpy(path + 2, name, len);
        path[2 + len] = '\0';
        assert_int_equal(glob_matches("b/*", s, slice_of(path)), len == NAME_MAX);
        assert_int_equal(glob_matches("b/a*a", s, slice_of(path)), len == NAME_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match),
        cmocka_unit_test(bad_ones_are_explained),
        cmocka_unit_test(long_ones_are_refused),
        cmocka_unit_test(long_names_match_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
