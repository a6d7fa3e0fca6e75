/* logs.c - what runs have written goes to disk while they go on. */
#include "base/check.h"
#include "base/mem.h"
#include "sim.h"
#include <errno.h>
#include <stdlib.h>

static const char log_text[4096]; /* what it says is nobody's business */

/* A part of a run's log, on its way. */
struct keeping {
    struct ticket ticket;
    struct sim *sim;
    struct uuid run;
    uint32_t attempt;
    size_t kept;
};

static void log_kept(struct ticket *t, const struct outcome *o)
{
    struct keeping *k = container_of(t, struct keeping, ticket);
    struct going *g = runs_find(k->sim, k->run, k->attempt);
    if (g != NULL) {
        g->keeping = false;
        if (o->err == 0)
            g->kept = k->kept;
    }
    free(k);
}

static void keep_log(struct sim *s, struct going *g)
{
    g->written += 1 + below(s, 100);
    const int err = engine_keep_log(s->engine, g->run, g->attempt, g->kept,
                                    (struct slice){log_text, g->written - g->kept});
    CHECK(err == 0 || err == -ENOBUFS);
    if (err != 0)
        return;
    struct keeping *k = mem_zalloc(sizeof(*k));
    *k = (struct keeping){{log_kept}, s, g->run, g->attempt, g->written};
    g->keeping = true;
    engine_confirm(s->engine, &k->ticket);
}

/* Whoever asks somebody outside has nothing to say. */
void logs_go_on(struct sim *s)
{
    for (size_t i = 0; i < s->going.len; i++) {
        struct going *g = &s->going.items[i];
        if (g->acts_at != NEVER && !g->asks && !g->keeping &&
            g->written + 100 <= sizeof(log_text) && below(s, 20) == 0)
            keep_log(s, g);
    }
}

struct slice logs_whole(const struct going *g)
{
    return (struct slice){log_text, g->written};
}

void logs_judge(struct sim *s)
{
    for (size_t i = 0; i < s->going.len; i++) {
        const struct going *g = &s->going.items[i];
        const struct sim_run *row = sim_store_run(&s->store, g->run);
        CHECK(row->status != RUN_RUNNING || row->attempt != g->attempt ||
              row->log_bytes >= g->kept);
    }
}
