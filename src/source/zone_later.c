/* zone_later.c - files that are not ready yet: open for writing, still changing, or not to be looked at just now. */
#include "base/check.h"
#include "base/mem.h"
#include "source/zone_site.h"
#include <stdlib.h>
#include <string.h>

#define BUSY_MS_MAX 30000 /* between two looks at a file that stays open for writing */

static struct later *find(struct site *s, const char *path, size_t len)
{
    struct later *l;
    HASH_FIND(hh, s->later, path, len, l);
    return l;
}

bool later_has(struct site *s, const char *path, size_t len)
{
    return find(s, path, len) != NULL;
}

static uint64_t now_ms(const struct site *s)
{
    struct host *h = s->all->host;
    return h->now(h).mono.ms;
}

/* NULL when there are too many: then all of the zone is gone through again, some time. */
static struct later *find_or_add(struct site *s, const char *path, size_t len)
{
    struct later *l = find(s, path, len);
    if (l != NULL)
        return l;
    if (HASH_COUNT(s->later) >= ZONE_LATER_MAX) {
        if (!wheel_is_set(&s->rescan_due.w))
            timer_set(s->all->host->timers, &s->rescan_due, ZONE_POLL_MS);
        return NULL;
    }
    l = mem_zalloc(sizeof(*l) + len + 1);
    l->len = len;
    l->since_ms = now_ms(s);
    memcpy(l->path, path, len);
    HASH_ADD(hh, s->later, path, len, l);
    return l;
}

static void due_in(struct site *s, struct later *l, uint64_t in_ms)
{
    const uint64_t now = now_ms(s);
    l->due_ms = now + in_ms;
    if (!wheel_is_set(&s->look_again.w) || s->look_again.w.expires > l->due_ms)
        timer_set(s->all->host->timers, &s->look_again, in_ms);
}

void later_again(struct site *s, const char *path, size_t len, uint64_t in_ms)
{
    struct later *l = find_or_add(s, path, len);
    if (l != NULL)
        due_in(s, l, in_ms);
}

/* A writer that has just closed counts as one for a moment longer (the kernel tells of the close before it lets go), so the first looks
 * follow each other closely. */
void later_busy(struct site *s, const struct item *it)
{
    struct later *l = find_or_add(s, it->path, it->len);
    if (l == NULL)
        return;
    const uint64_t wait = l->tries < 15 ? UINT64_C(1) << l->tries : BUSY_MS_MAX;
    l->tries++;
    due_in(s, l, wait < BUSY_MS_MAX ? wait : BUSY_MS_MAX);
}

static bool same(const struct zone_look *a, const struct zone_look *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static uint64_t settle_ms(const struct site *s, const struct item *it)
{
    const uint64_t wanted = s->def->settle_ms > 0 || s->local ? s->def->settle_ms : ZONE_SETTLE_MS;
    const bool unborn = it->look.size == 0 && it->notice != NOTICE_COMPLETE;
    return unborn && wanted < ZONE_EMPTY_MS ? ZONE_EMPTY_MS : wanted;
}

bool later_ready(struct site *s, const struct item *it)
{
    const uint64_t settle = settle_ms(s, it);
    if (settle == 0)
        return true;
    struct later *l = find_or_add(s, it->path, it->len);
    if (l == NULL)
        return false;
    const uint64_t now = now_ms(s);
    if (!same(&l->look, &it->look)) {
        l->look = it->look;
        l->since_ms = now;
    }
    const uint64_t stood = now - l->since_ms;
    if (stood < settle)
        due_in(s, l, settle - stood);
    return stood >= settle;
}

void later_forget(struct site *s, const char *path, size_t len)
{
    struct later *l = find(s, path, len);
    if (l == NULL)
        return;
    HASH_DEL(s->later, l);
    free(l);
}

void later_clear(struct site *s)
{
    struct later *l, *tmp;
    HASH_ITER (hh, s->later, l, tmp) {
        HASH_DEL(s->later, l);
        free(l);
    }
    timer_cancel(s->all->host->timers, &s->look_again);
}

/* What is due is a candidate again; it keeps what is known of it until its fate is decided. */
void later_due(struct timer *t)
{
    struct site *s = container_of(t, struct site, look_again);
    const uint64_t now = now_ms(s);
    uint64_t next = UINT64_MAX;
    struct later *l, *tmp;
    HASH_ITER (hh, s->later, l, tmp) {
        if (l->due_ms <= now) {
            l->due_ms = UINT64_MAX;
            site_notice(s, l->path, l->len, NOTICE_NAME);
        } else if (l->due_ms < next) {
            next = l->due_ms;
        }
    }
    if (next != UINT64_MAX)
        timer_set(s->all->host->timers, &s->look_again, next - now);
    site_step(s);
}
