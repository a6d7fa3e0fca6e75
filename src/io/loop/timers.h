/* timers.h - every deadline of the daemon on one uv_timer.
 *
 * A core/wheel driven by the loop's monotonic clock. The uv_timer is armed at the wheel's exact next expiry and stopped when
 * nothing is set: an idle loop is never woken.
 */
#ifndef IO_LOOP_TIMERS_H
#define IO_LOOP_TIMERS_H
#include "core/wheel.h"
#include "pawl/time.h"
#include <uv.h>

struct timers {
    struct wheel wheel;
    uv_loop_t *loop;
    uv_timer_t alarm;
    uint64_t armed_at; /* the alarm's expiry, WHEEL_NEVER when stopped */
    uv_prepare_t correction; /* active when the alarm is too early because the first timer went away */
    unsigned open;           /* handles */
    void (*closed)(struct timers *t);
};

/* A deadline. Embed it; zero it before first use. fired() may set it again, cancel others, or free the owner. */
struct timer {
    struct wheel_timer w;
    void (*fired)(struct timer *t);
};

void timers_init(struct timers *ts, uv_loop_t *loop);
void timer_set(struct timers *ts, struct timer *t, uint64_t in_ms); /* from the loop's now; moves it when set */
void timer_cancel(struct timers *ts, struct timer *t);             /* nothing happens when it is not set */
void timers_close(struct timers *ts, void (*closed)(struct timers *ts)); /* timers still set never fire; closed may be NULL */

/* Both clocks at the instant of the loop's cached monotonic time (CLOCK_MONOTONIC). */
struct now clock_now(uv_loop_t *loop);

#endif
