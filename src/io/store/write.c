/* write.c - one batch, one transaction: each type of record has its writer. */
#include "io/store/batch_rows.h"
#include "io/store/journal.h"
#include "io/store/namespaces.h"
#include "io/store/stmt.h"
#include "io/store/write_ark.h"
#include "io/store/write_rows.h"

typedef int writer(struct db *db, const struct effect *f);

/* clang-format off */
static writer *const writers[] = {
    [EFFECT_PUT_EVENT] = write_put_event,
    [EFFECT_PUT_RUN] = write_put_run,
    [EFFECT_MOVE_RUN] = write_move_run,
    [EFFECT_TRIGGER_STATE] = write_trigger_state,
    [EFFECT_PUT_PIPELINE] = write_put_pipeline,
    [EFFECT_DROP_PIPELINE] = write_drop_pipeline,
    [EFFECT_PUT_TRIGGER] = write_put_trigger,
    [EFFECT_DROP_TRIGGER] = write_drop_trigger,
    [EFFECT_PUT_ZONE] = write_put_zone,
    [EFFECT_DROP_ZONE] = write_drop_zone,
    [EFFECT_PUT_FILE] = write_put_file,
    [EFFECT_DROP_FILE] = write_drop_file,
    [EFFECT_KEEP_FILE] = write_keep_file,
    [EFFECT_SUCCESS] = write_success,
    [EFFECT_PAUSE] = write_put_pause,
    [EFFECT_SWEPT] = write_swept,
    [EFFECT_PUT_LEASE] = write_put_lease,
    [EFFECT_DROP_LEASE] = write_drop_lease,
    [EFFECT_PUT_LOG_PART] = write_put_log_part,
    [EFFECT_PUT_ATTEMPT] = write_put_attempt,
    [EFFECT_PUT_ARK] = write_ark,
    [EFFECT_DROP_PENDING] = write_drop_pending,
    [EFFECT_PUT_TOPIC] = write_put_topic,
    [EFFECT_DROP_TOPIC] = write_drop_topic,
    [EFFECT_PUT_POSITION] = write_put_position,
    [EFFECT_DROP_POSITION] = write_drop_position,
    [EFFECT_PUT_APPLIED] = write_put_applied,
    [EFFECT_DROP_APPLIED] = write_drop_applied,
    [EFFECT_PUT_NAMESPACE] = write_namespace,
    [EFFECT_DROP_NAMESPACE] = write_namespace_drop,
};
/* clang-format on */

/* New events and runs come first: no other record has to be there before them. */
static int write_records(struct db *db, const struct batch *b)
{
    int err = batch_rows_insert(db, b);
    for (const struct effect *f = b->first; err == 0 && f != NULL; f = f->next)
        if (EFFECT_IS_RECORD(f->type))
            err = writers[f->type](db, f);
    return err;
}

int journal_write(struct db *db, const struct batch *b)
{
    if (b->record_count == 0)
        return 0;
    int err = stmt_exec(db, "BEGIN IMMEDIATE");
    if (err == 0)
        err = write_records(db, b);
    if (err == 0)
        err = stmt_exec(db, "COMMIT");
    if (err != 0 && !sqlite3_get_autocommit(db->sql))
        stmt_exec(db, "ROLLBACK");
    return err;
}
