/* json_scan.h - parts of a JSON text as they were written: where parsing and printing again would change digits of numbers.
 *
 * The text has been checked before (json_compact says whether it is JSON); of any other text the parts are nonsense, but within it.
 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H
#include "base/str.h"
#include <stdbool.h>

/* The rest without blanks, commas and colons at its front: they only part one thing from the next. */
struct slice json_scan_next(struct slice rest);

/* The length of the value that s begins with; 0 at its end and at a closing bracket. */
size_t json_scan_len(struct slice s);

/* The value of the first member with that name, in which nothing may need an escape; absent when there is none. */
struct slice json_scan_member(struct slice object, const char *name);

/* The items of an array, one by one: `rest` begins as the array and becomes what is left of it. False at the end. */
bool json_scan_item(struct slice *rest, struct slice *ret);

#endif
