/* secret.h - tokens and hashes: all cryptography comes from libsodium, and only through here.
 *
 * Plaintext tokens are shown once and never kept; what is kept is their SHA-256.
 */
#ifndef IO_SECRET_SECRET_H
#define IO_SECRET_SECRET_H
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define TOKEN_BYTES 32
#define TOKEN_TEXT_LEN 64

void secret_init(void); /* once, before anything else here; aborts if the system has no randomness */
void secret_random(void *p, size_t len);
void secret_token(char ret[TOKEN_TEXT_LEN + 1]); /* 32 random bytes as lower-case hex */
void sha256(struct slice text, uint8_t ret[SHA256_SIZE]);
void sha256_hex(struct slice text, char ret[2 * SHA256_SIZE + 1]);
/* HMAC-SHA256 (RFC 2104) of the texts one after the other, under a key of any length. */
void hmac_sha256(struct slice key, const struct slice *texts, size_t n, uint8_t ret[SHA256_SIZE]);
bool secret_equal(const void *a, const void *b, size_t len); /* in constant time */
void secret_wipe(void *p, size_t len);                       /* not optimised away */

#endif
