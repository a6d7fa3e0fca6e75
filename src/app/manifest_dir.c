#include "app/manifest_dir.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slurp.h"
#include "io/yaml/yaml.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET_MS 150     /* without a notice: whoever writes there is done */
#define PATIENCE_MS 5000 /* somebody writes all the time: then all the same */
#define RETRY_MS 1000    /* what could not be read, written or watched is tried again */

/* ---- reading; on a reader thread ---- */

static bool is_manifest(const char *name)
{
    const char *end = strrchr(name, '.');
    return name[0] != '.' && end != NULL &&
           (strcmp(end, ".yaml") == 0 || strcmp(end, ".yml") == 0 || strcmp(end, ".json") == 0);
}

static int pick(const struct dirent *e)
{
    return is_manifest(e->d_name);
}

/* One byte more than a text may have tells that it is too long. -ENOENT: it is gone by now; -ENOLINK: its link is there, and leads
 * nowhere. */
static int read_text(int dir, const char *name, struct str *ret)
{
    const int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 && errno == ENOENT && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISLNK(st.st_mode) ? -ENOLINK : -EAGAIN;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        close(fd);
        return -ENOTSUP;
    }
    const int err = slurp(fd, YAML_BYTES_MAX, ret);
    close(fd);
    return err;
}

static const char *why_unread(int err)
{
    return err == -ENOTSUP   ? "it is not a file"
           : err == -ENOLINK ? "the link leads nowhere"
                             : strerror(-err);
}

/* An empty file is most likely one that is being written: it must not delete what it defined. True: it may be readable later. */
static bool load_file(struct manifest_set *s, int dir, const char *name)
{
    struct str text = {0};
    char why[160] = "";
    const int err = read_text(dir, name, &text);
    if (err == -ENOENT) {
        str_release(&text);
        return false;
    }
    if (err != 0)
        snprintf(why, sizeof(why), "cannot be read: %s", why_unread(err));
    else if (text.len == 0)
        snprintf(why, sizeof(why),
                 "is empty; what it defined stays until it is removed, or says something else");
    manifest_set_add(s, slice_of(name), str_slice(&text));
    if (why[0] != '\0')
        manifest_fail_file(s, s->files[s->file_count - 1], (struct place){1, 1}, "", why);
    str_release(&text);
    return err != 0 && err != -ENOTSUP;
}

