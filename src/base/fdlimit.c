#include "base/fdlimit.h"
#include "base/check.h"
#include <stdbool.h>
#include <sys/resource.h>

static struct rlimit given;
static bool raised;

uint64_t fdlimit_raise(void)
{
    CHECK(!raised);
    CHECK(getrlimit(RLIMIT_NOFILE, &given) == 0);
    const struct rlimit all = {.rlim_cur = given.rlim_max, .rlim_max = given.rlim_max};
    raised = setrlimit(RLIMIT_NOFILE, &all) == 0;
    return raised ? all.rlim_cur : given.rlim_cur;
}

void fdlimit_restore(void)
{
    if (raised)
        setrlimit(RLIMIT_NOFILE, &given);
}
