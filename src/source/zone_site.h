/* zone_site.h - how the parts of the zone source work together. Nobody else includes it.
 *
 *     zone.c        the source: trigger types, the catalog's zones against the sites that are watched
 *     zone_site.c   one site, from its beginning to its end: what it does next
 *     zone_arm.c    its directory is opened and watched, again and again if need be
 *     zone_way.c    whether the path still leads to it
 *     zone_paths.c  sets of paths
 *     zone_watch.c  inotify: which directory a notice is about, and what it means
 *     zone_scan.c   going through directories, a slice at a time, on a worker
 *     zone_round.c  candidates become arrivals: a look at the file, a look into the ledger, an event
 *     zone_same.c   whether a file is one that has arrived already
 *     zone_later.c  files that are not ready yet
 *     zone_event.c  an arrival as an event
 *     zone_fs.c     the file system, for the workers
 *     zone_spool.c  a file that is uploaded, on its way to the disk
 *     zone_upload.c, zone_files.c   files that come and go over HTTP
 *
 *     inotify ─────> candidates ──┐
 *     scan slices ────────────────┴──> round: look, ledger, [writers] ──> feed ──> commit ──> done
 *
 * A site does one thing at a time: a round, or a slice of a scan, which ends in a round of its own. So two rounds never decide about
 * the same file at once. A round is over when its events are fed; until they are on disk their paths are `flying`, and what
 * concerns them waits. Everything that arrives twice is found in the ledger then.
 */
#ifndef SOURCE_ZONE_SITE_H
#define SOURCE_ZONE_SITE_H
#include "base/arena.h"
#include "base/vec.h"
#include "core/catalog.h"
#include "core/zone.h"
#include "io/loop/timers.h"
#include "io/loop/worker.h"
#include "io/store/query.h"
#include "pawl/event.h"
#include "pawl/host.h"
#include "source/zone_fs.h"
#include <dirent.h>
#include <uthash.h>
#include <uv.h>

#define ZONE_ROUND_MAX 1024       /* candidates in one round */
#define ZONE_CANDIDATES_MAX 65536 /* of all sites; beyond it the kernel's queue has to hold more */
#define ZONE_FLYING_MAX 16384     /* events of a site on their way to the disk */
#define ZONE_LATER_MAX                                                                             \
    16384 /* files of a site that are looked at again; beyond it everything is, later */
#define ZONE_SLICE_ENTRIES_MAX 4096 /* directory entries in one slice of a scan */
#define ZONE_ORPHANS_MAX 4096       /* notices about directories that a scan has not reported yet */
#define ZONE_WORKER_THREADS 4       /* so that a mount that hangs does not stop the others */
#define ZONE_RETRY_MS_MIN 100       /* a directory that cannot be watched: first and longest wait */
#define ZONE_RETRY_MS_MAX 5000
#define ZONE_POLL_MS 30000  /* between rescans where the file system does not tell */
#define ZONE_SETTLE_MS 2000 /* for a file to stand still there */
#define ZONE_EMPTY_MS 1000  /* for one that is empty, perhaps because it has only just been made */
#define ZONE_TICK_MS 12     /* longer than a tick of the clock that stamps files, at 100 Hz */
#define ZONE_FAILED_MS 500  /* until what could not be written is tried again */

struct site;
struct zones;

/* What is known of a path that is to be looked at; the more telling is the greater. */
enum notice {
    NOTICE_ATTRIBUTES, /* somebody has set its times, or its mode: no arrival, whatever it looks like, unless it is known */
    NOTICE_NAME,       /* it is there */
    NOTICE_COMPLETE,   /* its writer has closed it, or it was moved here: an empty file may be all there is */
};

/* A path with something attached, in a hash. */
struct site_path {
    UT_hash_handle hh;
    enum notice notice;
    size_t len;
    char path[]; /* with a NUL */
};

/* ---- rounds ---- */

struct round;

enum item_fate { FATE_NONE, FATE_FIRE, FATE_RECORD, FATE_KEEP, FATE_FORGET };

struct item {
    struct round *round;
    char *path; /* the round's */
    size_t len;
    struct zone_look look;
    bool looked;  /* `look` is set */
    bool checked; /* for writers, too */
    enum notice notice;
    enum item_fate fate;
    struct ticket ticket;
    struct site_path *flying;
};

