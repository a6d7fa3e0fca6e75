/* load.c - from the tables into a new engine. */
#include "base/check.h"
#include "base/mem.h"
#include "core/ark.h"
#include "io/store/page.h"
#include "io/store/run_state.h"
#include <errno.h>
#include <string.h>

struct loader {
    struct db *db;
    struct engine *engine;
    struct now now;
    const struct def_maker *mk;
    struct diag *reterr;
};

static int unreadable(const struct loader *l, int err)
{
    if (err != 0)
        diag_set(l->reterr, DIAG_UNAVAILABLE, "%s cannot be read: %s", l->db->path,
                 db_error_text(l->db));
    return err;
}

/* ---- pipelines ---- */

static int load_pipeline(const struct loader *l, struct stmt *q)
{
    struct diag why;
    const struct slice path = column_slice(q, 2), given_id = column_slice(q, 8);
    struct pipeline_def *def =
        l->mk->pipeline(column_slice(q, 6), (uint32_t)column_int(q, 3), column_time(q, 5), &why);
    if (def == NULL)
        return diag_set(l->reterr, DIAG_INTERNAL, "stored pipeline %.*s: %s", (int)path.len, path.p,
                        why.msg);
    struct pipeline *p = mem_zalloc(sizeof(*p));
    *p = (struct pipeline){
        .id = column_uuid(q, 1),
        .key = column_int(q, 0),
        .path = mem_dup(path.p, path.len),
        .given_id = given_id.p != NULL ? mem_dup(given_id.p, given_id.len) : NULL,
        .def = def,
        .created_at = column_time(q, 4),
        .pending = (uint64_t)column_int(q, 7),
        .last_success = {column_int(q, 9)},
    };
    engine_load_pipeline(l->engine, p);
    return 0;
}

/* Of the runs that succeeded, only the one that was made last is looked at: it is found in the index. */
static int load_pipelines(const struct loader *l)
{
    struct stmt q;
    int err =
        stmt_begin(&q, l->db,
                   "SELECT p.key, p.id, p.path, p.version, p.created_at, p.updated_at, v.spec,"
                   " (SELECT count(*) FROM runs r WHERE r.pipeline = p.key"
                   " AND r.state IN " SQL_ALL_PENDING "), p.given_id,"
                   " (SELECT r.finished_at FROM runs r WHERE r.pipeline = p.key"
                   " AND r.state = " SQL_SUCCESS " ORDER BY r.key DESC LIMIT 1) FROM pipelines p"
                   " JOIN pipeline_versions v ON v.pipeline = p.key AND v.version = p.version"
                   " WHERE p.deleted_at IS NULL ORDER BY p.key");
    while (err == 0 && stmt_row(&q))
        err = load_pipeline(l, &q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : unreadable(l, err_end);
}

/* ---- triggers ---- */

static struct trigger_def *make_def(const struct loader *l, struct stmt *q, const char **ret_type,
                                    struct diag *reterr)
{
    return l->mk->trigger(column_slice(q, 3), column_slice(q, 4), column_int(q, 5) != 0,
                          (uint64_t)column_int(q, 6), column_time(q, 8), ret_type, reterr);
}

static int refuse_trigger(const struct loader *l, struct stmt *q, const char *why)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(column_uuid(q, 1), id);
    return diag_set(l->reterr, DIAG_INTERNAL, "stored trigger %s: %s", id, why);
}

static void fill_trigger(struct stmt *q, struct trigger_def *def, const char *type,
                         struct pipeline *p, struct trigger *ret)
{
    *ret = (struct trigger){
        .id = column_uuid(q, 1),
        .key = column_int(q, 0),
        .type = type,
        .pipeline = p,
        .def = def,
        .created_at = column_time(q, 7),
        .state =
            {
                .last_fired = column_time(q, 9),
                .last_due = column_time(q, 10),
                .held = (uint64_t)column_int(q, 11),
                .held_from = column_uuid(q, 12),
            },
    };
}

/* An event that was forgotten meanwhile began its chain, as far as anybody knows. */
static int load_held(const struct loader *l, struct trigger *t)
{
    struct lineage chain = {.depth = 0};
    struct row_key k;
    struct stmt q;
    if (t->state.held == 0 || !t->def->rule.trailing || !row_key_of(t->state.held_from, &k))
        return 0;
    if (stmt_begin(&q, l->db, "SELECT root, parent, depth FROM events WHERE key = ?1") == 0)
        bind_int(&q, 1, k.key);
    if (stmt_row(&q))
        chain = (struct lineage){.root = column_uuid(&q, 0),
                                 .parent = column_uuid(&q, 1),
                                 .depth = (uint32_t)column_int(&q, 2)};
    engine_load_held(t, &chain);
    return unreadable(l, stmt_end(&q));
}

