#include "io/store/run_state.h"

const char *run_states_of(enum run_status s)
{
    static const char *const letters[] = {
        [RUN_PENDING] = "pdw", [RUN_RUNNING] = "r",   [RUN_SUCCESS] = "s",
        [RUN_FAILED] = "fx",   [RUN_CANCELLED] = "c",
    };
    return letters[s];
}

enum run_status run_state_status(char letter)
{
    switch (letter) {
    case STATE_PENDING:
    case STATE_DELAYED:
    case STATE_WAITING:
        return RUN_PENDING;
    case STATE_RUNNING:
        return RUN_RUNNING;
    case STATE_SUCCESS:
        return RUN_SUCCESS;
    case STATE_CANCELLED:
        return RUN_CANCELLED;
    default:
        return RUN_FAILED;
    }
}
