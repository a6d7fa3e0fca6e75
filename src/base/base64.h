/* base64.h - RFC 4648 base64: how HTTP's Basic credentials are sent, and bytes that are not text are shown. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include "base/str.h"
#include <stdbool.h>

/* Appends what a text stands for. The padding may be missing; anything else that is not the
 * standard alphabet is refused, and *ret is then as it was. */
bool base64_decode(struct slice text, struct str *ret);

/* Appends the bytes in that alphabet, padded. */
void str_add_base64(struct str *s, struct slice bytes);

#endif
