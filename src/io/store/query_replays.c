/* query_replays.c - runs that can be made again. */
#include "core/engine.h"
#include "io/store/attempts.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <errno.h>

#define COLUMNS                                                                                    \
    "SELECT r.key, r.rest, r.event, p.id, r.trigger, r.held_from, r.version, " RUN_STATE ", t.id"

static void read_replay(struct stmt *q, struct replay_row *ret)
{
    *ret = (struct replay_row){
        .replay =
            {
                .run = column_row_id(q, 0),
                .event = column_uuid(q, 2),
                .pipeline = column_uuid(q, 3),
                .trigger_key = column_int(q, 4),
                .held_from = column_uuid(q, 5),
                .version = (uint32_t)column_int(q, 6),
                .trigger = column_uuid(q, 8),
            },
        .status = run_state_status(column_slice(q, 7).p[0]),
    };
}

/* An event that a run is for may be gone: events and runs are counted apart. */
static int find_event(struct db *db, struct replay_row *row)
{
    struct row_key k;
    struct stmt q;
    row->event_is_gone = true;
    if (!row_key_of(row->replay.event, &k))
        return 0;
    if (stmt_begin(&q, db, "SELECT 1 FROM events WHERE key = ?1") == 0)
        bind_int(&q, 1, k.key);
    row->event_is_gone = !stmt_row(&q);
    return stmt_end(&q);
}

int query_replay(struct db *db, struct uuid id, struct replay_row *ret)
{
    struct stmt q;
    int err = run_begin(&q, db, id,
                        COLUMNS " FROM runs r LEFT JOIN pipelines p ON p.key = r.pipeline"
                                " LEFT JOIN triggers t ON t.key = r.trigger WHERE r.key = ?1");
    if (err != 0)
        return err;
    const bool found = stmt_row(&q) && uuid_cmp(column_row_id(&q, 0), id) == 0;
    if (found)
        read_replay(&q, ret);
    err = stmt_end(&q);
    if (err == 0)
        err = found ? find_event(db, ret) : -ENOENT;
    return err;
}

/* ---- many ---- */

#define DEAD                                                                                       \
    " FROM runs r INDEXED BY runs_dead CROSS JOIN pipelines p ON p.key = r.pipeline"               \
    " LEFT JOIN triggers t ON t.key = r.trigger"                                                   \
    " WHERE r.state = " SQL_FAILED " AND p.deleted_at IS NULL"                                     \
    " AND (?2 IS NULL OR (p.path >= ?2 || '.' AND p.path < ?2 || '/'))"                            \
    " AND (?3 IS NULL OR instr(p.path, '.' || ?3 || '.') > 0)"                                     \
    " AND (?4 IS NULL OR substr(p.path, -length(?4) - 1) = '.' || ?4)"                             \
    " AND (?5 IS NULL OR t.id = ?5)"                                                               \
    " AND (?6 IS NULL OR r.started_at > ?6)"                                                       \
    " AND (?7 IS NULL OR (r.started_at < ?7 AND r.started_at > -70368744177664))"                  \
    " AND r.key > ?1"

static void bind_filter(struct stmt *q, const struct run_filter *f, int64_t after)
{
    bind_int(q, 1, after);
    bind_text(q, 2, f->ns);
    bind_text(q, 3, f->layer);
    bind_text(q, 4, f->pipeline);
    bind_uuid(q, 5, &f->trigger);
    bind_time(q, 6, f->started_after);
    bind_time(q, 7, f->started_before);
}

static int find_dead(struct db *db, const struct run_filter *f, struct replay *ret, size_t max,
                     size_t *ret_n, uint64_t *ret_passed)
{
    struct stmt q;
    int err = 0;
    *ret_n = *ret_passed = 0;
    if (stmt_begin(&q, db, COLUMNS DEAD " ORDER BY r.key") == 0)
        bind_filter(&q, f, -1);
    while (err == 0 && *ret_n < max && stmt_row(&q)) {
        struct replay_row row;
        read_replay(&q, &row);
        err = find_event(db, &row);
        if (row.event_is_gone)
            ++*ret_passed;
        else
            ret[(*ret_n)++] = row.replay;
    }
    const int err_end = stmt_end(&q);
    return err != 0 ? err : err_end;
}

static int count_dead(struct db *db, const struct run_filter *f, uint64_t *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT count(*)" DEAD) == 0)
        bind_filter(&q, f, -1);
    return count_rows(&q, ret);
}

int query_dead(struct db *db, const struct run_filter *f, struct replay *ret, size_t max,
               size_t *ret_n, uint64_t *ret_left)
{
    uint64_t all = 0, passed;
    int err = read_begin(db);
    if (err == 0)
        err = find_dead(db, f, ret, max, ret_n, &passed);
    if (err == 0)
        err = count_dead(db, f, &all);
    if (err == 0)
        *ret_left = all - *ret_n - passed;
    return read_end(db, err);
}

/* ---- of an event ---- */

int replays_add(struct db *db, int64_t event_key, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT run, rest FROM replays WHERE event = ?1 ORDER BY run") == 0)
        bind_int(&q, 1, event_key);
    while (stmt_row(&q)) {
        add_comma(ret);
        str_add_json_uuid(ret, column_row_id(&q, 0));
    }
    return stmt_end(&q);
}
