/* keys.c - API keys: names and hashes. */
#include "io/store/query.h"
#include "io/store/stmt.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct key_row read_key(struct stmt *q)
{
    struct key_row row = {.created_at = column_time(q, 2)};
    const struct slice name = column_slice(q, 0), hash = column_slice(q, 1);
    memcpy(row.name, name.p, name.len < sizeof(row.name) ? name.len : sizeof(row.name) - 1);
    memcpy(row.hash, hash.p, hash.len < sizeof(row.hash) ? hash.len : sizeof(row.hash));
    return row;
}

int query_keys(struct db *db, struct key_row **ret, size_t *ret_n)
{
    VEC(struct key_row) rows = {0};
    struct stmt q;
    stmt_begin(&q, db, "SELECT name, hash, created_at FROM api_keys ORDER BY name");
    while (stmt_row(&q)) {
        const struct key_row row = read_key(&q);
        vec_push(&rows, row);
    }
    const int err = stmt_end(&q);
    if (err != 0) {
        vec_release(&rows);
        return err;
    }
    *ret = rows.items;
    *ret_n = rows.len;
    return 0;
}

int store_add_key(struct db *db, const char *name, const uint8_t hash[32], struct wall now)
{
    struct stmt q;
    if (stmt_begin(&q, db, "INSERT INTO api_keys (name, hash, created_at) VALUES (?1, ?2, ?3)") ==
        0) {
        bind_text(&q, 1, slice_of(name));
        bind_blob(&q, 2, (struct slice){(const char *)hash, 32});
        bind_int(&q, 3, now.ms);
    }
    return stmt_finish(&q);
}

int store_drop_key(struct db *db, const char *name)
{
    struct stmt q;
    if (stmt_begin(&q, db, "DELETE FROM api_keys WHERE name = ?1") == 0)
        bind_text(&q, 1, slice_of(name));
    const int err = stmt_finish(&q);
    if (err != 0)
        return err;
    return sqlite3_changes(db->sql) > 0 ? 0 : -ENOENT;
}
