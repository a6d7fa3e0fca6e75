#include "io/secret/lease.h"
#include "io/secret/secret.h"
#include <string.h>

struct lease_hash lease_hash_of(const struct lease_token *t)
{
    uint8_t whole[SHA256_SIZE];
    struct lease_hash h;
    sha256((struct slice){(const char *)t->b, sizeof(t->b)}, whole);
    memcpy(h.b, whole, sizeof(h.b));
    return h;
}

void lease_token_make(struct lease_token *ret, struct lease_hash *ret_hash)
{
    secret_random(ret->b, sizeof(ret->b));
    *ret_hash = lease_hash_of(ret);
}
