/* query_decisions.c - what one trigger made of the events it saw: a walk down the events, newest first.
 *
 * No index says which events a trigger decided on: it would cost every event another page. A walk is bounded instead, by what
 * one page may look at and by the trigger's creation. A trigger's latest decisions are where the walk begins.
 */
#include "base/arena.h"
#include "base/rfc3339.h"
#include "core/decision.h"
#include "io/store/page.h"
#include <errno.h>
#include <string.h>

/* What one page looks at: rows, and bytes of decisions in them. */
#define ROWS_MAX 50000
#define BYTES_MAX (32 * 1024 * 1024)

/* The decision of that trigger among those of an event. */
static bool find_decision(struct slice encoded, struct uuid trigger, struct arena *a,
                          struct decision *ret)
{
    if (memmem(encoded.p, encoded.len, trigger.b, sizeof(trigger.b)) == NULL)
        return false;
    while (decision_decode(&encoded, a, ret))
        if (uuid_cmp(ret->trigger, trigger) == 0)
            return true;
    return false;
}

static void add_text(struct str *s, const char *name, struct slice text)
{
    str_printf(s, ",\"%s\":", name);
    str_add_json_or_null(s, text);
}

static void add_decision(struct stmt *q, const struct decision *d, struct str *s)
{
    add_comma(s);
    str_add_cstr(s, "{\"event_id\":");
    str_add_json_uuid(s, column_row_id(q, 0));
    str_add_cstr(s, ",\"time\":");
    str_add_time(s, column_time(q, 2));
    add_text(s, "source", column_slice(q, 3));
    add_text(s, "type", column_slice(q, 4));
    str_printf(s, ",\"decision\":\"%s\"", verdict_name(d->verdict));
    add_text(s, "detail", d->detail.len > 0 ? d->detail : SLICE_NONE);
    str_add_cstr(s, ",\"run_ids\":[");
    for (size_t i = 0; i < d->run_count; i++) {
        add_comma(s);
        str_add_json_uuid(s, d->runs[i]);
    }
    str_add_cstr(s, "]}");
}

/* Adds the row's decision when it has one and it is not one of those to skip. */
static unsigned look_at(struct stmt *q, struct uuid trigger, int64_t *skip, struct str *ret)
{
    struct arena a = {0};
    struct decision d;
    bool found = find_decision(column_slice(q, 5), trigger, &a, &d);
    if (found && *skip > 0) {
        (*skip)--;
        found = false;
    }
    if (found)
        add_decision(q, &d, ret);
    arena_release(&a);
    return found;
}

int query_decisions(struct db *db, struct uuid trigger, struct wall since, const struct page *page,
                    struct str *ret)
{
    int64_t before, skip = page_offset(page);
    int err = page_start(page, CURSOR_EVENTS, INT64_MAX, &before);
    if (err != 0)
        return err;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT key, rest, time, source, type, decisions FROM events"
                   " WHERE key >= ?1 AND key < ?2 ORDER BY key DESC") == 0) {
        bind_int(&q, 1, row_key_at(since));
        bind_int(&q, 2, before);
    }
    str_add_cstr(ret, "{\"decisions\":[");
    unsigned found = 0, rows = 0;
    size_t bytes = 0;
    bool more = false;
    while (!more && stmt_row(&q)) {
        found += look_at(&q, trigger, &skip, ret);
        bytes += column_slice(&q, 5).len;
        before = column_int(&q, 0);
        more = found == page->limit || ++rows == ROWS_MAX || bytes > BYTES_MAX;
    }
    page_next(ret, more, CURSOR_EVENTS, before);
    return stmt_end(&q);
}
