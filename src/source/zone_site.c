/* zone_site.c - one watched directory.
 *
 *     [not armed] --open and watch--> [armed] --steps: rounds, slices--> ...
 *         ^  \--cannot: error, later again      |
 *         \------- moved, deleted, unmounted ---/
 */
#include "source/zone_site.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

/* ---- sets of paths ---- */

struct site_path *site_path_find(struct site_path *set, const char *path, size_t len)
{
    struct site_path *p;
    HASH_FIND(hh, set, path, len, p);
    return p;
}

bool site_path_covered(struct site_path *set, const char *path, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (path[i] == '/' && site_path_find(set, path, i) != NULL)
            return true;
    return false;
}

struct site_path *site_path_add(struct site_path **set, const char *path, size_t len)
{
    struct site_path *p = site_path_find(*set, path, len);
    if (p != NULL)
        return p;
    p = mem_zalloc(sizeof(*p) + len + 1);
    p->len = len;
    memcpy(p->path, path, len);
    HASH_ADD(hh, *set, path, len, p);
    return p;
}

void site_paths_clear(struct site_path **set)
{
    struct site_path *p, *tmp;
    HASH_ITER (hh, *set, p, tmp) {
        HASH_DEL(*set, p);
        free(p);
    }
}

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

/* ---- what people are told ---- */

static void set_trouble(struct site *s, const char *status, const char *error)
{
    if (s->troubled)
        DL_DELETE(s->all->offer.troubles, &s->trouble);
    s->troubled = status != NULL;
    s->trouble =
        (struct zone_trouble){.zone = s->id, .path = s->path, .status = status, .error = error};
    if (s->troubled)
        DL_APPEND(s->all->offer.troubles, &s->trouble);
}

static const char *advice(int err)
{
    switch (err) {
    case -ENOSPC:
        return ": there are too many inotify watches, raise fs.inotify.max_user_watches; the zone "
               "is rescanned meanwhile";
    case -EMFILE:
        return ": there are too many inotify instances or open files, raise "
               "fs.inotify.max_user_instances; the zone is rescanned "
               "meanwhile";
    default:
        return "";
    }
}

void site_set_error(struct site *s, int err, const char *what)
{
    char text[sizeof(s->error)];
    if (err == 0) {
        if (s->troubled && s->trouble.error != NULL)
            log_info("landing zone is watched again", LOG_STR("zone", s->path));
        set_trouble(s, NULL, NULL);
        return;
    }
    snprintf(text, sizeof(text), "%s: %s%s", what, strerror(-err), advice(err));
    const bool news = !s->troubled || s->trouble.error == NULL || strcmp(text, s->error) != 0;
    memcpy(s->error, text, sizeof(text));
    set_trouble(s, "error", s->error);
    if (news)
        log_warn("landing zone cannot be watched", LOG_STR("zone", s->path),
                 LOG_STR("directory", s->directory), LOG_STR("error", text));
}

/* ---- opening ---- */

static void arm_work(struct worker_job *j, void *thread_state)
{
    struct site *s = container_of(j, struct site, arm_job);
    struct timespec now;
    struct stat st;
    int fd = zone_fs_root(&(struct zone_root){.directory = s->directory});
    if (fd == -ENOENT && s->made_by_us && zone_fs_make(s->directory) == 0)
        fd = zone_fs_root(&(struct zone_root){.directory = s->directory});
    s->arm_err = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;
    if (s->arm_err == 0) {
        s->arm_dev = st.st_dev;
        s->arm_ino = st.st_ino;
        s->arm_local = zone_fs_is_local(fd);
        s->arm_wd = watch_add_fd(s->arm_inotify, fd);
        clock_gettime(CLOCK_REALTIME, &now);
        s->arm_since_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    }
    if (fd >= 0)
        close(fd);
}

static void retry_later(struct site *s)
{
    timer_set(s->all->host->timers, &s->retry, s->retry_ms);
    s->retry_ms = s->retry_ms * 2 < ZONE_RETRY_MS_MAX ? s->retry_ms * 2 : ZONE_RETRY_MS_MAX;
}

