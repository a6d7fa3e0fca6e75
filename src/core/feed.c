/* feed.c - an event meets its triggers: one decision each, and the runs that follow. */
#include "base/check.h"
#include "core/decision.h"
#include "core/engine_internal.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

/* An event caused by more completions than this fires nothing: a loop that slipped past the cycle check ends here. */
#define DEPTH_MAX 64

bool batch_is_full(const struct engine *e)
{
    return e->filling->arena.used > e->opt.batch_bytes_max;
}

/* The event's bytes move into the batch; every effect that follows shares them. */
static struct effect_put_event *record_event(struct engine *e, struct now now,
                                             const struct event *ev)
{
    struct effect_put_event *p = &emit(e, EFFECT_PUT_EVENT)->put_event;
    *p = (struct effect_put_event){
        .id = uuid_next(&e->ids, now.wall, &e->prng),
        .source = ev->source,
        .type = keep(e, ev->type),
        .subject = keep(e, ev->subject),
        .content_type = keep(e, ev->content_type),
        .payload = keep(e, ev->payload),
        .message_key = keep(e, ev->message_key),
        .time = now.wall,
        .zone_key = ev->file != NULL ? ev->file->zone_key : 0,
        .lineage = ev->lineage,
    };
    if (ev->file != NULL)
        zone_record_file(e, now, ev->file, p->id);
    if (ev->topic.p != NULL)
        topic_record_message(e, now, ev, p);
    return p;
}

/* ---- runs ---- */

/* The files of a run that is for its own event's only. */
static struct slice list_own_file(struct engine *e, const struct effect_put_event *ev)
{
    if (ev->zone_key == 0)
        return SLICE_NONE;
    char *list = arena_alloc(&e->filling->arena, ev->payload.len + 2);
    list[0] = '[';
    memcpy(list + 1, ev->payload.p, ev->payload.len);
    list[ev->payload.len + 1] = ']';
    return (struct slice){list, ev->payload.len + 2};
}

static struct run_start describe_start(struct engine *e, const struct pipeline *p,
                                       const struct trigger *t, const struct effect_put_event *ev,
                                       struct uuid run, struct slice input)
{
    return (struct run_start){
        .run = run,
        .event = ev->id,
        .pipeline_key = p->key,
        .pipeline = keep(e, slice_of(p->path)),
        .version = p->def->version,
        .attempt = 1,
        .spec = keep(e, slice_of(p->def->spec)),
        .timeout_ms = p->def->timeout_ms,
        .trigger_type = slice_of(t != NULL ? t->type : "manual"),
        .trigger = t != NULL ? t->id : UUID_NIL,
        .source = slice_of(ev->source),
        .type = ev->type,
        .subject = ev->subject,
        .content_type = input.p != NULL ? SLICE("application/json") : ev->content_type,
        .payload = input.p != NULL ? input : ev->payload,
        .message_key = ev->message_key,
        .files = list_own_file(e, ev),
        .event_time = ev->time,
        .root = ev->lineage.root,
        .depth = ev->lineage.depth,
    };
}

/* Makes a run of p: started with the commit if there is a slot and nobody waits before it, else pending. One that is also for files
 * held back is always read from the queue, where the list of them is made. */
static struct uuid make_run(struct engine *e, struct now now, struct pipeline *p,
                            const struct trigger *t, const struct effect_put_event *ev,
                            struct uuid held_from, struct slice input)
{
    struct uuid id = uuid_next(&e->ids, now.wall, &e->prng);
    const uint32_t pinned = t != NULL ? t->def->rule.version : 0;
    const uint32_t version = pinned != 0 ? pinned : p->def->version;
    /* What another version says is in the store. */
    const bool waits = t != NULL && t->paused;
    const bool at_once = uuid_is_nil(held_from) && !waits && version == p->def->version &&
                         queue_has_slot(e, p, now.mono);
    emit(e, EFFECT_PUT_RUN)->put_run = (struct effect_put_run){
        .id = id,
        .event = ev->id,
        .pipeline_key = p->key,
        .version = version,
        .trigger_key = t != NULL ? t->key : 0,
        .status = at_once ? RUN_RUNNING : RUN_PENDING,
        .attempt = 1,
        .held_from = held_from,
        .waits = waits,
        .started_at = at_once ? now.wall : WALL_UNSET,
        .input = input,
    };
    if (at_once) {
        const struct run_start start = describe_start(e, p, t, ev, id, input);
        queue_occupy(e, p, &start, now.wall, NULL);
        emit(e, EFFECT_START_RUN)->start_run = start;
    } else if (waits) {
        queue_change_pending(e, p, 1);
    } else {
        queue_add_pending(e, p);
        queue_schedule(e, now);
    }
    return id;
}

