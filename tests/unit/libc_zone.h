/* libc_zone.h - time zones as the C library understands them: somebody else's reading of the
 * same files, for tests to agree with. */
#ifndef TESTS_UNIT_LIBC_ZONE_H
#define TESTS_UNIT_LIBC_ZONE_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Zones of every kind: half hours, quarters, 45 minutes, both hemispheres, half-hour daylight
 * saving time, negative daylight saving time (Dublin), changes at midnight, at other odd hours,
 * twice a year around Ramadan, skipped and repeated days, and none at all. */
static const char *const test_zones[] = {
    "Africa/Cairo",     "Africa/Casablanca",   "Africa/Lagos",       "Africa/Monrovia",
    "America/Asuncion", "America/Caracas",     "America/Chicago",    "America/Havana",
    "America/Juneau",   "America/Los_Angeles", "America/New_York",   "America/Nuuk",
    "America/Phoenix",  "America/Santiago",    "America/Sao_Paulo",  "America/Scoresbysund",
    "America/St_Johns", "Antarctica/Troll",    "Asia/Amman",         "Asia/Beirut",
    "Asia/Dhaka",       "Asia/Gaza",           "Asia/Jerusalem",     "Asia/Kathmandu",
    "Asia/Kolkata",     "Asia/Manila",         "Asia/Pyongyang",     "Asia/Tehran",
    "Asia/Tokyo",       "Atlantic/Azores",     "Australia/Adelaide", "Australia/Lord_Howe",
    "Australia/Sydney", "Europe/Berlin",       "Europe/Dublin",      "Europe/Istanbul",
    "Europe/Lisbon",    "Europe/London",       "Europe/Moscow",      "Europe/Volgograd",
    "Pacific/Apia",     "Pacific/Auckland",    "Pacific/Chatham",    "Pacific/Fakaofo",
    "Pacific/Honolulu", "Pacific/Kiritimati",  "Pacific/Kwajalein",  "Pacific/Norfolk",
};

/* Everything below is about this zone from now on. */
static inline void libc_use(const char *zone)
{
    char tz[128];
    snprintf(tz, sizeof(tz), ":%s", zone);
    setenv("TZ", tz, 1);
    tzset();
}

static inline struct tm libc_local(int64_t t)
{
    const time_t at = (time_t)t;
    struct tm tm;
    if (localtime_r(&at, &tm) == NULL)
        abort();
    return tm;
}

static inline int32_t libc_offset(int64_t t)
{
    return (int32_t)libc_local(t).tm_gmtoff;
}

/* The first instant in (from, until] with another offset than the one before; 0 when there is
 * none. Looks once every 18 hours: what comes and goes in between is not seen. */
static inline int64_t libc_change(int64_t from, int64_t until)
{
    const int64_t step = 18 * 3600;
    for (int64_t t = from; t < until; t += step) {
        int64_t low = t, high = t + step < until ? t + step : until;
        if (libc_offset(low) == libc_offset(high))
            continue;
        while (high - low > 1) {
            const int64_t middle = low + (high - low) / 2;
            if (libc_offset(middle) == libc_offset(low))
                low = middle;
            else
                high = middle;
        }
        return high;
    }
    return 0;
}

#endif
