/* arks.c - ArkEvents through failed commits and crashes, from one seed.
 *
 * The store here is the judge: a firing starts all of its targets in one transaction or none, the end of a run is told once and to its
 * own namespace only, nothing fires beside its last firing where that is forbidden, versions only grow, and what was fired is counted.
 *
 *     sim_arks [seed [steps]]
 */
#include "core/ark.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/vec.h"
#include "core/decision.h"
#include "core/engine.h"
#include "seeds.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACES 2
#define TEAMS 3
#define KINDS 5
#define TEXT_MAX 32

/* What the events of each namespace are. */
static const struct kind {
    char follows; /* a team; 0: it is called */
    uint8_t ends;
    const char *targets; /* teams */
    bool forbids;
    uint64_t cooldown_ms;
} kinds[KINDS] = {
    {0, 0, "ab", false, 0},
    {'a', 1 << RUN_SUCCESS, "bc", false, 0},
    {'b', 1 << RUN_SUCCESS | 1 << RUN_FAILED | 1 << RUN_CANCELLED, "c", false, 0},
    {0, 0, "ca", true, 0},
    {0, 0, "a", false, 20},
};

/* An ArkEvent as it is on disk. */
struct row {
    int slot; /* namespace * KINDS + kind */
    int64_t key;
    struct uuid id;
    bool enabled, dropped;
    uint64_t version, generation, fired;
    int reason;
    struct wall since, created_at, last_fired;
    uint64_t firings; /* counted here, by decisions */
};

struct going {
    struct uuid id, event;
    int64_t pipeline_key, trigger_key;
    struct wall started_at;
};

/* Of one transaction. */
struct due {
    struct uuid run;
    int64_t trigger_key, pipeline_key;
};
struct over {
    struct going run;
    enum run_status status;
    bool told;
};

struct sim {
    struct prng rng;
    struct now now;
    struct engine *engine;
    struct batch *out;
    VEC(struct row) rows;
    VEC(struct going) runs;
    struct uuid pipelines[NAMESPACES * TEAMS]; /* of key i + 1 */
    VEC(struct due) due;
    VEC(struct over) over;
    uint64_t version;
    uint64_t fired, chained, refused;
    unsigned failures, crashes;
    struct digest digest;
};

static uint64_t below(struct sim *s, uint64_t n)
{
    return prng_below(&s->rng, n);
}

static void team_path(int ns, char team, char ret[TEXT_MAX])
{
    snprintf(ret, TEXT_MAX, "n%d.team.%c", ns, team);
}

static void event_path(int slot, char ret[TEXT_MAX])
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

static struct trigger_def *make_def(int slot, bool enabled)
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
        event_path(slot, path);
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
    r->since = a->reason_since;
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

static void write_run(struct sim *s, const struct effect_put_run *r)
{
    size_t i = 0;
    while (i < s->due.len && uuid_cmp(s->due.items[i].run, r->id) != 0)
        i++;
    CHECK(i < s->due.len && s->due.items[i].trigger_key == r->trigger_key &&
          s->due.items[i].pipeline_key == r->pipeline_key && r->status == RUN_RUNNING);
    s->due.items[i] = s->due.items[--s->due.len];
    const struct going g = {r->id, r->event, r->pipeline_key, r->trigger_key, r->started_at};
    vec_push(&s->runs, g);
    digest_add(&s->digest, &r->id, sizeof(r->id));
}

static void end_run(struct sim *s, const struct effect_move_run *m)
{
    size_t i = 0;
    while (i < s->runs.len && uuid_cmp(s->runs.items[i].id, m->id) != 0)
        i++;
    CHECK(i < s->runs.len); /* nothing ends twice */
    const struct over o = {.run = s->runs.items[i], .status = m->status};
    vec_push(&s->over, o);
    s->runs.items[i] = s->runs.items[--s->runs.len];
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

static void apply(struct sim *s, const struct batch *b)
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
            end_run(s, &f->move_run);
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

/* ---- starting ---- */

static void load_pipelines(struct sim *s)
{
    char path[TEXT_MAX];
    for (int i = 0; i < NAMESPACES * TEAMS; i++) {
        struct pipeline *p = mem_zalloc(sizeof(*p));
        team_path(i / TEAMS, (char)('a' + i % TEAMS), path);
        *p = (struct pipeline){
            .key = i + 1, .id = s->pipelines[i], .path = mem_strdup(path), .def = pipeline_def()};
        engine_load_pipeline(s->engine, p);
    }
    engine_catalog(s->engine)->pipeline_key_last = NAMESPACES * TEAMS;
}

static void load_row(struct sim *s, const struct row *r)
{
    char path[TEXT_MAX];
    struct arkevent *a = mem_zalloc(sizeof(*a));
    event_path(r->slot, path);
    a->path = mem_strdup(path);
    a->trigger = (struct trigger){.id = r->id,
                                  .key = r->key,
                                  .type = "arkevent",
                                  .def = make_def(r->slot, r->enabled),
                                  .created_at = r->created_at,
                                  .state.last_fired = r->last_fired};
    a->state = (struct ark_state){.version = r->version,
                                  .generation = r->generation,
                                  .fired = r->fired,
                                  .reason = (enum ark_reason)r->reason,
                                  .reason_since = r->since};
    engine_load_ark(s->engine, s->now, a);
    for (size_t i = 0; kind_of(r)->forbids && i < s->runs.len; i++) {
        const struct going *g = &s->runs.items[i];
        if (g->trigger_key == r->key)
            engine_load_active(
                s->engine, &a->trigger, g->id,
                catalog_pipeline(engine_catalog(s->engine), s->pipelines[g->pipeline_key - 1]));
    }
}

static void boot(struct sim *s)
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
    engine_loaded_arks(s->engine, s->now, version_on_disk(s));
    for (size_t i = 0; i < s->runs.len; i++) {
        const struct going *g = &s->runs.items[i];
        engine_recover_run(s->engine, s->now,
                           catalog_pipeline(c, s->pipelines[g->pipeline_key - 1]), g->id, g->event,
                           1, g->started_at);
    }
    struct batch *b = engine_take(s->engine);
    if (b == NULL)
        return;
    apply(s, b);
    engine_settle(s->engine, s->now, b, 0);
    engine_recycle(s->engine, b);
}

