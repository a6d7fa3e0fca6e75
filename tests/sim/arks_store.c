/* arks_store.c - ArkEvents, teams and runs as they are on disk; the judge of what may be written. */
#include "arks.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/ark.h"
#include "core/decision.h"
#include <stdio.h>
#include <string.h>

const struct kind kinds[KINDS] = {
    {0, 0, "ab", false, 0},
    {'a', 1 << RUN_SUCCESS, "bc", false, 0},
    {'b', 1 << RUN_SUCCESS | 1 << RUN_FAILED | 1 << RUN_CANCELLED, "c", false, 0},
    {0, 0, "ca", true, 0},
    {0, 0, "a", false, 20},
};

static void team_path(int ns, char team, char ret[TEXT_MAX])
{
    snprintf(ret, TEXT_MAX, "n%d.team.%c", ns, team);
}

void arks_event_path(int slot, char ret[TEXT_MAX])
{
    snprintf(ret, TEXT_MAX, "n%d/e%d", slot / KINDS, slot % KINDS);
}

static int64_t pipeline_key(int ns, char team)
{
    return ns * TEAMS + (team - 'a') + 1;
}

static const struct kind *kind_of(const struct row *r)
{
    return &kinds[r->slot % KINDS];
}

/* ---- what is made ---- */

struct trigger_def *arks_def(int slot, bool enabled)
{
    const struct kind *k = &kinds[slot % KINDS];
    char path[TEXT_MAX];
    struct rule r = {0};
    struct rule_targets *all = rule_set_targets(&r, (uint16_t)strlen(k->targets));
    all->forbids = k->forbids;
    for (size_t i = 0; k->targets[i] != '\0'; i++) {
        team_path(slot / KINDS, k->targets[i], path);
        all->items[i].path = mem_strdup(path);
    }
    if (k->follows != 0)
        team_path(slot / KINDS, k->follows, path);
    else
        arks_event_path(slot, path);
    r.ends = k->ends;
    r.scope = mem_strdup(path);
    rule_set_key(&r, k->follows != 0 ? completion_key(slice_of(path))
                                     : match_key_of('a', slice_of(path)));
    return trigger_def_create(SLICE("{}"), enabled, k->cooldown_ms, &r);
}

static struct pipeline_def *pipeline_def(void)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    *d = (struct pipeline_def){.spec = mem_strdup("{}"), .version = 1, .retry.max_attempts = 1};
    return d;
}

/* ---- the disk ---- */

static struct row *row_of_key(struct sim *s, int64_t key)
{
    for (size_t i = 0; i < s->rows.len; i++)
        if (s->rows.items[i].key == key)
            return &s->rows.items[i];
    return NULL;
}

static struct row *row_of_id(struct sim *s, struct uuid id)
{
    for (size_t i = 0; i < s->rows.len; i++)
        if (uuid_cmp(s->rows.items[i].id, id) == 0)
            return &s->rows.items[i];
    return NULL;
}

static void write_trigger(struct sim *s, const struct effect_put_trigger *t)
{
    struct row *r = row_of_key(s, t->key);
    if (r == NULL) {
        const struct row fresh = {.key = t->key, .id = t->id, .created_at = t->created_at};
        vec_push(&s->rows, fresh);
        r = row_of_key(s, t->key);
    }
    r->enabled = t->enabled;
}

/* The state of a trigger is one effect, where it first changed in the batch, and has the last version. */
static void raise_version(struct row *r, uint64_t version)
{
    if (version > r->version)
        r->version = version;
}

static void write_ark(struct sim *s, const struct effect_put_ark *a)
{
    struct row *r = row_of_key(s, a->key);
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%.*s", (int)a->path.len, a->path.p);
    r->slot = (path[1] - '0') * KINDS + (path[4] - '0');
    raise_version(r, a->version);
    r->generation = a->generation;
    r->reason = a->reason;
    r->since = a->ready_since;
    r->dropped = a->dropped;
}

