/* batch.h - what a batch of the engine holds, for tests that settle it themselves. */
#ifndef UNIT_BATCH_H
#define UNIT_BATCH_H
#include "core/engine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static inline unsigned count_effects(const struct batch *b, enum effect_type type)
{
    unsigned n = 0;
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        n += f->type == type;
    return n;
}

/* The first of that type; NULL: there is none. */
static inline const struct effect *find_effect(const struct batch *b, enum effect_type type)
{
    const struct effect *f = b->first;
    while (f != NULL && f->type != type)
        f = f->next;
    return f;
}

/* Settles what has filled up, which must be something, and redeems its tickets; the caller recycles. */
static inline struct batch *settle_batch(struct engine *e, struct now now, int err)
{
    struct batch *b = engine_take(e);
    assert_non_null(b);
    engine_settle(e, now, b, err);
    for (const struct effect *f = b->first; f != NULL; f = f->next)
        if (f->type == EFFECT_REPLY)
            f->reply.ticket->done(f->reply.ticket, &f->reply.outcome);
    return b;
}

#endif