/* ---- what happens ---- */

static void call(struct sim *s)
{
    char path[TEXT_MAX];
    event_path((int)below(s, NAMESPACES * KINDS), path);
    const struct event ev = {
        .source = "ark",
        .type = SLICE("webhook"),
        .key = match_key_of('a', slice_of(path)),
        .scope = slice_of(path),
        .payload = SLICE("{}"),
    };
    CHECK(engine_feed(s->engine, s->now, &ev) >= 0);
}

/* Also one whose end is on its way to the disk: then nothing happens. */
static void finish(struct sim *s)
{
    if (s->runs.len == 0)
        return;
    const struct run_result r = {
        .run = s->runs.items[below(s, s->runs.len)].id,
        .status = below(s, 3) > 0 ? RUN_SUCCESS : RUN_FAILED,
    };
    engine_finish(s->engine, s->now, &r, NULL);
}

static void change(struct sim *s)
{
    const int slot = (int)below(s, NAMESPACES * KINDS);
    const struct ark_token none = {0};
    char path[TEXT_MAX];
    event_path(slot, path);
    struct arkevent *a = catalog_ark(engine_catalog(s->engine), slice_of(path));
    if (a == NULL)
        engine_add_ark(s->engine, s->now, slice_of(path), "arkevent", make_def(slot, true),
                       SLICE("x"), &none, NULL);
    else if (below(s, 4) == 0)
        engine_drop_ark(s->engine, s->now, a, NULL);
    else
        engine_change_ark(s->engine, s->now, a, make_def(slot, below(s, 4) > 0), SLICE("x"),
                          below(s, 2) == 0, NULL);
}

/* ---- commits ---- */

static void settle(struct sim *s)
{
    const int err = below(s, 8) == 0 ? -EIO : 0;
    struct batch *b = s->out;
    s->out = NULL;
    if (err == 0)
        apply(s, b);
    s->failures += err != 0;
    engine_settle(s->engine, s->now, b, err);
    engine_recycle(s->engine, b);
}

/* The commit that was on its way may have got through. */
static void crash(struct sim *s)
{
    struct batch *b = s->out;
    s->out = NULL;
    if (b != NULL && below(s, 2) == 0)
        apply(s, b);
    if (b != NULL) {
        engine_settle(s->engine, s->now, b, -EIO);
        engine_recycle(s->engine, b);
    }
    engine_destroy(s->engine);
    boot(s);
    s->crashes++;
}

static void step(struct sim *s)
{
    s->now.mono.ms += below(s, 3);
    s->now.wall.ms += (int64_t)below(s, 3);
    const uint64_t what = below(s, 200);
    if (what < 40)
        call(s);
    else if (what < 120)
        finish(s);
    else if (what < 130)
        change(s);
    else if (what == 199)
        crash(s);
    else if (s->out != NULL)
        settle(s);
    else
        s->out = engine_take(s->engine);
}

static uint64_t simulate(uint64_t seed, unsigned steps, bool loud)
{
    struct sim s = {.now = {{1000}, {1770000000000}}};
    prng_init(&s.rng, seed);
    for (int i = 0; i < NAMESPACES * TEAMS; i++)
        s.pipelines[i].b[15] = (uint8_t)(i + 1);
    boot(&s);
    for (unsigned i = 0; i < steps; i++)
        step(&s);
    crash(&s);
    if (loud)
        printf("%llu fired, %llu of them by ends of runs, %llu refused, version %llu, "
               "%u failed commits, %u crashes\n",
               (unsigned long long)s.fired, (unsigned long long)s.chained,
               (unsigned long long)s.refused, (unsigned long long)s.version, s.failures, s.crashes);
    CHECK(s.fired > s.chained && s.chained > 0 && s.refused > 0 && s.failures > 0 && s.crashes > 1);
    engine_destroy(s.engine);
    vec_release(&s.rows);
    vec_release(&s.runs);
    vec_release(&s.due);
    vec_release(&s.over);
    return s.digest.value;
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, simulate, 12, 20000);
}
