/* zone_same.c */
#include "source/zone_same.h"
#include "io/store/query.h"
#include "source/zone_fs.h"

static bool was_fresh(const struct ledger_look *l)
{
    return l->ctime_ns >= l->mtime_ns && l->ctime_ns - l->mtime_ns <= ZONE_FRESH_NS;
}

static bool was_set(const struct ledger_look *l, const struct zone_look *now)
{
    return now->mtime_ns < l->mtime_ns || now->mtime_ns > now->ctime_ns;
}

/* File systems give the number of an inode that was removed to the next that is made. */
static bool is_reborn(const struct ledger_look *l, const struct zone_look *now)
{
    return now->born_ns != 0 ? now->born_ns > l->ctime_ns : l->gone;
}

enum zone_same zone_same(const struct ledger_look *known, const struct zone_look *now)
{
    if (!known->known || known->inode != now->inode || known->size != now->size)
        return ZONE_OTHER;
    if (known->mtime_ns == now->mtime_ns)
        return ZONE_SAME;
    if (is_reborn(known, now))
        return ZONE_OTHER;
    return was_fresh(known) && was_set(known, now) ? ZONE_RETIMED : ZONE_OTHER;
}
