/* query_ledger.c - which files have arrived already. */
#include "io/store/page.h"
#include <errno.h>

static int look_up(struct db *db, int64_t zone_key, struct ledger_look *l)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT inode, size, mtime_ns, ctime_ns, gone_at FROM files WHERE zone = ?1 AND "
                   "path = ?2") == 0) {
        bind_int(&q, 1, zone_key);
        bind_blob(&q, 2, l->path);
    }
    l->known = stmt_row(&q);
    if (l->known) {
        l->inode = (uint64_t)column_int(&q, 0);
        l->size = (uint64_t)column_int(&q, 1);
        l->mtime_ns = column_int(&q, 2);
        l->ctime_ns = column_int(&q, 3);
        l->gone = !column_is_null(&q, 4);
    }
    return stmt_end(&q);
}

int query_ledger(struct db *db, int64_t zone_key, struct ledger_look *looks, size_t n)
{
    int err = read_begin(db);
    for (size_t i = 0; err == 0 && i < n; i++)
        err = look_up(db, zone_key, &looks[i]);
    return read_end(db, err);
}

int query_ledger_paths(struct db *db, int64_t zone_key, struct slice after, struct arena *a,
                       struct slice *ret, size_t max, size_t *ret_n)
{
    struct stmt q;
    size_t n = 0;
    if (stmt_begin(
            &q, db,
            "SELECT path FROM files WHERE zone = ?1 AND path > ifnull(?2, x'') AND gone_at IS NULL"
            " ORDER BY path LIMIT ?3") == 0) {
        bind_int(&q, 1, zone_key);
        bind_blob(&q, 2, after);
        bind_int(&q, 3, (int64_t)max);
    }
    while (n < max && stmt_row(&q))
        ret[n++] = arena_copy(a, column_slice(&q, 0));
    *ret_n = n;
    return stmt_end(&q);
}