/* ---- a trigger's state ---- */

/* On disk it is written once per batch, however often it changed in it. */
static void record_state(struct engine *e, struct trigger *t)
{
    if (t->state_batch != e->batch_number) {
        t->state_batch = e->batch_number;
        t->state_effect = emit(e, EFFECT_TRIGGER_STATE);
    }
    struct effect_trigger_state *s = &t->state_effect->trigger_state;
    *s = (struct effect_trigger_state){
        .trigger_key = t->key,
        .last_fired = t->state.last_fired,
        .last_run = s->last_run,
        .last_due = t->state.last_due,
        .held = t->state.held,
        .held_from = t->state.held_from,
        .fired = t->pipeline == NULL ? ark_of(t)->state.fired : 0,
        .version = t->pipeline == NULL ? ark_of(t)->state.version : 0,
    };
}

void feed_set_state(struct engine *e, struct trigger *t, const struct trigger_state *next)
{
    struct undo *u = undo_add(e, UNDO_STATE);
    u->trigger = t;
    u->state = t->state;
    t->state = *next;
    record_state(e, t);
}

void feed_undo_state(struct engine *e, struct now now, struct undo *u)
{
    u->trigger->state = u->state;
    timing_arm(e, now, u->trigger);
}

static void fired(struct engine *e, struct now now, struct trigger *t, struct uuid run)
{
    struct trigger_state next = t->state;
    next.last_fired = completion_since(e, t, now.wall);
    next.fired_ms = (int64_t)now.mono.ms;
    next.held = 0;
    next.held_from = UUID_NIL;
    feed_set_state(e, t, &next);
    if (t->pipeline == NULL)
        ark_fired(e, t);
    t->state_effect->trigger_state.last_run = run;
}

/* Whether what is not fired for now will matter later: files always, and whatever a trailing trigger makes up for when its cooldown is
 * over. */
static bool must_hold_back(const struct event *ev, const struct trigger *t, enum verdict v)
{
    if (v == VERDICT_COOLDOWN)
        return ev->name.p != NULL || t->def->rule.trailing;
    return v == VERDICT_CONCURRENCY && ev->name.p != NULL;
}

static void hold_back(struct engine *e, struct now now, struct trigger *t,
                      const struct effect_put_event *ev)
{
    struct trigger_state next = t->state;
    const bool first = next.held++ == 0;
    if (first)
        next.held_from = ev->id;
    feed_set_state(e, t, &next);
    if (!first)
        return;
    if (t->def->rule.trailing)
        timing_held_first(t, &ev->lineage);
    timing_arm(e, now, t);
}

/* ---- decisions ---- */

/* How much of the trigger's cooldown is left; 0: it may fire. */
static uint64_t cooldown_left(struct now now, const struct trigger *t)
{
    if (!wall_is_set(t->state.last_fired))
        return 0;
    uint64_t since = (uint64_t)((int64_t)now.mono.ms - t->state.fired_ms);
    return since < t->def->cooldown_ms ? t->def->cooldown_ms - since : 0;
}

/* The upstreams that have not succeeded since the trigger last fired, separated by commas. Absent when all have. */
static struct slice missing_upstreams(struct engine *e, const struct trigger *t)
{
    const struct rule *r = &t->def->rule;
    struct wall since = wall_is_set(t->state.last_fired) ? t->state.last_fired : t->created_at;
    struct str missing = {0};
    for (size_t i = 0; r->needs_upstreams && i < r->upstream_count; i++) {
        const struct upstream *u = &r->upstreams[i];
        if (u->followed->last_success.ms > since.ms)
            continue;
        const bool exists = catalog_pipeline_at(&e->catalog, slice_of(u->path)) != NULL;
        str_printf(&missing, "%s%s%s",
                   missing.len > 0 ? ", " : "no success since the last firing: ", u->path,
                   exists ? "" : " (does not exist)");
    }
    struct slice ret = missing.len > 0 ? keep(e, str_slice(&missing)) : SLICE_NONE;
    str_release(&missing);
    return ret;
}

