#include <time.h>
#include "base/check.h"
#include "io/loop/timers.h"

struct now clock_now(uv_loop_t *loop)
{
    struct timespec ts;

    CHECK(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return (struct now){
        .mono = {uv_now(loop)},
        .wall = {(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000},
    };
}
