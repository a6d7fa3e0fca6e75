/* zone_arm.c - a site's directory is opened and watched; what is said when that cannot be, and when it is tried again. */
#include "base/check.h"
#include "base/log.h"
#include "source/zone_site.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

/* ---- what people are told ---- */

void site_set_status(struct site *s, const char *status, const char *error)
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
        site_set_status(s, NULL, NULL);
        return;
    }
    snprintf(text, sizeof(text), "%s: %s%s", what, strerror(-err), advice(err));
    const bool news = !s->troubled || s->trouble.error == NULL || strcmp(text, s->error) != 0;
    memcpy(s->error, text, sizeof(text));
    site_set_status(s, "error", s->error);
    if (news)
        log_warn("landing zone cannot be watched", LOG_STR("zone", s->path),
                 LOG_STR("directory", s->directory), LOG_STR("error", text));
}

/* ---- opening ---- */

static void arm_work(struct worker_job *j, void *thread_state)
{
    struct site *s = container_of(j, struct site, arm_job);
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
    s->retry_ms = ZONE_RETRY_MS_MIN;
    s->rescan = s->way_changed = true;
    s->unwatched = s->arm_wd < 0;
    if (s->unwatched)
        site_set_error(s, s->arm_wd, "cannot watch the directory");
    else
        site_set_error(s, 0, NULL);
    if (!s->unwatched)
        watch_register(s, s->arm_wd, "");
}

void site_arm_told(struct timer *t)
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
                site_prime(s); /* nothing was there before it */
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

void site_arm(struct site *s)
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

void site_arm_due(struct timer *t)
{
    site_step(container_of(t, struct site, retry));
}
