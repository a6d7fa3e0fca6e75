#include "api/auth.h"
#include "api/webhook_url.h"
#include "base/check.h"
#include "io/secret/secret.h"
#include "io/store/db.h"
#include "io/store/query.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void credentials(void **state)
{
    static const struct {
        const char *header, *key; /* key NULL: there is none */
    } rows[] = {
        {"Bearer abc", "abc"},
        {"bearer   abc  ", "abc"},
        {"BEARER a b", "a b"},
        {"Basic dTpw", "p"},       /* u:p */
        {"basic OnA=", "p"},       /* :p */
        {"Basic dTpwOnE=", "p:q"}, /* u:p:q */
        {"Basic dTo=", ""},        /* u: */
        {"Basic dXA=", NULL},      /* up */
        {"Basic !!!!", NULL},
        {"Basic", NULL},
        {"Basic ", NULL},
        {"Bearer", NULL},
        {"Bearer ", NULL},
        {"Bearerabc", NULL},
        {"Digest abc", NULL},
        {"abc", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str key = {0};
        const bool found = auth_credentials_key(slice_of(rows[i].header), &key);
        if (found != (rows[i].key != NULL))
            fail_msg("'%s': %s", rows[i].header, found ? "a key was found" : "no key was found");
        if (found)
            assert_true(slice_is((struct slice){key.p != NULL ? key.p : "", key.len}, rows[i].key));
        str_release(&key);
    }
}

static void add_key(struct db *db, const char *name, const char *key)
{
    uint8_t hash[SHA256_SIZE];
    sha256(slice_of(key), hash);
    assert_int_equal(store_add_key(db, name, hash, (struct wall){1000}), 0);
}

static void keys_come_from_the_store(void **state)
{
    char dir[] = "/tmp/pawl-test-auth-XXXXXX", command[64];
    struct diag why = {.msg = ""};
    assert_non_null(mkdtemp(dir));
    struct db *db = db_open(dir, &why);
    if (db == NULL)
        fail_msg("%s", why.msg);
    struct auth *a = auth_create();
    assert_int_equal(auth_load(a, db), 0);
    assert_int_equal(auth_key_count(a), 0);
    assert_false(auth_knows(a, SLICE("one")));

    add_key(db, "first", "one");
    add_key(db, "second", "two");
    assert_false(auth_knows(a, SLICE("one")));
    assert_int_equal(auth_load(a, db), 0);
    assert_int_equal(auth_key_count(a), 2);
    assert_true(auth_knows(a, SLICE("one")));
    assert_true(auth_knows(a, SLICE("two")));
    assert_false(auth_knows(a, SLICE("on")));
    assert_false(auth_knows(a, SLICE("")));
    assert_false(auth_knows(a, SLICE_NONE));

    assert_int_equal(store_drop_key(db, "first"), 0);
    assert_int_equal(auth_load(a, db), 0);
    assert_false(auth_knows(a, SLICE("one")));
    assert_true(auth_knows(a, SLICE("two")));
    auth_destroy(a);
    db_close(db);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void hosts(void **state)
{
    static const char *const good[] = {
        "a",     "localhost", "localhost:1",       "a.b-c_d.example:65535", "127.0.0.1:80",
        "[::1]", "[::1]:80",  "[::ffff:1.2.3.4]:1"};
    static const char *const bad[] = {"",       ":",        ":80",  "a:",   "a:0",  "a:65536",
                                      "a:8x",   "a:1:2",    "[",    "[]",   "[::1", "[::1]80",
                                      "[::1]:", "[g::]",    "a b",  "a/b",  "a@b",  "a\"",
                                      "a\n",    "\xc3\xa4", "a:-1", "a:+1", "::1"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (!host_valid(slice_of(good[i])))
            fail_msg("'%s' was refused", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (host_valid(slice_of(bad[i])))
            fail_msg("'%s' was taken", bad[i]);
    assert_false(host_valid(SLICE_NONE));
    assert_false(host_valid((struct slice){"a\0b", 3}));
    char longest[256];
    memset(longest, 'a', sizeof(longest));
    assert_true(host_valid((struct slice){longest, 255}));
    assert_false(host_valid((struct slice){longest, 256}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials),
        cmocka_unit_test(keys_come_from_the_store),
        cmocka_unit_test(hosts),
    };
    secret_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