/* All of its targets or none. */
static enum verdict judge_targets(struct engine *e, const struct trigger *t,
                                  struct slice *ret_detail)
{
    const char *missing = ark_missing_target(&e->catalog, t);
    if (missing != NULL) {
        struct str why = {0};
        str_printf(&why, "the target %s does not exist", missing);
        *ret_detail = keep(e, str_slice(&why));
        str_release(&why);
        return VERDICT_DEPS_UNMET;
    }
    if (t->def->rule.targets->forbids && ark_of(t)->active > 0) {
        *ret_detail = SLICE("a run of the last firing is under way");
        return VERDICT_CONCURRENCY;
    }
    return concurrency_judge_targets(e, t, ret_detail);
}

/* Why the trigger does not fire, or VERDICT_FIRED. */
static enum verdict judge(struct engine *e, struct now now, const struct event *ev,
                          const struct trigger *t, struct slice *ret_detail)
{
    if (!rule_matches(&t->def->rule, ev))
        return VERDICT_NO_MATCH;
    if (ev->duplicate)
        return VERDICT_DUPLICATE;
    if (!t->def->enabled)
        return VERDICT_DISABLED;
    if (ev->lineage.depth > DEPTH_MAX)
        return VERDICT_DEPTH;
    if (cooldown_left(now, t) > 0)
        return VERDICT_COOLDOWN;
    *ret_detail = missing_upstreams(e, t);
    if (ret_detail->p != NULL)
        return VERDICT_DEPS_UNMET;
    return t->pipeline == NULL ? judge_targets(e, t, ret_detail)
                               : concurrency_judge(e, t->pipeline, ret_detail);
}

/* Starts the one pipeline that the trigger nests under. */
static struct uuid *fire_own(struct engine *e, struct now now, struct effect_put_event *rec,
                             struct trigger *t)
{
    struct uuid *run = arena_alloc(&e->filling->arena, sizeof(*run));
    /* Files are listed from the first that was held back; other events are only made up for. */
    *run = make_run(e, now, t->pipeline, t, rec,
                    t->def->rule.lists_files ? t->state.held_from : UUID_NIL, SLICE_NONE);
    return run;
}

/* Starts all targets, each with its input. */
static struct uuid *fire_targets(struct engine *e, struct now now, struct effect_put_event *rec,
                                 struct trigger *t, const struct slice *inputs)
{
    const struct rule_targets *all = t->def->rule.targets;
    struct uuid *runs = arena_alloc(&e->filling->arena, all->count * sizeof(*runs));
    for (size_t i = 0; i < all->count; i++) {
        const struct rule_target *target = &all->items[i];
        struct pipeline *p = catalog_pipeline_at(&e->catalog, slice_of(target->path));
        runs[i] = make_run(e, now, p, t, rec, UUID_NIL, inputs[i]);
        if (all->forbids)
            active_started(e, ark_of(t), runs[i], p);
    }
    return runs;
}

static void fire(struct engine *e, struct now now, const struct event *ev,
                 struct effect_put_event *rec, struct trigger *t, const struct slice *inputs,
                 struct decision *ret)
{
    ret->run_count = t->pipeline != NULL ? 1 : t->def->rule.targets->count;
    ret->runs =
        t->pipeline != NULL ? fire_own(e, now, rec, t) : fire_targets(e, now, rec, t, inputs);
    fired(e, now, t, ret->runs[0]);
    if (ev->dedupe && !rec->dedupe) {
        rec->dedupe = true;
        rec->dedupe_key = ev->dedupe_key;
        rec->dedupe_run = ret->runs[0];
    }
}

/* Before anything makes room for its runs: those that are under way must not end for nothing. */
static enum verdict prepare(struct engine *e, struct now now, const struct event *ev,
                            const struct trigger *t, struct slice **ret_inputs,
                            struct slice *ret_detail)
{
    if (t->pipeline != NULL || ark_inputs_make(e, now, t, ev, ret_inputs))
        return VERDICT_FIRED;
    *ret_detail = SLICE("the inputs that its targets would be given are longer than 8 MiB");
    return VERDICT_NO_MATCH;
}

static void decide(struct engine *e, struct now now, const struct event *ev,
                   struct effect_put_event *rec, struct trigger *t, struct decision *ret)
{
    struct slice *inputs = NULL; /* of its targets */
    *ret = (struct decision){.trigger = t->id};
    ret->verdict = judge(e, now, ev, t, &ret->detail);
    if (ret->verdict == VERDICT_FIRED)
        ret->verdict = prepare(e, now, ev, t, &inputs, &ret->detail);
    /* What ended may have made t fire, or filled the place again. */
    while (ret->verdict == VERDICT_FIRED && concurrency_make_room(e, now, t))
        ret->verdict = judge(e, now, ev, t, &ret->detail);
    e->stats.verdicts[ret->verdict]++;
    if (ret->verdict == VERDICT_COOLDOWN)
        ret->retry_after_ms = cooldown_left(now, t);
    if (must_hold_back(ev, t, ret->verdict))
        hold_back(e, now, t, rec);
    if (ret->verdict == VERDICT_FIRED)
        fire(e, now, ev, rec, t, inputs, ret);
}

