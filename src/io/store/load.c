/* load.c - from the tables into a new engine. */
#include "base/check.h"
#include "base/mem.h"
#include "io/store/page.h"
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
    const struct slice path = column_slice(q, 2);
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
        .def = def,
        .created_at = column_time(q, 4),
        .pending = (uint64_t)column_int(q, 7),
    };
    engine_load_pipeline(l->engine, p);
    return 0;
}

static int load_pipelines(const struct loader *l)
{
    struct stmt q;
    int err =
        stmt_begin(&q, l->db,
                   "SELECT p.key, p.id, p.path, p.version, p.created_at, p.updated_at, v.spec,"
                   " (SELECT count(*) FROM runs r WHERE r.pipeline = p.key"
                   " AND r.state IN ('p', 'd')) FROM pipelines p"
                   " JOIN pipeline_versions v ON v.pipeline = p.key AND v.version = p.version"
                   " WHERE p.deleted_at IS NULL ORDER BY p.key");
    while (err == 0 && stmt_row(&q))
        err = load_pipeline(l, &q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : unreadable(l, err_end);
}

/* ---- triggers ---- */

static int load_trigger(const struct loader *l, struct stmt *q)
{
    struct diag why;
    const char *type = NULL;
    struct pipeline *p = catalog_pipeline(engine_catalog(l->engine), column_uuid(q, 2));
    struct trigger_def *def =
        l->mk->trigger(column_slice(q, 3), column_slice(q, 4), column_int(q, 5) != 0,
                       (uint64_t)column_int(q, 6), column_time(q, 8), &type, &why);
    if (def == NULL || p == NULL) {
        char id[UUID_TEXT_LEN + 1];
        uuid_format(column_uuid(q, 1), id);
        trigger_def_destroy(def);
        return diag_set(l->reterr, DIAG_INTERNAL, "stored trigger %s: %s", id,
                        def == NULL ? why.msg : "its pipeline is missing");
    }
    struct trigger *t = mem_zalloc(sizeof(*t));
    *t = (struct trigger){
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
    engine_load_trigger(l->engine, l->now, t);
    return 0;
}

static int load_triggers(const struct loader *l)
{
    struct stmt q;
    int err = stmt_begin(&q, l->db,
                         "SELECT t.key, t.id, p.id, t.type, t.config, t.enabled, t.cooldown_ms,"
                         " t.created_at, t.updated_at, s.last_fired, s.last_due, s.held,"
                         " s.held_from FROM triggers t"
                         " JOIN pipelines p ON p.key = t.pipeline"
                         " LEFT JOIN trigger_states s ON s.trigger = t.key"
                         " WHERE t.deleted_at IS NULL ORDER BY t.key");
    while (err == 0 && stmt_row(&q))
        err = load_trigger(l, &q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : unreadable(l, err_end);
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
    };
    engine_load_zone(l->engine, z);
    return 0;
}

static int load_zones(const struct loader *l)
{
    struct stmt q;
    int err = stmt_begin(
        &q, l->db,
        "SELECT key, id, path, directory, spec, made_by_us, primed, created_at, updated_at"
        " FROM zones WHERE deleted_at IS NULL ORDER BY key");
    while (err == 0 && stmt_row(&q))
        err = load_zone(l, &q);
    const int err_end = stmt_end(&q);
    return err != 0 ? err : unreadable(l, err_end);
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
               " ifnull((SELECT max(key) FROM zones), 0)");
    if (stmt_row(&q)) {
        c->pipeline_key_last = column_int(&q, 0);
        c->trigger_key_last = column_int(&q, 1);
        c->zone_key_last = column_int(&q, 2);
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
               " CROSS JOIN runs r ON r.pipeline = p.key AND r.state = 'r'"
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
        err = load_triggers(&l);
    if (err == 0)
        err = load_zones(&l);
    if (err == 0)
        err = load_last_keys(&l);
    if (err == 0)
        err = load_successes(&l);
    if (err == 0)
        err = recover_runs(&l);
    return read_end(db, err);
}
