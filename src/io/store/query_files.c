/* query_files.c - the files API reads the ledger. Paths are bytes; what is not UTF-8 in them is shown as U+FFFD, and
 * the bytes come beside it. */
#include "base/base64.h"
#include "base/rfc3339.h"
#include "io/store/page.h"
#include <errno.h>
#include <string.h>

#define COLUMNS                                                                                    \
    "SELECT f.key, f.rest, z.id, z.directory, f.path, f.name, f.size, f.content_type,"             \
    " f.arrived_at, f.mtime_ns FROM zones z JOIN files f ON f.zone = z.key AND f.gone_at IS NULL "

static struct slice last_part(struct slice path)
{
    const char *slash = path.len > 0 ? memrchr(path.p, '/', path.len) : NULL;
    if (slash == NULL)
        return path;
    return (struct slice){slash + 1, path.len - (size_t)(slash + 1 - path.p)};
}

static void add_path(struct stmt *q, struct str *ret)
{
    struct str path = {0};
    str_add_slice(&path, column_slice(q, 3));
    str_add_char(&path, '/');
    str_add_slice(&path, column_slice(q, 4));
    str_add_json(ret, str_slice(&path));
    if (!utf8_valid(str_slice(&path))) {
        str_add_cstr(ret, ",\"path_base64\":\"");
        str_add_base64(ret, str_slice(&path));
        str_add_char(ret, '"');
    }
    str_release(&path);
}

static void add_file(struct stmt *q, struct str *ret)
{
    const struct slice path = column_slice(q, 4), name = column_slice(q, 5),
                       type = column_slice(q, 7);
    str_add_cstr(ret, "{\"id\":");
    str_add_json_uuid(ret, column_row_id(q, 0));
    str_add_cstr(ret, ",\"zone_id\":");
    str_add_json_uuid(ret, column_uuid(q, 2));
    str_add_cstr(ret, ",\"filename\":");
    str_add_json(ret, name.p != NULL ? name : last_part(path));
    str_add_cstr(ret, ",\"path\":");
    add_path(q, ret);
    str_add_cstr(ret, ",\"relative_path\":");
    str_add_json(ret, path);
    str_add_cstr(ret, ",\"size_bytes\":");
    str_add_i64(ret, column_int(q, 6));
    str_add_cstr(ret, ",\"content_type\":");
    str_add_json_or_null(ret, type);
    str_add_cstr(ret, ",\"uploaded_at\":");
    str_add_time(ret, column_time(q, 8));
    str_add_cstr(ret, ",\"modified_at\":");
    str_add_time(ret, (struct wall){column_int(q, 9) / 1000000});
    str_add_char(ret, '}');
}

int query_file(struct db *db, struct uuid zone, struct uuid id, struct str *ret)
{
    struct row_key k;
    if (!row_key_of(id, &k))
        return -ENOENT;
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS "WHERE f.key = ?1 AND z.id = ?2") == 0) {
        bind_int(&q, 1, k.key);
        bind_uuid(&q, 2, &zone);
    }
    const bool found = stmt_row(&q) && column_int(&q, 1) == k.rest;
    if (found)
        add_file(&q, ret);
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

int query_file_path(struct db *db, int64_t zone_key, struct uuid id, struct str *ret)
{
    struct row_key k;
    if (!row_key_of(id, &k))
        return -ENOENT;
    struct stmt q;
    if (stmt_begin(
            &q, db,
            "SELECT key, rest, path FROM files WHERE key = ?1 AND zone = ?2 AND gone_at IS NULL") ==
        0) {
        bind_int(&q, 1, k.key);
        bind_int(&q, 2, zone_key);
    }
    const bool found = stmt_row(&q) && column_int(&q, 1) == k.rest;
    if (found)
        str_add_slice(ret, column_slice(&q, 2));
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

/* -ENOENT when there is no such zone. */
static int count_files(struct db *db, struct uuid zone, uint64_t *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT t.files FROM zones z JOIN zone_totals t ON t.zone = z.key"
                   " WHERE z.id = ?1 AND z.deleted_at IS NULL") == 0)
        bind_uuid(&q, 1, &zone);
    const bool found = stmt_row(&q);
    if (found)
        *ret = (uint64_t)column_int(&q, 0);
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

static int list(struct db *db, struct uuid zone, const struct page *page, int64_t before,
                struct str *ret, int64_t *ret_last, bool *ret_more)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   COLUMNS
                   "WHERE z.id = ?1 AND f.key < ?2 ORDER BY f.key DESC LIMIT ?3 OFFSET ?4") == 0) {
        bind_uuid(&q, 1, &zone);
        bind_int(&q, 2, before);
        bind_int(&q, 3, (int64_t)page->limit + 1);
        bind_int(&q, 4, page_offset(page));
    }
    unsigned n = 0;
    for (; n < page->limit && stmt_row(&q); n++) {
        add_comma(ret);
        add_file(&q, ret);
        *ret_last = column_int(&q, 0);
    }
    *ret_more = n > 0 && n == page->limit && stmt_row(&q);
    return stmt_end(&q);
}

int query_files(struct db *db, struct uuid zone, const struct page *page, struct str *ret)
{
    int64_t before, last = 0;
    uint64_t total = 0;
    bool more = false;
    int err = page_start(page, CURSOR_FILES, INT64_MAX, &before);
    if (err != 0)
        return err;
    str_add_cstr(ret, "{\"files\":[");
    err = read_begin(db);
    if (err == 0)
        err = count_files(db, zone, &total);
    if (err == 0)
        err = list(db, zone, page, before, ret, &last, &more);
    page_end(ret, total, more, CURSOR_FILES, last);
    return read_end(db, err);
}
