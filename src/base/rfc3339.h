/* rfc3339.h - wall time as text: RFC 3339, UTC, with Z.
 *
 * Years 0 to 9999. Reading takes any offset and any number of fraction digits (beyond milliseconds they are dropped).
 */
#ifndef BASE_RFC3339_H
#define BASE_RFC3339_H
#include "base/str.h"
#include "pawl/time.h"
#include <stdbool.h>

#define RFC3339_LEN 24 /* 2026-02-13T10:05:00.123Z; without a fraction when it is zero */

void rfc3339_format(struct wall t, char ret[RFC3339_LEN + 1]);
void str_add_time(struct str *s, struct wall t); /* quoted, or null when not set: a JSON value */
bool rfc3339_parse(struct slice text, struct wall *ret); /* *ret untouched on failure */

#endif