static void armed(struct site *s)
{
    s->armed = true;
    s->emptied = false;
    s->local = s->arm_local;
    s->root.dev = s->arm_dev;
    s->root.ino = s->arm_ino;
    s->since_ns = s->arm_since_ns;
    s->retry_ms = ZONE_RETRY_MS_MIN;
    s->rescan = true;
    s->unwatched = s->arm_wd < 0;
    if (s->unwatched)
        site_set_error(s, s->arm_wd, "cannot watch the directory");
    else
        site_set_error(s, 0, NULL);
    if (!s->unwatched)
        watch_register(s, s->arm_wd, "");
}

static void prime(struct site *s);

static void told(struct timer *t)
{
    zones_tried(container_of(t, struct site, tell));
}

/* Files are stamped with a clock that goes in ticks: whoever is told only after one has passed cannot make a file that looks older than
 * the watch. Where there is a notice for each file it does not matter what it looks like. */
static void tell(struct site *s)
{
    if (s->primed || s->tried || !s->armed || (!s->def->recursive && !s->unwatched))
        zones_tried(s);
    else
        timer_set(s->all->host->timers, &s->tell, ZONE_TICK_MS);
}

static void arm_done(struct worker_job *j, bool cancelled)
{
    struct site *s = container_of(j, struct site, arm_job);
    s->all->walking--;
    if (!cancelled && !s->dropped) {
        if (s->arm_err == 0) {
            armed(s);
        } else {
            site_set_error(s, s->arm_err, "cannot open the directory");
            if (s->arm_err == -ENOENT && !s->primed)
                prime(s); /* nothing was there before it */
            retry_later(s);
            if ((s->arm_err == -ENOENT || s->arm_err == -ENOTDIR) && !s->emptied) {
                s->emptied = true;
                scan_begin_emptied(s);
            }
        }
        tell(s);
    }
    watch_scans_done(s->all);
    s->busy = false;
    site_step(s);
}

static void arm(struct site *s)
{
    watch_open(s->all);
    s->arm_inotify = s->all->inotify_fd;
    s->arm_job = (struct worker_job){.work = arm_work, .done = arm_done};
    if (worker_post(s->all->worker, &s->arm_job) < 0) {
        retry_later(s);
        return;
    }
    s->busy = true;
    s->all->walking++;
}

static void retry_due(struct timer *t)
{
    site_step(container_of(t, struct site, retry));
}

void site_disarm(struct site *s)
{
    if (!s->armed)
        return;
    s->armed = false;
    s->root.ino = s->root.dev = 0;
    watch_forget_below(s, "");
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

static void prime(struct site *s)
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
            prime(s);
        if (again_ms == 0 && (!s->local || s->unwatched))
            again_ms = ZONE_POLL_MS;
        if (again_ms > 0)
            timer_set(s->all->host->timers, &s->rescan_due, again_ms);
        if (!s->unwatched)
            site_set_error(s, 0, NULL);
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
    CHECK(!s->busy && s->tickets == 0 && s->held == 0 && s->dirs == NULL);
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
            arm(s);
        return;
    }
    const bool scan_first = s->scan_next;
    s->scan_next = !scan_first;
    if (scan_first && take_scan(s))
        return;
    if (!take_candidates(s) && !scan_first)
        take_scan(s);
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
        .def = zone_def_ref(z->def),
        .retry_ms = ZONE_RETRY_MS_MIN,
        .retry.fired = retry_due,
        .look_again.fired = later_due,
        .rescan_due.fired = rescan_due,
        .tell.fired = told,
    };
    s->name = s->path + (dot + 1 - z->path);
    s->root.directory = s->directory;
    set_trouble(s, "starting", NULL);
    HASH_ADD(hh, all->sites, key, sizeof(s->key), s);
    all->open++;
    return s;
}

void site_redefine(struct site *s, struct zone_def *def, bool is_primed)
{
    zone_def_unref(s->def);
    s->def = zone_def_ref(def);
    s->primed = is_primed;
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
    set_trouble(s, NULL, NULL);
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

/* ---- paths on their way to the disk ---- */

struct site_path *site_fly(struct site *s, const char *path, size_t len)
{
    CHECK(site_path_find(s->flying, path, len) == NULL);
    return site_path_add(&s->flying, path, len);
}

void site_land(struct site *s, struct site_path *p)
{
    HASH_DEL(s->flying, p);
    free(p);
}
