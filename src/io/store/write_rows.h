/* write_rows.h - a writer for each type of record (core/effect.h), by what it is about. For io/store only.
 *
 * Each is called inside the batch's transaction; 0, or a negative errno that ends it.
 */
#ifndef IO_STORE_WRITE_ROWS_H
#define IO_STORE_WRITE_ROWS_H
#include "core/effect.h"

struct db;

/* ---- write_runs.c: events, runs, attempts, pauses, leases ---- */
int write_put_event(struct db *db, const struct effect *f);
int write_put_run(struct db *db, const struct effect *f);
int write_move_run(struct db *db, const struct effect *f);
int write_put_log_part(struct db *db, const struct effect *f);
int write_put_attempt(struct db *db, const struct effect *f);
int write_put_pause(struct db *db, const struct effect *f);
int write_swept(struct db *db, const struct effect *f);
int write_put_lease(struct db *db, const struct effect *f);
int write_drop_lease(struct db *db, const struct effect *f);

/* ---- write_catalog.c: triggers, pipelines, what manifests made ---- */
int write_trigger_state(struct db *db, const struct effect *f);
int write_put_trigger(struct db *db, const struct effect *f);
int write_drop_trigger(struct db *db, const struct effect *f);
int write_put_pipeline(struct db *db, const struct effect *f);
int write_drop_pending(struct db *db, const struct effect *f);
int write_drop_pipeline(struct db *db, const struct effect *f);
int write_put_applied(struct db *db, const struct effect *f);
int write_drop_applied(struct db *db, const struct effect *f);
int write_success(struct db *db, const struct effect *f);

/* ---- write_zones.c: zones and their files ---- */
int write_put_zone(struct db *db, const struct effect *f);
int write_drop_zone(struct db *db, const struct effect *f);
int write_put_file(struct db *db, const struct effect *f);
int write_keep_file(struct db *db, const struct effect *f);
int write_drop_file(struct db *db, const struct effect *f);

/* ---- write_topics.c: topics and positions ---- */
int write_put_topic(struct db *db, const struct effect *f);
int write_drop_topic(struct db *db, const struct effect *f);
int write_put_position(struct db *db, const struct effect *f);
int write_drop_position(struct db *db, const struct effect *f);

/* Runs a statement about one thing (?1) at one time (?2). */
int write_drop(struct db *db, const char *sql, const struct effect_drop *d);

#endif
