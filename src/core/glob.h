/* glob.h - patterns for the names of files.
 *
 * POSIX fnmatch on the file's name; a pattern with a slash is matched on the path below the zone, segment by segment, where `**`
 * stands for any number of segments.
 */
#ifndef CORE_GLOB_H
#define CORE_GLOB_H
#include "base/str.h"
struct json_fields;

#define GLOB_LEN_MAX 255
#define GLOB_STARSTARS_MAX 4

/* Both texts are NUL-terminated. */
bool glob_matches(const char *glob, struct slice name, struct slice path);

/* Whether a pattern can be read and can match: it is not empty nor too long, each [ is closed, its ranges run upwards and its
 * [:classes:] exist, no \ is the last character, there are not too many `**`, and what has a slash looks like a path below the zone. If not, fails the field with what is wrong, and at
 * which column, counted in characters from 1. */
bool glob_check(struct json_fields *f, const char *name, const char *glob);

#endif
