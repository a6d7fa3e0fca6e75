#include "pawl/run.h"
#include "base/check.h"

static const char *const names[] = {
    [RUN_PENDING] = "pending", [RUN_RUNNING] = "running",     [RUN_SUCCESS] = "success",
    [RUN_FAILED] = "failed",   [RUN_CANCELLED] = "cancelled",
};

const char *run_status_name(enum run_status s)
{
    CHECK(s < ARRAY_SIZE(names));
    return names[s];
}

bool run_status_parse(struct slice name, enum run_status *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (slice_is(name, names[i])) {
            *ret = (enum run_status)i;
            return true;
        }
    }
    return false;
}

bool run_status_is_final(enum run_status s)
{
    return s == RUN_SUCCESS || s == RUN_FAILED || s == RUN_CANCELLED;
}

#define TO(status) (1u << (status))
#define ENDS (TO(RUN_SUCCESS) | TO(RUN_FAILED) | TO(RUN_CANCELLED))

/* By the state it leaves. docs/executors.md has the same table with the reasons. */
static const unsigned moves[] = {
    [RUN_PENDING] = TO(RUN_RUNNING) | TO(RUN_PENDING) | ENDS,
    [RUN_RUNNING] = TO(RUN_PENDING) | ENDS,
    [RUN_SUCCESS] = 0,
    [RUN_FAILED] = 0,
    [RUN_CANCELLED] = 0,
};

bool run_may_move(enum run_status from, enum run_status to)
{
    CHECK(from < ARRAY_SIZE(moves) && to < ARRAY_SIZE(moves));
    return (moves[from] & TO(to)) != 0;
}