static int load_ark(const struct loader *l, struct stmt *q, struct trigger_def *def,
                    const char *type)
{
    const struct slice path = column_slice(q, 14);
    struct arkevent *a = mem_zalloc(sizeof(*a));
    fill_trigger(q, def, type, NULL, &a->trigger);
    a->path = mem_dup(path.p, path.len);
    a->state = (struct ark_state){
        .version = (uint64_t)column_int(q, 15),
        .generation = (uint64_t)column_int(q, 16),
        .fired = (uint64_t)column_int(q, 17),
        .reason = (enum ark_reason)column_int(q, 18),
        .ready_since = column_time(q, 19),
    };
    ark_token_set(&a->token, column_slice(q, 20), column_slice(q, 21));
    engine_load_ark(l->engine, l->now, a);
    return 0;
}

static int load_trigger(const struct loader *l, struct stmt *q)
{
    struct diag why;
    const char *type = NULL;
    struct trigger_def *def = make_def(l, q, &type, &why);
    if (def == NULL)
        return refuse_trigger(l, q, why.msg);
    struct pipeline *p = catalog_pipeline(engine_catalog(l->engine), column_uuid(q, 2));
    const bool is_ark = def->rule.targets != NULL && !column_is_null(q, 14);
    if (is_ark)
        return load_ark(l, q, def, type);
    if (p == NULL || def->rule.targets != NULL) {
        trigger_def_destroy(def);
        return refuse_trigger(l, q, "what it belongs to is missing");
    }
    struct trigger *t = mem_zalloc(sizeof(*t));
    fill_trigger(q, def, type, p, t);
    const int err = load_held(l, t);
    engine_load_trigger(l->engine, l->now, t);
    return err;
}

/* The table grows by splits, each of which looks at triggers from long before: a sixth of the work of a start with a million. */
static int reserve_triggers(const struct loader *l)
{
    struct stmt q;
    stmt_begin(&q, l->db, "SELECT count(*) FROM triggers");
    if (stmt_row(&q))
        trigger_table_reserve(&engine_catalog(l->engine)->triggers, (size_t)column_int(&q, 0));
    return unreadable(l, stmt_end(&q));
}

