#include "io/secret/secret.h"
#include <sodium.h>
#include "base/check.h"
#include "base/hex.h"

_Static_assert(SHA256_SIZE == crypto_hash_sha256_BYTES, "the size of SHA-256");
_Static_assert(TOKEN_TEXT_LEN == 2 * TOKEN_BYTES, "two digits a byte");

void secret_init(void)
{
    CHECK(sodium_init() >= 0);
}

void secret_random(void *p, size_t len)
{
    randombytes_buf(p, len);
}

void secret_token(char ret[TOKEN_TEXT_LEN + 1])
{
    uint8_t bytes[TOKEN_BYTES];

    secret_random(bytes, sizeof(bytes));
    hex_encode(bytes, sizeof(bytes), ret);
    secret_wipe(bytes, sizeof(bytes));
}

void sha256(struct slice text, uint8_t ret[SHA256_SIZE])
{
    CHECK(crypto_hash_sha256(ret, (const uint8_t *)text.p, text.len) == 0);
}

void sha256_hex(struct slice text, char ret[2 * SHA256_SIZE + 1])
{
    uint8_t hash[SHA256_SIZE];

    sha256(text, hash);
    hex_encode(hash, sizeof(hash), ret);
}

void hmac_sha256(struct slice key, const struct slice *texts, size_t n, uint8_t ret[SHA256_SIZE])
{
    crypto_auth_hmacsha256_state h;

    crypto_auth_hmacsha256_init(&h, (const uint8_t *)key.p, key.len);
    for (size_t i = 0; i < n; i++)
        crypto_auth_hmacsha256_update(&h, (const uint8_t *)texts[i].p, texts[i].len);
    crypto_auth_hmacsha256_final(&h, ret);
    secret_wipe(&h, sizeof(h));
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void secret_wipe(void *p, size_t len)
{
    sodium_memzero(p, len);
}
