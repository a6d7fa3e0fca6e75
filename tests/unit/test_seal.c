#include "io/secret/seal.h"
#include "base/check.h"
#include "io/secret/secret.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[32], file[64];
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    secret_init();
    strcpy(p->dir, "seal.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->file, sizeof(p->file), "%s/" SEAL_KEY_FILE, p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    unlink(p->file);
    rmdir(p->dir);
    free(p);
    return 0;
}

static void what_is_sealed_is_read_again(void **state)
{
    struct place *p = *state;
    struct seal s, again;
    struct stat st;
    char text[6] = {0};
    uint8_t sealed[5 + SEAL_OVERHEAD], other[5 + SEAL_OVERHEAD];
    assert_int_equal(seal_open(&s, p->dir, NULL), 0);
    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    seal_text(&s, SLICE("token"), sealed);
    seal_text(&s, SLICE("token"), other);
    assert_memory_not_equal(sealed, other, sizeof(sealed));
    assert_null(memmem(sealed, sizeof(sealed), "token", 5));
    assert_int_equal(seal_open(&again, p->dir, NULL), 0);
    assert_true(seal_read(&again, (struct slice){(char *)sealed, sizeof(sealed)}, text));
    assert_string_equal(text, "token");
    for (size_t i = 0; i < sizeof(sealed); i++) {
        sealed[i] ^= 1;
        assert_false(seal_read(&s, (struct slice){(char *)sealed, sizeof(sealed)}, text));
        sealed[i] ^= 1;
    }
    assert_false(seal_read(&s, (struct slice){(char *)sealed, SEAL_OVERHEAD - 1}, text));
}

static void write_file(const char *path, size_t size, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < size; i++)
        fputc('k', f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void a_wrong_key_file_is_refused(void **state)
{
    struct place *p = *state;
    static const struct {
        size_t size;
        mode_t mode;
        const char *why;
    } rows[] = {
        {SEAL_KEY_SIZE, 0644, "is open to others (mode 0644)"},
        {SEAL_KEY_SIZE - 1, 0600, "holds no key"},
        {SEAL_KEY_SIZE + 1, 0600, "holds no key"},
        {0, 0600, "holds no key"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct seal s;
        struct diag why = {0};
        write_file(p->file, rows[i].size, rows[i].mode);
        assert_true(seal_open(&s, p->dir, &why) < 0);
        assert_non_null(strstr(why.msg, rows[i].why));
        unlink(p->file);
    }
    struct seal s;
    struct diag why = {0};
    assert_true(seal_open(&s, "nowhere/at/all", &why) < 0);
    assert_non_null(strstr(why.msg, "cannot be written"));
    assert_int_equal(symlink("elsewhere", p->file), 0);
    assert_true(seal_open(&s, p->dir, &why) < 0);
    assert_non_null(strstr(why.msg, "no regular file"));
    unlink(p->file);
    assert_int_equal(mkfifo(p->file, 0600), 0); /* nobody will ever write into it */
    assert_true(seal_open(&s, p->dir, &why) < 0);
    assert_non_null(strstr(why.msg, "no regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_sealed_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_key_file_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
