#include <time.h>
#include "base/check.h"
#include "io/loop/timers.h"

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec ts;

    CHECK(clock_gettime(clock, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The loop's monotonic time is as old as the loop's turn. The wall time is set back by as much: were
 * it newer, two events at the ends of long and short turns would be closer together by one clock
 * than by the other, and a cooldown kept by one of them broken by the other. */
struct now clock_now(uv_loop_t *loop)
{
    const uint64_t mono_ms = uv_now(loop);
    const int64_t age_ns = nanoseconds(CLOCK_MONOTONIC) - (int64_t)mono_ms * 1000000;

    return (struct now){
        .mono = {mono_ms},
        .wall = {(nanoseconds(CLOCK_REALTIME) - age_ns) / 1000000},
    };
}
