/* zone_site.c - one watched directory.
 *
 *     [not armed] --open and watch--> [armed] --steps: rounds, slices--> ...
 *         ^  \--cannot: error, later again      |
 *         \-- moved, deleted, the path leads elsewhere --/
 */
#include "source/zone_site.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/engine.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* ---- what is to be looked at ---- */

void site_notice(struct site *s, const char *path, size_t len, enum notice notice)
{
    const unsigned before = HASH_COUNT(s->candidates);
    struct site_path *p = site_path_add(&s->candidates, path, len);
    if (notice > p->notice)
        p->notice = notice;
    s->all->candidate_count += HASH_COUNT(s->candidates) - before;
}

void site_notice_dir(struct site *s, const char *path)
{
    site_path_add(&s->subtrees, path, strlen(path));
}

static void drop_candidate(struct site *s, struct site_path *p)
{
    HASH_DEL(s->candidates, p);
    free(p);
    s->all->candidate_count--;
}

static void drop_candidates(struct site *s)
{
    s->all->candidate_count -= HASH_COUNT(s->candidates);
    site_paths_clear(&s->candidates);
    watch_resume(s->all);
}

void site_disarm(struct site *s)
{
    if (!s->armed)
        return;
    s->armed = false;
    s->root.ino = s->root.dev = 0;
    s->way_changed = s->way_unwatched = false;
    watch_forget_below(s, "");
    watch_register_way(s, NULL, 0);
    site_paths_clear(&s->subtrees);
    drop_candidates(s);
    later_clear(s);
    timer_cancel(s->all->host->timers, &s->rescan_due);
    if (!s->busy) {
        scan_destroy(s->scan);
        s->scan = NULL;
    }
}

/* ---- what is next ---- */

static void rescan_due(struct timer *t)
{
    struct site *s = container_of(t, struct site, rescan_due);
    s->rescan = true;
    site_step(s);
}

static void primed(struct ticket *t, const struct outcome *o)
{
    struct site *s = container_of(t, struct site, primed_ticket);
    s->priming_out = false;
    s->tickets--;
    s->primed = o->err == 0;
    if (!s->primed)
        timer_set(s->all->host->timers, &s->rescan_due, ZONE_FAILED_MS);
    site_step(s);
}

void site_prime(struct site *s)
{
    struct host *h = s->all->host;
    struct zone *z = catalog_zone(engine_catalog(h->engine), s->id);
    if (z == NULL || s->priming_out)
        return;
    s->priming_out = true;
    s->tickets++;
    s->primed_ticket.done = primed;
    engine_prime_zone(h->engine, h->now(h), z, &s->primed_ticket);
}

/* Everything was looked at. */
static void scan_over(struct site *s)
{
    struct scan *c = s->scan;
    uint64_t again_ms = s->def->rescan_ms;
    s->scan = NULL;
    if (c->whole) {
        if (c->priming && c->def == s->def)
            site_prime(s);
        if (again_ms == 0 && (!s->local || s->unwatched))
            again_ms = ZONE_POLL_MS;
        if (again_ms > 0)
            timer_set(s->all->host->timers, &s->rescan_due, again_ms);
        if (!s->unwatched)
            site_set_error(s, 0, NULL);
        s->way_changed |= s->way_unwatched; /* there may be room by now */
    }
    scan_destroy(c);
}

/* False when all of them have to wait for the disk. */
static bool take_candidates(struct site *s)
{
    struct round *r = NULL;
    struct site_path *p, *tmp;
    HASH_ITER (hh, s->candidates, p, tmp) {
        if (site_path_find(s->flying, p->path, p->len) != NULL)
            continue;
        if (r == NULL)
            r = round_make(s);
        round_add(r, p->path, p->len, NULL);
        r->items.items[r->items.len - 1].notice = p->notice;
        drop_candidate(s, p);
        if (r->items.len == ZONE_ROUND_MAX)
            break;
    }
    if (r == NULL)
        return false;
    s->busy = true;
    round_start(r);
    watch_resume(s->all);
    return true;
}

static bool take_scan(struct site *s)
{
    if (s->scan == NULL && s->armed && s->rescan)
        scan_begin(s, true);
    else if (s->scan == NULL && s->armed && s->subtrees != NULL)
        scan_begin(s, false);
    if (s->scan == NULL)
        return false;
    s->busy = true;
    scan_go_on(s->scan);
    return true;
}