static void expect_runs(struct sim *s, const struct row *r, const struct decision *d)
{
    const struct kind *k = kind_of(r);
    CHECK(d->run_count == strlen(k->targets));
    for (size_t i = 0; i < d->run_count; i++) {
        const struct due due = {d->runs[i], r->key, pipeline_key(r->slot / KINDS, k->targets[i])};
        vec_push(&s->due, due);
    }
    for (size_t i = 0; k->forbids && i < s->runs.len; i++)
        CHECK(s->runs.items[i].trigger_key != r->key);
}

static struct over *told(struct sim *s, const struct effect_put_event *e)
{
    const char *mark = "{\"run_id\":\"";
    struct uuid run;
    CHECK(slice_starts(e->payload, mark) &&
          uuid_parse((struct slice){e->payload.p + strlen(mark), UUID_TEXT_LEN}, &run));
    for (size_t i = 0; i < s->over.len; i++)
        if (uuid_cmp(s->over.items[i].run.id, run) == 0)
            return &s->over.items[i];
    return NULL;
}

static void write_event(struct sim *s, const struct effect_put_event *e)
{
    struct arena a = {0};
    struct slice rest = e->decisions;
    struct decision d;
    struct over *o = NULL;
    if (strcmp(e->source, "completion") == 0) {
        o = told(s, e);
        CHECK(o != NULL && !o->told);
        o->told = true;
    }
    while (decision_decode(&rest, &a, &d)) {
        struct row *r = row_of_id(s, d.trigger);
        CHECK(r != NULL && !r->dropped);
        CHECK((kind_of(r)->follows != 0) == (o != NULL));
        if (o != NULL)
            CHECK(o->run.pipeline_key == pipeline_key(r->slot / KINDS, kind_of(r)->follows));
        CHECK((d.verdict == VERDICT_FIRED) == (d.run_count > 0));
        s->refused += d.verdict != VERDICT_FIRED;
        if (d.verdict != VERDICT_FIRED)
            continue;
        CHECK(r->enabled && (o == NULL || (kind_of(r)->ends & 1 << o->status) != 0));
        expect_runs(s, r, &d);
        r->firings++;
        s->fired++;
        s->chained += o != NULL;
    }
    arena_release(&a);
}

struct going *arks_run(struct sim *s, struct uuid run)
{
    for (size_t i = 0; i < s->runs.len; i++)
        if (uuid_cmp(s->runs.items[i].id, run) == 0)
            return &s->runs.items[i];
    return NULL;
}

static bool is_held(const struct sim *s, int64_t pipeline_key)
{
    return s->paused || s->team_paused[pipeline_key - 1];
}

static void write_pause(struct sim *s, const struct effect_pause *p)
{
    bool *flag = p->kind == PAUSE_ALL ? &s->paused : &s->team_paused[p->key - 1];
    CHECK(*flag != wall_is_set(p->at));
    *flag = !*flag;
}

/* One of those that a firing has made, */
static void take_due(struct sim *s, const struct effect_put_run *r)
{
    size_t i = 0;
    while (i < s->due.len && uuid_cmp(s->due.items[i].run, r->id) != 0)
        i++;
    CHECK(i < s->due.len && s->due.items[i].trigger_key == r->trigger_key &&
          s->due.items[i].pipeline_key == r->pipeline_key);
    s->due.items[i] = s->due.items[--s->due.len];
}

/* or a new one for one that has failed, the first. */
static void take_replay(struct sim *s, const struct effect_put_run *r)
{
    struct going *d = s->dead.items;
    while (d < s->dead.items + s->dead.len && uuid_cmp(d->id, r->replay_of) != 0)
        d++;
    CHECK(d < s->dead.items + s->dead.len && !d->replayed && r->status == RUN_PENDING);
    CHECK(uuid_cmp(d->event, r->event) == 0 && uuid_cmp(d->id, r->id) != 0);
    CHECK(d->pipeline_key == r->pipeline_key && d->trigger_key == r->trigger_key);
    d->replayed = true;
    s->replays++;
}

