/* tzdata.h - the system's time zones by their IANA names: each is read once and shared.
 *
 * A name is made of 1 to 3 parts such as `America/Port-au-Prince`: letters, digits, '_', '+', '-',
 * each part beginning with a capital. So no name leaves the directory, and the files there that are
 * no zones (`localtime`, `posix/...`, `right/...`, `zone.tab`) have none.
 *
 *     struct tzdata *zones = tzdata_create(NULL);
 *     const struct tz *tz;
 *     if (tzdata_get(zones, "Europe/Berlin", &tz, &why) < 0) ...   why.msg says it
 *
 * The first tzdata_get() of a name reads a file of a few KiB, later ones do not touch the disk:
 * what the operator installs meanwhile is seen by the next tzdata_create(). For one thread.
 */
#ifndef IO_TZDATA_TZDATA_H
#define IO_TZDATA_TZDATA_H
#include "core/tz.h"

#define TZDATA_DIR_DEFAULT "/usr/share/zoneinfo"
#define TZDATA_NAME_MAX 64 /* bytes of a name */

struct tzdata;

struct tzdata *tzdata_create(const char *dir); /* NULL: the default; not looked at yet */
void tzdata_destroy(struct tzdata *z);         /* with all its zones; NULL is fine */

/* The zone of that name. It lives as long as z. `UTC` and `Etc/UTC` need no file and are NULL
 * (core/tz.h). 0; -EINVAL with *reterr when there is no such zone, or its file cannot be read or
 * is not valid: the message says which. */
int tzdata_get(struct tzdata *z, const char *name, const struct tz **ret, struct diag *reterr);

#endif
