#include "io/store/write_ark.h"
#include "base/check.h"
#include "io/store/stmt.h"

/* The token is what it was when the event was made. */
int write_ark(struct db *db, const struct effect *f)
{
    const struct effect_put_ark *a = &f->put_ark;
    struct stmt q;
    if (stmt_begin(&q, db,
                   "INSERT INTO arkevents (trigger, path, version, created_version, generation,"
                   " reason, ready_since, missing, dropped, token_hash, token_sealed)"
                   " VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                   " ON CONFLICT (trigger) DO UPDATE SET version = excluded.version,"
                   " generation = excluded.generation, reason = excluded.reason,"
                   " ready_since = excluded.ready_since, missing = excluded.missing,"
                   " dropped = excluded.dropped") == 0) {
        bind_int(&q, 1, a->key);
        bind_text(&q, 2, a->path);
        bind_int(&q, 3, (int64_t)a->version);
        bind_int(&q, 4, (int64_t)a->generation);
        bind_int(&q, 5, a->reason);
        bind_int(&q, 6, a->ready_since.ms);
        bind_text(&q, 7, a->missing);
        bind_int(&q, 8, a->dropped);
        bind_blob(&q, 9, a->token_hash);
        bind_blob(&q, 10, a->token_sealed.len > 0 ? a->token_sealed : SLICE_NONE);
    }
    const int err = stmt_finish(&q);
    if (err != 0 || !a->dropped)
        return err;
    if (stmt_begin(&q, db,
                   "UPDATE arkevents SET token_hash = NULL, token_sealed = NULL"
                   " WHERE trigger = ?1") == 0)
        bind_int(&q, 1, a->key);
    return stmt_finish(&q);
}

int write_run_input(struct db *db, const struct effect *f)
{
    const struct effect_put_run *r = &f->put_run;
    struct row_key k;
    struct stmt q;
    if (r->input.p == NULL)
        return 0;
    CHECK(row_key_of(r->id, &k));
    if (stmt_begin(&q, db, "INSERT INTO run_inputs (run, input) VALUES (?1, ?2)") == 0) {
        bind_int(&q, 1, k.key);
        bind_blob(&q, 2, r->input);
    }
    return stmt_finish(&q);
}