static void destroy(struct site *s)
{
    CHECK(!s->busy && s->tickets == 0 && s->held == 0 && s->dirs == NULL && s->ways == NULL);
    scan_destroy(s->scan);
    if (s->touched)
        LL_DELETE2(s->all->touched, s, touched_next);
    drop_candidates(s);
    site_paths_clear(&s->subtrees);
    site_paths_clear(&s->flying);
    later_clear(s);
    zone_def_unref(s->def);
    void *zones = s->all;
    free(s->path);
    free(s->ns);
    free(s->directory);
    free(s);
    zones_part_closed(zones);
}

void site_step(struct site *s)
{
    if (s->busy)
        return;
    if (s->dropped) {
        if (s->tickets == 0 && s->held == 0)
            destroy(s);
        return;
    }
    if (s->tickets >= ZONE_FLYING_MAX)
        return;
    if (!s->armed) {
        if (!take_scan(s) && !wheel_is_set(&s->retry.w))
            site_arm(s);
        return;
    }
    s->way_last = !s->way_last && site_follow(s);
    if (s->way_last)
        return;
    const bool scan_first = s->scan_next;
    s->scan_next = !scan_first;
    if (scan_first && take_scan(s))
        return;
    if (take_candidates(s) || (!scan_first && take_scan(s)))
        return;
    s->way_last = site_follow(s);
}

void site_round_over(struct site *s, struct round *r)
{
    s->busy = false;
    if (s->scan != NULL && s->scan->round == r)
        s->scan->round = NULL;
    if (s->scan != NULL && !s->armed && !s->scan->emptied) {
        scan_destroy(s->scan);
        s->scan = NULL;
    } else if (s->scan != NULL && s->scan->over) {
        scan_over(s);
    }
    site_step(s);
}

/* ---- beginning and end ---- */

/* The loop's time is in whole milliseconds, and up to two behind: what was written just before the zone was asked for was there. */
static int64_t new_since_ns(const struct zone *z)
{
    return (z->new_since.ms + 2) * 1000000;
}

struct site *site_create(struct zones *all, const struct zone *z)
{
    struct site *s = mem_zalloc(sizeof(*s));
    const char *dot = strchr(z->path, '.');
    *s = (struct site){
        .all = all,
        .id = z->id,
        .key = z->key,
        .path = mem_strdup(z->path),
        .directory = mem_strdup(z->directory),
        .ns = mem_dup(z->path, (size_t)(dot - z->path)),
        .made_by_us = z->made_by_us,
        .primed = z->primed,
        .since_ns = new_since_ns(z),
        .def = zone_def_ref(z->def),
        .retry_ms = ZONE_RETRY_MS_MIN,
        .retry.fired = site_arm_due,
        .look_again.fired = later_due,
        .rescan_due.fired = rescan_due,
        .tell.fired = site_arm_told,
    };
    s->name = s->path + (dot + 1 - z->path);
    s->root.directory = s->directory;
    site_set_status(s, "starting", NULL);
    HASH_ADD(hh, all->sites, key, sizeof(s->key), s);
    all->open++;
    return s;
}

void site_redefine(struct site *s, const struct zone *z)
{
    zone_def_unref(s->def);
    s->def = zone_def_ref(z->def);
    s->primed = z->primed;
    s->since_ns = new_since_ns(z);
    s->rescan = true;
    timer_cancel(s->all->host->timers, &s->rescan_due);
    watch_keep_top(s); /* the scan finds again what is still wanted */
    site_step(s);
}

void site_drop(struct site *s)
{
    struct timers *timers = s->all->host->timers;
    s->dropped = true;
    HASH_DEL(s->all->sites, s);
    site_disarm(s);
    zones_tried(s);
    site_set_status(s, NULL, NULL);
    timer_cancel(timers, &s->retry);
    timer_cancel(timers, &s->look_again);
    timer_cancel(timers, &s->rescan_due);
    timer_cancel(timers, &s->tell);
    site_step(s);
}

void site_hold(struct site *s)
{
    s->held++;
}

void site_release(struct site *s)
{
    CHECK(s->held > 0);
    s->held--;
    site_step(s);
}
