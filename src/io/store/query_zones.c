#include "base/rfc3339.h"
#include "io/store/page.h"
#include <errno.h>
#include <string.h>

#define COLUMNS                                                                                    \
    "SELECT z.key, z.id, z.path, z.directory, z.spec, z.created_at, z.updated_at,"                 \
    " ifnull(t.files, 0), ifnull(t.bytes, 0) FROM zones z"                                         \
    " LEFT JOIN zone_totals t ON t.zone = z.key "

/* ?1: the namespace, or NULL. */
#define MATCHES "deleted_at IS NULL AND (?1 IS NULL OR (path >= ?1 || '.' AND path < ?1 || '/'))"

/* All but the closing brace. The spec is an object of ours and never empty. */
static void add_zone(struct stmt *q, struct str *ret)
{
    const struct slice path = column_slice(q, 2), spec = column_slice(q, 4);
    const size_t dot = strcspn(path.p, ".");
    str_add_cstr(ret, "{\"id\":");
    str_add_json_uuid(ret, column_uuid(q, 1));
    str_add_cstr(ret, ",\"namespace\":");
    str_add_json(ret, (struct slice){path.p, dot});
    str_add_cstr(ret, ",\"name\":");
    str_add_json(ret, (struct slice){path.p + dot + 1, path.len - dot - 1});
    str_add_cstr(ret, ",\"path\":");
    str_add_json(ret, column_slice(q, 3));
    str_add_char(ret, ',');
    str_add(ret, spec.p + 1, spec.len - 2);
    str_add_cstr(ret, ",\"file_count\":");
    str_add_i64(ret, column_int(q, 7));
    str_add_cstr(ret, ",\"total_bytes\":");
    str_add_i64(ret, column_int(q, 8));
    str_add_cstr(ret, ",\"created_at\":");
    str_add_time(ret, column_time(q, 5));
    str_add_cstr(ret, ",\"updated_at\":");
    str_add_time(ret, column_time(q, 6));
}

int query_zone(struct db *db, struct uuid id, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS "WHERE z.id = ?1 AND z.deleted_at IS NULL") == 0)
        bind_uuid(&q, 1, &id);
    const bool found = stmt_row(&q);
    if (found)
        add_zone(&q, ret);
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

static int count_zones(struct db *db, const struct zone_filter *f, uint64_t *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT count(*) FROM zones WHERE " MATCHES) == 0)
        bind_text(&q, 1, f->ns);
    return count_rows(&q, ret);
}

/* Where a list puts its zones. */
struct zone_list {
    zone_extra extra;
    void *arg;
    struct str *text;
    int64_t last;
    bool more;
};

static int list(struct db *db, const struct zone_filter *f, const struct page *page, int64_t after,
                struct zone_list *l)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   COLUMNS "WHERE " MATCHES
                           " AND path > ifnull((SELECT path FROM zones WHERE key = ?2), '')"
                           " ORDER BY path LIMIT ?3 OFFSET ?4") == 0) {
        bind_text(&q, 1, f->ns);
        bind_int(&q, 2, after);
        bind_int(&q, 3, (int64_t)page->limit + 1);
        bind_int(&q, 4, page_offset(page));
    }
    unsigned n = 0;
    for (; n < page->limit && stmt_row(&q); n++) {
        add_comma(l->text);
        add_zone(&q, l->text);
        l->extra(l->arg, column_uuid(&q, 1), l->text);
        str_add_char(l->text, '}');
        l->last = column_int(&q, 0);
    }
    l->more = n > 0 && n == page->limit && stmt_row(&q);
    return stmt_end(&q);
}

int query_zones(struct db *db, const struct zone_filter *f, const struct page *page,
                zone_extra extra, void *arg, struct str *ret)
{
    struct zone_list l = {.extra = extra, .arg = arg, .text = ret};
    int64_t after;
    uint64_t total = 0;
    int err = page_start(page, CURSOR_ZONES, 0, &after);
    if (err != 0)
        return err;
    str_add_cstr(ret, "{\"landing_zones\":[");
    err = read_begin(db);
    if (err == 0)
        err = count_zones(db, f, &total);
    if (err == 0)
        err = list(db, f, page, after, &l);
    page_end(ret, total, l.more, CURSOR_ZONES, l.last);
    return read_end(db, err);
}
