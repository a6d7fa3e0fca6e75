/* query_pending.c - the durable queue: what a pipeline has to do next. */
#include "base/mem.h"
#include "core/pipeline_spec.h"
#include "io/store/held_files.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <errno.h>
#include <stdlib.h>

/* Not many more bytes than these are read at once, however many runs were asked for. */
#define PENDING_BYTES_MAX ((size_t)16 << 20)

/* ---- the files a run is for ---- */

/* held_from: the first event that the trigger's cooldown held back for this run; nil: none, and its own event is all. */
static int find_files(struct db *db, struct uuid held_from, int64_t event_key, bool is_file,
                      struct arena *a, struct run_start *ret)
{
    struct str text = {0};
    struct row_key from;
    int err = 0;
    if (!is_file && uuid_is_nil(held_from))
        return 0;
    str_add_char(&text, '[');
    if (row_key_of(held_from, &from))
        err = held_files_list(db, ret->trigger, from.key, event_key, &text, &ret->files_cut);
    else
        str_add_slice(&text, ret->payload);
    str_add_char(&text, ']');
    ret->files = arena_copy(a, str_slice(&text));
    str_release(&text);
    return err;
}

/* ---- the runs ---- */

/* A pending run and the event it is for. */
struct waiting {
    int64_t key, event_key;
};

/* The spec and what it says are the same for most runs of a pipeline: `before` is one that was read before. */
static void take_spec(struct slice spec, const struct run_start *before, struct arena *a,
                      struct run_start *ret)
{
    struct pipeline_def def = {0};
    struct diag why;
    if (before != NULL && slice_eq(spec, before->spec)) {
        ret->spec = before->spec;
        ret->timeout_ms = before->timeout_ms;
        return;
    }
    ret->spec = arena_copy(a, spec);
    if (pipeline_spec_parse(ret->spec, &def, NULL, &why) == 0)
        ret->timeout_ms = def.timeout_ms;
}

/* Fills in everything about a run that its executor needs. */
static void read_run(struct stmt *q, int64_t pipeline_key, const struct run_start *before,
                     struct arena *a, struct run_start *ret)
{
    *ret = (struct run_start){
        .run = column_row_id(q, 0),
        .event = column_uuid(q, 2),
        .pipeline_key = pipeline_key,
        .pipeline = arena_copy(a, column_slice(q, 3)),
        .version = (uint32_t)column_int(q, 4),
        .attempt = (uint32_t)column_int(q, 5),
        .trigger_type = arena_copy(a, column_slice(q, 7)),
        .trigger = column_uuid(q, 8),
        .source = arena_copy(a, column_slice(q, 9)),
        .type = arena_copy(a, column_slice(q, 10)),
        .subject = arena_copy(a, column_slice(q, 11)),
        .content_type = arena_copy(a, column_slice(q, 12)),
        .payload = arena_copy(a, column_slice(q, 13)),
        .event_time = column_time(q, 14),
        .root = column_uuid(q, 15),
        .depth = (uint32_t)column_int(q, 16),
        .message_key = arena_copy(a, column_slice(q, 19)),
    };
    take_spec(column_slice(q, 6), before, a, ret);
}

