#include "store.h"
#include "base/check.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pipeline_def *sim_pipeline_def(uint32_t running_max, uint32_t max_attempts, bool pull)
{
    return sim_pipeline_def_bounded(running_max, max_attempts, pull, CONCURRENCY_QUEUE, 0);
}

struct pipeline_def *sim_pipeline_def_bounded(uint32_t running_max, uint32_t max_attempts,
                                              bool pull, enum concurrency_policy policy,
                                              uint32_t queue_max)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){
        .spec = mem_printf("%u %u %d %u %u", running_max, max_attempts, pull, policy, queue_max),
        .policy = policy,
        .queue_max = queue_max,
        .running_max = running_max,
        .pull = pull,
        .retry = {.max_attempts = max_attempts,
                  .backoff_ms = 500,
                  .backoff_factor = 2,
                  .backoff_ms_max = 60000,
                  .jitter = max_attempts > 2 ? 0.5 : 0},
    };
    return d;
}

struct trigger_def *sim_trigger_def(uint8_t token, bool enabled, uint64_t cooldown_ms)
{
    char config[8];
    struct rule rule = {0};
    const int len = snprintf(config, sizeof(config), "%u", token);
    rule_set_key(&rule, (struct match_key){{'w', token}});
    return trigger_def_create((struct slice){config, (size_t)len}, enabled, cooldown_ms, &rule);
}

struct sim_run *sim_store_run(const struct sim_store *s, struct uuid id)
{
    struct sim_run *r;
    HASH_FIND(hh, s->runs, &id, sizeof(id), r);
    return r;
}

struct sim_event *sim_store_event(const struct sim_store *s, struct uuid id)
{
    struct sim_event *e;
    HASH_FIND(hh, s->events, &id, sizeof(id), e);
    return e;
}

static struct sim_pipeline *find_pipeline(const struct sim_store *s, int64_t key)
{
    struct sim_pipeline *p;
    HASH_FIND(hh, s->pipelines, &key, sizeof(key), p);
    return p;
}

static struct sim_trigger *find_trigger(const struct sim_store *s, int64_t key)
{
    struct sim_trigger *t;
    HASH_FIND(hh, s->triggers, &key, sizeof(key), t);
    return t;
}

static void put_event(struct sim_store *s, const struct effect *f)
{
    const struct effect_put_event *p = &f->put_event;
    CHECK(sim_store_event(s, p->id) == NULL);
    struct sim_event *e = mem_zalloc(sizeof(*e));
    *e = (struct sim_event){
        .id = p->id,
        .decisions = mem_dup(p->decisions.p, p->decisions.len),
        .decisions_len = p->decisions.len,
        .time = p->time,
    };
    HASH_ADD(hh, s->events, id, sizeof(e->id), e);
}

/* Only what failed is made again here, and nothing twice. */
static void note_replay(struct sim_store *s, const struct effect_put_run *p)
{
    struct sim_run *original = sim_store_run(s, p->replay_of);
    CHECK(original != NULL && original->status == RUN_FAILED && !original->replayed);
    CHECK(uuid_cmp(p->event, original->event) == 0 && p->status == RUN_PENDING);
    original->replayed = true;
}

static void put_run(struct sim_store *s, const struct effect *f)
{
    const struct effect_put_run *p = &f->put_run;
    if (!uuid_is_nil(p->replay_of))
        note_replay(s, p);
    CHECK(sim_store_run(s, p->id) == NULL);
    CHECK(sim_store_event(s, p->event) != NULL);
    CHECK(find_pipeline(s, p->pipeline_key) != NULL);
    struct sim_run *r = mem_zalloc(sizeof(*r));
    *r = (struct sim_run){
        .id = p->id,
        .event = p->event,
        .pipeline_key = p->pipeline_key,
        .trigger_key = p->trigger_key,
        .status = p->status,
        .attempt = p->attempt,
        .due_at = WALL_UNSET,
        .started_at = p->started_at,
        .version = p->version,
    };
    HASH_ADD(hh, s->runs, id, sizeof(r->id), r);
}

/* What run.h's drawing allows when nobody reports runs that were never claimed. */
static bool may_move(enum run_status from, enum run_status to)
{
    const bool reported = from == RUN_PENDING && to != RUN_RUNNING && to != RUN_CANCELLED;
    return run_may_move(from, to) && !reported;
}

static void put_log_part(struct sim_store *s, const struct effect *f)
{
    const struct effect_put_log_part *l = &f->put_log_part;
    struct sim_run *r = sim_store_run(s, l->run);
    CHECK(r != NULL && r->status == RUN_RUNNING && !r->leased && l->attempt == r->attempt);
    CHECK(l->at == r->log_bytes && l->text.len > 0);
    r->log_bytes += l->text.len;
}

