#include "io/secret/webhook_sign.h"
#include "base/base64.h"
#include "base/check.h"
#include "io/secret/secret.h"
#include <string.h>

/* Appends the key that the text stands for; false when it stands for none. */
static bool decode(struct slice secret, struct str *key)
{
    const size_t prefix = strlen(WEBHOOK_SECRET_PREFIX);
    if (!slice_starts(secret, WEBHOOK_SECRET_PREFIX))
        return false;
    return base64_decode((struct slice){secret.p + prefix, secret.len - prefix}, key) &&
           key->len >= WEBHOOK_SECRET_BYTES_MIN && key->len <= WEBHOOK_SECRET_BYTES_MAX;
}

static void forget(struct str *key)
{
    if (key->p != NULL)
        secret_wipe(key->p, key->len);
    str_release(key);
}

bool webhook_secret_valid(struct slice secret)
{
    struct str key = {0};
    const bool valid = decode(secret, &key);
    forget(&key);
    return valid;
}

void webhook_sign(struct str *out, struct slice secret, struct slice id, int64_t timestamp,
                  struct slice body)
{
    struct str key = {0}, front = {0};
    uint8_t hmac[SHA256_SIZE];
    CHECK(decode(secret, &key));
    str_add_slice(&front, id);
    str_add_char(&front, '.');
    str_add_i64(&front, timestamp);
    str_add_char(&front, '.');
    const struct slice texts[] = {str_slice(&front), body};
    hmac_sha256(str_slice(&key), texts, ARRAY_SIZE(texts), hmac);
    str_add_cstr(out, "v1,");
    str_add_base64(out, (struct slice){(const char *)hmac, sizeof(hmac)});
    str_release(&front);
    forget(&key);
}
