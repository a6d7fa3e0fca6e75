#include "io/loop/timers.h"
#include <stddef.h>
#include "base/check.h"

/* The alarm must never be late, and not early either when the loop goes to sleep. An earlier
 * deadline moves it at once. A first deadline that goes away, which is what connections do all day,
 * only marks it: finding the next one may take a look at a whole slot of the wheel, so that is done
 * once, just before the loop waits. */

static void alarm_fired(uv_timer_t *alarm);

static void arm(struct timers *ts, uint64_t at)
{
    const uint64_t now = uv_now(ts->loop);

    if (at == ts->armed_at)
        return;
    ts->armed_at = at;
    if (at == WHEEL_NEVER)
        uv_timer_stop(&ts->alarm);
    else
        CHECK(uv_timer_start(&ts->alarm, alarm_fired, at > now ? at - now : 0, 0) == 0);
}

static void correct(uv_prepare_t *correction)
{
    struct timers *ts = container_of(correction, struct timers, correction);

    uv_prepare_stop(correction);
    arm(ts, wheel_next(&ts->wheel));
}

static void alarm_fired(uv_timer_t *alarm)
{
    struct timers *ts = container_of(alarm, struct timers, alarm);
    struct wheel_timer *w;

    ts->armed_at = WHEEL_NEVER;
    wheel_advance(&ts->wheel, uv_now(ts->loop));
    while ((w = wheel_take(&ts->wheel)) != NULL) {
        struct timer *t = container_of(w, struct timer, w);

        t->fired(t);
        if (uv_is_closing((uv_handle_t *)alarm))
            return;
    }
    arm(ts, wheel_next(&ts->wheel));
}

/* To be done when a timer has gone or got later that stood at `expires`. */
static void went_away(struct timers *ts, uint64_t expires)
{
    if (ts->wheel.count == 0)
        arm(ts, WHEEL_NEVER);
    else if (expires <= ts->armed_at)
        CHECK(uv_prepare_start(&ts->correction, correct) == 0);
}

void timers_init(struct timers *ts, uv_loop_t *loop)
{
    *ts = (struct timers){.loop = loop, .armed_at = WHEEL_NEVER, .open = 2};
    wheel_init(&ts->wheel, uv_now(loop));
    CHECK(uv_timer_init(loop, &ts->alarm) == 0);
    CHECK(uv_prepare_init(loop, &ts->correction) == 0);
    uv_unref((uv_handle_t *)&ts->correction);
}

void timer_set(struct timers *ts, struct timer *t, uint64_t in_ms)
{
    const uint64_t now = uv_now(ts->loop);
    const uint64_t expires = in_ms < WHEEL_NEVER - now ? now + in_ms : WHEEL_NEVER;
    const uint64_t before = wheel_is_set(&t->w) ? t->w.expires : WHEEL_NEVER;

    CHECK(t->fired != NULL);
    CHECK(!uv_is_closing((uv_handle_t *)&ts->alarm));
    wheel_set(&ts->wheel, &t->w, expires);
    if (expires < ts->armed_at)
        arm(ts, expires);
    else
        went_away(ts, before);
}

void timer_cancel(struct timers *ts, struct timer *t)
{
    if (!wheel_is_set(&t->w))
        return;
    wheel_cancel(&ts->wheel, &t->w);
    if (!uv_is_closing((uv_handle_t *)&ts->alarm))
        went_away(ts, t->w.expires);
}

static void handle_closed(uv_handle_t *h)
{
    struct timers *ts = h->data;

    CHECK(ts->open > 0);
    if (--ts->open == 0 && ts->closed != NULL)
        ts->closed(ts);
}

void timers_close(struct timers *ts, void (*closed)(struct timers *ts))
{
    ts->closed = closed;
    ts->alarm.data = ts->correction.data = ts;
    uv_close((uv_handle_t *)&ts->alarm, handle_closed);
    uv_close((uv_handle_t *)&ts->correction, handle_closed);
}
