#include "io/store/namespaces.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/store/page.h"
#include <stdlib.h>
#include <string.h>

int write_namespace(struct db *db, const struct effect *f)
{
    const struct effect_put_namespace *n = &f->put_namespace;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT OR REPLACE INTO namespaces (name, config, version, created_at)"
                   " VALUES (?1, ?2, ?3, ?4)") == 0) {
        bind_text(&q, 1, n->name);
        bind_text(&q, 2, n->config);
        bind_int(&q, 3, (int64_t)n->version);
        bind_time(&q, 4, n->created_at);
    }
    return stmt_finish(&q);
}

int write_namespace_drop(struct db *db, const struct effect *f)
{
    struct stmt q;
    if (stmt_begin(&q, db, "DELETE FROM namespaces WHERE name = ?1") == 0)
        bind_text(&q, 1, f->drop_namespace);
    return stmt_finish(&q);
}

/* ---- one ---- */

static int read_made(struct db *db, struct slice name, struct namespace_row *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT config, version, created_at FROM namespaces WHERE name = ?1") ==
        0)
        bind_text(&q, 1, name);
    ret->made = stmt_row(&q);
    if (ret->made) {
        str_add_slice(&ret->config, column_slice(&q, 0));
        ret->version = (uint64_t)column_int(&q, 1);
        ret->created_at = column_time(&q, 2);
    }
    return stmt_end(&q);
}

/* Something in it: of each kind the first by path. The path of an ArkEvent has a slash behind the namespace, others have a dot. */
static int read_used(struct db *db, struct slice name, struct namespace_row *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT min(at) FROM ("
                   "SELECT (SELECT created_at FROM pipelines WHERE deleted_at IS NULL"
                   " AND path > ?1 || '.' AND path < ?1 || '/' ORDER BY path LIMIT 1) AS at"
                   " UNION ALL SELECT (SELECT created_at FROM zones WHERE deleted_at IS NULL"
                   " AND path > ?1 || '.' AND path < ?1 || '/' ORDER BY path LIMIT 1)"
                   " UNION ALL SELECT (SELECT t.created_at FROM arkevents a JOIN triggers t"
                   " ON t.key = a.trigger WHERE a.dropped = 0 AND a.path > ?1 || '/'"
                   " AND a.path < ?1 || '0' ORDER BY a.path LIMIT 1))") == 0)
        bind_text(&q, 1, name);
    if (stmt_row(&q) && !column_is_null(&q, 0)) {
        ret->used = true;
        if (!ret->made)
            ret->created_at = column_time(&q, 0);
    }
    return stmt_end(&q);
}

int query_namespace(struct db *db, struct slice name, struct namespace_row *ret)
{
    *ret = (struct namespace_row){.version = 1};
    const int err = read_made(db, name, ret);
    return err != 0 ? err : read_used(db, name, ret);
}

/* ---- all ---- */

struct names {
    VEC(char *) all;
};

/* `next` finds the first path behind ?1, or at it; all of a namespace are passed over at once. */
static int collect(struct db *db, const char *next, char separator, struct names *ret)
{
    struct str from = {0};
    int err = 0;
    bool found = true;
    str_add_cstr(&from, "");
    while (err == 0 && found) {
        struct stmt q;
        if (stmt_begin(&q, db, next) == 0)
            bind_text(&q, 1, str_slice(&from));
        found = stmt_row(&q);
        if (found) {
            const struct slice path = column_slice(&q, 0);
            const char *end = memchr(path.p, separator, path.len);
            CHECK(end != NULL);
            vec_push(&ret->all, mem_dup(path.p, (size_t)(end - path.p)));
        }
        err = stmt_end(&q);
        if (found) {
            str_reset(&from);
            str_add_cstr(&from, ret->all.items[ret->all.len - 1]);
            str_add_char(&from, (char)(separator + 1));
        }
    }
    str_release(&from);
    return err;
}

static int collect_made(struct db *db, struct names *ret)
{
    struct stmt q;
    stmt_begin(&q, db, "SELECT name FROM namespaces");
    while (stmt_row(&q)) {
        const struct slice name = column_slice(&q, 0);
        vec_push(&ret->all, mem_dup(name.p, name.len));
    }
    return stmt_end(&q);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int query_namespaces(struct db *db, void (*visit)(void *arg, struct slice name), void *arg)
{
    struct names n = {0};
    int err = collect_made(db, &n);
    if (err == 0)
        err = collect(db,
                      "SELECT path FROM pipelines WHERE deleted_at IS NULL AND path >= ?1"
                      " ORDER BY path LIMIT 1",
                      '.', &n);
    if (err == 0)
        err = collect(db,
                      "SELECT path FROM zones WHERE deleted_at IS NULL AND path >= ?1"
                      " ORDER BY path LIMIT 1",
                      '.', &n);
    if (err == 0)
        err = collect(db,
                      "SELECT path FROM arkevents WHERE dropped = 0 AND path >= ?1"
                      " ORDER BY path LIMIT 1",
                      '/', &n);
    if (n.all.len > 0)
        qsort(n.all.items, n.all.len, sizeof(n.all.items[0]), by_name);
    for (size_t i = 0; i < n.all.len; i++)
        if (err == 0 && (i == 0 || strcmp(n.all.items[i], n.all.items[i - 1]) != 0))
            visit(arg, slice_of(n.all.items[i]));
    for (size_t i = 0; i < n.all.len; i++)
        free(n.all.items[i]);
    vec_release(&n.all);
    return err;
}
