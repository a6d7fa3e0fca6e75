/* query_topics.c - embedded topics and their messages.
 *
 * How many messages and bytes a topic has is told by its first and its last one, without counting.
 */
#include "core/topic.h"
#include "base/rfc3339.h"
#include "io/store/page.h"
#include <errno.h>

/* A page of messages ends when they have this many bytes. */
#define MESSAGES_BYTES_MAX ((size_t)8 << 20)

#define COLUMNS                                                                                    \
    "SELECT t.key, t.name, t.age_ms, t.bytes_max, t.first_offset, t.first_total, t.created_at,"    \
    " t.updated_at, m.key, m.total FROM topics t LEFT JOIN messages m"                             \
    " ON m.key = (SELECT x.key FROM messages x WHERE x.key >= t.key << 40"                         \
    " AND x.key < (t.key + 1) << 40 ORDER BY x.key DESC LIMIT 1)"                                  \
    " WHERE t.deleted_at IS NULL"

static uint64_t end_offset(struct stmt *q)
{
    return column_is_null(q, 8) ? (uint64_t)column_int(q, 4) : message_offset(column_int(q, 8)) + 1;
}

static void add_limit(struct str *s, const char *name, struct stmt *q, int i, int64_t unit)
{
    str_printf(s, ",\"%s\":", name);
    if (column_is_null(q, i))
        str_add_cstr(s, "null");
    else
        str_add_i64(s, column_int(q, i) / unit);
}

static void add_topic(struct stmt *q, struct str *ret)
{
    const uint64_t first = (uint64_t)column_int(q, 4), end = end_offset(q);
    const int64_t bytes = column_is_null(q, 8) ? 0 : column_int(q, 9) - column_int(q, 5);
    str_add_cstr(ret, "{\"name\":");
    str_add_json(ret, column_slice(q, 1));
    str_printf(ret, ",\"first_offset\":%llu,\"end_offset\":%llu,\"messages\":%llu,\"bytes\":%lld",
               (unsigned long long)first, (unsigned long long)end,
               (unsigned long long)(end - first), (long long)bytes);
    add_limit(ret, "retention_seconds", q, 2, 1000);
    add_limit(ret, "retention_bytes", q, 3, 1);
    str_add_cstr(ret, ",\"created_at\":");
    str_add_time(ret, column_time(q, 6));
    str_add_cstr(ret, ",\"updated_at\":");
    str_add_time(ret, column_time(q, 7));
    str_add_char(ret, '}');
}

int query_topic(struct db *db, struct slice name, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS " AND t.name = ?1") == 0)
        bind_text(&q, 1, name);
    const bool found = stmt_row(&q);
    if (found)
        add_topic(&q, ret);
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

static int list(struct db *db, const struct page *page, int64_t after, struct str *ret,
                int64_t *ret_last, bool *ret_more)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   COLUMNS " AND t.name > ifnull((SELECT name FROM topics WHERE key = ?1), '')"
                           " ORDER BY t.name LIMIT ?2 OFFSET ?3") == 0) {
        bind_int(&q, 1, after);
        bind_int(&q, 2, (int64_t)page->limit + 1);
        bind_int(&q, 3, page_offset(page));
    }
    unsigned n = 0;
    for (; n < page->limit && stmt_row(&q); n++) {
        add_comma(ret);
        add_topic(&q, ret);
        *ret_last = column_int(&q, 0);
    }
    *ret_more = n > 0 && n == page->limit && stmt_row(&q);
    return stmt_end(&q);
}

int query_topics(struct db *db, const struct page *page, struct str *ret)
{
    struct stmt q;
    int64_t after, last = 0;
    uint64_t total = 0;
    bool more = false;
    int err = page_start(page, CURSOR_TOPICS, 0, &after);
    if (err != 0)
        return err;
    str_add_cstr(ret, "{\"topics\":[");
    err = read_begin(db);
    if (err == 0) {
        stmt_begin(&q, db, "SELECT count(*) FROM topics WHERE deleted_at IS NULL");
        err = count_rows(&q, &total);
    }
    if (err == 0)
        err = list(db, page, after, ret, &last, &more);
    page_end(ret, total, more, CURSOR_TOPICS, last);
    return read_end(db, err);
}

/* ---- messages ---- */

static void add_message(struct stmt *q, struct str *ret)
{
    add_comma(ret);
    str_printf(ret, "{\"offset\":%llu,\"event_id\":",
               (unsigned long long)message_offset(column_int(q, 0)));
    str_add_json_uuid(ret, column_row_id(q, 1));
    str_add_cstr(ret, ",\"time\":");
    str_add_time(ret, column_time(q, 3));
    str_add_cstr(ret, ",\"key\":");
    str_add_json_or_null(ret, column_slice(q, 4));
    str_add_cstr(ret, ",\"content_type\":");
    str_add_json_or_null(ret, column_slice(q, 5));
    add_payload(ret, column_slice(q, 6));
    str_add_char(ret, '}');
}

/* *ret_next: behind the last one that was added. */
static int add_messages(struct db *db, int64_t topic, uint64_t from, unsigned limit,
                        struct str *ret, uint64_t *ret_next)
{
    struct stmt q;
    size_t bytes = 0;
    if (stmt_begin(&q, db,
                   "SELECT m.key, e.key, e.rest, e.time, e.message_key, e.content_type, e.payload"
                   " FROM messages m JOIN events e ON e.key = m.event"
                   " WHERE m.key >= ?1 AND m.key < ?2 ORDER BY m.key LIMIT ?3") == 0) {
        bind_int(&q, 1, message_number(topic, from));
        bind_int(&q, 2, (topic + 1) << TOPIC_OFFSET_BITS);
        bind_int(&q, 3, limit);
    }
    *ret_next = from;
    while (bytes < MESSAGES_BYTES_MAX && stmt_row(&q)) {
        bytes += column_slice(&q, 6).len;
        *ret_next = message_offset(column_int(&q, 0)) + 1;
        add_message(&q, ret);
    }
    return stmt_end(&q);
}

struct bounds {
    int64_t key;
    uint64_t first, end;
};

static int find_bounds(struct db *db, struct slice name, struct bounds *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS " AND t.name = ?1") == 0)
        bind_text(&q, 1, name);
    const bool found = stmt_row(&q);
    if (found)
        *ret = (struct bounds){column_int(&q, 0), (uint64_t)column_int(&q, 4), end_offset(&q)};
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

int query_messages(struct db *db, struct slice topic, uint64_t offset, unsigned limit,
                   struct str *ret)
{
    struct bounds b;
    uint64_t next = 0;
    int err = read_begin(db);
    if (err == 0)
        err = find_bounds(db, topic, &b);
    if (err != 0)
        return read_end(db, err);
    offset = offset < b.first ? b.first : offset > b.end ? b.end : offset;
    str_add_cstr(ret, "{\"topic\":");
    str_add_json(ret, topic);
    str_add_cstr(ret, ",\"messages\":[");
    err = add_messages(db, b.key, offset, limit, ret, &next);
    str_printf(ret, "],\"first_offset\":%llu,\"next_offset\":%llu,\"end_offset\":%llu}",
               (unsigned long long)b.first, (unsigned long long)next, (unsigned long long)b.end);
    return read_end(db, err);
}
