/* zone_watch.c - inotify.
 *
 * One instance serves all zones, and the kernel knows each directory once: two zones that look at the same one share its watch. A watch is
 * added on a worker, so notices may come before the worker has told which directory they are about; they are kept until it has.
 *
 * When too many files wait to be looked at, nothing is read until there are fewer; when the kernel's queue is full then, it says
 * so, and everything is gone through again.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/zone_site.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <utlist.h>

#define NOTICE_BYTES 65536    /* read at once */
#define READS_MAX 16          /* before others get their turn */
#define OVERFLOW_LOG_MS 60000 /* between two lines about lost notices */
#define WATCHED                                                                                    \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF |       \
     IN_ATTRIB | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)
#define LEFT (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)

int watch_add_fd(int inotify_fd, int dir_fd)
{
    char path[32];
    if (inotify_fd < 0)
        return inotify_fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d",
             dir_fd); /* the very directory that was opened */
    const int wd = inotify_add_watch(inotify_fd, path, WATCHED);
    return wd >= 0 ? wd : -errno;
}

/* ---- which directory ---- */

static struct watch *find_watch(const struct zones *all, int wd)
{
    struct watch *w;
    HASH_FIND_INT(all->watches, &wd, w);
    return w;
}

static void drop_watch_if_unused(struct zones *all, struct watch *w)
{
    if (w->dirs != NULL || w->ways != NULL)
        return;
    HASH_DEL(all->watches, w);
    inotify_rm_watch(all->inotify_fd, w->wd); /* the kernel may have done so itself */
    free(w);
}

static void forget(struct watched_dir *d)
{
    struct watch *w = d->watch;
    struct zones *all = d->site->all;
    if (d->path == NULL) {
        DL_DELETE2(w->ways, d, watch_prev, watch_next);
        DL_DELETE(d->site->ways, d);
    } else {
        DL_DELETE2(w->dirs, d, watch_prev, watch_next);
        DL_DELETE(d->site->dirs, d);
    }
    free(d->path);
    free(d);
    drop_watch_if_unused(all, w);
}

static struct watch *make_watch(struct zones *all, int wd)
{
    struct watch *w = find_watch(all, wd);
    if (w == NULL) {
        w = mem_zalloc(sizeof(*w));
        w->wd = wd;
        HASH_ADD_INT(all->watches, wd, w);
    }
    return w;
}

static struct watched_dir *find_way(struct site *s, struct watch *w)
{
    struct watched_dir *d;
    DL_FOREACH2 (w->ways, d, watch_next)
        if (d->site == s)
            return d;
    d = mem_zalloc(sizeof(*d));
    *d = (struct watched_dir){.site = s, .watch = w};
    DL_APPEND2(w->ways, d, watch_prev, watch_next);
    DL_APPEND(s->ways, d);
    return d;
}

void watch_register_way(struct site *s, const int *wds, size_t n)
{
    struct watched_dir *d, *tmp;
    for (size_t i = 0; i < n; i++)
        find_way(s, make_watch(s->all, wds[i]))->wanted = true;
    DL_FOREACH_SAFE (s->ways, d, tmp) {
        if (!d->wanted)
            forget(d);
        else
            d->wanted = false;
    }
}

void watch_register(struct site *s, int wd, const char *path)
{
    struct watch *w = make_watch(s->all, wd);
    struct watched_dir *d;
    DL_FOREACH2 (w->dirs, d, watch_next) {
        if (d->site != s)
            continue;
        free(d->path); /* it may have been renamed */
        d->path = mem_strdup(path);
        return;
    }
    d = mem_zalloc(sizeof(*d));
    *d = (struct watched_dir){.site = s, .watch = w, .path = mem_strdup(path)};
    DL_APPEND2(w->dirs, d, watch_prev, watch_next);
    DL_APPEND(s->dirs, d);
}

