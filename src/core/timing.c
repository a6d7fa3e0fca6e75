/* timing.c - what a trigger does by itself when its time has come. */
#include "base/check.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "core/engine_internal.h"
#include "core/schedule.h"
#include <stdio.h>

/* Nothing is due again right after a commit has failed: a full disk would keep us busy. */
static void set_timer(struct engine *e, struct wheel_timer *w, enum deadline tag, uint64_t at)
{
    w->tag = tag;
    wheel_set(&e->wheel, w, at > e->stalled_until.ms ? at : e->stalled_until.ms);
}

/* ---- the end of a cooldown ---- */

/* While the pipeline takes no more runs, the end of a cooldown waits: looked at again this often. */
#define ROOM_MS 1000

static struct trail *trail_of(struct trigger *t)
{
    if (t->trail == NULL) {
        t->trail = mem_zalloc(sizeof(*t->trail));
        t->trail->trigger = t;
    }
    return t->trail;
}

void timing_held_first(struct trigger *t, const struct lineage *l)
{
    trail_of(t)->lineage = *l;
}

static void arm_trail(struct engine *e, struct now now, struct trigger *t)
{
    if (!t->def->rule.trailing || t->state.held == 0 || !t->def->enabled)
        return;
    int64_t over_ms = t->state.fired_ms + (int64_t)t->def->cooldown_ms;
    const uint64_t soon = now.mono.ms + (concurrency_has_room(e, t) ? 0 : ROOM_MS);
    uint64_t at = over_ms > (int64_t)soon ? (uint64_t)over_ms : soon;
    set_timer(e, &trail_of(t)->w, DEADLINE_COOLDOWN, at);
}

/* The firing that makes up for what was held back, unless an event that came at this very moment was faster. */
static void cooled(struct engine *e, struct now now, struct trigger *t)
{
    struct str text = {0};
    if (t->state.held == 0 || !concurrency_has_room(e, t))
        return;
    str_add_cstr(&text, "{\"held\":");
    str_add_u64(&text, t->state.held);
    str_add_cstr(&text, ",\"since_event_id\":\"");
    str_add_uuid(&text, t->state.held_from);
    str_add_cstr(&text, "\"}");
    const struct event ev = {
        .source = "cooldown",
        .type = SLICE("cooldown.ended"),
        .content_type = SLICE("application/json"),
        .payload = str_slice(&text),
        .lineage = t->trail->lineage, /* a chain that goes in a circle has to come to its end */
        .trailing = true,
    };
    feed_trigger(e, now, &ev, t);
    str_release(&text);
    if (t->state.held == 0)
        return;
    /* It did not fire, for want of its dependencies: that is all there was to make up for. */
    struct trigger_state next = t->state;
    next.held = 0;
    next.held_from = UUID_NIL;
    feed_set_state(e, t, &next);
}

/* ---- due times of a schedule ---- */

/* A due time that is looked at this much later was missed; less is what a busy moment does. */
#define LATE_MS 30000

/* Set back by no more than this, the clock comes to the times that were dealt with before once more, and they are not repeated; set
 * back further, it was wrong before. */
#define BACK_MS (3 * 3600 * 1000)

/* Clocks that are being slewed pass at another speed: a long wait is looked at again when this part of it is left. */
#define WAIT_MS_PLAIN (5 * 60 * 1000)
#define WAIT_PART 16

static uint64_t wait_ms(struct now now, struct wall due)
{
    if (due.ms <= now.wall.ms)
        return 0;
    uint64_t wait = (uint64_t)(due.ms - now.wall.ms);
    return wait > WAIT_MS_PLAIN ? wait - wait / WAIT_PART : wait;
}

static void arm_tick(struct engine *e, struct now now, struct trigger *t)
{
    const struct schedule *s = t->def->rule.schedule;
    struct wall due;
    if (s == NULL || !t->def->enabled)
        return;
    if (t->state.last_due.ms > now.wall.ms + BACK_MS)
        t->state.last_due = now.wall;
    if (!cron_next(&s->cron, s->tz, t->state.last_due, &due))
        return;
    uint64_t jitter = s->jitter_s > 0 ? prng_below(&e->prng, s->jitter_s * UINT64_C(1000) + 1) : 0;
    uint64_t at = now.mono.ms + wait_ms(now, due) + jitter;
    set_timer(e, &t->tick, DEADLINE_TICK, at);
}

