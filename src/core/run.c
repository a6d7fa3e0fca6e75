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
