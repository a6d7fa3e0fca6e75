/* base64.h - bytes as base64 (RFC 4648, section 4). For io/store only. */
#ifndef IO_STORE_BASE64_H
#define IO_STORE_BASE64_H
#include "base/str.h"

void str_add_base64(struct str *s, struct slice bytes);

#endif
