/* slurp.h - everything that a descriptor gives, up to a limit. */
#ifndef BASE_SLURP_H
#define BASE_SLURP_H
#include "base/str.h"

/* Appends what can be read from fd until its end, whatever signals come. Stops early when ret is longer than bytes_max: the caller compares, and
 * says that it is too long. 0, or a negative errno; ret holds what was read before. Blocks as long as fd does. */
int slurp(int fd, size_t bytes_max, struct str *ret);

#endif
