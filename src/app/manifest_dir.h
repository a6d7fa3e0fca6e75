/* manifest_dir.h - a directory of manifests that is kept applied: `pawl serve --manifests DIR`.
 *
 * Its *.yaml, *.yml and *.json are applied at start, and again when they change. It is the source of truth for what it defined: what is in no
 * file any more is deleted. A file with a problem is left out, and what it defined stays as it was; so does everything while the
 * directory cannot be read. Files are read on a reader thread.
 *
 *     notice ──QUIET_MS without another──> read, plan, put, commit ──> notice meanwhile? once more
 */
#ifndef APP_MANIFEST_DIR_H
#define APP_MANIFEST_DIR_H
#include "api/manifest_job.h"
#include "api/manifests.h"
#include "io/loop/timers.h"
#include <uv.h>

struct manifest_dir {
    struct manifest_job job;
    struct manifest_state state;
    struct api *api;
    char *parent, *base; /* of the directory: where it is, and its name there */
    uv_fs_event_t watches[2]; /* the directory; its parent */
    bool watching[2];
    int watch_error;          /* negative errno: why one of them cannot be watched: then it is looked at every second; 0: both are */
    struct timer settle;      /* an application is due then */
    struct mono noticed_at;   /* the first notice since the last application; 0: none */
    bool running, again, closing;
    char *load_error;         /* the job's */
    bool unread;              /* the job's: a file could not be read, and may be later */
    void (*applied)(void *arg); /* after the first application, whatever came of it */
    void (*closed)(void *arg);
    void *arg;
    unsigned handles; /* that are open */
};

/* Applies it, and begins to watch; the loop must run for applied() to come. `directory` is borrowed. */
void manifest_dir_start(struct manifest_dir *d, struct api *a, const char *directory, void (*applied)(void *arg), void *arg);

/* Ends: closed() is called once nothing is under way, maybe at once. Only after start. */
void manifest_dir_close(struct manifest_dir *d, void (*closed)(void *arg), void *arg);
void manifest_dir_release(struct manifest_dir *d); /* after that, or without any start */

#endif