struct round {
    struct site *site;
    struct worker_job job;
    struct read_job read;
    VEC(struct item) items;
    struct ledger_look *ledger;
    bool priming; /* what nobody has given notice of was there before the zone */
    bool emptied; /* its directory is not there: only what the ledger has is looked for */
    bool writers; /* the look that is under way is for writers, too */
    int err;
    size_t fed;  /* items dealt with by feeding */
    size_t open; /* tickets out */
    bool ended;  /* the site goes on without it; it is freed with the last ticket */
    struct timer again;
};

/* Starts a round over candidates or over what a slice has found; it takes r. The site is busy until site_round_over(). */
struct round *round_make(struct site *s);
void round_add(struct round *r, const char *path, size_t len, const struct zone_look *look);
void round_start(struct round *r);

/* ---- scans ---- */

struct found_dir {
    int wd;
    char *path;
};

/* A walk over directories. The worker's while a slice is under way. */
struct scan {
    struct site *site;
    struct worker_job job;
    VEC(char *) todo; /* directories below the site; "" is itself */
    DIR *dir;
    char *dir_path;
    struct zone_def *def;
    int inotify_fd;
    bool whole; /* it began at the top */
    bool priming;
    bool emptied; /* see struct round */
    bool over;
    struct round *round; /* of the slice */
    VEC(struct found_dir) watched;
    int watch_err; /* a directory could not be opened, or not be watched: */
    char watch_what[128];
    int err;       /* the site's directory could not be opened */
    bool sweeping; /* the walk is over: the ledger is gone through for files that are gone */
    struct str ledger_at;
    struct read_job read;
    struct arena paths;
    struct slice *swept;
    size_t swept_count;
    int sweep_err;
};
void scan_begin(struct site *s, bool whole);
void scan_begin_emptied(struct site *s); /* the directory is gone: the ledger is told */
void scan_go_on(struct scan *c); /* the next slice */
void scan_destroy(struct scan *c);

/* ---- sites ---- */

struct later {
    UT_hash_handle hh;
    struct zone_look look; /* what it looked like, for settling */
    uint64_t since_ms;     /* it has looked so */
    uint64_t due_ms;       /* UINT64_MAX: it is a candidate again */
    unsigned tries;
    size_t len;
    char path[];
};

/* A directory of a site that is watched; or a directory or link on the way to it. */
struct watched_dir {
    struct site *site;
    struct watch *watch;
    char *path;  /* below the site; "" is itself. NULL: on the way */
    bool wanted; /* on the way, also now that it was followed again */
    struct watched_dir *watch_prev, *watch_next;
    struct watched_dir *prev, *next; /* of the site */
};

/* What inotify knows as one: a directory (or a link), of as many sites as look at it. */
struct watch {
    int wd;
    struct watched_dir *dirs, *ways; /* of sites, on the way to sites */
    UT_hash_handle hh;
};

struct site {
    struct zones *all;
    struct uuid id;
    int64_t key;
    char *path, *directory, *ns; /* path: "ns.name" */
    const char *name;
    bool made_by_us, primed;
    struct zone_def *def;
    UT_hash_handle hh; /* by key */

    bool dropped; /* to be freed as soon as nothing is under way */
    bool armed;   /* the directory is open to us, and watched where possible */
    bool local;
    bool unwatched; /* some of it cannot be opened or watched: rescans have to do */
    bool tried;     /* once at least */
    bool emptied;   /* the directory is gone, and the ledger has been told, or is being told */
    struct zone_root root;
    int64_t since_ns; /* until it is primed: what has not changed since then was there before the zone, or its definition */
    struct watched_dir *dirs, *ways;

    /* what is to be done */
    bool way_changed;   /* the path may lead elsewhere now */
    bool way_last;      /* that was looked into last: it is the others' turn */
    bool way_unwatched; /* some of it: inotify had no room */
    struct site_path *candidates, *subtrees;
    bool rescan;
    struct scan *scan;
    struct later *later;

    bool touched; /* in the list of those that inotify had something for */
    struct site *touched_next;
    bool busy;      /* with a round, a slice, or opening */
    bool scan_next; /* the scan's turn, so that candidates cannot hold it up for ever */
    bool priming_out;
    struct ticket primed_ticket;
    struct site_path *flying;
    size_t tickets; /* out; not freed before 0 */
    unsigned held;  /* by uploads and the like: not freed before 0 */

    uint64_t retry_ms;
    struct timer retry, look_again, rescan_due, tell;
    struct worker_job arm_job;
    int arm_err, arm_wd, arm_inotify;
    uint64_t arm_dev, arm_ino;
    bool arm_local;

    struct zone_trouble trouble;
    bool troubled;
    char error[256];
};