static int find_run(struct db *db, const struct waiting *w, int64_t pipeline_key,
                    const struct run_start *before, struct arena *a, struct run_start *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT r.key, r.rest, r.event, p.path, r.version, r.attempt, v.spec,"
                   " ifnull(t.type, 'manual'), t.id, e.source, e.type, e.subject,"
                   " CASE WHEN i.input IS NULL THEN e.content_type ELSE 'application/json' END,"
                   " ifnull(i.input, e.payload), e.time, e.root, e.depth, r.held_from,"
                   " e.zone IS NOT NULL, e.message_key FROM runs r"
                   " JOIN pipelines p ON p.key = r.pipeline"
                   " JOIN pipeline_versions v ON v.pipeline = r.pipeline AND v.version = r.version"
                   " LEFT JOIN triggers t ON t.key = r.trigger"
                   " LEFT JOIN run_inputs i ON i.run = r.key"
                   " LEFT JOIN events e ON e.key = ?2 WHERE r.key = ?1") == 0) {
        bind_int(&q, 1, w->key);
        bind_int(&q, 2, w->event_key);
    }
    const bool found = stmt_row(&q);
    struct uuid held_from = UUID_NIL;
    bool is_file = false;
    if (found) {
        read_run(&q, pipeline_key, before, a, ret);
        held_from = column_uuid(&q, 17);
        is_file = column_int(&q, 18) != 0;
    }
    int err = stmt_end(&q);
    if (err == 0 && found)
        err = find_files(db, held_from, w->event_key, is_file, a, ret);
    return err != 0 ? err : found ? 0 : -EBADMSG;
}

static int by_key(const void *a, const void *b)
{
    const struct waiting *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

/* Appends at most max runs to w; *n grows. */
static int find_waiting(struct db *db, const char *sql, int64_t pipeline_key, struct wall now,
                        uint32_t max, struct waiting *w, size_t *n)
{
    struct stmt q;
    if (stmt_begin(&q, db, sql) == 0) {
        bind_int(&q, 1, pipeline_key);
        bind_int(&q, 2, max);
        if (sqlite3_bind_parameter_count(q.s) >= 3)
            bind_int(&q, 3, now.ms);
    }
    while (stmt_row(&q)) {
        struct row_key event = {0};
        row_key_of(column_uuid(&q, 1), &event);
        w[(*n)++] = (struct waiting){column_int(&q, 0), event.key};
    }
    return stmt_end(&q);
}

/* The oldest of those that wait for nothing and of the delayed ones whose time has come. */
static int find_due(struct db *db, int64_t pipeline_key, struct wall now, uint32_t max,
                    struct waiting *w, size_t *ret_n)
{
    size_t n = 0;
    int err =
        find_waiting(db,
                     "SELECT key, event FROM runs WHERE pipeline = ?1 AND state = " SQL_PENDING
                     " ORDER BY key LIMIT ?2",
                     pipeline_key, now, max, w, &n);
    if (err == 0)
        err = find_waiting(db,
                           "SELECT key, event FROM runs WHERE pipeline = ?1 AND due_at <= ?3"
                           " AND state = " SQL_DELAYED " ORDER BY due_at LIMIT ?2",
                           pipeline_key, now, max, w, &n);
    qsort(w, n, sizeof(*w), by_key);
    *ret_n = n < max ? n : max;
    return err;
}

static int find_next_due(struct db *db, int64_t pipeline_key, struct wall now, struct wall *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT min(due_at) FROM runs WHERE pipeline = ?1 AND due_at > ?2") ==
        0) {
        bind_int(&q, 1, pipeline_key);
        bind_int(&q, 2, now.ms);
    }
    *ret = stmt_row(&q) ? column_time(&q, 0) : WALL_UNSET;
    return stmt_end(&q);
}

int query_pending(struct db *db, int64_t pipeline_key, struct wall now, uint32_t max,
                  struct arena *a, struct offered_run *ret, size_t *ret_n,
                  struct wall *ret_next_due)
{
    struct waiting *w = mem_alloc(2 * (size_t)max * sizeof(*w) + 1);
    size_t n = 0;
    int err = read_begin(db);
    if (err == 0)
        err = find_due(db, pipeline_key, now, max, w, &n);
    size_t found = 0;
    for (; err == 0 && found < n && a->used < PENDING_BYTES_MAX; found++)
        err = find_run(db, &w[found], pipeline_key, found > 0 ? &ret[found - 1].start : NULL, a,
                       &ret[found].start);
    if (err == 0)
        err = find_next_due(db, pipeline_key, now, ret_next_due);
    *ret_n = err == 0 ? found : 0;
    free(w);
    return read_end(db, err);
}
