/* topic_embedded.c - topics in pawl's own store.
 *
 * A message is evaluated in the commit that stores it (core/topic.c), so there is nothing to consume, and no position to keep: whoever
 * listens has been served when the message is acknowledged to its publisher.
 */
#include "core/topic.h"
#include "base/mem.h"
#include "pawl/topic.h"
#include <stdlib.h>

struct topic_link {
    struct host *host;
};

static int check(struct slice topic, struct diag *reterr)
{
    return topic_name_valid(topic) ? 0 : diag_set(reterr, DIAG_INVALID_ARGUMENT, TOPIC_NAME_RULE);
}

static struct topic_link *start(struct host *h, struct diag *reterr)
{
    struct topic_link *l = mem_zalloc(sizeof(*l));
    l->host = h;
    return l;
}

static void changed(struct topic_link *l)
{
}

static bool ready(struct topic_link *l, struct slice topic, const char **ret_why)
{
    return true;
}

static void stop(struct topic_link *l, void (*closed)(void *arg), void *arg)
{
    free(l);
    closed(arg);
}

const struct topic_backend topic_embedded = {
    .name = "embedded",
    .prefix = "",
    .help = "topics kept by pawl itself",
    .check = check,
    .start = start,
    .changed = changed,
    .ready = ready,
    .stop = stop,
};
