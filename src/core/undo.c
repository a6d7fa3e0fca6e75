/* undo.c - the way back. Every change of the engine's memory leaves an entry until the batch that records it is settled.
 *
 * What an entry means is known where the change is made: a row here names those functions, and a new kind of change is a new row.
 */
#include "base/check.h"
#include "core/engine_internal.h"

static const struct {
    undo_fn *undo;      /* the change did not reach the disk: takes it back */
    undo_done_fn *done; /* it did: lets go of what was kept. NULL: nothing was */
} kinds[] = {
    [UNDO_STATE] = {feed_undo_state, NULL},
    [UNDO_SUCCESS] = {completion_undo_success, completion_done_success},
    [UNDO_SUCCEEDED] = {completion_undo_succeeded, NULL},
    [UNDO_PENDING] = {queue_undo_pending, NULL},
    [UNDO_CANCEL] = {ends_undo_cancel, NULL},
    [UNDO_RUN_STARTED] = {queue_undo_start, NULL},
    [UNDO_RUN_ENDED] = {ends_undo_end, ends_done_end},
    [UNDO_PAUSE] = {pause_undo, NULL},
    [UNDO_EXTEND] = {lease_undo_extend, NULL},
    [UNDO_ENTRUST] = {lease_undo_entrust, NULL},
    [UNDO_ADD_PIPELINE] = {change_undo_add_pipeline, NULL},
    [UNDO_CHANGE_PIPELINE] = {change_undo_pipeline, change_done_pipeline},
    [UNDO_DROP_PIPELINE] = {change_undo_drop_pipeline, change_done_drop_pipeline},
    [UNDO_ADD_TRIGGER] = {change_undo_add_trigger, NULL},
    [UNDO_CHANGE_TRIGGER] = {change_undo_trigger, change_done_trigger},
    [UNDO_DROP_TRIGGER] = {change_undo_drop_trigger, change_done_drop_trigger},
    [UNDO_ADD_ZONE] = {zone_undo_add, NULL},
    [UNDO_CHANGE_ZONE] = {zone_undo_change, zone_done_change},
    [UNDO_PRIME_ZONE] = {zone_undo_prime, NULL},
    [UNDO_DROP_ZONE] = {zone_undo_drop, zone_done_drop},
    [UNDO_ARK] = {ark_undo, NULL},
    [UNDO_ACTIVE_STARTED] = {active_undo_start, NULL},
    [UNDO_ACTIVE_ENDED] = {active_undo_end, active_done_end},
    [UNDO_ADD_TOPIC] = {topic_undo_add, NULL},
    [UNDO_CHANGE_TOPIC] = {topic_undo_state, NULL},
    [UNDO_PUBLISH] = {topic_undo_state, NULL},
    [UNDO_DROP_TOPIC] = {topic_undo_drop, topic_done_drop},
    [UNDO_POSITION] = {topic_undo_position, NULL},
    [UNDO_NAMESPACE] = {namespace_undo, namespace_done},
    [UNDO_APPLIED] = {applied_undo, applied_done},
};

_Static_assert(ARRAY_SIZE(kinds) == UNDO_KINDS, "a row for each kind");

struct undo *undo_add(struct engine *e, enum undo_type type)
{
    vec_push(&e->undo_filling, (struct undo){.type = type});
    return &e->undo_filling.items[e->undo_filling.len - 1];
}

void undo_forget(undo_log *log)
{
    for (size_t i = 0; i < log->len; i++) {
        struct undo *u = &log->items[i];
        if (kinds[u->type].done != NULL)
            kinds[u->type].done(u);
    }
    log->len = 0;
}

void undo_all(struct engine *e, struct now now, undo_log *log)
{
    while (log->len > 0) {
        struct undo *u = &log->items[--log->len];
        kinds[u->type].undo(e, now, u);
    }
}
