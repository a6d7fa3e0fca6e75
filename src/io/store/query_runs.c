/* query_runs.c - runs, one and many.
 *
 * What a list costs, with n runs in the table:
 *   no filter                       the page; the total counts the small index (1 ms per 100,000)
 *   pipeline, layer, status         index entries of what matches; of one pipeline, only the page,
 *                                   and its total
 *   dead                            index entries of the dead ones, whatever else is asked for
 *   trigger, started_after/before   all of the table, newest first: the page may come early, the
 *                                   total sees every row (10 ms per 100,000)
 */
#include "base/check.h"
#include "base/rfc3339.h"
#include "core/output_doc.h"
#include "io/store/attempts.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <errno.h>

/* Of a long output lists show only this much, and say so. */
#define LIST_OUTPUT_BYTES_MAX 4096
/* All of it. SQLite reads the length that substr() takes as 32 bits. */
#define OUTPUT_BYTES_ALL INT32_MAX

/* ---- one run ---- */

static void add_output(struct stmt *q, struct str *ret)
{
    const struct slice output = column_slice(q, 12);
    str_add_char(ret, ',');
    if (output.p != NULL && (int64_t)output.len < column_int(q, 13))
        output_doc_add_cut(ret, output);
    else
        output_doc_add(ret, output);
}

static void add_text(struct str *ret, struct slice text, const char *absent)
{
    if (text.p != NULL)
        str_add_json(ret, text);
    else
        str_add_cstr(ret, absent);
}

/* What it repeats, and by what it was repeated last. */
static void add_replays(struct stmt *q, struct str *ret)
{
    const bool dead = column_slice(q, 4).p[0] == STATE_FAILED;
    str_printf(ret, ",\"dead\":%s,\"replay_of\":", dead ? "true" : "false");
    str_add_json_uuid(ret, column_is_null(q, 14) ? UUID_NIL : column_row_id(q, 14));
    str_add_cstr(ret, ",\"replayed_as\":");
    str_add_json_uuid(ret, column_is_null(q, 16) ? UUID_NIL : column_row_id(q, 16));
}

static void add_run(struct stmt *q, struct str *ret)
{
    str_add_cstr(ret, "{\"id\":");
    str_add_json_uuid(ret, column_row_id(q, 0));
    str_add_cstr(ret, ",\"pipeline_id\":");
    str_add_json_uuid(ret, column_uuid(q, 8));
    str_add_cstr(ret, ",\"pipeline\":");
    add_text(ret, column_slice(q, 18), "null");
    str_add_cstr(ret, ",\"pipeline_version\":");
    str_add_i64(ret, column_int(q, 3));
    str_add_cstr(ret, ",\"event_id\":");
    str_add_json_uuid(ret, column_uuid(q, 2));
    str_add_cstr(ret, ",\"trigger_id\":");
    str_add_json_uuid(ret, column_uuid(q, 9));
    str_add_cstr(ret, ",\"trigger\":");
    add_text(ret, column_slice(q, 10), "\"manual\"");
    str_printf(ret, ",\"status\":\"%s\",\"attempt\":",
               run_status_name(run_state_status(column_slice(q, 4).p[0])));
    str_add_i64(ret, column_int(q, 5));
    run_times_add(ret, column_time(q, 6), column_time(q, 7));
    add_output(q, ret);
    str_add_cstr(ret, ",\"error\":");
    add_text(ret, column_slice(q, 11), "null");
    add_replays(q, ret);
    str_add_cstr(ret, ",\"created_at\":");
    str_add_time(ret, row_key_time(column_int(q, 0)));
}

/* All but the closing brace. A run that waits for its next attempt shows the error of the last one. */
static int add_run_at(struct db *db, int64_t key, int64_t output_bytes_max, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "SELECT r.key, r.rest, r.event, r.version, " RUN_STATE ", r.attempt, r.started_at,"
            " iif(" RUN_IS_LEFT ", p.deleted_at, r.finished_at), p.id, t.id, t.label,"
            " iif(" RUN_IS_LEFT ", '" PIPELINE_DELETED "', ifnull(o.error,"
            " (SELECT a.error FROM run_attempts a WHERE a.run = r.key"
            " AND a.attempt = r.attempt - 1 AND r.state IN " SQL_ALL_PENDING "))), "
            "substr(o.output, 1, ?2),"
            " length(o.output), y.original, y.original_rest, z.run, z.rest, p.path FROM runs r"
            " LEFT JOIN replays y ON y.run = r.key LEFT JOIN replays z ON z.run ="
            " (SELECT max(run) FROM replays WHERE original = r.key)"
            " LEFT JOIN pipelines p ON p.key = r.pipeline"
            " LEFT JOIN triggers t ON t.key = r.trigger"
            " LEFT JOIN run_outputs o ON o.run = r.key WHERE r.key = ?1") == 0) {
        bind_int(&q, 1, key);
        bind_int(&q, 2, output_bytes_max);
    }
    const bool found = stmt_row(&q);
    if (found)
        add_run(&q, ret);
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

