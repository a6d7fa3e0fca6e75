/* app_internal.h - what app.c (life and end) and app_start.c (beginning) share. Nobody else includes it. */
#ifndef APP_APP_INTERNAL_H
#define APP_APP_INTERNAL_H
#include "api/api.h"
#include "app/config.h"
#include "app/host.h"
#include "app/manifest_dir.h"
#include "app/pump.h"
#include "app/sweep.h"
#include "io/loop/timers.h"
#include "io/secret/seal.h"
#include <uv.h>

enum app_state { APP_SERVING, APP_DRAINING, APP_CLOSING };

struct app {
    const struct config *config;
    enum app_state state;
    int lock_fd;
    char *data; /* the data directory, absolute */
    char *url;  /* where it listens first */

    uv_loop_t loop;
    struct timers timers;
    uv_signal_t signals[3];
    struct timer grace_over, give_up, retain;
    bool retain_due; /* sooner than in an idle daemon */

    struct seal seal;
    struct engine *engine;
    struct journal *journal;
    struct reader *reader;
    struct dispatcher *dispatcher;
    struct http_server *http;
    struct app_host host;
    struct pump pump;
    struct sweep sweep;
    struct api api;
    struct manifest_dir manifests; /* where one is configured */
    struct source *sources[32];
    size_t source_count;

    unsigned closing; /* parts that have been told to close and have not said that they are */
    bool journal_closing;
};

/* ---- app_start.c ---- */

/* Brings up everything and says that it serves. Negative when it must not, which has been said on stderr: then the process is to end, and
 * the system cleans up. */
int app_start(struct app *a);

/* ---- app.c: what the parts tell ---- */

void app_run_moved(struct pump *p, const struct effect_move_run *r);
void app_run_ended(struct pump *p, const struct effect_move_run *r);
void app_pending_dropped(struct pump *p, struct slice why);
void app_batch_settled(struct pump *p, int err);
void app_retain_now(struct host *h);
void app_stop_signal(uv_signal_t *h, int signo);
void app_hangup_signal(uv_signal_t *h, int signo);

#endif