/* A whole log takes the place of the parts; without one they stay. */
static void end_log(struct sim_run *r, struct slice log, bool log_is_whole)
{
    CHECK(!log_is_whole || log.p != NULL);
    if (log.p != NULL && r->log_bytes > 0)
        CHECK(log_is_whole && log.len >= r->log_bytes);
    r->log_bytes = 0;
}

static void move_run(struct sim_store *s, const struct effect *f)
{
    const struct effect_move_run *m = &f->move_run;
    struct sim_run *r = sim_store_run(s, m->id);
    CHECK(r != NULL && may_move(r->status, m->status));
    CHECK(m->attempt == r->attempt + (m->status == RUN_PENDING));
    CHECK(m->attempt == r->former + 1);
    CHECK(wall_is_set(m->finished_at) == run_status_is_final(m->status));
    if (run_status_is_final(m->status))
        end_log(r, m->log, m->log_is_whole);
    else
        CHECK(r->log_bytes == 0);
    r->status = m->status;
    r->attempt = m->attempt;
    r->due_at = m->due_at;
    r->started_at = m->started_at;
}

/* Each attempt but the last leaves a row, in the batch in which the run goes back into the queue. */
static void put_attempt(struct sim_store *s, const struct effect *f)
{
    const struct effect_put_attempt *a = &f->put_attempt;
    struct sim_run *r = sim_store_run(s, a->run);
    CHECK(r != NULL && r->status == RUN_RUNNING && a->attempt == r->attempt);
    CHECK(a->started_at.ms == r->started_at.ms && wall_is_set(a->finished_at));
    CHECK(++r->former == a->attempt);
    end_log(r, a->log, a->log_is_whole);
    CHECK(f->next != NULL && f->next->type == EFFECT_MOVE_RUN &&
          uuid_cmp(f->next->move_run.id, a->run) == 0 && f->next->move_run.status == RUN_PENDING);
}

static void put_lease(struct sim_store *s, const struct effect *f)
{
    struct sim_run *r = sim_store_run(s, f->put_lease.run);
    CHECK(r != NULL && r->status == RUN_RUNNING);
    r->leased = true;
    r->hash = f->put_lease.hash;
    r->expires_at = f->put_lease.expires_at;
}

static void drop_lease(struct sim_store *s, const struct effect *f)
{
    struct sim_run *r = sim_store_run(s, f->drop_lease);
    CHECK(r != NULL && r->leased);
    r->leased = false;
}

static void trigger_state(struct sim_store *s, const struct effect *f)
{
    struct sim_trigger *t = find_trigger(s, f->trigger_state.trigger_key);
    CHECK(t != NULL);
    t->last_fired = f->trigger_state.last_fired;
    if (!uuid_is_nil(f->trigger_state.last_run))
        t->last_run = f->trigger_state.last_run;
}

static void put_pipeline(struct sim_store *s, const struct effect *f)
{
    const struct effect_put_pipeline *p = &f->put_pipeline;
    struct sim_pipeline *row = find_pipeline(s, p->key);
    CHECK((row == NULL) == (p->version == 1));
    if (row == NULL) {
        row = mem_zalloc(sizeof(*row));
        row->key = p->key;
        row->id = p->id;
        memcpy(row->path, p->path.p, p->path.len);
        HASH_ADD(hh, s->pipelines, key, sizeof(row->key), row);
    }
    int pull;
    unsigned policy;
    CHECK(sscanf(p->spec.p, "%u %u %d %u %u", &row->running_max, &row->max_attempts, &pull, &policy,
                 &row->queue_max) == 5);
    row->pull = pull;
    row->policy = (enum concurrency_policy)policy;
    row->version = p->version;
}

/* Runs made later in the batch are not there yet. */
static void drop_pending(struct sim_store *s, const struct effect *f)
{
    for (struct sim_run *r = s->runs; r != NULL; r = r->hh.next)
        if (r->pipeline_key == f->drop.key && r->status == RUN_PENDING)
            r->status = RUN_CANCELLED;
}

static void drop_pipeline(struct sim_store *s, const struct effect *f)
{
    struct sim_pipeline *p = find_pipeline(s, f->drop.key);
    CHECK(p != NULL && !p->dropped);
    p->dropped = true;
    struct sim_run *r, *tmp;
    HASH_ITER (hh, s->runs, r, tmp)
        if (r->pipeline_key == p->key && r->status == RUN_PENDING)
            r->status = RUN_CANCELLED;
}

