/* sim.c - the engine through simulated days in a second, from one seed.
 *
 *     sim [SEED [STEPS]]        prints the seed; the same seed does the same
 *
 * Random webhooks, changes of the catalog, cancellations, slow and failing commits, runs that end in every way or are handed over to
 * somebody outside, clock steps and crashes. After every step, and in the end when everything has come to rest:
 *
 *   - every ticket is redeemed exactly once; what was acknowledged is in the store, with its runs
 *   - nothing is doubled: ids, starts of an attempt, ends of a run, replays of a dead one (store.c checks the moves)
 *   - each attempt but the last is kept; of one that a crash cut off what it had written, as far as that was acknowledged
 *   - a run is started only when the store says it is running; nothing runs twice at once; limits of concurrency hold
 *   - what was handed over ends by its own report, which counts once, by cancellation or when its time is over, crash or not
 *   - no trigger fires within its cooldown, crash or not
 *   - after a failed commit memory says what the store says
 *   - at rest the engine counts what the store has; more than max_runs are never under way where the policy skips or replaces, and more
 *     than max_queue new runs never wait, but for what was there when the limit was set
 *   - nothing is started of what is paused, crash or not; what waited goes on
 *   - nothing is left pending or running when there is time to finish it
 */
#include "base/check.h"
#include "sim.h"
#include <stdio.h>

static void step(struct sim *s)
{
    uint64_t ms = below(s, 10) == 0 ? below(s, 2000) : below(s, 4);
    s->now.mono.ms += ms;
    s->now.wall.ms += (int64_t)ms;
    if (s->out != NULL && s->now.mono.ms >= s->commit_at)
        shell_commit(s);
    for (uint64_t n = s->calm ? 0 : below(s, 4); n > 0; n--)
        moves_make(s);
    logs_go_on(s);
    runs_go_on(s);
    shell_deliver(s);
    lookups_deliver(s, false);
    if (s->out == NULL && engine_is_idle(s->engine)) {
        judge_bounds(s);
        judge_running(s);
    }
    if (engine_wake_at(s->engine).ms <= s->now.mono.ms)
        engine_tick(s->engine, s->now);
    if (s->out == NULL && (s->out = engine_take(s->engine)) != NULL) {
        s->commit_at = s->now.mono.ms + below(s, 8);
        s->commit_fails = !s->calm && below(s, s->in_doubt ? 3 : 25) == 0;
        s->in_doubt = false;
    }
}

static bool at_rest(const struct sim *s)
{
    return s->out == NULL && s->going.len == 0 && s->fetching.len == 0 &&
           sim_store_count(&s->store, RUN_PENDING, false) == 0 &&
           sim_store_tally(&s->store, 0).running == 0;
}

static void say(const struct sim *s)
{
    printf("%llu acknowledged, %u runs, %llu starts, %llu replays, %llu refused; %llu handed over, "
           "%llu reported, %llu expired; %u failed commits, %u crashes\n",
           (unsigned long long)s->acknowledged, HASH_COUNT(s->store.runs),
           (unsigned long long)s->starts, (unsigned long long)s->replays,
           (unsigned long long)s->refused, (unsigned long long)s->handed_over,
           (unsigned long long)s->reported, (unsigned long long)s->expired, s->failures,
           s->crashes);
}

static uint64_t simulate(uint64_t seed, unsigned steps, bool loud)
{
    struct sim s = {.now = {{1000}, {1770000000000}}};
    prng_init(&s.rng, seed);
    shell_start(&s);
    for (unsigned i = 0; i < steps; i++)
        step(&s);
    s.calm = true;
    while (s.out != NULL) /* it may still fail, and take back what comes next */
        step(&s);
    moves_resume_all(&s);
    for (unsigned i = 0; i < 200000 && (i < 100 || !at_rest(&s)); i++)
        step(&s);
    CHECK(at_rest(&s) && s.tickets_open == 0);
    judge_memory(&s);
    if (loud)
        say(&s);
    CHECK(steps < 1000 || (s.handed_over > 0 && s.reported > 0 && s.expired > 0));
    shell_end(&s);
    return s.digest.value;
}

int main(int argc, char **argv)
{
    return seeds_main(argc, argv, simulate, 24, 4000);
}
