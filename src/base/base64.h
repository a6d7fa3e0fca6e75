/* base64.h - RFC 4648 base64, as HTTP's Basic credentials use it. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include "base/str.h"
#include <stdbool.h>

/* Appends what a text stands for. The padding may be missing; anything else that is not the
 * standard alphabet is refused, and *ret is then as it was. */
bool base64_decode(struct slice text, struct str *ret);

#endif
