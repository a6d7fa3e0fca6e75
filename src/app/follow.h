/* follow.h - who follows runs: the host's follow_run() and what goes with it (pawl/host.h).
 *
 * Where what a reader has not seen yet is, at any moment of a run's life:
 *
 *     pending, or a worker has it      nothing is written; the row says how it is
 *     carried out here                 the dispatcher's log of the attempt
 *     the attempt has ended, its       the result that the host keeps until then
 *       record is not on disk yet
 *     ended                            the row, and the log beside it
 *     it has been tried before         the logs of those attempts, beside the row, too
 *     a crash cut an attempt off       the parts of its log that were on disk by then, in the place of its log
 *
 * A reader is listed before its run's row is read, so that whatever the row does not say yet is
 * told to it when it comes: news of the dispatcher, and moves after their commit. What it has is
 * only ever replaced by what is newer.
 */
#ifndef APP_FOLLOW_H
#define APP_FOLLOW_H
#include "app/host.h"

/* Sets the functions of pawl/host.h. */
void follow_init(struct app_host *h);

/* A move of a run is on disk. */
void follow_moved(struct app_host *h, const struct effect_move_run *r);

/* A dropped pipeline is on disk, and with it the end of its pending runs. */
void follow_pending_dropped(struct app_host *h);

/* Whoever follows learns that nobody will tell it how its run goes on. */
void follow_abandon(struct app_host *h);

#endif
