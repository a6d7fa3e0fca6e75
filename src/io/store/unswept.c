/* unswept.c - which runs may have left processes behind. */
#include "base/mem.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <stdlib.h>

/* Kept apart from their states, which go on: a daemon that dies again before it has ended them must find them once more. */
static int note(struct db *db)
{
    return stmt_exec(
        db, "INSERT OR IGNORE INTO unswept (run, rest) SELECT r.key, r.rest"
            " FROM pipelines p CROSS JOIN runs r ON r.pipeline = p.key AND r.state = " SQL_RUNNING
            " LEFT JOIN leases l ON l.run = r.key WHERE l.run IS NULL");
}

int store_find_unswept(struct db *db, struct uuid **ret, size_t *ret_n)
{
    struct stmt q;
    size_t n = 0, room = 0;
    struct uuid *runs = NULL;
    int err = note(db);
    if (err != 0)
        return err;
    stmt_begin(&q, db, "SELECT run, rest FROM unswept");
    while (stmt_row(&q)) {
        if (n == room) {
            room = room > 0 ? 2 * room : 64;
            runs = mem_realloc(runs, room * sizeof(*runs));
        }
        runs[n++] = column_row_id(&q, 0);
    }
    err = stmt_end(&q);
    if (err != 0) {
        free(runs);
        return err;
    }
    *ret = runs;
    *ret_n = n;
    return 0;
}
