#include "core/effect.h"
#include "base/check.h"
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

/* An effect takes the room of its own member only: a storm of due triggers makes hundreds of thousands. */
#define UP_TO(member) (offsetof(struct effect, member) + sizeof(((struct effect *)0)->member))
/* clang-format off */
static const size_t sizes[] = {
    [EFFECT_PUT_EVENT] = UP_TO(put_event),
    [EFFECT_PUT_RUN] = UP_TO(put_run),
    [EFFECT_MOVE_RUN] = UP_TO(move_run),
    [EFFECT_PUT_LOG_PART] = UP_TO(put_log_part),
    [EFFECT_PUT_ATTEMPT] = UP_TO(put_attempt),
    [EFFECT_TRIGGER_STATE] = UP_TO(trigger_state),
    [EFFECT_PUT_PIPELINE] = UP_TO(put_pipeline),
    [EFFECT_DROP_PENDING] = UP_TO(drop),
    [EFFECT_DROP_PIPELINE] = UP_TO(drop),
    [EFFECT_PUT_TRIGGER] = UP_TO(put_trigger),
    [EFFECT_DROP_TRIGGER] = UP_TO(drop),
    [EFFECT_PUT_ZONE] = UP_TO(put_zone),
    [EFFECT_DROP_ZONE] = UP_TO(drop),
    [EFFECT_PUT_FILE] = UP_TO(put_file),
    [EFFECT_DROP_FILE] = UP_TO(drop_file),
    [EFFECT_KEEP_FILE] = UP_TO(keep_file),
    [EFFECT_SUCCESS] = UP_TO(success),
    [EFFECT_PAUSE] = UP_TO(pause),
    [EFFECT_SWEPT] = offsetof(struct effect, put_event),
    [EFFECT_PUT_LEASE] = UP_TO(put_lease),
    [EFFECT_DROP_LEASE] = UP_TO(drop_lease),
    [EFFECT_PUT_ARK] = UP_TO(put_ark),
    [EFFECT_PUT_TOPIC] = UP_TO(put_topic),
    [EFFECT_DROP_TOPIC] = UP_TO(drop),
    [EFFECT_PUT_POSITION] = UP_TO(put_position),
    [EFFECT_DROP_POSITION] = UP_TO(drop_position),
    [EFFECT_PUT_APPLIED] = UP_TO(put_applied),
    [EFFECT_DROP_APPLIED] = UP_TO(drop_applied),
    [EFFECT_PUT_NAMESPACE] = UP_TO(put_namespace),
    [EFFECT_DROP_NAMESPACE] = UP_TO(drop_namespace),
    [EFFECT_START_RUN] = UP_TO(start_run),
    [EFFECT_CANCEL_RUN] = UP_TO(cancel_run),
    [EFFECT_FETCH_RUNS] = UP_TO(fetch_runs),
    [EFFECT_ARM] = offsetof(struct effect, put_event),
    [EFFECT_RUN_ENDED] = UP_TO(run_ended),
    [EFFECT_LEASE_RUN] = UP_TO(lease_run),
    [EFFECT_CLAIM_DONE] = UP_TO(claim_done),
    [EFFECT_ARK_CHANGED] = UP_TO(ark_changed),
    [EFFECT_REPLY] = UP_TO(reply),
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(sizes) == EFFECT_TYPE_COUNT, "every type has a size");

struct effect *batch_add(struct batch *b, enum effect_type type)
{
    CHECK(sizes[type] > 0);
    struct effect *f = arena_zalloc(&b->arena, sizes[type]);
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
