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

/* The letters a status may stand in the table as, the one of a new state first. Static memory. */
const char *run_states_of(enum run_status s);

enum run_status run_state_status(char letter); /* FAILED for a letter that is none */

#endif
