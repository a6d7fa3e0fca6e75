/* zone_name.h - the names of uploaded files: what their sender called them, and what they are stored as.
 *
 *     orders.csv  ->  20260213T100500123Z-4f1d2c_orders.csv      when it came, something random, and a name that is safe
 */
#ifndef SOURCE_ZONE_NAME_H
#define SOURCE_ZONE_NAME_H
#include "base/str.h"
#include "pawl/time.h"
#include <stdint.h>

#define ZONE_NAME_LEN_MAX 200
#define ZONE_PREFIX_LEN 27 /* with the _ */

/* Appends a name that is one path component, of at most ZONE_NAME_LEN_MAX bytes of printable UTF-8: the last part of what was given, without
 * what is unsafe in it. "file" when nothing is left. */
void zone_name_make_safe(struct slice given, struct str *ret);

/* Appends what a file of that (safe) name is stored as. */
void zone_name_store(struct slice safe, struct wall now, uint32_t random, struct str *ret);

/* The name in a path below a zone as its sender gave it: the last part, without the prefix of an upload. It has what is behind path behind it. */
struct slice zone_name_of(struct slice path);

#endif