struct site *site_create(struct zones *all, const struct zone *z);
void site_step(struct site *s);   /* does what is next, unless it is busy; may free s */
void site_disarm(struct site *s); /* the directory is another one or gone: begins anew */
void site_drop(struct site *s);
void site_redefine(struct site *s, const struct zone *z);
void site_round_over(struct site *s, struct round *r);
void site_hold(struct site *s);
void site_release(struct site *s);                              /* may free s */
void site_prime(struct site *s); /* what was there before the zone is in the ledger: to be written */

/* ---- opening: zone_arm.c ---- */
void site_arm(struct site *s);
void site_arm_due(struct timer *t);  /* of s->retry */
void site_arm_told(struct timer *t); /* of s->tell */
/* What people are told: NULL for both when all is well. Both are kept, not copied. */
void site_set_status(struct site *s, const char *status, const char *error);
void site_set_error(struct site *s, int err, const char *what); /* err 0: there is none */

/* ---- the way to it: zone_way.c ---- */
bool site_follow(struct site *s); /* if the way may have changed; the site is busy then. It disarms a site whose path leads elsewhere */
void mounts_open(struct zones *all); /* every mount may change ways */
void mounts_close(struct zones *all);

/* A path may have something to be noticed. Copies it. */
void site_notice(struct site *s, const char *path, size_t len, enum notice notice);
void site_notice_dir(struct site *s, const char *path);

/* ---- sets of paths: zone_paths.c ---- */
struct site_path *site_path_find(struct site_path *set, const char *path, size_t len);
/* Whether a directory that it is in is in the set. */
bool site_path_covered(struct site_path *set, const char *path, size_t len);
struct site_path *site_path_add(struct site_path **set, const char *path, size_t len);
void site_paths_clear(struct site_path **set);

/* From before an upload is put in place until it is on disk nobody else deals with its path. */
struct site_path *site_fly(struct site *s, const char *path, size_t len);
void site_land(struct site *s, struct site_path *p);

/* Feeds the event of a file in s. As host->feed. */
int site_feed(struct site *s, const char *path, size_t len, const struct zone_look *look,
              struct slice name, struct slice content_type, struct ticket *t);

/* ---- files to be looked at again: zone_later.c ---- */
bool later_ready(
    struct site *s,
    const struct item *it); /* has it stood still? If not, it will be looked at again */
void later_busy(struct site *s,
                const struct item *it); /* it is open for writing, or could not be looked at */
bool later_has(struct site *s, const char *path, size_t len);
void later_again(struct site *s, const char *path, size_t len, uint64_t in_ms);
void later_forget(struct site *s, const char *path, size_t len);
void later_clear(struct site *s);
void later_due(struct timer *t);

/* ---- inotify: zone_watch.c ---- */
int watch_open(struct zones *all); /* if it is not open yet */
void watch_close(struct zones *all);
void watch_drain(struct zones *all);          /* reads what is there now */
void watch_resume(struct zones *all);         /* if it had to stop */
int watch_add_fd(int inotify_fd, int dir_fd); /* on any thread: a wd or a negative errno */
void watch_register(struct site *s, int wd, const char *path);
void watch_register_way(struct site *s, const int *wds, size_t n); /* these, and no others any more */
void watch_forget_below(struct site *s, const char *path); /* "": all */
void watch_keep_top(struct site *s);                       /* all but its own directory */
void watch_scans_done(struct zones *all); /* orphans find their directories, or go */

/* ---- the source ---- */

#define ZONE_UPLOADS_MAX 64 /* at the same time; beyond it 503 */

struct zones {
    struct host *host;
    struct zone_watcher offer;
    struct site *sites; /* by key */
    struct zone_waiter *waiters;
    struct worker *worker;
    size_t candidate_count;

    int inotify_fd;
    uint64_t overflow_ms; /* when lost notices were last told of */
    uv_poll_t poll, mounts;
    int mounts_fd; /* -1: nobody tells of mounts */
    bool polling, paused;
    struct watch *watches;
    unsigned walking;   /* slices under way that may add watches */
    struct str orphans; /* notices as the kernel gave them */
    struct site *touched;

    struct worker *upload_worker;
    struct upload *uploads; /* DL */
    unsigned upload_count;

    bool stopping, ending;
    unsigned open; /* handles, workers and held sites to be closed */
    void (*closed)(void *arg);
    void *arg;
};

void zone_uploads_stop(struct zones *all);
struct site *zones_find(struct zones *all, int64_t key);
void zones_tried(struct site *s); /* tells those who wait for it */
void zones_part_closed(void *zones);

#endif
