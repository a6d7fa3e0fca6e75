#include "io/loop/clock_watch.h"
#include "base/check.h"
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* As far away as a timer may be: it is there to be cancelled, not to expire. */
#define FAR_AWAY_S INT32_MAX

/* read() says ECANCELED once per step and clears it; the timer stays armed. */
static void readable(uv_poll_t *poll, int status, int events)
{
    struct clock_watch *w = container_of(poll, struct clock_watch, poll);
    uint64_t expiries;
    if (read(w->fd, &expiries, sizeof(expiries)) < 0 && errno != ECANCELED)
        return;
    w->stepped(w);
}

static int open_timer(void)
{
    const struct itimerspec far_away = {.it_value.tv_sec = time(NULL) + FAR_AWAY_S};
    const int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far_away, NULL) == 0)
        return fd;
    const int err = -errno;
    close(fd);
    return err;
}

int clock_watch_open(struct clock_watch *w, uv_loop_t *loop, void (*stepped)(struct clock_watch *))
{
    const int fd = open_timer();
    if (fd < 0)
        return fd;
    *w = (struct clock_watch){.stepped = stepped, .fd = fd, .open = true};
    CHECK(uv_poll_init(loop, &w->poll, fd) == 0);
    CHECK(uv_poll_start(&w->poll, UV_READABLE, readable) == 0);
    uv_unref((uv_handle_t *)&w->poll);
    return 0;
}

static void poll_closed(uv_handle_t *h)
{
    struct clock_watch *w = container_of((uv_poll_t *)h, struct clock_watch, poll);
    close(w->fd);
    w->open = false;
    w->closed(w);
}

void clock_watch_close(struct clock_watch *w, void (*closed)(struct clock_watch *w))
{
    w->closed = closed;
    if (w->open)
        uv_close((uv_handle_t *)&w->poll, poll_closed);
    else
        closed(w);
}
