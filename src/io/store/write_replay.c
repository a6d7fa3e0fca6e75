#include "io/store/run_state.h"
#include "io/store/write_replay.h"
#include "base/check.h"

struct keys {
    struct row_key run, original, event;
};

static int remember(struct db *db, const struct keys *k)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT INTO replays (run, rest, original, original_rest, event)"
                   " VALUES (?1, ?2, ?3, ?4, ?5)") == 0) {
        bind_int(&q, 1, k->run.key);
        bind_int(&q, 2, k->run.rest);
        bind_int(&q, 3, k->original.key);
        bind_int(&q, 4, k->original.rest);
        bind_int(&q, 5, k->event.key);
    }
    return stmt_finish(&q);
}

/* What its event gave it beside the payload. */
static int copy_input(struct db *db, const struct keys *k)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT INTO run_inputs (run, input)"
                   " SELECT ?1, input FROM run_inputs WHERE run = ?2") == 0) {
        bind_int(&q, 1, k->run.key);
        bind_int(&q, 2, k->original.key);
    }
    return stmt_finish(&q);
}

static int settle(struct db *db, int64_t original)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "UPDATE runs SET state = " SQL_REPLAYED
                   " WHERE key = ?1 AND state = " SQL_FAILED) == 0)
        bind_int(&q, 1, original);
    return stmt_finish(&q);
}

static int is_there(struct db *db, int64_t event, bool *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT 1 FROM events WHERE key = ?1") == 0)
        bind_int(&q, 1, event);
    *ret = stmt_row(&q);
    return stmt_end(&q);
}

static int cancel(struct db *db, int64_t run)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "UPDATE runs SET state = " SQL_CANCELLED
                   ", finished_at = ?2 WHERE key = ?1") == 0) {
        bind_int(&q, 1, run);
        bind_int(&q, 2, row_key_time(run).ms);
    }
    int err = stmt_finish(&q);
    if (err == 0 &&
        stmt_begin(&q, db, "INSERT INTO run_outputs (run, error) VALUES (?1, ?2)") == 0) {
        bind_int(&q, 1, run);
        bind_text(&q, 2, SLICE("its event was removed by retention"));
        err = stmt_finish(&q);
    }
    return err;
}

int write_replay(struct db *db, const struct effect_put_run *r)
{
    struct keys k;
    bool there = false;
    CHECK(row_key_of(r->id, &k.run) && row_key_of(r->replay_of, &k.original) &&
          row_key_of(r->event, &k.event));
    int err = remember(db, &k);
    if (err == 0)
        err = copy_input(db, &k);
    if (err == 0)
        err = settle(db, k.original.key);
    if (err == 0)
        err = is_there(db, k.event.key, &there);
    return err == 0 && !there ? cancel(db, k.run.key) : err;
}