int query_run_row(struct db *db, struct uuid id, struct run_row *ret)
{
    struct stmt q;
    int err = run_begin(&q, db, id,
                        "SELECT r.key, r.rest, p.id, " RUN_STATE ", r.attempt, r.event FROM runs r"
                        " LEFT JOIN pipelines p ON p.key = r.pipeline WHERE r.key = ?1");
    if (err != 0)
        return err;
    const bool found = stmt_row(&q) && uuid_cmp(column_row_id(&q, 0), id) == 0;
    if (found)
        *ret = (struct run_row){
            .id = id,
            .pipeline = column_uuid(&q, 2),
            .status = run_state_status(column_slice(&q, 3).p[0]),
            .attempt = (uint32_t)column_int(&q, 4),
            .event = column_uuid(&q, 5),
        };
    err = stmt_end(&q);
    if (err == 0)
        err = found ? query_origin(db, ret->event, &ret->root, &ret->depth) : -ENOENT;
    return err;
}

/* Of a run that has ended. */
static int add_steps(struct db *db, int64_t key, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT steps FROM run_outputs WHERE run = ?1") == 0)
        bind_int(&q, 1, key);
    if (stmt_row(&q))
        run_steps_add(ret, column_slice(&q, 0));
    return stmt_end(&q);
}

/* What it got instead of its event's payload. */
static int add_input(struct db *db, int64_t key, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT input FROM run_inputs WHERE run = ?1") == 0)
        bind_int(&q, 1, key);
    if (stmt_row(&q)) {
        str_add_cstr(ret, ",\"input\":");
        str_add_slice(ret, column_slice(&q, 0));
    }
    return stmt_end(&q);
}

int query_run(struct db *db, struct uuid id, struct str *ret, enum run_status *ret_status)
{
    struct run_row row;
    struct row_key k = {0};
    int err = read_begin(db);
    if (err == 0)
        err = query_run_row(db, id, &row);
    if (err == 0 && row_key_of(id, &k))
        err = add_run_at(db, k.key, OUTPUT_BYTES_ALL, ret);
    if (err == 0)
        err = add_input(db, k.key, ret);
    if (err == 0)
        err = attempts_add(db, k.key, ret);
    if (err == 0)
        err = add_steps(db, k.key, ret);
    if (err == 0)
        str_add_char(ret, '}');
    if (err == 0 && ret_status != NULL)
        *ret_status = row.status;
    return read_end(db, err);
}

/* ---- lists ---- */

/* Parameters of every list statement, in the order in which they are bound below. */
enum {
    BY_CURSOR = 1,
    BY_NS,
    BY_LAYER,
    BY_NAME,
    BY_STATES,
    BY_TRIGGER,
    BY_AFTER,
    BY_BEFORE,
    BY_LIMIT,
    BY_OFFSET,
    BY_PIPELINE,
    BY_DELETED
};

#define PATH_MATCHES                                                                               \
    "(?2 IS NULL OR (path >= ?2 || '.' AND path < ?2 || '/'))"                                     \
    " AND (?3 IS NULL OR instr(path, '.' || ?3 || '.') > 0)"                                       \
    " AND (?4 IS NULL OR substr(path, -length(?4) - 1) = '.' || ?4)"
#define STATE_MATCHES "(?5 IS NULL OR instr(?5, " RUN_STATE ") > 0)"
#define PAGE " ORDER BY key DESC LIMIT ?9 OFFSET ?10"

/* By the index alone: every state of every pipeline that matches. */
#define BY_INDEX                                                                                   \
    " FROM pipelines p CROSS JOIN runs r INDEXED BY runs_by_pipeline"                              \
    " ON r.pipeline = p.key AND r.state IN " SQL_ALL_STATES " "                                    \
    "WHERE " PATH_MATCHES " AND " STATE_MATCHES