static void put_trigger(struct sim_store *s, const struct effect *f)
{
    const struct effect_put_trigger *p = &f->put_trigger;
    struct sim_trigger *row = find_trigger(s, p->key);
    if (row == NULL) {
        row = mem_zalloc(sizeof(*row));
        row->key = p->key;
        row->id = p->id;
        row->last_fired = WALL_UNSET;
        row->pipeline_key = p->pipeline_key;
        HASH_ADD(hh, s->triggers, key, sizeof(row->key), row);
    }
    row->token = (uint8_t)atoi(p->config.p);
    row->enabled = p->enabled;
    row->cooldown_ms = p->cooldown_ms;
}

static void drop_trigger(struct sim_store *s, const struct effect *f)
{
    struct sim_trigger *t = find_trigger(s, f->drop.key);
    CHECK(t != NULL && !t->dropped);
    t->dropped = true;
}

static void put_pause(struct sim_store *s, const struct effect *f)
{
    const struct effect_pause *p = &f->pause;
    const bool paused = wall_is_set(p->at);
    struct sim_trigger *t = p->kind == PAUSE_TRIGGER ? find_trigger(s, p->key) : NULL;
    struct sim_pipeline *row = p->kind == PAUSE_PIPELINE ? find_pipeline(s, p->key) : NULL;
    bool *flag = p->kind == PAUSE_ALL ? &s->paused : t != NULL ? &t->paused : &row->paused;
    CHECK(*flag != paused);
    *flag = paused;
}

static bool trigger_is_paused(const struct sim_store *s, const struct sim_run *r)
{
    const struct sim_trigger *t = find_trigger(s, r->trigger_key);
    return t != NULL && t->paused;
}

/* Where it stands in the batch, nothing that it belongs to is paused. */
static void check_start(const struct sim_store *s, const struct effect *f)
{
    const struct sim_run *r = sim_store_run(s, f->start_run.run);
    CHECK(r != NULL && !s->paused && !trigger_is_paused(s, r));
    CHECK(!find_pipeline(s, r->pipeline_key)->paused);
}

void sim_store_apply(struct sim_store *s, const struct batch *b)
{
    static void (*const apply[])(struct sim_store *, const struct effect *) = {
        [EFFECT_PUT_EVENT] = put_event,       [EFFECT_PUT_RUN] = put_run,
        [EFFECT_MOVE_RUN] = move_run,         [EFFECT_TRIGGER_STATE] = trigger_state,
        [EFFECT_PUT_PIPELINE] = put_pipeline, [EFFECT_DROP_PIPELINE] = drop_pipeline,
        [EFFECT_PUT_LEASE] = put_lease,       [EFFECT_DROP_LEASE] = drop_lease,
        [EFFECT_PUT_ATTEMPT] = put_attempt,   [EFFECT_PUT_TRIGGER] = put_trigger,
        [EFFECT_DROP_PENDING] = drop_pending, [EFFECT_PAUSE] = put_pause,
        [EFFECT_DROP_TRIGGER] = drop_trigger, [EFFECT_PUT_LOG_PART] = put_log_part,
    };
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (EFFECT_IS_RECORD(f->type))
            apply[f->type](s, f);
        else if (f->type == EFFECT_START_RUN)
            check_start(s, f);
}

struct sim_tally sim_store_tally(const struct sim_store *s, int64_t pipeline_key)
{
    struct sim_tally t = {0};
    for (const struct sim_run *r = s->runs; r != NULL; r = r->hh.next) {
        if (pipeline_key != 0 && r->pipeline_key != pipeline_key)
            continue;
        t.pending += r->status == RUN_PENDING;
        t.fresh += r->status == RUN_PENDING && r->attempt == 1;
        t.running += r->status == RUN_RUNNING;
        t.leased += r->leased;
        CHECK(!r->leased || r->status == RUN_RUNNING);
    }
    return t;
}

size_t sim_store_count(const struct sim_store *s, enum run_status status, bool pull)
{
    size_t n = 0;
    for (const struct sim_run *r = s->runs; r != NULL; r = r->hh.next)
        n += r->status == status && find_pipeline(s, r->pipeline_key)->pull == pull;
    return n;
}

static struct uuid trigger_id(const struct sim_store *s, int64_t key)
{
    const struct sim_trigger *t = find_trigger(s, key);
    return t != NULL ? t->id : UUID_NIL;
}

