/* write_replay.h - a run that is made again. For io/store only. */
#ifndef IO_STORE_WRITE_REPLAY_H
#define IO_STORE_WRITE_REPLAY_H
#include "core/effect.h"
#include "io/store/stmt.h"

/* After the new run's row (batch_rows.c): remembers whose repetition it is; the original counts as dead no more. When retention has
 * taken the event since it was looked for, the new run is cancelled. 0 or a negative errno. */
int write_replay(struct db *db, const struct effect_put_run *r);

#endif
