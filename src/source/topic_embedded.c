/* topic_embedded.c - topics in pawl's own store.
 *
 * A message is evaluated in the commit that stores it (core/topic.c), so there is nothing to consume, and no position to keep: whoever
 * listens has been served when the message is acknowledged to its publisher.
 */
#include "source/topic_embedded.h"
#include "base/mem.h"
#include "core/engine.h"
#include "core/topic.h"
#include "pawl/host.h"
#include "pawl/topic.h"
#include <stdlib.h>

/* A topic of which requests were repeated while somebody listened. */
struct repeated {
    char *topic;
    uint64_t messages;
    UT_hash_handle hh;
};

struct topic_link {
    struct host *host;
    struct repeated *repeated;
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

static const struct subscribed *find_listened(struct topic_link *l, struct slice topic)
{
    return catalog_subscribed(engine_catalog(l->host->engine), topic);
}

static struct repeated *find_repeated(struct topic_link *l, struct slice topic)
{
    struct repeated *r;
    HASH_FIND(hh, l->repeated, topic.p, topic.len, r);
    return r;
}

static void forget(struct topic_link *l, struct repeated *r)
{
    HASH_DEL(l->repeated, r);
    free(r->topic);
    free(r);
}

/* Counts end with the subscription, so there are no more of them than of those. */
static void changed(struct topic_link *l)
{
    struct repeated *r, *next;
    HASH_ITER (hh, l->repeated, r, next)
        if (find_listened(l, slice_of(r->topic)) == NULL)
            forget(l, r);
}

void embedded_published_again(struct topic_link *l, struct slice topic, uint64_t n)
{
    struct repeated *r = find_repeated(l, topic);
    if (r == NULL && find_listened(l, topic) == NULL)
        return;
    if (r == NULL) {
        r = mem_zalloc(sizeof(*r));
        r->topic = mem_dup(topic.p, topic.len);
        HASH_ADD_KEYPTR(hh, l->repeated, r->topic, topic.len, r);
    }
    r->messages += n;
}

static void stats(struct topic_link *l, struct slice topic, struct topic_stats *ret)
{
    const struct topic *t = catalog_topic(engine_catalog(l->host->engine), topic);
    const struct repeated *r = find_repeated(l, topic);
    *ret = (struct topic_stats){
        .connected = true,
        .received = t != NULL ? t->state.next_offset : 0,
        .duplicates = r != NULL ? r->messages : 0,
        .lag_known = true,
    };
}

static bool ready(struct topic_link *l, struct slice topic, const char **ret_why)
{
    return true;
}

static void stop(struct topic_link *l, void (*closed)(void *arg), void *arg)
{
    struct repeated *r, *next;
    HASH_ITER (hh, l->repeated, r, next)
        forget(l, r);
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
    .stats = stats,
    .stop = stop,
};
