/* hex.h - bytes as lower-case hexadecimal, and back. */
#ifndef BASE_HEX_H
#define BASE_HEX_H
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

void hex_encode(const uint8_t *p, size_t len, char *ret); /* writes 2 * len digits and a NUL */
bool hex_decode(struct slice text, uint8_t *ret, size_t len); /* text must be exactly 2 * len digits, either case */

#endif
