/* query_events.c - events with what every trigger made of them.
 *
 * Lists walk the table from its newest row down. A total without a filter counts pages of the
 * table; with one it reads the rows since `since`, but not their payloads beyond the first page.
 */
#include "base/arena.h"
#include "core/decision.h"
#include "base/base64.h"
#include "base/rfc3339.h"
#include "io/store/page.h"
#include <errno.h>

#define COLUMNS                                                                                    \
    "SELECT key, rest, source, type, subject, time, root, depth, content_type, decisions"

static void add_text(struct str *s, const char *name, struct slice text)
{
    str_printf(s, ",\"%s\":", name);
    str_add_json_or_null(s, text);
}

static void add_ids(struct str *s, const char *name, const struct uuid *ids, size_t n)
{
    str_printf(s, "\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        add_comma(s);
        str_add_json_uuid(s, ids[i]);
    }
    str_add_char(s, ']');
}

static void add_decision(struct str *s, const struct decision *d)
{
    add_comma(s);
    str_add_cstr(s, "{\"trigger_id\":");
    str_add_json_uuid(s, d->trigger);
    str_printf(s, ",\"decision\":\"%s\",", verdict_name(d->verdict));
    if (d->detail.len > 0) {
        str_add_cstr(s, "\"detail\":");
        str_add_json(s, d->detail);
        str_add_char(s, ',');
    }
    add_ids(s, "run_ids", d->runs, d->run_count);
    str_add_char(s, '}');
}

/* The decisions, and the runs of all of them, with those that were made again. */
static void add_decisions(struct str *s, struct slice encoded, struct db *db, int64_t event)
{
    struct arena a = {0};
    VEC(struct uuid) runs = {0};
    struct decision d;
    str_add_cstr(s, ",\"decisions\":[");
    while (decision_decode(&encoded, &a, &d)) {
        add_decision(s, &d);
        for (size_t i = 0; i < d.run_count; i++)
            vec_push(&runs, d.runs[i]);
    }
    str_add_cstr(s, "],");
    add_ids(s, "run_ids", runs.items, runs.len);
    s->len--; /* the bracket */
    replays_add(db, event, s);
    str_add_char(s, ']');
    vec_release(&runs);
    arena_release(&a);
}

/* All but the closing brace. */
static void add_event(struct stmt *q, struct str *ret)
{
    const struct uuid id = column_row_id(q, 0), root = column_uuid(q, 6);
    str_add_cstr(ret, "{\"id\":");
    str_add_json_uuid(ret, id);
    add_text(ret, "source", column_slice(q, 2));
    add_text(ret, "type", column_slice(q, 3));
    add_text(ret, "subject", column_slice(q, 4));
    str_add_cstr(ret, ",\"time\":");
    str_add_time(ret, column_time(q, 5));
    str_add_cstr(ret, ",\"lineage\":{\"root_event_id\":");
    str_add_json_uuid(ret, uuid_is_nil(root) ? id : root);
    str_add_cstr(ret, ",\"depth\":");
    str_add_i64(ret, column_int(q, 7));
    str_add_char(ret, '}');
    add_text(ret, "content_type", column_slice(q, 8));
    add_decisions(ret, column_slice(q, 9), q->db, column_int(q, 0));
}

int query_event(struct db *db, struct uuid id, struct str *ret)
{
    struct row_key k;
    if (!row_key_of(id, &k))
        return -ENOENT;
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS ", payload FROM events WHERE key = ?1") == 0)
        bind_int(&q, 1, k.key);
    const bool found = stmt_row(&q) && column_int(&q, 1) == k.rest;
    if (found) {
        add_event(&q, ret);
        add_payload(ret, column_slice(&q, 10));
        str_add_char(ret, '}');
    }
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

/* ---- lists ---- */

/* An id holds the millisecond of its making, which is never before the event's time: keys bound the
 * walk, and the time decides. */
