/* timing.c - what a trigger does by itself when its time has come. */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine_internal.h"

/* ---- the end of a cooldown ---- */

static void arm_trail(struct engine *e, struct now now, struct trigger *t)
{
    if (!t->def->rule.trailing || t->state.held == 0 || !t->def->enabled)
        return;
    if (t->trail == NULL) {
        t->trail = mem_zalloc(sizeof(*t->trail));
        t->trail->deadline.kind = DEADLINE_COOLDOWN;
        t->trail->trigger = t;
    }
    int64_t over_ms = t->state.fired_ms + (int64_t)t->def->cooldown_ms;
    uint64_t at = over_ms > (int64_t)now.mono.ms ? (uint64_t)over_ms : now.mono.ms;
    wheel_set(&e->wheel, &t->trail->deadline.w, at);
}

/* The firing that makes up for what was held back. */
static void cooled(struct engine *e, struct now now, struct trigger *t)
{
    struct str text = {0};
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
        .trailing = true,
    };
    if (t->state.held > 0)
        feed_trigger(e, now, &ev, t);
    str_release(&text);
}

/* ---- all deadlines ---- */

void timing_arm(struct engine *e, struct now now, struct trigger *t)
{
    timing_disarm(e, t);
    arm_trail(e, now, t);
}

void timing_disarm(struct engine *e, struct trigger *t)
{
    if (t->trail != NULL)
        wheel_cancel(&e->wheel, &t->trail->deadline.w);
}

void timing_due(struct engine *e, struct now now, struct deadline *d)
{
    struct trigger *t = container_of(d, struct trigger_timer, deadline)->trigger;
    CHECK(d->kind == DEADLINE_COOLDOWN);
    cooled(e, now, t);
}
