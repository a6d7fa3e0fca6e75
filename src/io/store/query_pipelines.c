#include "base/rfc3339.h"
#include "core/redact.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <errno.h>
#include <string.h>

/* ?1 and ?2: namespace and layer, or NULL. Slugs have no dots, so a layer between dots is one. */
#define MATCHES                                                                                    \
    "deleted_at IS NULL AND (?1 IS NULL OR (path >= ?1 || '.' AND path < ?1 || '/'))"              \
    " AND (?2 IS NULL OR instr(path, '.' || ?2 || '.') > 0)"

#define COLUMNS                                                                                    \
    "SELECT p.key, p.id, p.path, p.version, p.created_at, p.updated_at, v.spec, x.at, x.reason,"   \
    " p.given_id "                                                                                 \
    "FROM pipelines p"                                                                             \
    " JOIN pipeline_versions v ON v.pipeline = p.key AND v.version = p.version "                   \
    " LEFT JOIN pauses x ON x.kind = 'p' AND x.key = p.key "

/* Eight seeks in the index instead of a walk. */
#define NEWEST(state)                                                                              \
    "ifnull((SELECT max(key) FROM runs WHERE pipeline = ?1 AND state = '" state "'), -1)"
#define LATEST                                                                                                  \
    "SELECT key, rest, state, finished_at FROM runs WHERE key = max(" NEWEST("p") ", " NEWEST("d") ", " NEWEST( \
        "w") ", " NEWEST("r") ", " NEWEST("s") ", " NEWEST("f") ", " NEWEST("x") ", " NEWEST("c") ")"

static int add_latest_run(struct db *db, int64_t pipeline, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, LATEST) == 0)
        bind_int(&q, 1, pipeline);
    str_add_cstr(ret, ",\"latest_run\":");
    if (stmt_row(&q)) {
        str_add_cstr(ret, "{\"id\":");
        str_add_json_uuid(ret, column_row_id(&q, 0));
        str_printf(ret, ",\"status\":\"%s\",\"created_at\":",
                   run_status_name(run_state_status(column_slice(&q, 2).p[0])));
        str_add_time(ret, row_key_time(column_int(&q, 0)));
        str_add_cstr(ret, ",\"finished_at\":");
        str_add_time(ret, column_time(&q, 3));
        str_add_char(ret, '}');
    } else {
        str_add_cstr(ret, "null");
    }
    return stmt_end(&q);
}

static struct slice path_part(struct slice *path)
{
    const char *dot = memchr(path->p, '.', path->len);
    const size_t len = dot != NULL ? (size_t)(dot - path->p) : path->len;
    const struct slice part = {path->p, len};
    path->p += len + (dot != NULL);
    path->len -= len + (dot != NULL);
    return part;
}

static void add_member(struct str *s, const char *name, struct slice text)
{
    str_printf(s, ",\"%s\":", name);
    str_add_json(s, text);
}

/* The members of a JSON object's text, each with a comma before it. */
static void add_members(struct str *s, struct slice spec)
{
    spec = slice_trim(spec);
    if (spec.len < 2 || spec.p[0] != '{' || spec.p[spec.len - 1] != '}')
        return;
    const struct slice inside = slice_trim((struct slice){spec.p + 1, spec.len - 2});
    if (inside.len == 0)
        return;
    str_add_char(s, ',');
    str_add_slice(s, inside);
}

static void add_spec(struct str *s, struct slice spec)
{
    struct str shown = {0};
    redact_add(&shown, spec);
    add_members(s, str_slice(&shown));
    str_release(&shown);
}

/* One that was given an id is called by that, and has its UUID besides. */
static void add_ids(struct str *ret, struct stmt *q)
{
    const struct slice given = column_slice(q, 9);
    str_add_cstr(ret, "{\"id\":");
    if (given.p != NULL) {
        str_add_json(ret, given);
        str_add_cstr(ret, ",\"uuid\":");
    }
    str_add_json_uuid(ret, column_uuid(q, 1));
}

static int add_pipeline(struct db *db, struct stmt *q, struct str *ret)
{
    struct slice path = column_slice(q, 2);
    add_ids(ret, q);
    add_member(ret, "namespace", path_part(&path));
    add_member(ret, "layer", path_part(&path));
    add_member(ret, "name", path);
    add_spec(ret, column_slice(q, 6));
    str_add_cstr(ret, ",\"version\":");
    str_add_i64(ret, column_int(q, 3));
    str_add_cstr(ret, ",\"created_at\":");
    str_add_time(ret, column_time(q, 4));
    str_add_cstr(ret, ",\"updated_at\":");
    str_add_time(ret, column_time(q, 5));
    add_pause(q, 7, ret);
    const int err = add_latest_run(db, column_int(q, 0), ret);
    str_add_char(ret, '}');
    return err;
}