#define MATCHES                                                                                    \
    " FROM events WHERE key >= ?1 AND (?2 IS NULL OR time >= ?2) AND (?3 IS NULL OR source = ?3)"  \
    " AND (?4 IS NULL OR instr(decisions, ?4) > 0)"

static bool filters(const struct event_filter *f)
{
    return f->source.p != NULL || !uuid_is_nil(f->trigger) || wall_is_set(f->since);
}

static void bind_filter(struct stmt *q, const struct event_filter *f)
{
    bind_int(q, 1, wall_is_set(f->since) ? row_key_at(f->since) : 0);
    bind_time(q, 2, f->since);
    bind_text(q, 3, f->source);
    bind_uuid(q, 4, &f->trigger);
}

static int count_events(struct db *db, const struct event_filter *f, uint64_t *ret)
{
    struct stmt q;
    if (!filters(f))
        stmt_begin(&q, db, "SELECT count(*) FROM events");
    else if (stmt_begin(&q, db, "SELECT count(*)" MATCHES) == 0)
        bind_filter(&q, f);
    return count_rows(&q, ret);
}

static int list(struct db *db, const struct event_filter *f, const struct page *page,
                int64_t before, struct str *ret, int64_t *ret_last, bool *ret_more)
{
    struct stmt q;
    if (stmt_begin(&q, db, COLUMNS MATCHES " AND key < ?5 ORDER BY key DESC LIMIT ?6 OFFSET ?7") ==
        0) {
        bind_filter(&q, f);
        bind_int(&q, 5, before);
        bind_int(&q, 6, (int64_t)page->limit + 1);
        bind_int(&q, 7, page_offset(page));
    }
    unsigned n = 0;
    for (; n < page->limit && stmt_row(&q); n++) {
        add_comma(ret);
        add_event(&q, ret);
        str_add_char(ret, '}');
        *ret_last = column_int(&q, 0);
    }
    *ret_more = n > 0 && n == page->limit && stmt_row(&q);
    return stmt_end(&q);
}

int query_events(struct db *db, const struct event_filter *f, const struct page *page,
                 struct str *ret)
{
    int64_t before, last = 0;
    uint64_t total = 0;
    bool more = false;
    int err = page_start(page, CURSOR_EVENTS, INT64_MAX, &before);
    if (err != 0)
        return err;
    str_add_cstr(ret, "{\"events\":[");
    err = read_begin(db);
    if (err == 0)
        err = count_events(db, f, &total);
    if (err == 0)
        err = list(db, f, page, before, ret, &last, &more);
    page_end(ret, total, more, CURSOR_EVENTS, last);
    return read_end(db, err);
}

/* ---- repeated requests ---- */

int query_dedupe(struct db *db, const struct dedupe_key *key, struct wall now,
                 struct uuid *ret_event, struct uuid *ret_run)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT event, rest, run FROM dedupe WHERE key = ?1") == 0)
        bind_blob(&q, 1, (struct slice){(const char *)key->b, sizeof(key->b)});
    bool found = false;
    if (stmt_row(&q)) {
        *ret_event = column_row_id(&q, 0);
        *ret_run = column_uuid(&q, 2);
        found = row_key_time(column_int(&q, 0)).ms > now.ms - DEDUPE_MS;
    }
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

int query_origin(struct db *db, struct uuid event, struct uuid *ret_root, uint32_t *ret_depth)
{
    struct row_key k;
    struct stmt q;
    *ret_root = UUID_NIL;
    *ret_depth = 0;
    if (!row_key_of(event, &k))
        return 0;
    if (stmt_begin(&q, db, "SELECT root, depth FROM events WHERE key = ?1") == 0)
        bind_int(&q, 1, k.key);
    if (stmt_row(&q)) {
        *ret_root = column_uuid(&q, 0);
        *ret_depth = (uint32_t)column_int(&q, 1);
    }
    return stmt_end(&q);
}
