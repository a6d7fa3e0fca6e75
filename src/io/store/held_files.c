/* held_files.c
 *
 * Nearly always the files of a run are of one zone. They are of several when the trigger was pointed at another one meanwhile, or the zone
 * was deleted and made again: then all zones are gone through, each by its index, so that what else there is in the log costs nothing.
 */
#include "io/store/held_files.h"
#include "base/arena.h"
#include "base/vec.h"
#include "core/decision.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <stdlib.h>

/* ---- what a decision says ---- */

static bool is_held(enum verdict v)
{
    return v == VERDICT_COOLDOWN || v == VERDICT_CONCURRENCY;
}

static bool concerns(struct slice decisions, struct uuid trigger)
{
    struct arena a = {0};
    struct decision d;
    bool ret = false;
    while (!ret && decision_decode(&decisions, &a, &d))
        ret =
            uuid_cmp(d.trigger, trigger) == 0 && (is_held(d.verdict) || d.verdict == VERDICT_FIRED);
    arena_release(&a);
    return ret;
}

/* ---- the list ---- */

struct found {
    struct uuid trigger;
    int64_t from, to;
    VEC(int64_t) keys; /* of events */
};

static int find_in_zone(struct db *db, int64_t zone, struct found *f)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT key, decisions FROM events"
                   " WHERE zone = ?1 AND key >= ?2 AND key <= ?3 ORDER BY key") == 0) {
        bind_int(&q, 1, zone);
        bind_int(&q, 2, f->from);
        bind_int(&q, 3, f->to);
    }
    for (unsigned n = 0; n <= FILES_LISTED_MAX && stmt_row(&q);) {
        if (column_int(&q, 0) != f->to && !concerns(column_slice(&q, 1), f->trigger))
            continue;
        vec_push(&f->keys, column_int(&q, 0));
        n++;
    }
    return stmt_end(&q);
}

static int find_in_all_zones(struct db *db, struct found *f)
{
    struct stmt q;
    VEC(int64_t) zones = {0};
    if (stmt_begin(&q, db, "SELECT key FROM zones") == 0)
        while (stmt_row(&q))
            vec_push(&zones, column_int(&q, 0));
    int err = stmt_end(&q);
    for (size_t i = 0; err == 0 && i < zones.len; i++)
        err = find_in_zone(db, zones.items[i], f);
    vec_release(&zones);
    return err;
}

/* The zone that all the files must be of: that of the first, unless the trigger or the zone has changed since. 0: of any. */
static int find_zone(struct db *db, const struct found *f, int64_t *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT e.zone FROM events e JOIN zones z ON z.key = e.zone JOIN triggers t"
                   " ON t.id = ?3 WHERE e.key = ?1 AND z.deleted_at IS NULL AND t.updated_at <"
                   " e.time AND e.zone ="
                   " ifnull((SELECT zone FROM events WHERE key = ?2), e.zone)") == 0) {
        bind_int(&q, 1, f->from);
        bind_int(&q, 2, f->to);
        bind_uuid(&q, 3, &f->trigger);
    }
    *ret = stmt_row(&q) ? column_int(&q, 0) : 0;
    return stmt_end(&q);
}

static int add_file(struct db *db, int64_t key, struct str *ret)
{
    struct stmt q;
    if (stmt_begin(&q, db, "SELECT payload FROM events WHERE key = ?1") == 0)
        bind_int(&q, 1, key);
    if (stmt_row(&q)) {
        add_comma(ret);
        str_add_slice(ret, column_slice(&q, 0));
    }
    return stmt_end(&q);
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int held_files_list(struct db *db, struct uuid trigger, int64_t from, int64_t to, struct str *ret,
                    bool *ret_cut)
{
    struct found f = {.trigger = trigger, .from = from, .to = to};
    int64_t zone;
    int err = find_zone(db, &f, &zone);
    if (err == 0)
        err = zone != 0 ? find_in_zone(db, zone, &f) : find_in_all_zones(db, &f);
    if (f.keys.len > 0)
        qsort(f.keys.items, f.keys.len, sizeof(*f.keys.items), by_number);
    *ret_cut = f.keys.len > FILES_LISTED_MAX;
    for (size_t i = 0; err == 0 && i < f.keys.len && i < FILES_LISTED_MAX; i++)
        err = add_file(db, f.keys.items[i], ret);
    vec_release(&f.keys);
    return err;
}

/* ---- what is owed ---- */

static bool is_owed_by(struct db *db, struct uuid trigger, struct uuid event)
{
    struct stmt q;
    if (stmt_begin(&q, db,
                   "SELECT 1 FROM triggers t LEFT JOIN trigger_states s ON s.trigger = t.key"
                   " WHERE t.id = ?1 AND ((t.deleted_at IS NULL AND s.held > 0 AND s.held_from <="
                   " ?2) OR EXISTS (SELECT 1 FROM runs r WHERE r.trigger = t.key AND r.held_from"
                   " <= ?2 AND r.event >= ?2 AND r.state IN " SQL_NOT_ENDED "))") == 0) {
        bind_uuid(&q, 1, &trigger);
        bind_uuid(&q, 2, &event);
    }
    const bool owed = stmt_row(&q);
    return stmt_end(&q) != 0 || owed;
}

bool held_file_is_owed(struct db *db, struct uuid event, struct slice decisions)
{
    struct arena a = {0};
    struct decision d;
    bool owed = false;
    while (!owed && decision_decode(&decisions, &a, &d))
        owed = is_held(d.verdict) && is_owed_by(db, d.trigger, event);
    arena_release(&a);
    return owed;
}