static void write_run(struct sim *s, const struct effect_put_run *r)
{
    if (uuid_is_nil(r->replay_of))
        take_due(s, r);
    else
        take_replay(s, r);
    CHECK(arks_run(s, r->id) == NULL && r->attempt == 1);
    CHECK(r->status == RUN_PENDING || !is_held(s, r->pipeline_key));
    const struct going g = {r->id,          r->event,      r->pipeline_key,
                            r->trigger_key, r->started_at, r->status == RUN_PENDING};
    vec_push(&s->runs, g);
    s->waited += g.pending;
    digest_add(&s->digest, &r->id, sizeof(r->id));
}

/* It begins, or ends; each once. */
static void move_run(struct sim *s, const struct effect_move_run *m)
{
    struct going *g = arks_run(s, m->id);
    CHECK(g != NULL && m->attempt == 1 && g->pending == (m->status == RUN_RUNNING));
    if (g->pending) {
        CHECK(!is_held(s, g->pipeline_key));
        g->pending = false;
        g->started_at = m->started_at;
        return;
    }
    CHECK(run_status_is_final(m->status));
    const struct over o = {.run = *g, .status = m->status};
    vec_push(&s->over, o);
    if (m->status == RUN_FAILED)
        vec_push(&s->dead, *g);
    *g = s->runs.items[--s->runs.len];
}

void arks_start(struct sim *s, struct uuid run)
{
    struct going *g = arks_run(s, run);
    CHECK(g != NULL && !g->pending && !g->started);
    g->started = true;
}

/* The oldest ones. */
size_t arks_pending(struct sim *s, const struct pipeline *p, struct offered_run *ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < s->runs.len; i++) {
        const struct going *g = &s->runs.items[i];
        if (g->pending && g->pipeline_key == p->key && n < max)
            ret[n++].start = (struct run_start){.run = g->id, .event = g->event, .attempt = 1};
    }
    return n;
}

static void write_state(struct sim *s, const struct effect_trigger_state *t)
{
    struct row *r = row_of_key(s, t->trigger_key);
    CHECK(t->fired >= r->fired);
    r->fired = t->fired;
    r->last_fired = t->last_fired;
    raise_version(r, t->version);
}

/* Whoever follows a run that has ended was told, unless it was changed just then. */
static void check_told(struct sim *s)
{
    for (size_t i = 0; i < s->over.len; i++)
        for (size_t k = 0; k < s->rows.len; k++) {
            const struct over *o = &s->over.items[i];
            const struct row *r = &s->rows.items[k];
            const bool follows =
                kind_of(r)->follows != 0 && (kind_of(r)->ends & 1 << o->status) != 0 &&
                o->run.pipeline_key == pipeline_key(r->slot / KINDS, kind_of(r)->follows);
            CHECK(r->dropped || !follows || o->told);
        }
}

static uint64_t version_on_disk(const struct sim *s)
{
    uint64_t version = 0;
    for (size_t i = 0; i < s->rows.len; i++)
        if (s->rows.items[i].version > version)
            version = s->rows.items[i].version;
    return version;
}

void arks_apply(struct sim *s, const struct batch *b)
{
    bool changed = false;
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        digest_add(&s->digest, &f->type, sizeof(f->type));
        if (f->type == EFFECT_PUT_TRIGGER)
            write_trigger(s, &f->put_trigger);
        else if (f->type == EFFECT_PUT_ARK)
            write_ark(s, &f->put_ark);
        else if (f->type == EFFECT_PUT_EVENT)
            write_event(s, &f->put_event);
        else if (f->type == EFFECT_PUT_RUN)
            write_run(s, &f->put_run);
        else if (f->type == EFFECT_MOVE_RUN)
            move_run(s, &f->move_run);
        else if (f->type == EFFECT_PAUSE)
            write_pause(s, &f->pause);
        else if (f->type == EFFECT_TRIGGER_STATE)
            write_state(s, &f->trigger_state);
        else if (f->type == EFFECT_PUT_PIPELINE)
            s->pipelines[f->put_pipeline.key - 1] = f->put_pipeline.id;
        else if (f->type == EFFECT_ARK_CHANGED) {
            CHECK(f->ark_changed.version > s->version);
            s->version = f->ark_changed.version;
        }
        changed = changed || f->type == EFFECT_PUT_TRIGGER || f->type == EFFECT_PUT_ARK;
    }
    CHECK(s->due.len == 0 && version_on_disk(s) == s->version);
    for (size_t i = 0; i < s->rows.len; i++)
        CHECK(s->rows.items[i].fired == s->rows.items[i].firings);
    if (!changed)
        check_told(s);
    s->over.len = 0;
}