size_t sim_store_pending(const struct sim_store *s, int64_t pipeline_key, struct wall now,
                         uint32_t max, struct offered_run *ret, struct wall *ret_next_due)
{
    size_t n = 0;
    *ret_next_due = WALL_UNSET;
    for (const struct sim_run *r = s->runs; r != NULL; r = r->hh.next) {
        if (r->pipeline_key != pipeline_key || r->status != RUN_PENDING || trigger_is_paused(s, r))
            continue;
        bool due = !wall_is_set(r->due_at) || r->due_at.ms <= now.ms;
        if (due && n < max)
            ret[n++].start = (struct run_start){.run = r->id,
                                                .event = r->event,
                                                .attempt = r->attempt,
                                                .trigger = trigger_id(s, r->trigger_key)};
        if (!due && (!wall_is_set(*ret_next_due) || r->due_at.ms < ret_next_due->ms))
            *ret_next_due = r->due_at;
    }
    return n;
}

static void load_pipeline(const struct sim_store *s, struct engine *e,
                          const struct sim_pipeline *row)
{
    struct pipeline *p = mem_zalloc(sizeof(*p));
    p->id = row->id;
    p->key = row->key;
    p->path = mem_strdup(row->path);
    p->def = sim_pipeline_def_bounded(row->running_max, row->max_attempts, row->pull, row->policy,
                                      row->queue_max);
    p->def->version = row->version;
    for (const struct sim_run *r = s->runs; r != NULL; r = r->hh.next)
        p->pending += r->pipeline_key == row->key && r->status == RUN_PENDING;
    engine_load_pipeline(e, p);
    if (row->paused)
        engine_load_pause(e, &(struct pause_target){.pipeline = p});
}

static void load_trigger(const struct sim_store *s, struct engine *e, struct now now,
                         const struct sim_trigger *row)
{
    struct trigger *t = mem_zalloc(sizeof(*t));
    t->id = row->id;
    t->key = row->key;
    t->type = "webhook";
    t->pipeline = catalog_pipeline(engine_catalog(e), find_pipeline(s, row->pipeline_key)->id);
    t->def = sim_trigger_def(row->token, row->enabled, row->cooldown_ms);
    t->state.last_fired = row->last_fired;
    engine_load_trigger(e, now, t);
    if (row->paused)
        engine_load_pause(e, &(struct pause_target){.trigger = t});
}

static void recover_lease(const struct sim_store *s, struct engine *e, struct now now,
                          const struct sim_run *r)
{
    const struct run_start start = {.run = r->id, .event = r->event, .attempt = r->attempt};
    struct pipeline *p = catalog_pipeline(engine_catalog(e), find_pipeline(s, r->pipeline_key)->id);
    engine_recover_lease(e, now, p, &start, r->started_at, r->hash, r->expires_at);
}

void sim_store_load(const struct sim_store *s, struct engine *e, struct now now)
{
    struct catalog *c = engine_catalog(e);
    for (const struct sim_pipeline *p = s->pipelines; p != NULL; p = p->hh.next) {
        if (!p->dropped)
            load_pipeline(s, e, p);
        if (p->key > c->pipeline_key_last)
            c->pipeline_key_last = p->key;
    }
    for (const struct sim_trigger *t = s->triggers; t != NULL; t = t->hh.next) {
        if (!t->dropped)
            load_trigger(s, e, now, t);
        if (t->key > c->trigger_key_last)
            c->trigger_key_last = t->key;
    }
    if (s->paused)
        engine_load_pause(e, &(struct pause_target){0});
    for (const struct sim_run *r = s->runs; r != NULL; r = r->hh.next)
        if (r->status == RUN_RUNNING && r->leased)
            recover_lease(s, e, now, r);
        else if (r->status == RUN_RUNNING)
            engine_recover_run(e, now, catalog_pipeline(c, find_pipeline(s, r->pipeline_key)->id),
                               r->id, r->event, r->attempt, r->started_at);
}

#define FREE_ALL(type, head)                                                                       \
    do {                                                                                           \
        type *it, *tmp;                                                                            \
        HASH_ITER (hh, head, it, tmp) {                                                            \
            HASH_DEL(head, it);                                                                    \
            free(it);                                                                              \
        }                                                                                          \
    } while (0)

void sim_store_deinit(struct sim_store *s)
{
    for (struct sim_event *e = s->events; e != NULL; e = e->hh.next)
        free(e->decisions);
    FREE_ALL(struct sim_run, s->runs);
    FREE_ALL(struct sim_event, s->events);
    FREE_ALL(struct sim_pipeline, s->pipelines);
    FREE_ALL(struct sim_trigger, s->triggers);
}
