#include "base/check.h"
#include "io/tzdata/tzdata.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static void zones_are_shared(void **state)
{
    struct tzdata *z = tzdata_create(NULL);
    const struct tz *a = NULL, *b = NULL, *c = NULL;
    struct diag why;
    assert_int_equal(tzdata_get(z, "Europe/Berlin", &a, &why), 0);
    assert_int_equal(tzdata_get(z, "America/Argentina/Ushuaia", &c, &why), 0);
    assert_int_equal(tzdata_get(z, "Europe/Berlin", &b, &why), 0);
    assert_non_null(a);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(tz_at(a, 0).offset, 3600);
    assert_int_equal(tzdata_get(z, "Etc/GMT+12", &a, &why), 0);
    assert_int_equal(tz_at(a, 0).offset, -12 * 3600);
    tzdata_destroy(z);
    tzdata_destroy(NULL);
}

static void unknown_names(void **state)
{
    static const char *const rows[] = {
        "",
        "Europe",
        "Europe/",
        "Europe/Atlantis",
        "Europe/Berlin/Mitte",
        "europe/berlin",
        "/Europe/Berlin",
        "/etc/passwd",
        "../../../etc/passwd",
        "Europe/../Europe/Berlin",
        "./Europe/Berlin",
        "Europe//Berlin",
        "Europe/Berlin ",
        " Europe/Berlin",
        ":Europe/Berlin",
        "Europe\\Berlin",
        "Europe/Berl\xc3\xafn",
        "Europe/Berlin\n",
        "A/B/C/D",
        "CET-1CEST",
        "zone.tab",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "localtime",
        "posixrules",
        "Europe/Berlin-and-some-more-and-some-more-and-some-more-and-some-more",
    };
    struct tzdata *z = tzdata_create(NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct tz *tz = (const struct tz *)&rows;
        struct diag why = {0};
        if (tzdata_get(z, rows[i], &tz, &why) != -EINVAL)
            fail_msg("'%s' was found", rows[i]);
        assert_ptr_equal(tz, &rows);
        if (strstr(why.msg, "unknown time zone '") == NULL)
            fail_msg("'%s': %s", rows[i], why.msg);
    }
    tzdata_destroy(z);
}

/* A directory of our own: nothing there, a file that is no zone, too large a one, and one that
 * is no file. */
static void other_directories(void **state)
{
    static const struct {
        const char *name, *says;
    } rows[] = {
        {"Missing", "unknown time zone 'Missing': IANA names"},
        {"Text", "not a valid time zone file: it does not begin like one"},
        {"Large", "File too large"},
        {"Fifo", "unknown time zone 'Fifo'"},
        {"Loop", "Too many levels of symbolic links"},
    };
    char dir[] = "/tmp/test_tzdata.XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, rows[i].name);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        for (size_t n = 0; n < (i == 1 ? 100 : TZ_BYTES_MAX + 1); n++)
            fputc('x', f);
        fclose(f);
    }
    snprintf(path, sizeof(path), "%s/Fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/Loop", dir);
    assert_int_equal(symlink("Loop", path), 0);
    struct tzdata *z = tzdata_create(dir);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct tz *tz = NULL;
        struct diag why = {0};
        assert_int_equal(tzdata_get(z, rows[i].name, &tz, &why), -EINVAL);
        if (strstr(why.msg, rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].name, why.msg);
        snprintf(path, sizeof(path), "%s/%s", dir, rows[i].name);
        unlink(path);
    }
    tzdata_destroy(z);
    assert_int_equal(rmdir(dir), 0);
    /* And no directory at all: only UTC is left. */
    z = tzdata_create(dir);
    const struct tz *tz = (const struct tz *)&rows;
    struct diag why = {0};
    assert_int_equal(tzdata_get(z, "Europe/Berlin", &tz, &why), -EINVAL);
    assert_non_null(strstr(why.msg, "install tzdata"));
    assert_int_equal(tzdata_get(z, "UTC", &tz, &why), 0);
    assert_null(tz);
    tzdata_destroy(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_are_shared),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(other_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
