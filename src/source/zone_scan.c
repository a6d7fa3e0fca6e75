/* zone_scan.c - going through directories.
 *
 * A directory is watched before it is read: what comes later is told of by inotify, what came earlier is found by reading. What is found
 * in a slice is decided upon before the next slice. After all directories comes the ledger, slice by slice: what it has and the
 * directories have not is gone.
 */
#include "base/check.h"
#include "base/mem.h"
#include "source/zone_site.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void scan_begin(struct site *s, bool whole)
{
    struct scan *c = mem_zalloc(sizeof(*c));
    if (whole)
        watch_open(s->all); /* there may be room for an instance now */
    c->site = s;
    c->whole = whole;
    c->priming = whole && !s->primed;
    c->def = zone_def_ref(s->def);
    c->inotify_fd = s->all->inotify_fd;
    if (whole) {
        s->rescan = false;
        s->unwatched = c->inotify_fd < 0;
        vec_push(&c->todo, mem_strdup(""));
    }
    struct site_path *p, *tmp;
    HASH_ITER (hh, s->subtrees, p, tmp) {
        if (!whole && !site_path_covered(s->subtrees, p->path, p->len))
            vec_push(&c->todo, mem_strdup(p->path));
    }
    if (!c->priming) /* else they are new, and so is what is below them: they have their turn afterwards */
        site_paths_clear(&s->subtrees);
    s->scan = c;
}

void scan_begin_emptied(struct site *s)
{
    struct scan *c = mem_zalloc(sizeof(*c));
    c->site = s;
    c->emptied = c->sweeping = true;
    c->def = zone_def_ref(s->def);
    s->scan = c;
}

void scan_destroy(struct scan *c)
{
    if (c == NULL)
        return;
    if (c->dir != NULL)
        closedir(c->dir);
    free(c->dir_path);
    for (size_t i = 0; i < c->todo.len; i++)
        free(c->todo.items[i]);
    vec_release(&c->todo);
    for (size_t i = 0; i < c->watched.len; i++)
        free(c->watched.items[i].path);
    vec_release(&c->watched);
    str_release(&c->ledger_at);
    arena_release(&c->paths);
    free(c->swept);
    zone_def_unref(c->def);
    free(c);
}

/* ---- on the worker ---- */

/* The last one is told of. */
static void cannot(struct scan *c, const char *what, const char *path, int err)
{
    snprintf(c->watch_what, sizeof(c->watch_what), "cannot %s %s", what,
             path[0] != '\0' ? path : "the directory");
    c->watch_err = err;
}

static void next_dir(struct scan *c, int root)
{
    char *path = c->todo.items[--c->todo.len];
    const int fd = zone_fs_open_dir(root, path);
    if (fd < 0) {
        if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP) /* else it has just gone */
            cannot(c, "open", path, fd);
        free(path);
        return;
    }
    const int wd = watch_add_fd(c->inotify_fd, fd);
    if (wd >= 0)
        vec_push(&c->watched, ((struct found_dir){wd, mem_strdup(path)}));
    else
        cannot(c, "watch", path, wd);
    c->dir = fdopendir(fd);
    if (c->dir == NULL) {
        close(fd);
        free(path);
        return;
    }
    c->dir_path = path;
}

static void dir_over(struct scan *c)
{
    closedir(c->dir);
    free(c->dir_path);
    c->dir = NULL;
    c->dir_path = NULL;
}