static int count_pipelines(struct db *db, const struct pipeline_filter *f, uint64_t *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT count(*) FROM pipelines WHERE " MATCHES) == 0) {
        bind_text(&q, 1, f->ns);
        bind_text(&q, 2, f->layer);
    }
    return count_rows(&q, ret);
}

/* Adds the page's pipelines, *ret_last being the last one's key; *ret_more when others follow. */
static int list(struct db *db, const struct pipeline_filter *f, const struct page *page,
                int64_t after, struct str *ret, int64_t *ret_last, bool *ret_more)
{
    struct stmt q;
    int err =
        stmt_begin(&q, db,
                   COLUMNS "WHERE " MATCHES
                           " AND path > ifnull((SELECT path FROM pipelines WHERE key = ?3), '')"
                           " ORDER BY path LIMIT ?4 OFFSET ?5");
    if (err == 0) {
        bind_text(&q, 1, f->ns);
        bind_text(&q, 2, f->layer);
        bind_int(&q, 3, after);
        bind_int(&q, 4, (int64_t)page->limit + 1);
        bind_int(&q, 5, page_offset(page));
    }
    unsigned n = 0;
    while (err == 0 && n < page->limit && stmt_row(&q)) {
        add_comma(ret);
        err = add_pipeline(db, &q, ret);
        *ret_last = column_int(&q, 0);
        n++;
    }
    *ret_more = err == 0 && n == page->limit && stmt_row(&q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : err_end;
}

int query_pipelines(struct db *db, const struct pipeline_filter *f, const struct page *page,
                    struct str *ret)
{
    int64_t after, last = 0;
    uint64_t total = 0;
    bool more = false;
    int err = page_start(page, CURSOR_PIPELINES, 0, &after);
    if (err != 0)
        return err;
    str_add_cstr(ret, "{\"pipelines\":[");
    err = read_begin(db);
    if (err == 0)
        err = count_pipelines(db, f, &total);
    if (err == 0)
        err = list(db, f, page, after, ret, &last, &more);
    page_end(ret, total, more, CURSOR_PIPELINES, last);
    return read_end(db, err);
}

int query_pipeline(struct db *db, struct uuid id, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS "WHERE p.id = ?1 AND p.deleted_at IS NULL") == 0)
        bind_uuid(&q, 1, &id);
    int err = stmt_row(&q) ? add_pipeline(db, &q, ret) : q.rc == SQLITE_DONE ? -ENOENT : 0;
    const int err_end = stmt_end(&q);
    return err != 0 ? err : err_end;
}

/* ---- versions ---- */

int query_versions(struct db *db, struct uuid pipeline, const struct page *page, struct str *ret)
{
    struct stmt q;
    int64_t before, last = 0;
    uint64_t total = 0;
    int err = page_start(page, CURSOR_VERSIONS, INT64_MAX, &before);
    if (err != 0)
        return err;
    str_add_cstr(ret, "{\"versions\":[");
    if (stmt_begin(&q, db,
                   "SELECT v.version, v.created_at, p.version FROM pipelines p"
                   " JOIN pipeline_versions v ON v.pipeline = p.key AND v.version < ?2"
                   " WHERE p.id = ?1 AND p.deleted_at IS NULL"
                   " ORDER BY v.version DESC LIMIT ?3 OFFSET ?4") == 0) {
        bind_uuid(&q, 1, &pipeline);
        bind_int(&q, 2, before);
        bind_int(&q, 3, (int64_t)page->limit + 1);
        bind_int(&q, 4, page_offset(page));
    }
    unsigned n = 0;
    for (; n < page->limit && stmt_row(&q); n++) {
        add_comma(ret);
        last = column_int(&q, 0);
        total = (uint64_t)column_int(&q, 2); /* they are numbered, and none is ever removed */
        str_printf(ret, "{\"version\":%lld,\"created_at\":", (long long)last);
        str_add_time(ret, column_time(&q, 1));
        str_add_char(ret, '}');
    }
    page_end(ret, total, n == page->limit && stmt_row(&q), CURSOR_VERSIONS, last);
    return stmt_end(&q);
}

int query_version(struct db *db, struct uuid pipeline, uint32_t version, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT v.created_at, v.spec FROM pipelines p"
                   " JOIN pipeline_versions v ON v.pipeline = p.key AND v.version = ?2"
                   " WHERE p.id = ?1 AND p.deleted_at IS NULL") == 0) {
        bind_uuid(&q, 1, &pipeline);
        bind_int(&q, 2, version);
    }
    const bool found = stmt_row(&q);
    if (found) {
        str_printf(ret, "{\"version\":%u", version);
        add_spec(ret, column_slice(&q, 1));
        str_add_cstr(ret, ",\"created_at\":");
        str_add_time(ret, column_time(&q, 0));
        str_add_char(ret, '}');
    }
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}
