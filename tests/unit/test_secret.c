#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/check.h"
#include "base/hex.h"
#include "base/mem.h"
#include "io/secret/secret.h"

/* FIPS 180-2, appendix B, and the empty text. */
static const struct {
    const char *text, *hash;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void assert_hash(struct slice text, const char *expected)
{
    uint8_t hash[SHA256_SIZE], wanted[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];

    sha256_hex(text, hex);
    assert_string_equal(hex, expected);
    sha256(text, hash);
    assert_true(hex_decode(slice_of(expected), wanted, sizeof(wanted)));
    assert_memory_equal(hash, wanted, sizeof(hash));
}

/* RFC 4231, test cases 1, 2 and 6. */
static void test_hmac(void **state)
{
    static const char key_0b[] = "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                                 "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b";
    char key_aa[131];
    memset(key_aa, 0xaa, sizeof(key_aa));
    const struct {
        struct slice key, texts[3];
        const char *hmac;
    } cases[] = {
        {SLICE(key_0b),
         {SLICE("Hi There")},
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {SLICE("Jefe"),
         {SLICE("what do ya want "), SLICE(""), SLICE("for nothing?")},
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {{key_aa, sizeof(key_aa)},
         {SLICE("Test Using Larger Than Block-Size Key"), SLICE(" - "), SLICE("Hash Key First")},
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t h[SHA256_SIZE];
        char hex[2 * SHA256_SIZE + 1];
        hmac_sha256(cases[i].key, cases[i].texts, ARRAY_SIZE(cases[i].texts), h);
        hex_encode(h, sizeof(h), hex);
        assert_string_equal(hex, cases[i].hmac);
    }
}

static void test_sha256(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
        assert_hash(slice_of(vectors[i].text), vectors[i].hash);
}

static void test_sha256_of_a_million_letters(void **state)
{
    char *text = mem_alloc(1000000);

    memset(text, 'a', 1000000);
    assert_hash((struct slice){text, 1000000},
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(text);
}

static void test_sha256_of_nothing(void **state)
{
    assert_hash(SLICE_NONE, vectors[0].hash);
}

static void test_tokens(void **state)
{
    char a[TOKEN_TEXT_LEN + 1], b[TOKEN_TEXT_LEN + 1];

    memset(a, 'x', sizeof(a));
    secret_token(a);
    secret_token(b);
    assert_int_equal(strlen(a), TOKEN_TEXT_LEN);
    assert_int_equal(strspn(a, "0123456789abcdef"), TOKEN_TEXT_LEN);
    assert_string_not_equal(a, b);
}

static void test_equal(void **state)
{
    uint8_t a[32], b[32];

    secret_random(a, sizeof(a));
    memcpy(b, a, sizeof(b));
    assert_true(secret_equal(a, b, sizeof(a)));
    for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(secret_equal(a, b, sizeof(a)));
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(secret_equal(a, b, 0));
}

static void test_wipe(void **state)
{
    uint8_t a[40];

    memset(a, 7, sizeof(a));
    secret_wipe(a + 4, 32);
    for (size_t i = 0; i < sizeof(a); i++)
        assert_int_equal(a[i], i < 4 || i >= 36 ? 7 : 0);
}

static int setup(void **state)
{
    secret_init();
    secret_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sha256_of_a_million_letters),
        cmocka_unit_test(test_sha256_of_nothing),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_wipe),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