static bool is_below(const char *path, const char *top)
{
    const size_t len = strlen(top);
    return len == 0 || (strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

void watch_forget_below(struct site *s, const char *path)
{
    struct watched_dir *d, *tmp;
    DL_FOREACH_SAFE (s->dirs, d, tmp)
        if (is_below(d->path, path))
            forget(d);
}

void watch_keep_top(struct site *s)
{
    struct watched_dir *d, *tmp;
    DL_FOREACH_SAFE (s->dirs, d, tmp)
        if (d->path[0] != '\0')
            forget(d);
}

/* ---- what it means ---- */

static void touch(struct site *s)
{
    if (s->touched)
        return;
    s->touched = true;
    s->touched_next = s->all->touched;
    s->all->touched = s;
}

static void step_touched(struct zones *all)
{
    while (all->touched != NULL) {
        struct site *s = all->touched;
        all->touched = s->touched_next;
        s->touched = false;
        site_step(s);
    }
}

static void directory_changed(struct site *s, uint32_t mask, struct slice name, struct slice path)
{
    if (mask & (IN_DELETE | IN_MOVED_FROM))
        watch_forget_below(s, path.p);
    if (mask & IN_MOVED_FROM)
        s->rescan = true; /* its files are gone, and the ledger does not know yet */
    if ((mask & IN_ATTRIB) && s->unwatched)
        s->rescan = true; /* it may be open to us now */
    if ((mask & (IN_CREATE | IN_MOVED_TO)) && zone_enters(s->def, name, path))
        site_notice_dir(s, path.p);
}

static enum notice notice_of(uint32_t mask)
{
    if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO))
        return NOTICE_COMPLETE;
    return mask & IN_ATTRIB ? NOTICE_ATTRIBUTES : NOTICE_NAME;
}

static void named(struct site *s, const char *dir, uint32_t mask, struct slice name)
{
    struct str path = {0};
    str_printf(&path, "%s%s%s", dir, dir[0] != '\0' ? "/" : "", name.p);
    if (mask & IN_ISDIR)
        directory_changed(s, mask, name, str_slice(&path));
    else if (zone_wants(s->def, name, str_slice(&path)))
        site_notice(s, path.p, path.len, notice_of(mask));
    str_release(&path);
}

/* The kernel watches a directory below the site no more. Mostly it is gone; but another site that looked at it too may have let go of
 * the watch just when this one was given it, or something was unmounted there. So it is gone through again, if it is there. */
static void watch_ended(struct watched_dir *d)
{
    struct site *s = d->site;
    char *path = mem_strdup(d->path);
    forget(d);
    if (s->primed)
        site_notice_dir(s, path);
    else
        s->rescan = true; /* a noticed directory's files would all be taken for new */
    free(path);
}

/* True when the site has left its directory: it is in no list of the watch any more. */
static bool itself(struct site *s, const char *dir, uint32_t mask)
{
    if (!(mask & LEFT) || dir[0] != '\0')
        return false;
    site_disarm(s);
    return true;
}

static void overflow(struct zones *all)
{
    struct host *h = all->host;
    const uint64_t now = h->now(h).mono.ms;
    if (all->overflow_ms == 0 || now - all->overflow_ms >= OVERFLOW_LOG_MS) {
        all->overflow_ms = now;
        log_warn("inotify's queue ran over; all landing zones are gone through");
    }
    for (struct site *s = all->sites; s != NULL; s = s->hh.next) {
        s->rescan = true;
        touch(s);
    }
}

static void keep_orphan(struct zones *all, const struct inotify_event *ev)
{
    if (all->walking == 0)
        return; /* about a directory that is watched no more */
    if (all->orphans.len >= ZONE_ORPHANS_MAX * sizeof(*ev)) {
        str_reset(&all->orphans);
        overflow(all);
        return;
    }
    str_add(&all->orphans, (const char *)ev, sizeof(*ev) + ev->len);
}

/* Something on the way to sites was moved or removed, or is watched no more. May free w. */
static void ways_changed(struct watch *w, uint32_t mask)
{
    struct watched_dir *ways = w->ways, *d, *tmp;
    if (!(mask & LEFT))
        return;
    DL_FOREACH_SAFE2 (ways, d, tmp, watch_next) {
        d->site->way_changed = true;
        touch(d->site);
        if (mask & IN_IGNORED)
            forget(d);
    }
}

