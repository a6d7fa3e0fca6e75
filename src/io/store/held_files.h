/* held_files.h - files that a trigger could not fire for at once: which of them a run is for, and whether one is owed to a run still.
 * For io/store only.
 */
#ifndef IO_STORE_HELD_FILES_H
#define IO_STORE_HELD_FILES_H
#include "base/str.h"
#include "base/uuid.h"
#include "io/store/stmt.h"

/* Files that one run is told of; of more it learns that there are more. */
#define FILES_LISTED_MAX 10000

/* Appends the payloads of the events from `from` to `to` (keys) that the trigger fired for, or would have but for its cooldown or a
 * pipeline that took no more; `to`, the run's own, if it is about a file at all. Oldest first, with commas between them. *ret_cut:
 * there are more than are listed. */
int held_files_list(struct db *db, struct uuid trigger, int64_t from, int64_t to, struct str *ret,
                    bool *ret_cut);

/* Whether a file's event with these decisions is to be listed for a run that has not ended, or not even been made. */
bool held_file_is_owed(struct db *db, struct uuid event, struct slice decisions);

#endif
