/* moves.c - what disturbs. */
#include "base/check.h"
#include "sim.h"
#include <stdio.h>

static struct pipeline *any_pipeline(struct sim *s)
{
    char path[64];
    snprintf(path, sizeof(path), "default.bronze.p%d", (int)below(s, PIPELINES));
    return catalog_pipeline_at(engine_catalog(s->engine), slice_of(path));
}

static struct trigger *any_trigger(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p == NULL || p->triggers == NULL)
        return NULL;
    struct trigger *t = p->triggers;
    for (uint64_t i = below(s, p->trigger_count); i > 0; i--)
        t = t->next;
    return t;
}

static void do_webhook(struct sim *s)
{
    const struct event ev = {
        .source = "webhook",
        .type = SLICE("webhook"),
        .payload = SLICE("{}"),
        .key = {{'w', (uint8_t)below(s, TOKENS)}},
        .ticket = promise(s),
    };
    int n = engine_feed(s->engine, s->now, &ev);
    CHECK(n >= 0);
    if (n == 0)
        promise_forget(s, ev.ticket);
}

static void do_manual(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p == NULL)
        return;
    const struct event ev = {
        .source = "manual", .type = SLICE("manual"), .pipeline = p->id, .ticket = promise(s)};
    CHECK(engine_feed(s->engine, s->now, &ev) == 1);
}

static struct pipeline_def *any_def(struct sim *s, bool pull)
{
    const enum concurrency_policy policy = (enum concurrency_policy)below(s, 3);
    const bool queue = policy == CONCURRENCY_QUEUE;
    return sim_pipeline_def_bounded((uint32_t)below(s, 4) + !queue, 1 + (uint32_t)below(s, 3), pull,
                                    policy, queue ? (uint32_t)below(s, 6) : 0);
}

static void do_add_pipeline(struct sim *s)
{
    char path[64];
    snprintf(path, sizeof(path), "default.bronze.p%d", (int)below(s, PIPELINES));
    if (catalog_pipeline_at(engine_catalog(s->engine), slice_of(path)) == NULL)
        engine_add_pipeline(s->engine, s->now, slice_of(path), any_def(s, below(s, 6) == 0),
                            promise(s));
}

static void do_change_pipeline(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p != NULL)
        engine_change_pipeline(s->engine, s->now, p, any_def(s, p->def->pull), promise(s));
}

static void do_drop_pipeline(struct sim *s)
{
    struct pipeline *p = below(s, 4) == 0 ? any_pipeline(s) : NULL;
    if (p != NULL)
        engine_drop_pipeline(s->engine, s->now, p, promise(s));
}

static void do_add_trigger(struct sim *s)
{
    struct pipeline *p = any_pipeline(s);
    if (p != NULL && p->trigger_count < 4)
        engine_add_trigger(
            s->engine, s->now, p, "webhook",
            sim_trigger_def((uint8_t)below(s, TOKENS), true, below(s, 3) * below(s, 4000)),
            SLICE("trigger:webhook"), promise(s));
}

static void do_change_trigger(struct sim *s)
{
    struct trigger *t = any_trigger(s);
    if (t == NULL)
        return;
    uint64_t cooldown_ms = below(s, 3) * below(s, 4000);
    vec_push(&s->recools, ((struct recool){t->key, s->now.mono.ms, t->def->cooldown_ms}));
    engine_change_trigger(s->engine, s->now, t,
                          sim_trigger_def((uint8_t)below(s, TOKENS), below(s, 4) > 0, cooldown_ms),
                          SLICE("trigger:webhook"), promise(s));
}

static void do_drop_trigger(struct sim *s)
{
    struct trigger *t = below(s, 3) == 0 ? any_trigger(s) : NULL;
    if (t != NULL)
        engine_drop_trigger(s->engine, s->now, t, promise(s));
}

static void do_pause(struct sim *s)
{
    const uint64_t kind = below(s, 8);
    struct pause_target x = {0};
    if (kind > 4 && (x.trigger = any_trigger(s)) == NULL)
        return;
    if (kind > 0 && kind <= 4 && (x.pipeline = any_pipeline(s)) == NULL)
        return;
    if (below(s, 3) == 0)
        engine_pause(s->engine, s->now, &x, SLICE("why not"), promise(s));
    else
        engine_resume(s->engine, s->now, &x, promise(s));
}

/* Everything goes on. */
void moves_resume_all(struct sim *s)
{
    const struct catalog *c = engine_catalog(s->engine);
    engine_resume(s->engine, s->now, &(struct pause_target){0}, promise(s));
    for (struct pipeline *p = c->pipelines_by_id; p != NULL; p = p->by_id.next)
        engine_resume(s->engine, s->now, &(struct pause_target){.pipeline = p}, promise(s));
    for (struct trigger *t = NULL; (t = trigger_table_next(&c->triggers, t)) != NULL;)
        engine_resume(s->engine, s->now, &(struct pause_target){.trigger = t}, promise(s));
}

static void do_clock_step(struct sim *s)
{
    s->now.wall.ms += (int64_t)below(s, 7200000) - 3600000;
}

void moves_make(struct sim *s)
{
    static const struct {
        void (*act)(struct sim *s);
        unsigned weight;
    } acts[] = {
        {do_webhook, 700},        {do_manual, 60},       {do_add_pipeline, 20},
        {do_change_pipeline, 10}, {do_drop_pipeline, 6}, {do_add_trigger, 40},
        {do_change_trigger, 20},  {do_drop_trigger, 10}, {do_clock_step, 2},
        {shell_crash, 3},         {lookups_cancel, 30},  {do_pause, 60},
        {lookups_replay, 30},
    };
    uint64_t pick = below(s, 991);
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        if (pick < acts[i].weight) {
            acts[i].act(s);
            return;
        }
        pick -= acts[i].weight;
    }
}