/* One pipeline: eight ordered walks through the index, merged. `shown`: the state they stand for. */
#define WALK(state, shown)                                                                         \
    "SELECT key FROM runs WHERE pipeline = ?11 AND state = " state " AND key < ?1"                 \
    " AND (?5 IS NULL OR instr(?5, " shown ") > 0)"
#define SHOWN_PENDING "iif(?12, " SQL_CANCELLED ", " SQL_PENDING ")"
#define UNION " UNION ALL "
#define MERGED                                                                                     \
    WALK(SQL_PENDING, SHOWN_PENDING)                                                               \
    UNION WALK(SQL_DELAYED, SHOWN_PENDING)                                                         \
    UNION WALK(SQL_WAITING, SHOWN_PENDING)                                                         \
    UNION WALK(SQL_RUNNING, SQL_RUNNING)                                                           \
    UNION WALK(SQL_SUCCESS, SQL_SUCCESS)                                                           \
    UNION WALK(SQL_FAILED, SQL_FAILED)                                                             \
    UNION WALK(SQL_REPLAYED, SQL_REPLAYED)                                                         \
    UNION WALK(SQL_CANCELLED, SQL_CANCELLED)

/* The table itself, newest first. */
#define BY_SCAN BY_TABLE("NOT INDEXED")

/* The dead ones alone. */
#define BY_DEAD BY_TABLE("INDEXED BY runs_dead") " AND r.state = " SQL_FAILED

#define BY_TABLE(how)                                                                              \
    " FROM runs r " how " WHERE (?6 IS NULL OR trigger = ?6)"                                      \
    " AND (?7 IS NULL OR started_at > ?7)"                                                         \
    " AND (?8 IS NULL OR (started_at < ?8 AND started_at > -70368744177664))"                      \
    " AND (?5 IS NULL OR instr(?5, (SELECT " RUN_STATE " FROM pipelines p"                         \
    " WHERE p.key = r.pipeline)) > 0) AND (coalesce(?2, ?3, ?4) IS NULL"                           \
    " OR pipeline IN (SELECT key FROM pipelines WHERE " PATH_MATCHES "))"

struct plan {
    const char *list, *count;
    int64_t pipeline; /* the only one that matches, for MERGED */
    bool deleted;     /* it was */
    int64_t trigger;  /* its row key, 0: any */
};

static const struct plan plan_all = {
    .list = "SELECT key FROM runs WHERE key < ?1" PAGE,
    .count = "SELECT count(*) FROM runs",
};
static const struct plan plan_index = {
    .list = "SELECT r.key AS key" BY_INDEX " AND r.key < ?1" PAGE,
    .count = "SELECT count(*)" BY_INDEX,
};
static const struct plan plan_merged = {.list = MERGED PAGE, .count = "SELECT count(*)" BY_INDEX};
static const struct plan plan_scan = {
    .list = "SELECT key" BY_SCAN " AND key < ?1" PAGE,
    .count = "SELECT count(*)" BY_SCAN,
};

static const struct plan plan_dead = {
    .list = "SELECT key" BY_DEAD " AND key < ?1" PAGE,
    .count = "SELECT count(*)" BY_DEAD,
};

/* Binds what the statement knows of. */
static void bind_filter(struct stmt *q, const struct run_filter *f, const struct plan *plan)
{
    const int n = sqlite3_bind_parameter_count(q->s);
    const char *states = f->by_status ? run_states_of(f->status) : NULL;
    if (n < BY_NAME)
        return;
    bind_text(q, BY_NS, f->ns);
    bind_text(q, BY_LAYER, f->layer);
    bind_text(q, BY_NAME, f->pipeline);
    if (n < BY_STATES)
        return;
    bind_text(q, BY_STATES, slice_of(states));
    if (n < BY_BEFORE)
        return;
    if (plan->trigger != 0)
        bind_int(q, BY_TRIGGER, plan->trigger);
    else
        bind_null(q, BY_TRIGGER);
    bind_time(q, BY_AFTER, f->started_after);
    bind_time(q, BY_BEFORE, f->started_before);
}