static bool is_dir(struct scan *c, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dirfd(c->dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void enter_later(struct scan *c, struct slice path)
{
    if (path.len < PATH_MAX)
        vec_push(&c->todo, mem_dup(path.p, path.len));
    else
        cannot(c, "open", path.p, -ENAMETOOLONG);
}

static void entry(struct scan *c, const struct dirent *e)
{
    struct zone_look look;
    struct str path = {0};
    const struct slice name = slice_of(e->d_name);
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return;
    str_printf(&path, "%s%s%s", c->dir_path, c->dir_path[0] != '\0' ? "/" : "", e->d_name);
    if (is_dir(c, e)) {
        if (zone_enters(c->def, name, str_slice(&path)))
            enter_later(c, str_slice(&path));
    } else if ((e->d_type == DT_REG || e->d_type == DT_UNKNOWN) &&
               zone_wants(c->def, name, str_slice(&path))) {
        zone_fs_look_at(dirfd(c->dir), e->d_name, &look);
        if (look.kind == LOOK_FILE)
            round_add(c->round, path.p, path.len, &look);
    }
    str_release(&path);
}

static void slice_work(struct worker_job *j, void *thread_state)
{
    struct scan *c = container_of(j, struct scan, job);
    const int root = zone_fs_root(&c->site->root);
    c->err = root < 0 ? root : 0;
    for (unsigned n = 0;
         root >= 0 && n < ZONE_SLICE_ENTRIES_MAX && c->round->items.len < ZONE_ROUND_MAX; n++) {
        const struct dirent *e = c->dir != NULL ? readdir(c->dir) : NULL;
        if (e != NULL)
            entry(c, e);
        else if (c->dir != NULL)
            dir_over(c);
        else if (c->todo.len > 0)
            next_dir(c, root);
        else
            break;
    }
    if (root >= 0)
        close(root);
}

/* ---- on the loop ---- */

static void register_watches(struct scan *c)
{
    struct site *s = c->site;
    for (size_t i = 0; i < c->watched.len; i++) {
        if (s->armed)
            watch_register(s, c->watched.items[i].wd, c->watched.items[i].path);
        free(c->watched.items[i].path);
    }
    c->watched.len = 0;
    if (c->watch_err == 0 || !s->armed)
        return;
    s->unwatched = true;
    site_set_error(s, c->watch_err, c->watch_what);
    c->watch_err = 0;
}

static void slice_done(struct worker_job *j, bool cancelled)
{
    struct scan *c = container_of(j, struct scan, job);
    struct site *s = c->site;
    s->all->walking--;
    register_watches(c);
    watch_scans_done(s->all);
    if (c->err != 0)
        site_disarm(s);
    if (cancelled || c->err != 0)
        c->round->items.len = 0; /* nothing was found */
    c->sweeping = c->dir == NULL && c->todo.len == 0;
    c->over = c->sweeping && !c->whole;
    round_start(c->round);
}

static void walk(struct scan *c)
{
    struct zones *all = c->site->all;
    c->job = (struct worker_job){.work = slice_work, .done = slice_done};
    all->walking++;
    if (worker_post(all->worker, &c->job) < 0)
        slice_done(&c->job, true);
}

static void sweep_work(struct read_job *j, struct db *db)
{
    struct scan *c = container_of(j, struct scan, read);
    const struct slice at = c->ledger_at.len > 0 ? str_slice(&c->ledger_at) : SLICE_NONE;
    c->sweep_err = query_ledger_paths(db, c->site->key, at, &c->paths, c->swept, ZONE_ROUND_MAX,
                                      &c->swept_count);
}

static void sweep_done(struct read_job *j, int err)
{
    struct scan *c = container_of(j, struct scan, read);
    const bool failed = err != 0 || c->sweep_err != 0;
    for (size_t i = 0; !failed && i < c->swept_count; i++)
        round_add(c->round, c->swept[i].p, c->swept[i].len, NULL);
    if (!failed && c->swept_count > 0) {
        str_reset(&c->ledger_at);
        str_add_slice(&c->ledger_at, c->swept[c->swept_count - 1]);
    }
    c->over = failed || c->swept_count < ZONE_ROUND_MAX;
    arena_reset(&c->paths);
    round_start(c->round);
}

static void sweep(struct scan *c)
{
    struct host *h = c->site->all->host;
    if (c->swept == NULL)
        c->swept = mem_alloc(ZONE_ROUND_MAX * sizeof(*c->swept));
    c->swept_count = 0;
    c->read = (struct read_job){.work = sweep_work, .done = sweep_done};
    if (h->read(h, &c->read) < 0)
        sweep_done(&c->read, -EAGAIN);
}

void scan_go_on(struct scan *c)
{
    c->round = round_make(c->site);
    c->round->priming = c->priming;
    c->round->emptied = c->emptied;
    if (c->sweeping)
        sweep(c);
    else
        walk(c);
}
