/* schedule.h - when a trigger fires by itself: a calendar schedule, its zone, and what to do about missed times.
 *
 * A plain value; free() releases it. timing.c acts on it.
 */
#ifndef CORE_SCHEDULE_H
#define CORE_SCHEDULE_H
#include "core/cron.h"
#include "pawl/time.h"
#include <stdint.h>

struct tz;

/* What becomes of due times that passed while nobody looked: the daemon was down, the machine slept, the clock was set forward. */
enum misfire {
    MISFIRE_FIRE_ONCE, /* the latest of them fires */
    MISFIRE_SKIP,      /* none of them does */
    MISFIRE_FIRE_ALL,  /* each of them fires, SCHEDULE_FIRE_ALL_MAX at most */
};

#define SCHEDULE_FIRE_ALL_MAX 1000

struct schedule {
    struct cron cron;
    const struct tz *tz;       /* NULL: UTC; borrowed, lives as long as the process */
    uint32_t misfire_window_s; /* older ones are forgotten, whatever the policy */
    uint32_t jitter_s : 30;    /* each firing is put off by a random time up to this */
    enum misfire misfire : 2;
};

#endif
