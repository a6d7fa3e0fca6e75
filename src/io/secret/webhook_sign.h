/* webhook_sign.h - signatures of outgoing requests by the Standard Webhooks scheme, version 1.
 *
 * The secret is "whsec_" and the base64 of 24 to 64 bytes. What is signed is "id.timestamp.body", by HMAC-SHA256; what is sent is
 * "v1," and the base64 of that. Any thread may call this.
 */
#ifndef IO_SECRET_WEBHOOK_SIGN_H
#define IO_SECRET_WEBHOOK_SIGN_H
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define WEBHOOK_SECRET_PREFIX "whsec_"
#define WEBHOOK_SECRET_BYTES_MIN 24
#define WEBHOOK_SECRET_BYTES_MAX 64

bool webhook_secret_valid(struct slice secret);

/* Appends the value of `webhook-signature`. The secret is valid (CHECKed); id has no dot; timestamp is in seconds since 1970. */
void webhook_sign(struct str *out, struct slice secret, struct slice id, int64_t timestamp, struct slice body);

#endif
