#include "core/effect.h"
#include "base/mem.h"
#include <stdlib.h>

struct batch *batch_create(void)
{
    return mem_zalloc(sizeof(struct batch));
}

void batch_reset(struct batch *b)
{
    struct arena arena = b->arena;
    arena_reset(&arena);
    *b = (struct batch){.arena = arena};
}

void batch_destroy(struct batch *b)
{
    if (b == NULL)
        return;
    arena_release(&b->arena);
    free(b);
}

struct effect *batch_add(struct batch *b, enum effect_type type)
{
    struct effect *f = arena_zalloc(&b->arena, sizeof(*f));
    f->type = type;
    if (b->last != NULL)
        b->last->next = f;
    else
        b->first = f;
    b->last = f;
    b->record_count += EFFECT_IS_RECORD(type);
    b->reply_count += type == EFFECT_REPLY;
    return f;
}