static void fire_at(struct engine *e, struct now now, struct trigger *t, struct wall due)
{
    char time[RFC3339_LEN + 1], payload[RFC3339_LEN + 32];
    rfc3339_format(due, time);
    const int len = snprintf(payload, sizeof(payload), "{\"scheduled_at\":\"%s\"}", time);
    const struct event ev = {
        .source = "cron",
        .type = SLICE("cron.tick"),
        .content_type = SLICE("application/json"),
        .payload = {payload, (size_t)len},
    };
    feed_trigger(e, now, &ev, t);
}

static void fire_all(struct engine *e, struct now now, struct trigger *t,
                     const struct cron_missed *m)
{
    const struct schedule *s = t->def->rule.schedule;
    struct wall due = m->first;
    for (uint64_t left = m->count; left > 0; left--) {
        fire_at(e, now, t, due);
        if (!cron_next(&s->cron, s->tz, due, &due))
            break;
    }
}

/* What is due since the last time that was dealt with. Usually that is one, just now. */
static void fire_due(struct engine *e, struct now now, struct trigger *t)
{
    const struct schedule *s = t->def->rule.schedule;
    const uint64_t late_max = LATE_MS + s->jitter_s * UINT64_C(1000);
    const uint64_t window_ms = s->misfire_window_s * UINT64_C(1000);
    struct trigger_state next = t->state;
    struct cron_missed m;
    struct wall due;
    if (!cron_next(&s->cron, s->tz, t->state.last_due, &due) || due.ms > now.wall.ms)
        return; /* not yet: the clock was set back, or runs slower than ours */
    cron_missed(&s->cron, s->tz, t->state.last_due, now.wall,
                window_ms > late_max ? window_ms : late_max, SCHEDULE_FIRE_ALL_MAX, &m);
    next.last_due = m.count > 0 ? m.latest : now.wall;
    feed_set_state(e, t, &next);
    if (m.count == 0)
        return; /* all too long ago */
    const bool in_time = now.wall.ms - m.latest.ms <= (int64_t)late_max;
    if (s->misfire == MISFIRE_FIRE_ALL)
        fire_all(e, now, t, &m);
    else if (in_time || s->misfire == MISFIRE_FIRE_ONCE)
        fire_at(e, now, t, m.latest);
}

/* Of an ArkEvent people see when it is due next, also when it did not fire. */
static void ticked(struct engine *e, struct now now, struct trigger *t)
{
    const struct trigger_state before = t->state;
    fire_due(e, now, t);
    if (t->pipeline == NULL && t->state.last_due.ms != before.last_due.ms &&
        t->state.last_fired.ms == before.last_fired.ms)
        ark_passed(e, t);
}

/* ---- all deadlines ---- */

void timing_adopt(struct engine *e, struct now now, struct trigger *t, bool loaded)
{
    struct schedule *s = t->def->rule.schedule;
    completion_count_from(e, t, t->created_at);
    if (wall_is_set(t->state.last_fired))
        completion_count_from(e, t, t->state.last_fired);
    if (s != NULL) {
        cron_anchor(&s->cron, t->created_at);
        const bool skip = loaded && s->misfire == MISFIRE_SKIP;
        if (!wall_is_set(t->state.last_due) || (skip && t->state.last_due.ms < now.wall.ms))
            t->state.last_due = now.wall;
    }
    timing_arm(e, now, t);
}

void timing_arm(struct engine *e, struct now now, struct trigger *t)
{
    timing_disarm(e, t);
    arm_tick(e, now, t);
    arm_trail(e, now, t);
}

void timing_disarm(struct engine *e, struct trigger *t)
{
    if (t->def->rule.schedule != NULL)
        wheel_cancel(&e->wheel, &t->tick);
    if (t->trail != NULL)
        wheel_cancel(&e->wheel, &t->trail->w);
}

void timing_due(struct engine *e, struct now now, struct wheel_timer *w)
{
    if (w->tag == DEADLINE_TICK) {
        struct trigger *t = container_of(w, struct trigger, tick);
        ticked(e, now, t);
        arm_tick(e, now, t);
    } else {
        struct trigger *t = container_of(w, struct trail, w)->trigger;
        cooled(e, now, t);
        arm_trail(e, now, t);
    }
}

void engine_clock_stepped(struct engine *e, struct now now)
{
    const struct trigger_table *all = &e->catalog.triggers;
    for (struct trigger *t = NULL; (t = trigger_table_next(all, t)) != NULL;)
        if (t->def->rule.schedule != NULL)
            timing_arm(e, now, t);
}
