/* query_pause.c - what is paused. */
#include "base/rfc3339.h"
#include "io/store/page.h"

void add_pause(struct stmt *q, int i, struct str *ret)
{
    const bool paused = wall_is_set(column_time(q, i));
    str_add_cstr(ret, paused ? ",\"paused\":true" : ",\"paused\":false");
    if (!paused)
        return;
    const struct slice reason = column_slice(q, i + 1);
    str_add_cstr(ret, ",\"paused_at\":");
    str_add_time(ret, column_time(q, i));
    str_add_cstr(ret, ",\"pause_reason\":");
    str_add_json_or_null(ret, reason);
}

int query_pause(struct db *db, struct str *ret)
{
    struct stmt q;
    stmt_begin(&q, db,
               "SELECT (SELECT count(*) FROM pauses WHERE kind = 'p'),"
               " (SELECT count(*) FROM pauses WHERE kind = 't'), a.at, a.reason"
               " FROM (SELECT 1) LEFT JOIN pauses a ON a.kind = 'a'");
    if (stmt_row(&q)) {
        str_add_cstr(ret, "{\"pipelines\":");
        str_add_i64(ret, column_int(&q, 0));
        str_add_cstr(ret, ",\"triggers\":");
        str_add_i64(ret, column_int(&q, 1));
        add_pause(&q, 2, ret);
        str_add_char(ret, '}');
    }
    return stmt_end(&q);
}
