/* write_ark.h - the rows that only ArkEvents need. For io/store only. */
#ifndef IO_STORE_WRITE_ARK_H
#define IO_STORE_WRITE_ARK_H
#include "core/effect.h"

struct db;

int write_ark(struct db *db, const struct effect *f);       /* EFFECT_PUT_ARK */
int write_run_input(struct db *db, const struct effect *f); /* of EFFECT_PUT_RUN, what batch_rows.c leaves: its input, if it has one */

#endif
