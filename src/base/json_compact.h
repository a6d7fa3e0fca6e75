/* json_compact.h - checks that a text is one JSON value and copies it without the blanks between
 * its tokens.
 *
 * Unlike parsing and printing again it changes nothing else: numbers keep every digit they were
 * written with, members keep their order, strings keep their escapes. One pass, no tree, no
 * allocation but the output.
 */
#ifndef BASE_JSON_COMPACT_H
#define BASE_JSON_COMPACT_H
#include "base/str.h"
#include <stdbool.h>

#define JSON_COMPACT_DEPTH_MAX 64

/* Appends the value (on one line: JSON has no raw newline inside a string) and returns true when
 * the whole text is one JSON value (RFC 8259) nested at most JSON_COMPACT_DEPTH_MAX deep. False
 * otherwise; out is then as it was. */
bool json_compact(struct slice text, struct str *out);

/* The same question without the copy. */
bool json_is_value(struct slice text);

#endif
