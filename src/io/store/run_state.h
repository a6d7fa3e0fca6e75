/* run_state.h - the letters that say a run's state in its row. For io/store only. */
#ifndef IO_STORE_RUN_STATE_H
#define IO_STORE_RUN_STATE_H
#include "pawl/run.h"

#define STATE_PENDING 'p'
#define STATE_DELAYED 'd' /* pending, but not before due_at */
#define STATE_WAITING 'w' /* pending, but its trigger is paused; due_at may be set */
#define STATE_RUNNING 'r'
#define STATE_SUCCESS 's'
#define STATE_FAILED 'f'
#define STATE_REPLAYED 'x' /* failed, and made again since */
#define STATE_CANCELLED 'c'
#define STATES_ALL "pdwrsfxc"

/* The same in SQL; lists go behind IN. */
#define SQL_PENDING "'p'"
#define SQL_DELAYED "'d'"
#define SQL_WAITING "'w'"
#define SQL_RUNNING "'r'"
#define SQL_SUCCESS "'s'"
#define SQL_FAILED "'f'"
#define SQL_REPLAYED "'x'"
#define SQL_CANCELLED "'c'"
#define SQL_ALL_PENDING "('p', 'd', 'w')"
#define SQL_NOT_ENDED "('p', 'd', 'w', 'r')"
#define SQL_ALL_STATES "('p', 'd', 'w', 'r', 's', 'f', 'x', 'c')"

/* A run's state as it is shown: of a deleted pipeline nothing is pending, even where the rows do not say so yet (sweep.h). In SQL, with the
 * run as r and its pipeline as p. */
#define RUN_IS_LEFT "(r.state IN " SQL_ALL_PENDING " AND p.deleted_at IS NOT NULL)"
#define RUN_STATE "iif(" RUN_IS_LEFT ", " SQL_CANCELLED ", r.state)"
#define PIPELINE_DELETED "its pipeline was deleted"

/* The letters a status may stand in the table as, the one of a new state first. Static memory. */
const char *run_states_of(enum run_status s);

enum run_status run_state_status(char letter); /* FAILED for a letter that is none */

#endif
