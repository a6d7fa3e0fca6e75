/* arks.c - ArkEvents through pauses, replays, failed commits and crashes, from one seed.
 *
 * The store is the judge: a firing makes runs of all of its targets in one transaction or none, the end of a run is told once and to its
 * own namespace only, nothing fires beside its last firing where that is forbidden, versions only grow, and what was fired is counted.
 * Nothing is started of what is paused, nothing twice; every run ends once, and what is made again is a new run that names the old one,
 * which is made again once. After a failed commit memory counts what the store has; in the end nothing is left.
 *
 *     sim_arks [seed [steps]]
 */
#include "arks.h"
#include "base/check.h"
#include "core/ark.h"
#include <errno.h>
#include <stdio.h>

#define FETCH_MAX 64

/* ---- what happens ---- */

static void call(struct sim *s)
{
    char path[TEXT_MAX];
    arks_event_path((int)below(s, NAMESPACES * KINDS), path);
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
    const struct going *g = s->runs.len > 0 ? &s->runs.items[below(s, s->runs.len)] : NULL;
    if (g == NULL || !g->started)
        return;
    const struct run_result r = {
        .run = g->id,
        .status = below(s, 3) > 0 ? RUN_SUCCESS : RUN_FAILED,
    };
    engine_finish(s->engine, s->now, &r, NULL);
}

static void change(struct sim *s)
{
    const int slot = (int)below(s, NAMESPACES * KINDS);
    const struct ark_token none = {0};
    char path[TEXT_MAX];
    arks_event_path(slot, path);
    struct arkevent *a = catalog_ark(engine_catalog(s->engine), slice_of(path));
    if (a == NULL)
        engine_add_ark(s->engine, s->now, slice_of(path), "arkevent", arks_def(slot, true),
                       SLICE("x"), &none, NULL);
    else if (below(s, 4) == 0)
        engine_drop_ark(s->engine, s->now, a, NULL);
    else
        engine_change_ark(s->engine, s->now, a, arks_def(slot, below(s, 4) > 0), SLICE("x"),
                          below(s, 2) == 0, NULL);
}

static struct pipeline *team(struct sim *s, int64_t key)
{
    return catalog_pipeline(engine_catalog(s->engine), s->pipelines[key - 1]);
}

static void pause(struct sim *s)
{
    const uint64_t which = below(s, 2 * NAMESPACES * TEAMS);
    struct pause_target x = {0};
    if (which < NAMESPACES * TEAMS)
        x.pipeline = team(s, (int64_t)which + 1);
    if (below(s, 3) == 0)
        engine_pause(s->engine, s->now, &x, SLICE("why not"), NULL);
    else
        engine_resume(s->engine, s->now, &x, NULL);
}

/* Two may ask for the same run. */
static void replay(struct sim *s)
{
    if (s->dead.len == 0)
        return;
    const struct going *d =
        &s->dead.items[s->dead.len - 1 - below(s, s->dead.len < 9 ? s->dead.len : 9)];
    if (d->replayed)
        return;
    struct replay r = {.run = d->id,
                       .event = d->event,
                       .pipeline = s->pipelines[d->pipeline_key - 1],
                       .trigger_key = d->trigger_key};
    for (size_t i = 0; i < s->rows.len; i++)
        if (s->rows.items[i].key == d->trigger_key && !s->rows.items[i].dropped)
            r.trigger = s->rows.items[i].id;
    engine_replay_begin(s->engine);
    vec_push(&s->lookups, r);
}

/* ---- what was read arrives ---- */

static void arrive(struct sim *s)
{
    struct offered_run runs[FETCH_MAX] = {0};
    if (s->fetching.len > 0) {
        const struct fetching f = s->fetching.items[--s->fetching.len];
        const size_t max = f.count_max < FETCH_MAX ? f.count_max : FETCH_MAX;
        engine_offer(s->engine, s->now, f.pipeline, runs, arks_pending(s, f.pipeline, runs, max),
                     WALL_UNSET, 0);
    }
    if (s->lookups.len > 0) {
        struct replay r = s->lookups.items[--s->lookups.len];
        engine_replay(s->engine, s->now, &r, 1, NULL);
        CHECK(uuid_is_nil(r.made) || uuid_cmp(r.made, r.run) != 0);
    }
}