/* ---- events ---- */

static int finish_feed(struct engine *e, const struct event *ev, struct effect_put_event *rec,
                       const struct decision *d, size_t n)
{
    rec->decisions = decision_encode(&e->filling->arena, d, n);
    struct outcome *o = emit_reply(e, ev->ticket, rec->id, d, n);
    if (o != NULL)
        o->offset = message_offset(rec->message);
    return (int)n;
}

static int feed_manual(struct engine *e, struct now now, const struct event *ev)
{
    struct pipeline *p = catalog_pipeline(&e->catalog, ev->pipeline);
    if (p == NULL)
        return -ENOENT;
    struct effect_put_event *rec = record_event(e, now, ev);
    struct decision *d = arena_zalloc(&e->filling->arena, sizeof(*d));
    d->verdict = concurrency_judge(e, p, &d->detail);
    e->stats.verdicts[d->verdict]++;
    if (d->verdict == VERDICT_FIRED) {
        struct uuid *run = arena_alloc(&e->filling->arena, sizeof(*run));
        concurrency_replace(e, now, p);
        *run = make_run(e, now, p, NULL, rec, UUID_NIL, SLICE_NONE);
        d->runs = run;
        d->run_count = 1;
    }
    return finish_feed(e, ev, rec, d, 1);
}

/* A key made of a text may be shared by other texts: those triggers are not concerned. */
static bool is_concerned(const struct trigger *t, const struct event *ev)
{
    return t->def->rule.scope == NULL || slice_is(ev->scope, t->def->rule.scope);
}

static size_t count_concerned(const struct match_bucket *m, const struct event *ev)
{
    size_t n = 0;
    const struct trigger *t = m != NULL ? m->triggers : NULL;
    for (; t != NULL; t = t->match_next)
        n += is_concerned(t, ev);
    return n;
}

/* Records the event and has n triggers of the bucket decide. */
static struct effect_put_event *evaluate(struct engine *e, struct now now, const struct event *ev,
                                         struct match_bucket *m, size_t n)
{
    struct effect_put_event *rec = record_event(e, now, ev);
    struct decision *d = n > 0 ? arena_alloc(&e->filling->arena, n * sizeof(*d)) : NULL;
    size_t i = 0;
    for (struct trigger *t = n > 0 ? m->triggers : NULL; t != NULL; t = t->match_next)
        if (is_concerned(t, ev))
            decide(e, now, ev, rec, t, &d[i++]);
    finish_feed(e, ev, rec, d, n);
    return rec;
}

int feed_event(struct engine *e, struct now now, const struct event *ev)
{
    struct match_bucket *m = catalog_match(&e->catalog, &ev->key);
    const size_t n = count_concerned(m, ev);
    if (n > 0 || ev->keep)
        evaluate(e, now, ev, m, n);
    return (int)n;
}

struct effect_put_event *feed_message(struct engine *e, struct now now, const struct event *ev)
{
    struct match_bucket *m = catalog_match(&e->catalog, &ev->key);
    return evaluate(e, now, ev, m, count_concerned(m, ev));
}

/* A message of an outside stream: whoever waits for it is answered in any case. */
static int feed_position(struct engine *e, struct now now, const struct event *ev)
{
    int n = 0;
    const bool is_new = topic_advance(e, ev->position);
    if (is_new)
        n = feed_event(e, now, ev);
    if (!is_new || (n == 0 && !ev->keep))
        emit_reply(e, ev->ticket, UUID_NIL, NULL, 0);
    return n;
}

void feed_trigger(struct engine *e, struct now now, const struct event *ev, struct trigger *t)
{
    struct effect_put_event *rec = record_event(e, now, ev);
    struct decision *d = arena_alloc(&e->filling->arena, sizeof(*d));
    decide(e, now, ev, rec, t, d);
    finish_feed(e, ev, rec, d, 1);
}

int engine_feed(struct engine *e, struct now now, const struct event *ev)
{
    if (batch_is_full(e))
        return -ENOBUFS;
    CHECK(ev->topic.p == NULL); /* engine_publish() */
    if (ev->position != NULL)
        return feed_position(e, now, ev);
    return uuid_is_nil(ev->pipeline) ? feed_event(e, now, ev) : feed_manual(e, now, ev);
}