static size_t count_pending(const struct sim *s, int64_t pipeline_key)
{
    size_t n = 0;
    for (size_t i = 0; i < s->runs.len; i++)
        n += s->runs.items[i].pending &&
             (pipeline_key == 0 || s->runs.items[i].pipeline_key == pipeline_key);
    return n;
}

void arks_judge_memory(struct sim *s)
{
    const struct engine_stats st = engine_stats(s->engine);
    uint64_t teams = 0;
    for (int i = 0; i < NAMESPACES * TEAMS; i++)
        teams += s->team_paused[i];
    CHECK(st.pending == count_pending(s, 0) && st.running == s->runs.len - st.pending);
    CHECK(st.paused == s->paused && st.paused_pipelines == teams);
}

/* ---- starting ---- */

static void load_pipelines(struct sim *s)
{
    char path[TEXT_MAX];
    for (int i = 0; i < NAMESPACES * TEAMS; i++) {
        struct pipeline *p = mem_zalloc(sizeof(*p));
        team_path(i / TEAMS, (char)('a' + i % TEAMS), path);
        *p = (struct pipeline){.key = i + 1,
                               .id = s->pipelines[i],
                               .path = mem_strdup(path),
                               .def = pipeline_def(),
                               .pending = count_pending(s, i + 1)};
        engine_load_pipeline(s->engine, p);
        if (s->team_paused[i])
            engine_load_pause(s->engine, &(struct pause_target){.pipeline = p});
    }
    engine_catalog(s->engine)->pipeline_key_last = NAMESPACES * TEAMS;
}

static void load_row(struct sim *s, const struct row *r)
{
    char path[TEXT_MAX];
    struct arkevent *a = mem_zalloc(sizeof(*a));
    arks_event_path(r->slot, path);
    a->path = mem_strdup(path);
    a->trigger = (struct trigger){.id = r->id,
                                  .key = r->key,
                                  .type = "arkevent",
                                  .def = arks_def(r->slot, r->enabled),
                                  .created_at = r->created_at,
                                  .state.last_fired = r->last_fired};
    a->state = (struct ark_state){.version = r->version,
                                  .generation = r->generation,
                                  .fired = r->fired,
                                  .reason = (enum ark_reason)r->reason,
                                  .ready_since = r->since};
    engine_load_ark(s->engine, s->now, a);
    for (size_t i = 0; kind_of(r)->forbids && i < s->runs.len; i++) {
        const struct going *g = &s->runs.items[i];
        if (g->trigger_key == r->key)
            engine_load_active(
                s->engine, &a->trigger, g->id,
                catalog_pipeline(engine_catalog(s->engine), s->pipelines[g->pipeline_key - 1]));
    }
}

void arks_load(struct sim *s)
{
    const struct engine_options opt = {.running_max = 1 << 20, .batch_bytes_max = 1 << 20};
    s->engine = engine_create(&opt, s->now, prng_u64(&s->rng));
    struct catalog *c = engine_catalog(s->engine);
    load_pipelines(s);
    for (size_t i = 0; i < s->rows.len; i++) {
        if (s->rows.items[i].key > c->trigger_key_last)
            c->trigger_key_last = s->rows.items[i].key;
        if (!s->rows.items[i].dropped)
            load_row(s, &s->rows.items[i]);
    }
    if (s->paused)
        engine_load_pause(s->engine, &(struct pause_target){0});
    engine_loaded_arks(s->engine, s->now, version_on_disk(s));
    for (size_t i = 0; i < s->runs.len; i++) {
        const struct going *g = &s->runs.items[i];
        if (g->pending)
            continue;
        engine_recover_run(s->engine, s->now,
                           catalog_pipeline(c, s->pipelines[g->pipeline_key - 1]), g->id, g->event,
                           1, g->started_at);
    }
}