/* Before the engine goes. */
static void forget(struct sim *s)
{
    while (s->fetching.len > 0)
        engine_offer(s->engine, s->now, s->fetching.items[--s->fetching.len].pipeline, NULL, 0,
                     WALL_UNSET, -ECANCELED);
    while (s->lookups.len > 0) {
        s->lookups.len--;
        engine_replay(s->engine, s->now, NULL, 0, NULL);
    }
}

/* ---- commits ---- */

static void carry_out(struct sim *s, const struct batch *b)
{
    for (const struct effect *f = b->first; f != NULL; f = f->next) {
        if (f->type == EFFECT_START_RUN)
            arks_start(s, f->start_run.run);
        if (f->type != EFFECT_FETCH_RUNS)
            continue;
        const struct fetching r = {f->fetch_runs.pipeline, f->fetch_runs.count_max};
        vec_push(&s->fetching, r);
    }
}

static void settle(struct sim *s, int err)
{
    struct batch *b = s->out;
    s->out = NULL;
    if (err == 0)
        arks_apply(s, b);
    s->failures += err != 0;
    engine_settle(s->engine, s->now, b, err);
    if (err != 0)
        arks_judge_memory(s);
    carry_out(s, b);
    engine_recycle(s->engine, b);
}

static void boot(struct sim *s)
{
    arks_load(s);
    if ((s->out = engine_take(s->engine)) != NULL)
        settle(s, 0);
}

/* The commit that was on its way may have got through. */
static void crash(struct sim *s)
{
    forget(s);
    for (int i = 0; i < 2; i++) {
        struct batch *b = s->out != NULL ? s->out : engine_take(s->engine);
        if (s->out != NULL && below(s, 2) == 0)
            arks_apply(s, b);
        s->out = NULL;
        if (b == NULL)
            break;
        engine_settle(s->engine, s->now, b, -EIO);
        engine_recycle(s->engine, b);
    }
    engine_destroy(s->engine);
    boot(s);
    s->crashes++;
}

static void turn(struct sim *s, bool calm)
{
    if (s->out != NULL)
        settle(s, !calm && below(s, 8) == 0 ? -EIO : 0);
    else
        s->out = engine_take(s->engine);
    if (engine_wake_at(s->engine).ms <= s->now.mono.ms)
        engine_tick(s->engine, s->now);
}

static void step(struct sim *s)
{
    s->now.mono.ms += below(s, 3);
    s->now.wall.ms += (int64_t)below(s, 3);
    const uint64_t what = below(s, 220);
    if (what < 40)
        call(s);
    else if (what < 120)
        finish(s);
    else if (what < 130)
        change(s);
    else if (what < 133)
        pause(s);
    else if (what < 136)
        replay(s);
    else if (what < 150)
        arrive(s);
    else if (what == 219)
        crash(s);
    else
        turn(s, false);
}

/* Everything goes on, and nothing new comes. */
static void come_to_rest(struct sim *s)
{
    engine_resume(s->engine, s->now, &(struct pause_target){0}, NULL);
    for (int i = 1; i <= NAMESPACES * TEAMS; i++)
        engine_resume(s->engine, s->now, &(struct pause_target){.pipeline = team(s, i)}, NULL);
    for (unsigned i = 0; i < 100000 && (s->runs.len > 0 || !engine_is_idle(s->engine)); i++) {
        s->now.mono.ms += 10;
        s->now.wall.ms += 10;
        finish(s);
        arrive(s);
        turn(s, true);
    }
    CHECK(s->runs.len == 0);
    arks_judge_memory(s);
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
    come_to_rest(&s);
    if (loud)
        printf("%llu fired, %llu of them by ends of runs, %llu refused, %llu runs waited, %llu "
               "made again, version %llu, %u failed commits, %u crashes\n",
               (unsigned long long)s.fired, (unsigned long long)s.chained,
               (unsigned long long)s.refused, (unsigned long long)s.waited,
               (unsigned long long)s.replays, (unsigned long long)s.version, s.failures, s.crashes);
    CHECK(s.fired > s.chained && s.chained > 0 && s.refused > 0 && s.failures > 0 && s.crashes > 1);
    CHECK(s.replays > 0 && s.waited > s.replays);
    engine_destroy(s.engine);
    vec_release(&s.rows);
    vec_release(&s.runs);
    vec_release(&s.dead);
    vec_release(&s.fetching);
    vec_release(&s.lookups);
    vec_release(&s.due);
    vec_release(&s.over);
    return s.digest.value;
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, simulate, 12, 20000);
}
