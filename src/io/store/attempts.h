/* attempts.h - what the queries of a run share with those of its attempts and their logs. For io/store only. */
#ifndef IO_STORE_ATTEMPTS_H
#define IO_STORE_ATTEMPTS_H
#include "io/store/stmt.h"

/* Begins a statement whose ?1 is the run's key; -ENOENT when no run can have that id. */
int run_begin(struct stmt *q, struct db *db, struct uuid id, const char *sql);

/* Appends `,"started_at":...,"finished_at":...,"duration_ms":...`, null where it is not set. */
void run_times_add(struct str *ret, struct wall started, struct wall finished);

/* Appends `,"steps":[...]`, nothing when there are none. */
void run_steps_add(struct str *ret, struct slice steps);

/* Appends `,"attempts":[...]`: all of the run's, the present one last. */
int attempts_add(struct db *db, int64_t run_key, struct str *ret);

#endif
