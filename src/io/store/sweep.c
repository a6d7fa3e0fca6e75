#include "io/store/sweep.h"
#include "io/store/run_state.h"

struct dropped {
    int64_t pipeline; /* 0: none */
    struct wall at;
};

struct left {
    int64_t runs[SWEEP_ROWS_MAX];
    size_t n;
};

static int find_pipeline(struct db *db, struct dropped *ret)
{
    struct stmt q;
    *ret = (struct dropped){0};
    stmt_begin(&q, db, "SELECT key, deleted_at FROM pipelines WHERE sweeping = 1 LIMIT 1");
    if (stmt_row(&q))
        *ret = (struct dropped){column_int(&q, 0), column_time(&q, 1)};
    return stmt_end(&q);
}

static int find_runs(struct db *db, const struct dropped *d, struct left *ret)
{
    struct stmt q;
    ret->n = 0;
    if (stmt_begin(&q, db,
                   "SELECT key FROM runs WHERE pipeline = ?1 AND state IN " SQL_ALL_PENDING
                   " LIMIT ?2") == 0) {
        bind_int(&q, 1, d->pipeline);
        bind_int(&q, 2, SWEEP_ROWS_MAX);
    }
    while (ret->n < SWEEP_ROWS_MAX && stmt_row(&q))
        ret->runs[ret->n++] = column_int(&q, 0);
    return stmt_end(&q);
}

static int cancel(struct db *db, int64_t run, struct wall at)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "UPDATE runs SET state = " SQL_CANCELLED ", finished_at = ?2, due_at = NULL"
                   " WHERE key = ?1") == 0) {
        bind_int(&q, 1, run);
        bind_fixed_time(&q, 2, at);
    }
    int err = stmt_finish(&q);
    if (err == 0 && stmt_begin(&q, db,
                               "INSERT OR REPLACE INTO run_outputs (run, error)"
                               " VALUES (?1, '" PIPELINE_DELETED "')") == 0) {
        bind_int(&q, 1, run);
        err = stmt_finish(&q);
    }
    return err;
}

static int finish(struct db *db, int64_t pipeline)
{
    struct stmt q;
    if (stmt_begin(&q, db, "UPDATE pipelines SET sweeping = 0 WHERE key = ?1") == 0)
        bind_int(&q, 1, pipeline);
    return stmt_finish(&q);
}

static int sweep(struct db *db, bool *ret_more)
{
    struct dropped d;
    struct left left = {.n = 0};
    int err = find_pipeline(db, &d);
    *ret_more = d.pipeline != 0;
    if (err != 0 || d.pipeline == 0)
        return err;
    err = find_runs(db, &d, &left);
    for (size_t i = 0; err == 0 && i < left.n; i++)
        err = cancel(db, left.runs[i], d.at);
    return err == 0 && left.n < SWEEP_ROWS_MAX ? finish(db, d.pipeline) : err;
}

int sweep_step(struct db *db, bool *ret_more)
{
    *ret_more = false;
    int err = stmt_exec(db, "BEGIN IMMEDIATE");
    if (err == 0)
        err = sweep(db, ret_more);
    if (err == 0)
        err = stmt_exec(db, "COMMIT");
    if (err != 0 && !sqlite3_get_autocommit(db->sql))
        stmt_exec(db, "ROLLBACK");
    return err;
}
