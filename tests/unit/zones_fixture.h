/* zones_fixture.h - the time zones of this machine, for a group of tests. */
#ifndef UNIT_ZONES_FIXTURE_H
#define UNIT_ZONES_FIXTURE_H
#include "io/tzdata/tzdata.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct tzdata *zones;

/* NULL: UTC. */
static inline const struct tz *zone(const char *name)
{
    const struct tz *tz = NULL;
    struct diag why;
    if (name != NULL && tzdata_get(zones, name, &tz, &why) < 0)
        fail_msg("%s (is tzdata installed?)", why.msg);
    return tz;
}

static inline int zones_setup(void **state)
{
    zones = tzdata_create(NULL);
    return 0;
}

static inline int zones_teardown(void **state)
{
    tzdata_destroy(zones);
    return 0;
}

#endif
