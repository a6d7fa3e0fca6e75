#include "base/rfc3339.h"
#include "io/store/page.h"
#include <errno.h>

/* Each is shown with a pipeline: of all but ArkEvents', the one that it nests under. */
#define COLUMNS_OF(pipeline)                                                                       \
    "SELECT t.key, t.id, p.id, t.type, t.config, t.enabled, t.cooldown_ms, s.last_fired,"          \
    " s.last_run, t.created_at, t.updated_at, x.at, x.reason,"                                     \
    " m.key FROM triggers t JOIN pipelines p ON " pipeline                                         \
    " LEFT JOIN trigger_states s ON s.trigger = t.key "                                            \
    " LEFT JOIN pauses x ON x.kind = 't' AND x.key = t.key "                                       \
    " LEFT JOIN applied m ON m.object = t.id "
#define COLUMNS COLUMNS_OF("p.key = t.pipeline")

/* What its manifest calls it: the end of "Trigger/namespace/name". */
static void add_name(struct str *ret, struct slice key)
{
    if (key.p == NULL)
        return;
    size_t at = key.len;
    while (at > 0 && key.p[at - 1] != '/')
        at--;
    str_add_cstr(ret, ",\"name\":");
    str_add_json(ret, (struct slice){key.p + at, key.len - at});
}

static void add_trigger(struct stmt *q, const char *webhook_url, struct str *ret)
{
    const struct slice type = column_slice(q, 3);
    str_add_cstr(ret, "{\"id\":");
    str_add_json_uuid(ret, column_uuid(q, 1));
    str_add_cstr(ret, ",\"pipeline_id\":");
    str_add_json_uuid(ret, column_uuid(q, 2));
    add_name(ret, column_slice(q, 13));
    str_add_cstr(ret, ",\"type\":");
    str_add_json(ret, type);
    str_add_cstr(ret, ",\"config\":");
    str_add_slice(ret, column_slice(q, 4));
    if (webhook_url != NULL && slice_is(type, "webhook")) {
        str_add_cstr(ret, ",\"webhook_url\":");
        str_add_json(ret, slice_of(webhook_url));
    }
    str_add_cstr(ret, column_int(q, 5) ? ",\"enabled\":true" : ",\"enabled\":false");
    str_add_cstr(ret, ",\"cooldown_seconds\":");
    str_add_i64(ret, column_int(q, 6) / 1000);
    str_add_cstr(ret, ",\"last_triggered_at\":");
    str_add_time(ret, column_time(q, 7));
    str_add_cstr(ret, ",\"last_run_id\":");
    str_add_json_uuid(ret, column_uuid(q, 8));
    str_add_cstr(ret, ",\"created_at\":");
    str_add_time(ret, column_time(q, 9));
    str_add_cstr(ret, ",\"updated_at\":");
    str_add_time(ret, column_time(q, 10));
    add_pause(q, 11, ret);
    str_add_char(ret, '}');
}

static int find_pipeline(struct db *db, struct uuid id, int64_t *ret_key)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT key FROM pipelines WHERE id = ?1 AND deleted_at IS NULL") == 0)
        bind_uuid(&q, 1, &id);
    const bool found = stmt_row(&q);
    if (found)
        *ret_key = column_int(&q, 0);
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

static int count_triggers(struct db *db, int64_t pipeline, uint64_t *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT count(*) FROM triggers WHERE pipeline = ?1 AND deleted_at IS NULL") == 0)
        bind_int(&q, 1, pipeline);
    return count_rows(&q, ret);
}

static int list(struct db *db, int64_t pipeline, const struct page *page, int64_t after,
                const char *webhook_url, struct str *ret, int64_t *ret_last, bool *ret_more)
{
    const int64_t limit = page->limit > 0 ? (int64_t)page->limit : INT64_MAX - 1;
    struct stmt q;
    if (stmt_begin(&q, db,
                   COLUMNS "WHERE t.pipeline = ?1 AND t.deleted_at IS NULL AND t.key > ?2"
                           " ORDER BY t.key LIMIT ?3 OFFSET ?4") == 0) {
        bind_int(&q, 1, pipeline);
        bind_int(&q, 2, after);
        bind_int(&q, 3, limit + 1);
        bind_int(&q, 4, page_offset(page));
    }
    int64_t n = 0;
    for (; n < limit && stmt_row(&q); n++) {
        add_comma(ret);
        add_trigger(&q, webhook_url, ret);
        *ret_last = column_int(&q, 0);
    }
    *ret_more = n == limit && stmt_row(&q);
    return stmt_end(&q);
}

/* Appends what a statement finds. */
static int add_found(struct stmt *q, const char *webhook_url, struct str *ret)
{
    const bool found = stmt_row(q);
    if (found)
        add_trigger(q, webhook_url, ret);
    const int err = stmt_end(q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

int query_guest_trigger(struct db *db, struct uuid id, struct uuid pipeline, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(
            &q, db,
            COLUMNS_OF(
                "p.id = ?2 AND p.deleted_at IS NULL") "WHERE t.id = ?1 AND t.deleted_at IS NULL") ==
        0) {
        bind_uuid(&q, 1, &id);
        bind_uuid(&q, 2, &pipeline);
    }
    return add_found(&q, NULL, ret);
}

/* Those that have gone meanwhile are left out. */
static int list_guests(struct db *db, struct uuid pipeline, const struct trigger_guests *g,
                       bool wanted, struct str *ret, uint64_t *total)
{
    struct str text = {0};
    int err = 0;
    for (size_t i = 0; err == 0 && i < g->count; i++) {
        str_reset(&text);
        err = query_guest_trigger(db, g->ids[i], pipeline, &text);
        if (err == 0) {
            ++*total;
            if (wanted) {
                add_comma(ret);
                str_add_slice(ret, str_slice(&text));
            }
        }
        if (err == -ENOENT)
            err = 0;
    }
    str_release(&text);
    return err;
}

int query_triggers(struct db *db, struct uuid pipeline, const struct page *page,
                   const struct trigger_guests *guests, const char *webhook_url, struct str *ret)
{
    int64_t after, key = 0, last = 0;
    uint64_t total = 0;
    bool more = false;
    int err = page_start(page, CURSOR_TRIGGERS, 0, &after);
    if (err != 0)
        return err;
    str_add_cstr(ret, "{\"triggers\":[");
    err = read_begin(db);
    if (err == 0)
        err = find_pipeline(db, pipeline, &key);
    if (err == 0)
        err = count_triggers(db, key, &total);
    if (err == 0)
        err = list(db, key, page, after, webhook_url, ret, &last, &more);
    if (err == 0)
        err = list_guests(db, pipeline, guests, !more, ret, &total);
    if (page->limit > 0) {
        page_end(ret, total, more, CURSOR_TRIGGERS, last);
    } else {
        str_add_cstr(ret, "],\"total\":");
        str_add_u64(ret, total);
        str_add_char(ret, '}');
    }
    return read_end(db, err);
}

int query_trigger(struct db *db, struct uuid id, const char *webhook_url, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS "WHERE t.id = ?1 AND t.deleted_at IS NULL") == 0)
        bind_uuid(&q, 1, &id);
    return add_found(&q, webhook_url, ret);
}
