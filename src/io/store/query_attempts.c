/* query_attempts.c - how often a run was tried, and what each attempt said.
 *
 * An attempt that did not end its run is a row of run_attempts; the present one is the run's own row, with run_outputs.
 */
#include "base/rfc3339.h"
#include "io/store/attempts.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <errno.h>
#include <string.h>

int run_begin(struct stmt *q, struct db *db, struct uuid id, const char *sql)
{
    struct row_key k;
    if (!row_key_of(id, &k))
        return -ENOENT;
    const int err = stmt_begin(q, db, sql);
    if (err == 0)
        bind_int(q, 1, k.key);
    return err;
}

void run_times_add(struct str *ret, struct wall started, struct wall finished)
{
    str_add_cstr(ret, ",\"started_at\":");
    str_add_time(ret, started);
    str_add_cstr(ret, ",\"finished_at\":");
    str_add_time(ret, finished);
    str_add_cstr(ret, ",\"duration_ms\":");
    if (wall_is_set(started) && wall_is_set(finished))
        str_add_i64(ret, finished.ms > started.ms ? finished.ms - started.ms : 0);
    else
        str_add_cstr(ret, "null");
}

void run_steps_add(struct str *ret, struct slice steps)
{
    if (steps.p == NULL)
        return;
    str_add_cstr(ret, ",\"steps\":");
    str_add_slice(ret, steps);
}

/* ---- attempts ---- */

static void add_attempt(struct str *ret, int64_t number, const char *status, struct wall started,
                        struct wall finished, struct slice error, struct slice steps)
{
    add_comma(ret);
    str_add_cstr(ret, "{\"attempt\":");
    str_add_i64(ret, number);
    str_printf(ret, ",\"status\":\"%s\"", status);
    run_times_add(ret, started, finished);
    str_add_cstr(ret, ",\"error\":");
    str_add_json_or_null(ret, error);
    run_steps_add(ret, steps);
    str_add_char(ret, '}');
}

static int add_former(struct db *db, int64_t run_key, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "SELECT attempt, interrupted, started_at, finished_at, error, steps FROM run_attempts"
            " WHERE run = ?1 ORDER BY attempt") == 0)
        bind_int(&q, 1, run_key);
    while (stmt_row(&q))
        add_attempt(ret, column_int(&q, 0), column_int(&q, 1) != 0 ? "interrupted" : "failed",
                    column_time(&q, 2), column_time(&q, 3), column_slice(&q, 4),
                    column_slice(&q, 5));
    return stmt_end(&q);
}

/* Its steps are the run's. */
static int add_present(struct db *db, int64_t run_key, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT r.attempt, " RUN_STATE ", r.started_at,"
                   " iif(" RUN_IS_LEFT ", p.deleted_at, r.finished_at),"
                   " iif(" RUN_IS_LEFT ", '" PIPELINE_DELETED "', o.error) FROM runs r"
                   " LEFT JOIN pipelines p ON p.key = r.pipeline"
                   " LEFT JOIN run_outputs o ON o.run = r.key WHERE r.key = ?1") == 0)
        bind_int(&q, 1, run_key);
    if (stmt_row(&q))
        add_attempt(ret, column_int(&q, 0),
                    run_status_name(run_state_status(column_slice(&q, 1).p[0])), column_time(&q, 2),
                    column_time(&q, 3), column_slice(&q, 4), SLICE_NONE);
    return stmt_end(&q);
}

int attempts_add(struct db *db, int64_t run_key, struct str *ret)
{
    str_add_cstr(ret, ",\"attempts\":[");
    int err = add_former(db, run_key, ret);
    if (err == 0)
        err = add_present(db, run_key, ret);
    str_add_char(ret, ']');
    return err;
}

/* ---- logs ---- */

/* Within a string of it the quotes would be escaped. */
static bool is_truncated(struct slice log)
{
    static const char mark[] = "\"truncated\":true}";
    return log.len > 0 && memmem(log.p, log.len, mark, sizeof(mark) - 1) != NULL;
}

/* Lines of JSON become the elements of an array. */
static void add_lines(struct str *ret, struct slice log)
{
    while (log.len > 0) {
        const char *newline = memchr(log.p, '\n', log.len);
        const size_t len = newline != NULL ? (size_t)(newline - log.p) : log.len;
        if (len > 0) {
            add_comma(ret);
            str_add(ret, log.p, len);
        }
        log.p += len + (newline != NULL);
        log.len -= len + (newline != NULL);
    }
}

