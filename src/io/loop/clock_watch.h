/* clock_watch.h - says when the wall clock was set, by somebody or by waking up from suspension.
 *
 * A timerfd that the kernel cancels when CLOCK_REALTIME is set: nothing is polled, and an idle daemon sleeps. Slewing, as NTP
 * does it all day, is not reported.
 */
#ifndef IO_LOOP_CLOCK_WATCH_H
#define IO_LOOP_CLOCK_WATCH_H
#include <stdbool.h>
#include <uv.h>

/* Embed it. All zero means "not open". */
struct clock_watch {
    void (*stepped)(struct clock_watch *w);
    void (*closed)(struct clock_watch *w);
    uv_poll_t poll;
    int fd;
    bool open;
};

/* Begins to watch: stepped() is called on the loop, after each step. 0, or a negative errno: then nothing is open. */
int clock_watch_open(struct clock_watch *w, uv_loop_t *loop, void (*stepped)(struct clock_watch *));

/* Ends watching. closed() is called later, or at once when it was not open; it may free w. */
void clock_watch_close(struct clock_watch *w, void (*closed)(struct clock_watch *w));

#endif