static void dispatch(struct zones *all, const struct inotify_event *ev)
{
    if (ev->mask & IN_Q_OVERFLOW) {
        overflow(all);
        return;
    }
    struct watch *w = find_watch(all, ev->wd);
    struct watched_dir *d, *tmp;
    if (w == NULL || (ev->mask & IN_IGNORED)) /* who is about to be given the wd has to know, too */
        keep_orphan(all, ev);
    if (w == NULL)
        return;
    struct watched_dir *dirs = w->dirs;
    ways_changed(w, ev->mask);
    DL_FOREACH_SAFE2 (dirs, d, tmp, watch_next) {
        touch(d->site);
        if (itself(d->site, d->path, ev->mask))
            continue;
        if (ev->len > 0)
            named(d->site, d->path, ev->mask, slice_of(ev->name));
        else if (ev->mask & IN_IGNORED)
            watch_ended(d);
    }
}

/* Notices stand one behind the other. They are copied out: in a str they are not aligned. */
static void dispatch_all(struct zones *all, const char *p, size_t len)
{
    union {
        struct inotify_event ev;
        char bytes[sizeof(struct inotify_event) + 256];
    } one;
    while (len >= sizeof(one.ev)) {
        memcpy(&one.ev, p, sizeof(one.ev));
        const size_t size = sizeof(one.ev) + one.ev.len;
        CHECK(size <= len && size <= sizeof(one));
        memcpy(&one, p, size);
        dispatch(all, &one.ev);
        p += size;
        len -= size;
    }
}

void watch_scans_done(struct zones *all)
{
    struct str orphans = all->orphans;
    if (orphans.len == 0)
        return;
    all->orphans = (struct str){0};
    dispatch_all(
        all, orphans.p,
        orphans.len); /* those that still have nobody are kept again, while there is hope */
    str_release(&orphans);
    step_touched(all);
}

/* ---- reading ---- */

static bool read_some(struct zones *all)
{
    char buf[NOTICE_BYTES];
    if (all->candidate_count >= ZONE_CANDIDATES_MAX)
        return false;
    const ssize_t n = read(all->inotify_fd, buf, sizeof(buf));
    if (n > 0)
        dispatch_all(all, buf, (size_t)n);
    return n > 0;
}

void watch_drain(struct zones *all)
{
    if (all->inotify_fd >= 0)
        for (unsigned i = 0; i < READS_MAX && read_some(all); i++)
            continue;
    step_touched(all);
}

static void readable(uv_poll_t *p, int status, int events)
{
    struct zones *all = container_of(p, struct zones, poll);
    watch_drain(all);
    if (all->candidate_count >= ZONE_CANDIDATES_MAX && !all->paused) {
        all->paused = true;
        uv_poll_stop(p);
    }
}

void watch_resume(struct zones *all)
{
    if (!all->paused || all->stopping || all->candidate_count > ZONE_CANDIDATES_MAX / 2)
        return;
    all->paused = false;
    CHECK(uv_poll_start(&all->poll, UV_READABLE, readable) == 0);
}

/* ---- life ---- */

int watch_open(struct zones *all)
{
    if (all->inotify_fd >= 0)
        return 0;
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    all->inotify_fd = fd >= 0 ? fd : -errno;
    if (fd < 0)
        return all->inotify_fd;
    CHECK(uv_poll_init(all->host->loop, &all->poll, fd) == 0);
    CHECK(uv_poll_start(&all->poll, UV_READABLE, readable) == 0);
    all->open++;
    return 0;
}

static void poll_closed(uv_handle_t *h)
{
    struct zones *all = container_of((uv_poll_t *)h, struct zones, poll);
    close(all->inotify_fd);
    all->inotify_fd = -1;
    zones_part_closed(all);
}

void watch_close(struct zones *all)
{
    str_release(&all->orphans);
    if (all->inotify_fd >= 0)
        uv_close((uv_handle_t *)&all->poll, poll_closed);
}
