/* zone_way.c - the way to a site's directory, and whether it still leads there.
 *
 * A directory knows nothing of the names above it. A link on the way may be changed, a directory above be renamed, a file system be mounted:
 * the path leads elsewhere, and the directory that is watched tells nothing. So whatever the way leads through is watched for being
 * moved or removed, the kernel is asked to tell of mounts, and when one of them did the path is followed again.
 *
 *     /srv/current/in, where current -> releases/7:     /  /srv  /srv/current (the link)  /srv/releases  /srv/releases/7
 *
 * It is watched first and followed then: what happens in between is seen by one or the other.
 */
#include "base/check.h"
#include "base/mem.h"
#include "source/zone_site.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define MOUNTS "/proc/self/mountinfo"
#define WAY_LINKS_MAX 40  /* as the kernel's: a path with more leads nowhere */
#define WAY_STEPS_MAX 256 /* what is behind these is not watched */

struct way {
    struct site *site;
    struct worker_job job;
    struct zone_root root;
    int inotify_fd;
    int wds[WAY_STEPS_MAX];
    size_t count;
    bool missing; /* there was no room for one of them */
    int err;      /* of following it */
};

/* ---- on the worker ---- */

static void watch(struct way *w, const char *path)
{
    const int wd = inotify_add_watch(w->inotify_fd, path,
                                     IN_MOVE_SELF | IN_DELETE_SELF | IN_DONT_FOLLOW | IN_MASK_ADD);
    if (wd >= 0)
        w->wds[w->count++] = wd;
    else if (errno == ENOSPC)
        w->missing = true;
}

/* The directory or link that was reached, and what of the path is still to go. */
struct steps {
    char at[PATH_MAX], rest[PATH_MAX];
};

static void leave_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* Goes one component on. False at the end, or when a path grows too long. */
static bool step(struct steps *s)
{
    const char *name = s->rest + strspn(s->rest, "/");
    const size_t len = strcspn(name, "/"), at = strlen(s->at);
    if (len == 0 || at + 1 + len >= sizeof(s->at))
        return false;
    if (len == 2 && memcmp(name, "..", 2) == 0)
        leave_last(s->at);
    else if (len != 1 || name[0] != '.')
        snprintf(s->at + at, sizeof(s->at) - at, "/%.*s", (int)len, name);
    memmove(s->rest, name + len, strlen(name + len) + 1);
    return true;
}

/* If a link was reached, what it says is to go next, from the directory that it is in. False when it was none. */
static bool follow_link(struct steps *s)
{
    char target[PATH_MAX];
    const ssize_t len = readlink(s->at, target, sizeof(target));
    const size_t rest = strlen(s->rest);
    if (len <= 0 || (size_t)len + rest >= sizeof(s->rest))
        return false;
    memmove(s->rest + len, s->rest, rest + 1); /* it begins with a slash, or is empty */
    memcpy(s->rest, target, (size_t)len);
    if (target[0] == '/')
        s->at[0] = '\0';
    else
        leave_last(s->at);
    return true;
}

static void watch_all(struct way *w)
{
    struct steps s = {.at = ""};
    unsigned links = 0;
    if (strlen(w->root.directory) >= sizeof(s.rest))
        return;
    strcpy(s.rest, w->root.directory);
    while (w->count < WAY_STEPS_MAX && links <= WAY_LINKS_MAX && step(&s)) {
        watch(w, s.at);
        links += follow_link(&s);
    }
}

static void way_work(struct worker_job *j, void *thread_state)
{
    struct way *w = container_of(j, struct way, job);
    w->missing = w->inotify_fd < 0;
    if (!w->missing)
        watch_all(w);
    const int fd = zone_fs_root(&w->root);
    w->err = fd < 0 ? fd : 0;
    if (fd >= 0)
        close(fd);
}

/* ---- on the loop ---- */

static void way_done(struct worker_job *j, bool cancelled)
{
    struct way *w = container_of(j, struct way, job);
    struct site *s = w->site;
    s->all->walking--;
    s->busy = false;
    if (s->armed && !cancelled) {
        watch_register_way(s, w->wds, w->count);
        s->way_unwatched = w->missing;
        if (w->err != 0)
            site_disarm(s);
    }
    free(w);
    watch_scans_done(s->all);
    site_step(s);
}

bool site_follow(struct site *s)
{
    struct way *w;
    if (!s->way_changed || !s->armed)
        return false;
    w = mem_zalloc(sizeof(*w));
    w->site = s;
    w->root = s->root;
    w->inotify_fd = s->all->inotify_fd;
    w->job = (struct worker_job){.work = way_work, .done = way_done};
    if (worker_post(s->all->worker, &w->job) < 0) {
        free(w);
        return false;
    }
    s->way_changed = false;
    s->busy = true;
    s->all->walking++;
    return true;
}

/* ---- mounts ---- */

static void mounts_changed(uv_poll_t *p, int status, int events)
{
    struct zones *all = container_of(p, struct zones, mounts);
    struct site *s, *tmp;
    HASH_ITER (hh, all->sites, s, tmp) {
        s->way_changed = true;
        site_step(s);
    }
}

void mounts_open(struct zones *all)
{
    all->mounts_fd = open(MOUNTS, O_RDONLY | O_CLOEXEC);
    if (all->mounts_fd < 0)
        return;
    CHECK(uv_poll_init(all->host->loop, &all->mounts, all->mounts_fd) == 0);
    CHECK(uv_poll_start(&all->mounts, UV_PRIORITIZED, mounts_changed) == 0);
    all->open++;
}

static void mounts_closed(uv_handle_t *h)
{
    struct zones *all = container_of((uv_poll_t *)h, struct zones, mounts);
    close(all->mounts_fd);
    zones_part_closed(all);
}

void mounts_close(struct zones *all)
{
    if (all->mounts_fd >= 0)
        uv_close((uv_handle_t *)&all->mounts, mounts_closed);
}