void run_logs_add(struct str *ret, struct uuid id, uint32_t attempt, struct slice log)
{
    while (log.len > 0 && log.p[log.len - 1] == '\n')
        log.len--;
    str_add_cstr(ret, "{\"run_id\":");
    str_add_json_uuid(ret, id);
    str_add_cstr(ret, ",\"attempt\":");
    str_add_u64(ret, attempt);
    str_add_cstr(ret, ",\"logs\":[");
    add_lines(ret, log);
    str_printf(ret, "],\"truncated\":%s}", is_truncated(log) ? "true" : "false");
}

/* What an attempt had written when a crash cut it off, a piece at a time while it went on. */
static int add_log_parts(struct db *db, int64_t run_key, uint32_t attempt, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT text FROM log_parts WHERE run = ?1 AND attempt = ?2 ORDER BY at") == 0) {
        bind_int(&q, 1, run_key);
        bind_int(&q, 2, attempt);
    }
    while (stmt_row(&q))
        str_add_slice(ret, column_slice(&q, 0));
    return stmt_end(&q);
}

/* Of a run that waits for its next attempt the last one's log is that of the attempt before. */
int query_run_logs(struct db *db, struct uuid id, uint32_t attempt, struct str *ret)
{
    struct stmt q;
    struct str parts = {0};
    int err =
        run_begin(&q, db, id,
                  "SELECT r.key, r.rest, n.attempt, n.attempt <= r.attempt,"
                  " CASE WHEN n.attempt = r.attempt THEN o.log ELSE a.log END FROM runs r"
                  " JOIN (SELECT iif(?2 > 0, ?2, x.attempt - (x.attempt > 1"
                  " AND x.state IN " SQL_ALL_PENDING ")) AS attempt FROM runs x WHERE x.key = ?1) n"
                  " LEFT JOIN run_outputs o ON o.run = r.key"
                  " LEFT JOIN run_attempts a ON a.run = r.key AND a.attempt = n.attempt"
                  " WHERE r.key = ?1");
    if (err != 0)
        return err;
    bind_int(&q, 2, attempt);
    const bool found =
        stmt_row(&q) && uuid_cmp(column_row_id(&q, 0), id) == 0 && column_int(&q, 3) != 0;
    if (found) {
        const uint32_t number = (uint32_t)column_int(&q, 2);
        const struct slice whole = column_slice(&q, 4);
        if (whole.p == NULL)
            err = add_log_parts(db, column_int(&q, 0), number, &parts);
        run_logs_add(ret, id, number, whole.p != NULL ? whole : str_slice(&parts));
    }
    str_release(&parts);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : err_end != 0 ? err_end : found ? 0 : -ENOENT;
}

/* `sql` gives the key of a run (?1) and the whole log of an attempt of it (?2), if it has one. */
static int add_log_text(struct db *db, struct uuid id, uint32_t attempt, const char *sql,
                        struct str *ret)
{
    struct stmt q;
    int err = run_begin(&q, db, id, sql);
    if (err != 0)
        return err;
    bind_int(&q, 2, attempt);
    if (stmt_row(&q) && !column_is_null(&q, 1))
        str_add_slice(ret, column_slice(&q, 1));
    else if (q.rc == SQLITE_ROW)
        err = add_log_parts(db, column_int(&q, 0), attempt, ret);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : err_end;
}

int query_run_log(struct db *db, struct uuid id, struct run_row *ret, struct str *ret_log)
{
    int err = read_begin(db);
    if (err == 0)
        err = query_run_row(db, id, ret);
    if (err == 0 && run_status_is_final(ret->status))
        err = add_log_text(db, id, ret->attempt,
                           "SELECT r.key, o.log FROM runs r LEFT JOIN run_outputs o"
                           " ON o.run = r.key WHERE r.key = ?1 AND ?2 > 0",
                           ret_log);
    return read_end(db, err);
}

int query_attempt_log(struct db *db, struct uuid id, uint32_t attempt, struct str *ret_log)
{
    return add_log_text(db, id, attempt,
                        "SELECT run, log FROM run_attempts WHERE run = ?1 AND attempt = ?2",
                        ret_log);
}
