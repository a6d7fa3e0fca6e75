#include "io/store/page.h"
#include "base/base64.h"
#include "base/hex.h"
#include <errno.h>

#define CURSOR_LEN 17

int page_start(const struct page *p, enum cursor_kind kind, int64_t start, int64_t *ret)
{
    *ret = start;
    if (p->cursor.p == NULL)
        return 0;
    uint8_t b[8];
    if (p->cursor.len != CURSOR_LEN || p->cursor.p[0] != (char)kind ||
        !hex_decode((struct slice){p->cursor.p + 1, CURSOR_LEN - 1}, b, sizeof(b)))
        return -EINVAL;
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof(b); i++)
        n = n << 8 | b[i];
    if (n > INT64_MAX)
        return -EINVAL;
    *ret = (int64_t)n;
    return 0;
}

int64_t page_offset(const struct page *p)
{
    if (p->cursor.p != NULL)
        return 0;
    return p->offset > INT64_MAX ? INT64_MAX : (int64_t)p->offset;
}

static void add_cursor(struct str *s, bool more, enum cursor_kind kind, int64_t last)
{
    str_add_cstr(s, ",\"next_cursor\":");
    if (more)
        str_printf(s, "\"%c%016llx\"}", (char)kind, (unsigned long long)last);
    else
        str_add_cstr(s, "null}");
}

void page_end(struct str *s, uint64_t total, bool more, enum cursor_kind kind, int64_t last)
{
    str_add_cstr(s, "],\"total\":");
    str_add_u64(s, total);
    add_cursor(s, more, kind, last);
}

void page_next(struct str *s, bool more, enum cursor_kind kind, int64_t last)
{
    str_add_char(s, ']');
    add_cursor(s, more, kind, last);
}

int read_begin(struct db *db)
{
    return stmt_exec(db, "BEGIN");
}

int read_end(struct db *db, int err)
{
    if (!sqlite3_get_autocommit(db->sql))
        stmt_exec(db, "ROLLBACK");
    return err;
}

void add_comma(struct str *s)
{
    if (s->len > 0 && s->p[s->len - 1] != '[' && s->p[s->len - 1] != '{')
        str_add_char(s, ',');
}

int count_rows(struct stmt *q, uint64_t *ret)
{
    *ret = stmt_row(q) ? (uint64_t)column_int(q, 0) : 0;
    return stmt_end(q);
}

void add_payload(struct str *s, struct slice payload)
{
    const bool text = utf8_valid(payload);
    str_add_cstr(s, ",\"payload\":");
    if (payload.p == NULL) {
        str_add_cstr(s, "null");
    } else if (text) {
        str_add_json(s, payload);
    } else {
        str_add_char(s, '"');
        str_add_base64(s, payload);
        str_add_char(s, '"');
    }
    str_printf(s, ",\"payload_encoding\":\"%s\"", text ? "text" : "base64");
}
