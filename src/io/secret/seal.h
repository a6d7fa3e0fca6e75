/* seal.h - secrets that must be readable again: on disk they are sealed with a key that lives in a file of its own beside the
 * database, so that a copy of the database alone tells nothing.
 *
 * crypto_secretbox of libsodium (XSalsa20 and Poly1305) with a random nonce in front.
 */
#ifndef IO_SECRET_SEAL_H
#define IO_SECRET_SEAL_H
#include "base/str.h"
#include "pawl/err.h"
#include <stdbool.h>
#include <stdint.h>

#define SEAL_KEY_SIZE 32
#define SEAL_OVERHEAD 40 /* bytes that sealing adds */
#define SEAL_KEY_FILE "secret.key"

struct seal {
    uint8_t key[SEAL_KEY_SIZE];
};

/* Reads the key from the data directory, or makes one there: for its owner only, and on disk when this returns. 0, or a negative
 * errno with *reterr: it cannot be read or written, is no key, or is open to others. For start-up: it waits for the disk. */
int seal_open(struct seal *s, const char *data, struct diag *reterr);

void seal_text(const struct seal *s, struct slice text, uint8_t *ret); /* text.len + SEAL_OVERHEAD bytes */

/* The text, into sealed.len - SEAL_OVERHEAD bytes. False when it was sealed with another key, or was changed. Any thread. */
bool seal_read(const struct seal *s, struct slice sealed, char *ret);

#endif