/* Finds the pipelines that a path filter matches, deleted ones included: how many, and one. */
static int match_pipelines(struct db *db, const struct run_filter *f, int64_t *ret_n,
                           struct plan *ret_one)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT count(*), max(key), max(deleted_at IS NOT NULL) FROM pipelines"
                   " WHERE " PATH_MATCHES) == 0)
        bind_filter(&q, f, &plan_all);
    *ret_n = 0;
    if (stmt_row(&q)) {
        *ret_n = column_int(&q, 0);
        ret_one->pipeline = column_int(&q, 1);
        ret_one->deleted = column_int(&q, 2) != 0;
    }
    return stmt_end(&q);
}

static int find_trigger(struct db *db, struct uuid id, int64_t *ret_key)
{
    struct stmt q;
    *ret_key = -1; /* no run has it */
    if (stmt_begin(&q, db, "SELECT key FROM triggers WHERE id = ?1") == 0)
        bind_uuid(&q, 1, &id);
    if (stmt_row(&q))
        *ret_key = column_int(&q, 0);
    return stmt_end(&q);
}

static int make_plan(struct db *db, const struct run_filter *f, struct plan *ret)
{
    const bool by_path = f->ns.p != NULL || f->layer.p != NULL || f->pipeline.p != NULL;
    if (f->dead || !uuid_is_nil(f->trigger) || wall_is_set(f->started_after) ||
        wall_is_set(f->started_before)) {
        *ret = f->dead ? plan_dead : plan_scan;
        return uuid_is_nil(f->trigger) ? 0 : find_trigger(db, f->trigger, &ret->trigger);
    }
    *ret = by_path || f->by_status ? plan_index : plan_all;
    if (!by_path)
        return 0;
    int64_t n;
    struct plan one = plan_merged;
    const int err = match_pipelines(db, f, &n, &one);
    if (err == 0 && n == 1)
        *ret = one;
    return err;
}

static int count_runs(struct db *db, const struct run_filter *f, const struct plan *plan,
                      uint64_t *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, plan->count) == 0)
        bind_filter(&q, f, plan);
    return count_rows(&q, ret);
}

/* The keys of a page and of one run more. */
struct keys {
    int64_t items[PAGE_LIMIT_MAX + 1];
    size_t n;
};

static int find_keys(struct db *db, const struct run_filter *f, const struct page *page,
                     const struct plan *plan, int64_t before, struct keys *ret)
{
    struct stmt q;
    ret->n = 0;
    if (stmt_begin(&q, db, plan->list) == 0) {
        bind_int(&q, BY_CURSOR, before);
        bind_filter(&q, f, plan);
        bind_int(&q, BY_LIMIT, (int64_t)page->limit + 1);
        bind_int(&q, BY_OFFSET, page_offset(page));
        if (plan->pipeline != 0) {
            bind_int(&q, BY_PIPELINE, plan->pipeline);
            bind_int(&q, BY_DELETED, plan->deleted);
        }
    }
    while (ret->n <= page->limit && stmt_row(&q))
        ret->items[ret->n++] = column_int(&q, 0);
    return stmt_end(&q);
}

static int add_runs(struct db *db, const struct run_filter *f, const struct page *page,
                    int64_t before, struct str *ret)
{
    struct plan plan;
    struct keys keys = {.n = 0};
    uint64_t total = 0;
    int err = make_plan(db, f, &plan);
    if (err == 0)
        err = count_runs(db, f, &plan, &total);
    if (err == 0)
        err = find_keys(db, f, page, &plan, before, &keys);
    const bool more = keys.n > page->limit;
    const size_t n = more ? page->limit : keys.n;
    for (size_t i = 0; err == 0 && i < n; i++) {
        add_comma(ret);
        err = add_run_at(db, keys.items[i], LIST_OUTPUT_BYTES_MAX, ret);
        str_add_char(ret, '}');
    }
    page_end(ret, total, more && n > 0, CURSOR_RUNS, n > 0 ? keys.items[n - 1] : 0);
    return err;
}

int query_runs(struct db *db, const struct run_filter *f, const struct page *page, struct str *ret)
{
    int64_t before;
    int err = page_start(page, CURSOR_RUNS, INT64_MAX, &before);
    if (err != 0)
        return err;
    CHECK(page->limit <= PAGE_LIMIT_MAX);
    str_add_cstr(ret, "{\"runs\":[");
    err = read_begin(db);
    if (err == 0)
        err = add_runs(db, f, page, before, ret);
    return read_end(db, err);
}