static void load(struct manifest_job *j)
{
    struct manifest_dir *d = container_of(j, struct manifest_dir, job);
    struct dirent **entries = NULL;
    const int dir = open(d->state.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int n = dir >= 0 ? scandirat(dir, ".", &entries, pick, alphasort) : -1;
    if (n < 0)
        d->load_error = mem_strdup(strerror(errno));
    else if (n > MANIFEST_FILES_MAX)
        d->load_error = mem_printf("there are %d files, more than %d", n, MANIFEST_FILES_MAX);
    for (int i = 0; i < n; i++) {
        if (d->load_error == NULL && load_file(&j->set, dir, entries[i]->d_name))
            d->unread = true;
        free(entries[i]);
    }
    free(entries);
    if (dir >= 0)
        close(dir);
    j->stop = d->load_error != NULL;
}

/* ---- what came of it ---- */

static const struct manifest_status *find_status(const struct manifest_state *s, const char *name)
{
    for (size_t i = 0; i < s->files.len; i++)
        if (strcmp(s->files.items[i].name, name) == 0)
            return &s->files.items[i];
    return NULL;
}

static void report_file(const struct manifest_dir *d, const struct manifest_status *now,
                        const struct manifest_status *before)
{
    if (before != NULL && strcmp(before->problems, now->problems) == 0)
        return;
    struct str at = {0};
    str_printf(&at, "%s/%s:%s", d->state.directory, now->name, now->first);
    if (now->problems[0] != '\0')
        log_warn("a manifest is left out, what it defined stays as it is",
                 LOG_STR("problem", at.p));
    else if (before != NULL)
        log_info("a manifest is in order again", LOG_STR("file", now->name));
    str_release(&at);
}

static struct manifest_status status_of(const struct manifest_dir *d, const struct manifest_file *f,
                                        const struct manifest_status *before)
{
    struct str problems = {0}, first = {0};
    manifest_add_problems(f, &problems);
    if (f->problems.len > 0)
        manifest_format_problem(&f->problems.items[0], &first);
    const struct wall never = before != NULL ? before->applied_at : WALL_UNSET;
    return (struct manifest_status){
        .name = mem_strdup(f->name),
        .problems = str_detach(&problems),
        .first = str_detach(&first),
        .objects = f->objects,
        .applied_at = f->problems.len == 0 ? d->api->host->now(d->api->host).wall : never,
    };
}

static void take_status(struct manifest_dir *d)
{
    const struct manifest_set *s = &d->job.set;
    struct manifest_state next = {.directory = d->state.directory};
    for (size_t i = 0; i < s->file_count; i++) {
        const struct manifest_status *before = find_status(&d->state, s->files[i]->name);
        const struct manifest_status now = status_of(d, s->files[i], before);
        report_file(d, &now, before);
        vec_push(&next.files, now);
    }
    manifest_state_release(&d->state);
    d->state = next;
}

static void report_changes(const struct manifest_set *s)
{
    size_t counts[MANIFEST_PRUNED + 1] = {0};
    for (size_t i = 0; i < s->docs.len; i++)
        counts[s->docs.items[i]->result] += manifest_doc_counts(s->docs.items[i]);
    counts[MANIFEST_PRUNED] = s->pruned.len;
    if (counts[MANIFEST_CREATED] + counts[MANIFEST_CONFIGURED] + counts[MANIFEST_PRUNED] > 0)
        log_info("manifests applied", LOG_INT("created", counts[MANIFEST_CREATED]),
                 LOG_INT("configured", counts[MANIFEST_CONFIGURED]),
                 LOG_INT("deleted", counts[MANIFEST_PRUNED]));
}

static void take_load_error(struct manifest_dir *d)
{
    if (d->state.error == NULL || strcmp(d->state.error, d->load_error) != 0)
        log_warn("the directory of manifests cannot be read, all stays as it is",
                 LOG_STR("directory", d->state.directory), LOG_STR("error", d->load_error));
    free(d->state.error);
    d->state.error = d->load_error;
    d->load_error = NULL;
}

/* ---- when ---- */

static void close_if_done(struct manifest_dir *d)
{
    if (d->closing && !d->running && d->handles == 0)
        d->closed(d->arg);
}

static void due_in(struct manifest_dir *d, uint64_t ms)
{
    if (!d->closing && !d->api->stopping)
        timer_set(d->api->host->timers, &d->settle, ms);
}

static void noticed(struct manifest_dir *d)
{
    const uint64_t now = d->api->host->now(d->api->host).mono.ms;
    if (d->running) {
        d->again = true;
        return;
    }
    if (d->noticed_at.ms == 0)
        d->noticed_at.ms = now;
    const uint64_t waited = now - d->noticed_at.ms;
    if (waited + QUIET_MS < PATIENCE_MS)
        due_in(d, QUIET_MS);
}

static void done(struct manifest_job *j, int err)
{
    struct manifest_dir *d = container_of(j, struct manifest_dir, job);
    void (*applied)(void *arg) = d->applied;
    d->running = false;
    if (err == 0 && d->load_error != NULL) {
        take_load_error(d);
    } else if (err == 0) {
        take_status(d);
        report_changes(&j->set);
    } else if (err != -ECANCELED) {
        log_warn("manifests cannot be applied now, trying again", LOG_INT("errno", -err));
    }
    manifest_set_release(&j->set);
    free(d->load_error);
    d->load_error = NULL;
    if (err != 0 || d->state.error != NULL || d->watch_error != 0 || d->unread)
        due_in(d, RETRY_MS);
    else if (d->again)
        due_in(d, QUIET_MS);
    d->again = false;
    d->applied = NULL;
    if (applied != NULL && !d->closing)
        applied(d->arg);
    close_if_done(d);
}

/* ---- watching ----
 *
 * Both watches are made anew before each application: the directory that is there now may be another one. */

static void dir_notice(uv_fs_event_t *h, const char *name, int events, int status)
{
    noticed(container_of(h, struct manifest_dir, watches[0]));
}

static void parent_notice(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct manifest_dir *d = container_of(h, struct manifest_dir, watches[1]);
    if (name == NULL || strcmp(name, d->base) == 0)
        noticed(d);
}

static int watch_again(struct manifest_dir *d, int i, const char *path, uv_fs_event_cb notice)
{
    if (d->watching[i])
        uv_fs_event_stop(&d->watches[i]);
    const int err = uv_fs_event_start(&d->watches[i], notice, path, 0);
    d->watching[i] = err == 0;
    return err;
}

static const char *why_unwatched(int err)
{
    switch (err) {
    case -ENOSPC:
        return "there are too many inotify watches, raise fs.inotify.max_user_watches";
    case -EMFILE:
        return "there are too many inotify instances or open files, raise "
               "fs.inotify.max_user_instances";
    default:
        return strerror(-err);
    }
}

/* A directory that is not there is told of by who reads it. */
static void watch(struct manifest_dir *d)
{
    const int above = watch_again(d, 1, d->parent, parent_notice);
    const int own = watch_again(d, 0, d->state.directory, dir_notice);
    const int err = own != 0 ? own : above;
    if (err != 0 && err != d->watch_error && err != -ENOENT)
        log_warn("the directory of manifests cannot be watched, it is looked at every second",
                 LOG_STR("directory", d->state.directory), LOG_STR("error", why_unwatched(err)));
    d->watch_error = err;
}

static void apply(struct manifest_dir *d)
{
    watch(d);
    d->unread = false;
    d->noticed_at.ms = 0;
    d->job = (struct manifest_job){
        .api = d->api,
        .load = load,
        .done = done,
        .set = {.keeps_good = true, .scope = {.prune = true, .by_file = true}},
    };
    d->running = true;
    const int err = manifest_job_start(&d->job);
    if (err < 0)
        done(&d->job, err);
}

static void settled(struct timer *t)
{
    struct manifest_dir *d = container_of(t, struct manifest_dir, settle);
    if (!d->running && !d->closing && !d->api->stopping)
        apply(d);
}

/* ---- life ---- */

void manifest_dir_start(struct manifest_dir *d, struct api *a, const char *directory,
                        void (*applied)(void *arg), void *arg)
{
    size_t len = strlen(directory);
    while (len > 1 && directory[len - 1] == '/')
        len--;
    char *path = mem_dup(directory, len), *slash = strrchr(path, '/');
    *d = (struct manifest_dir){.api = a, .applied = applied, .arg = arg, .handles = 2};
    d->state.directory = directory;
    d->base = mem_strdup(slash != NULL ? slash + 1 : path);
    d->parent = slash == NULL   ? mem_strdup(".")
                : slash == path ? mem_strdup("/")
                                : mem_dup(path, (size_t)(slash - path));
    free(path);
    d->settle.fired = settled;
    a->manifests = &d->state;
    for (int i = 0; i < 2; i++) {
        CHECK(uv_fs_event_init(a->host->loop, &d->watches[i]) == 0);
        d->watches[i].data = d;
    }
    apply(d);
}

static void handle_closed(uv_handle_t *h)
{
    struct manifest_dir *d = h->data;
    d->handles--;
    close_if_done(d);
}

void manifest_dir_close(struct manifest_dir *d, void (*closed)(void *arg), void *arg)
{
    d->closing = true;
    d->closed = closed;
    d->arg = arg;
    timer_cancel(d->api->host->timers, &d->settle);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&d->watches[i], handle_closed);
}

void manifest_dir_release(struct manifest_dir *d)
{
    manifest_state_release(&d->state);
    free(d->parent);
    free(d->base);
}
