/* shell.c - the daemon around the engine: commits, what follows them, and crashes. */
#include "base/check.h"
#include "sim.h"
#include <errno.h>
#include <stdlib.h>

#define LEASED_MAX 8

static void write_down(struct sim *s, const struct batch *b)
{
    judge_ends(s, b);
    sim_store_apply(&s->store, b);
}

static void fetch(struct sim *s, const struct effect_fetch_runs *e)
{
    struct fetching f = {.pipeline = e->pipeline, .comes_at = soon(s, 20)};
    CHECK(e->count_max <= RUNNING_MAX);
    f.n = sim_store_pending(&s->store, e->pipeline->key, s->now.wall, e->count_max, f.runs,
                            &f.next_due);
    vec_push(&s->fetching, f);
}

void shell_deliver(struct sim *s)
{
    for (size_t i = 0; i < s->fetching.len;) {
        struct fetching f = s->fetching.items[i];
        if (f.comes_at > s->now.mono.ms) {
            i++;
            continue;
        }
        s->fetching.items[i] = s->fetching.items[--s->fetching.len];
        int err = !s->calm && below(s, 30) == 0 ? -EIO : 0;
        engine_offer(s->engine, s->now, f.pipeline, f.runs, err == 0 ? f.n : 0, f.next_due, err);
    }
}

static void carry_out(struct sim *s, const struct batch *b)
{
    for (const struct effect *next, *f = b->first; f != NULL; f = next) {
        next = f->next;
        digest_add(&s->digest, &f->type, sizeof(f->type));
        if (f->type == EFFECT_START_RUN)
            runs_start(s, &f->start_run);
        else if (f->type == EFFECT_CANCEL_RUN)
            runs_cancel(s, f->cancel_run);
        else if (f->type == EFFECT_FETCH_RUNS)
            fetch(s, &f->fetch_runs);
        else if (f->type == EFFECT_REPLY)
            f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
        else if (f->type == EFFECT_PUT_RUN)
            digest_add(&s->digest, &f->put_run.id, sizeof(f->put_run.id));
    }
}

void shell_commit(struct sim *s)
{
    struct batch *b = s->out;
    s->out = NULL;
    if (!s->commit_fails)
        write_down(s, b);
    engine_settle(s->engine, s->now, b, s->commit_fails ? -ENOSPC : 0);
    if (s->commit_fails) {
        s->failures++;
        judge_memory(s);
    }
    carry_out(s, b);
    engine_recycle(s->engine, b);
    s->commit_fails = false;
}

void shell_start(struct sim *s)
{
    const struct engine_options opt = {
        .running_max = RUNNING_MAX, .leased_max = LEASED_MAX, .batch_bytes_max = 1 << 20};
    s->engine = engine_create(&opt, s->now, prng_u64(&s->rng));
    s->born = s->now;
}

/* What became of the interrupted runs is written before anything else happens; a daemon that cannot does not start. */
static void recover(struct sim *s)
{
    struct batch *b = engine_take(s->engine);
    if (b == NULL)
        return;
    write_down(s, b);
    engine_settle(s->engine, s->now, b, 0);
    engine_recycle(s->engine, b);
}

void shell_crash(struct sim *s)
{
    lookups_deliver(s, true);
    struct batch *b = s->out;
    if (b != NULL && below(s, 2) == 0)
        write_down(s, b);         /* the commit got through, the answer did not */
    for (int i = 0; i < 2; i++) { /* nobody is there any more to redeem them */
        if (b == NULL)
            b = engine_take(s->engine);
        if (b == NULL)
            break;
        engine_settle(s->engine, s->now, b, -EIO);
        for (const struct effect *f = b->first; f != NULL; f = f->next) {
            CHECK(f->type == EFFECT_REPLY);
            if (is_promise(f->reply.ticket))
                promise_forget(s, f->reply.ticket);
            else
                free(f->reply.ticket);
        }
        engine_recycle(s->engine, b);
        b = NULL;
    }
    s->out = NULL;
    CHECK(s->tickets_open == 0);
    s->commit_fails = false;
    logs_judge(s);
    runs_crash(s);
    for (size_t i = 0; i < s->fetching.len; i++)
        engine_offer(s->engine, s->now, s->fetching.items[i].pipeline, NULL, 0, WALL_UNSET,
                     -ECANCELED);
    s->fetching.len = 0;
    engine_destroy(s->engine);
    s->life++;
    s->crashes++;
    shell_start(s);
    sim_store_load(&s->store, s->engine, s->now);
    recover(s);
    engine_tick(s->engine, s->now);
}

void shell_end(struct sim *s)
{
    engine_destroy(s->engine);
    sim_store_deinit(&s->store);
    vec_release(&s->going);
    vec_release(&s->outside);
    vec_release(&s->fetching);
    vec_release(&s->lookups);
    vec_release(&s->firings);
    vec_release(&s->recools);
}
