#include "core/ark.h"
#include "io/store/page.h"
#include <errno.h>
#include <string.h>

/* An ArkEvent's version: of its last change of any kind. */
#define VERSION "max(a.version, ifnull(s.version, 0))"
#define COLUMNS                                                                                    \
    "SELECT t.id, a.path, t.config, a.missing, " VERSION ", a.generation, ifnull(s.fired, 0),"     \
    " a.reason, a.ready_since, t.created_at, s.last_fired, s.last_due, a.dropped,"                 \
    " a.created_version FROM arkevents a JOIN triggers t ON t.key = a.trigger"                     \
    " LEFT JOIN trigger_states s ON s.trigger = a.trigger "

static enum ark_change what_happened(struct stmt *q, uint64_t since)
{
    if (column_int(q, 12) != 0)
        return ARK_DELETED;
    return (uint64_t)column_int(q, 13) > since ? ARK_ADDED : ARK_MODIFIED;
}

/* Texts are the row's. */
static struct ark_view view(struct stmt *q, uint64_t since)
{
    return (struct ark_view){
        .what = what_happened(q, since),
        .id = column_uuid(q, 0),
        .path = column_slice(q, 1),
        .config = column_slice(q, 2),
        .missing = column_slice(q, 3),
        .version = (uint64_t)column_int(q, 4),
        .generation = (uint64_t)column_int(q, 5),
        .fired = (uint64_t)column_int(q, 6),
        .reason = (int)column_int(q, 7),
        .ready_since = column_time(q, 8),
        .created_at = column_time(q, 9),
        .last_fired = column_time(q, 10),
        .last_due = column_time(q, 11),
    };
}

static int visit_all(struct stmt *q, uint64_t since, ark_visit visit, void *arg)
{
    bool wanted = true;
    while (wanted && stmt_row(q)) {
        const struct ark_view v = view(q, since);
        wanted = visit(arg, &v);
    }
    return stmt_end(q);
}

/* Binds the paths behind `after` in a namespace, or in all, to ?1 and ?2 of "path > ?1 AND path < ?2". Namespaces and names are of
 * small letters, digits and few other characters: '0' follows '/', '~' all of them. */
struct range {
    struct str low, high;
};
static void bind_range(struct stmt *q, struct slice ns, struct slice after, struct range *r)
{
    if (ns.p != NULL) {
        str_printf(&r->low, "%.*s/", (int)ns.len, ns.p);
        str_printf(&r->high, "%.*s0", (int)ns.len, ns.p);
    } else {
        str_add_cstr(&r->low, "");
        str_add_cstr(&r->high, "~");
    }
    bind_text(q, 1, after.p != NULL ? after : str_slice(&r->low));
    bind_text(q, 2, str_slice(&r->high));
}

static void range_release(struct range *r)
{
    str_release(&r->low);
    str_release(&r->high);
}

/* The versions of what was dropped long ago count, too: none is ever given out twice. */
int query_ark_version(struct db *db, uint64_t *ret)
{
    struct stmt q;
    stmt_begin(&q, db,
               "SELECT max(ifnull((SELECT max(version) FROM arkevents), 0),"
               " ifnull((SELECT max(version) FROM trigger_states WHERE version > 0), 0),"
               " ifnull((SELECT value FROM meta WHERE name = 'ark_trimmed'), 0))");
    if (stmt_row(&q))
        *ret = (uint64_t)column_int(&q, 0);
    return stmt_end(&q);
}

static int list(struct db *db, struct slice ns, struct slice after, ark_visit visit, void *arg)
{
    struct range r = {0};
    struct stmt q;
    if (stmt_begin(&q, db,
                   COLUMNS "WHERE a.dropped = 0 AND a.path > ?1 AND a.path < ?2"
                           " ORDER BY a.path") == 0)
        bind_range(&q, ns, after, &r);
    const int err = visit_all(&q, 0, visit, arg);
    range_release(&r);
    return err;
}

int query_arks(struct db *db, struct slice ns, struct slice after, ark_visit visit, void *arg,
               uint64_t *ret_version)
{
    int err = read_begin(db);
    if (err == 0)
        err = query_ark_version(db, ret_version);
    if (err == 0)
        err = list(db, ns, after, visit, arg);
    return read_end(db, err);
}

int query_ark(struct db *db, struct slice path, ark_visit visit, void *arg)
{
    struct stmt q;
    bool found;
    if (stmt_begin(&q, db, COLUMNS "WHERE a.path = ?1 AND a.dropped = 0") == 0)
        bind_text(&q, 1, path);
    found = stmt_row(&q);
    if (found) {
        const struct ark_view v = view(&q, 0);
        visit(arg, &v);
    }
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}

static int trimmed_since(struct db *db, uint64_t since, bool *ret)
{
    struct stmt q;
    stmt_begin(&q, db, "SELECT value FROM meta WHERE name = 'ark_trimmed'");
    *ret = stmt_row(&q) && (uint64_t)column_int(&q, 0) > since;
    return stmt_end(&q);
}

/* What came and went since then is nobody's business. */
static int list_changes(struct db *db, struct slice ns, const struct ark_since *since,
                        ark_visit visit, void *arg)
{
    struct range r = {0};
    struct stmt q;
    if (stmt_begin(&q, db,
                   COLUMNS "WHERE a.trigger IN (SELECT trigger FROM arkevents WHERE version > ?3"
                           " UNION SELECT trigger FROM trigger_states WHERE version > ?3"
                           " AND version > 0)"
                           " AND a.path > ?1 AND a.path < ?2"
                           " AND (a.dropped = 0 OR a.created_version <= ?4)"
                           " ORDER BY " VERSION) == 0) {
        bind_range(&q, ns, SLICE_NONE, &r);
        bind_int(&q, 3, (int64_t)since->version);
        bind_int(&q, 4, (int64_t)since->seen);
    }
    const int err = visit_all(&q, since->made, visit, arg);
    range_release(&r);
    return err;
}

int query_ark_changes(struct db *db, struct slice ns, const struct ark_since *since,
                      ark_visit visit, void *arg, uint64_t *ret_version)
{
    bool trimmed = false;
    int err = read_begin(db);
    if (err == 0)
        err = query_ark_version(db, ret_version);
    if (err == 0)
        err = trimmed_since(db, since->version, &trimmed);
    if (err == 0 && (trimmed || since->version > *ret_version))
        err = -ESTALE;
    if (err == 0)
        err = list_changes(db, ns, since, visit, arg);
    return read_end(db, err);
}

int query_ark_token(struct db *db, struct slice path, struct ark_token *ret, struct uuid *ret_id,
                    struct wall *ret_created_at)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT a.token_hash, a.token_sealed, t.id, t.created_at FROM arkevents a"
                   " JOIN triggers t ON t.key = a.trigger WHERE a.path = ?1 AND a.dropped = 0"
                   " AND json_extract(t.config, '$.spec.source.type') = 'webhook'") == 0)
        bind_text(&q, 1, path);
    const bool found = stmt_row(&q);
    if (found) {
        ark_token_set(ret, column_slice(&q, 0), column_slice(&q, 1));
        *ret_id = column_uuid(&q, 2);
        *ret_created_at = column_time(&q, 3);
    }
    const int err = stmt_end(&q);
    return err != 0 ? err : found ? 0 : -ENOENT;
}