static int load_triggers(const struct loader *l)
{
    struct stmt q;
    int err = stmt_begin(&q, l->db,
                         "SELECT t.key, t.id, p.id, t.type, t.config, t.enabled, t.cooldown_ms,"
                         " t.created_at, t.updated_at, s.last_fired, s.last_due, s.held,"
                         " s.held_from, t.pipeline, a.path, max(a.version, s.version),"
                         " a.generation, s.fired, a.reason, a.ready_since, a.token_hash,"
                         " a.token_sealed FROM triggers t"
                         " LEFT JOIN pipelines p ON p.key = t.pipeline"
                         " LEFT JOIN arkevents a ON a.trigger = t.key"
                         " LEFT JOIN trigger_states s ON s.trigger = t.key"
                         " WHERE t.deleted_at IS NULL ORDER BY t.key");
    while (err == 0 && stmt_row(&q))
        err = load_trigger(l, &q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : unreadable(l, err_end);
}

/* ---- ArkEvents ---- */

static int load_active_of(const struct loader *l, struct arkevent *a, struct pipeline *p)
{
    struct stmt q;
    if (stmt_begin(&q, l->db,
                   "SELECT key, rest FROM runs WHERE pipeline = ?1 AND state IN " SQL_NOT_ENDED
                   " AND trigger = ?2") == 0) {
        bind_int(&q, 1, p->key);
        bind_int(&q, 2, a->trigger.key);
    }
    while (stmt_row(&q))
        engine_load_active(l->engine, &a->trigger, column_row_id(&q, 0), p);
    return unreadable(l, stmt_end(&q));
}

/* The runs that keep events from firing again. */
static int load_active(const struct loader *l, struct arkevent *a)
{
    const struct catalog *c = engine_catalog(l->engine);
    const struct rule_targets *all = a->trigger.def->rule.targets;
    int err = 0;
    for (size_t i = 0; err == 0 && all->forbids && i < all->count; i++) {
        struct pipeline *p = catalog_pipeline_at(c, slice_of(all->items[i].path));
        if (p != NULL)
            err = load_active_of(l, a, p);
    }
    return err;
}

static int load_arks(const struct loader *l)
{
    uint64_t version = 0;
    struct arkevent *a, *tmp;
    int err = unreadable(l, query_ark_version(l->db, &version));
    HASH_ITER (hh, engine_catalog(l->engine)->arks, a, tmp)
        if (err == 0)
            err = load_active(l, a);
    engine_loaded_arks(l->engine, l->now, version);
    return err;
}

/* ---- zones ---- */

static int load_zone(const struct loader *l, struct stmt *q)
{
    struct diag why;
    const struct slice path = column_slice(q, 2), directory = column_slice(q, 3);
    struct zone_def *def = zone_def_parse(column_slice(q, 4), column_time(q, 8), &why);
    if (def == NULL)
        return diag_set(l->reterr, DIAG_INTERNAL, "stored landing zone %.*s: %s", (int)path.len,
                        path.p, why.msg);
    struct zone *z = mem_zalloc(sizeof(*z));
    *z = (struct zone){
        .key = column_int(q, 0),
        .id = column_uuid(q, 1),
        .path = mem_dup(path.p, path.len),
        .directory = mem_dup(directory.p, directory.len),
        .def = def,
        .made_by_us = column_int(q, 5) != 0,
        .primed = column_int(q, 6) != 0,
        .created_at = column_time(q, 7),
        .new_since = column_time(q, 9),
    };
    engine_load_zone(l->engine, z);
    return 0;
}

static int load_zones(const struct loader *l)
{
    struct stmt q;
    int err = stmt_begin(
        &q, l->db,
        "SELECT key, id, path, directory, spec, made_by_us, primed, created_at, updated_at,"
        " new_since FROM zones WHERE deleted_at IS NULL ORDER BY key");
    while (err == 0 && stmt_row(&q))
        err = load_zone(l, &q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : unreadable(l, err_end);
}

/* ---- topics ---- */

static uint64_t column_retention(struct stmt *q, int i)
{
    return column_is_null(q, i) ? RETENTION_DEFAULT : (uint64_t)column_int(q, i);
}

/* The last message tells where the next one goes. */
static void load_topic(const struct loader *l, struct stmt *q)
{
    const struct slice name = column_slice(q, 1);
    const bool empty = column_is_null(q, 8);
    struct topic *t = mem_zalloc(sizeof(*t));
    *t = (struct topic){
        .key = column_int(q, 0),
        .name = mem_dup(name.p, name.len),
        .created_at = column_time(q, 6),
        .state =
            {
                .age_ms = column_retention(q, 2),
                .bytes_max = column_retention(q, 3),
                .next_offset =
                    empty ? (uint64_t)column_int(q, 4) : message_offset(column_int(q, 8)) + 1,
                .total = (uint64_t)column_int(q, empty ? 5 : 9),
                .updated_at = column_time(q, 7),
            },
    };
    engine_load_topic(l->engine, t);
}

static int load_topics(const struct loader *l)
{
    struct stmt q;
    stmt_begin(&q, l->db,
               "SELECT t.key, t.name, t.age_ms, t.bytes_max, t.first_offset, t.first_total,"
               " t.created_at, t.updated_at, m.key, m.total FROM topics t"
               " LEFT JOIN messages m ON m.key = (SELECT x.key FROM messages x"
               " WHERE x.key >= t.key << 40 AND x.key < (t.key + 1) << 40"
               " ORDER BY x.key DESC LIMIT 1)"
               " WHERE t.deleted_at IS NULL ORDER BY t.key");
    while (stmt_row(&q))
        load_topic(l, &q);
    return unreadable(l, stmt_end(&q));
}

static int load_positions(const struct loader *l)
{
    struct stmt q;
    stmt_begin(&q, l->db, "SELECT subscription, partition, at, mark FROM positions");
    while (stmt_row(&q)) {
        const struct position p = {column_slice(&q, 0), (uint32_t)column_int(&q, 1),
                                   (uint64_t)column_int(&q, 2), (uint64_t)column_int(&q, 3), false};
        engine_load_position(l->engine, &p);
    }
    return unreadable(l, stmt_end(&q));
}

static int load_applied(const struct loader *l)
{
    struct stmt q;
    stmt_begin(&q, l->db, "SELECT object, key, owner FROM applied");
    while (stmt_row(&q))
        engine_load_applied(l->engine, column_slice(&q, 1), column_slice(&q, 2),
                            column_uuid(&q, 0));
    return unreadable(l, stmt_end(&q));
}

static int load_namespaces(const struct loader *l)
{
    struct stmt q;
    stmt_begin(&q, l->db, "SELECT name, config, version, created_at FROM namespaces");
    while (stmt_row(&q))
        engine_load_namespace(l->engine, column_slice(&q, 0), column_slice(&q, 1),
                              (uint64_t)column_int(&q, 2), column_time(&q, 3));
    return unreadable(l, stmt_end(&q));
}

/* ---- the rest ---- */

/* Keys of deleted rows stay in use as long as runs refer to them. */
static int load_last_keys(const struct loader *l)
{
    struct catalog *c = engine_catalog(l->engine);
    struct stmt q;
    stmt_begin(&q, l->db,
               "SELECT ifnull((SELECT max(key) FROM pipelines), 0),"
               " ifnull((SELECT max(key) FROM triggers), 0),"
               " ifnull((SELECT max(key) FROM zones), 0),"
               " ifnull((SELECT max(key) FROM topics), 0)");
    if (stmt_row(&q)) {
        c->pipeline_key_last = column_int(&q, 0);
        c->trigger_key_last = column_int(&q, 1);
        c->zone_key_last = column_int(&q, 2);
        c->topic_key_last = column_int(&q, 3);
    }
    return unreadable(l, stmt_end(&q));
}

/* Those of everything, of pipelines and of triggers under them. */
static int load_pauses(const struct loader *l)
{
    struct catalog *c = engine_catalog(l->engine);
    struct stmt q;
    stmt_begin(&q, l->db,
               "SELECT kind, coalesce(p.id, t.id) FROM pauses x"
               " LEFT JOIN pipelines p ON x.kind = 'p' AND p.key = x.key"
               " LEFT JOIN triggers t ON x.kind = 't' AND t.key = x.key");
    while (stmt_row(&q)) {
        const char kind = column_slice(&q, 0).p[0];
        const struct uuid id = column_uuid(&q, 1);
        struct pause_target x = {
            .pipeline = kind == PAUSE_PIPELINE ? catalog_pipeline(c, id) : NULL,
            .trigger = kind == PAUSE_TRIGGER ? catalog_trigger(c, id) : NULL,
        };
        if (kind == PAUSE_ALL || x.pipeline != NULL || x.trigger != NULL)
            engine_load_pause(l->engine, &x);
    }
    return unreadable(l, stmt_end(&q));
}

static int load_successes(const struct loader *l)
{
    struct stmt q;
    stmt_begin(&q, l->db, "SELECT path, at FROM successes");
    while (stmt_row(&q)) {
        struct followed *f = catalog_followed(engine_catalog(l->engine), column_slice(&q, 0));
        if (f != NULL)
            f->last_success = column_time(&q, 1);
    }
    return unreadable(l, stmt_end(&q));
}

static int recover_run(const struct loader *l, struct stmt *q)
{
    struct pipeline *p = catalog_pipeline(engine_catalog(l->engine), column_uuid(q, 2));
    const struct slice hash = column_slice(q, 6);
    const struct wall started_at = column_time(q, 5);
    struct run_start s = {
        .run = column_row_id(q, 0),
        .event = column_uuid(q, 3),
        .attempt = (uint32_t)column_int(q, 4),
    };
    struct lease_hash lease;
    if (hash.len != sizeof(lease.b)) {
        engine_recover_run(l->engine, l->now, p, s.run, s.event, s.attempt, started_at);
        return 0;
    }
    const int err = query_origin(l->db, s.event, &s.root, &s.depth);
    memcpy(lease.b, hash.p, sizeof(lease.b));
    engine_recover_lease(l->engine, l->now, p, &s, started_at, lease, column_time(q, 7));
    return unreadable(l, err);
}

/* Pipelines that were deleted while their runs were going on are not in the catalog. */
static int recover_runs(const struct loader *l)
{
    struct stmt q;
    int err = 0;
    stmt_begin(&q, l->db,
               "SELECT r.key, r.rest, p.id, r.event, r.attempt, r.started_at, l.hash,"
               " l.expires_at FROM pipelines p"
               " CROSS JOIN runs r ON r.pipeline = p.key AND r.state = " SQL_RUNNING
               " LEFT JOIN leases l ON l.run = r.key ORDER BY r.key");
    while (err == 0 && stmt_row(&q))
        err = recover_run(l, &q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : unreadable(l, err_end);
}

int store_load(struct db *db, struct engine *e, struct now now, const struct def_maker *mk,
               struct diag *reterr)
{
    const struct loader l = {db, e, now, mk, reterr};
    int err = unreadable(&l, read_begin(db));
    if (err == 0)
        err = load_pipelines(&l);
    if (err == 0)
        err = reserve_triggers(&l);
    if (err == 0)
        err = load_triggers(&l);
    if (err == 0)
        err = load_arks(&l);
    if (err == 0)
        err = load_zones(&l);
    if (err == 0)
        err = load_topics(&l);
    if (err == 0)
        err = load_positions(&l);
    if (err == 0)
        err = load_applied(&l);
    if (err == 0)
        err = load_namespaces(&l);
    if (err == 0)
        err = load_last_keys(&l);
    if (err == 0)
        err = load_successes(&l);
    if (err == 0)
        err = load_pauses(&l);
    if (err == 0)
        err = recover_runs(&l);
    return read_end(db, err);
}
