/* app.c - the daemon's life, as one state machine with one driver, app_step().
 *
 *     app_run ──> SERVING ──signal──> DRAINING ──nothing runs, all is on disk──> CLOSING ──all handles closed──> loop ends
 *                                        │ ^
 *                                        └─┘ grace over: what still runs is interrupted
 *
 *   SERVING   requests are taken, runs are started
 *   DRAINING  the server takes no new connections, answers what it holds; running runs may end; no pending run is started
 *   CLOSING   nothing runs and nothing is unwritten; waiters were told, half requests refused; everything closes, the journal last
 *
 * A second signal in any state ends the process at once: what was acknowledged is on disk, what ran is found at the next start.
 */
#include "app/app.h"
#include "api/api.h"
#include "api/auth.h"
#include "api/kube.h"
#include "app/follow.h"
#include "app/host.h"
#include "app/load.h"
#include "app/manifest_dir.h"
#include "app/pump.h"
#include "app/sweep.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "executor/dispatcher.h"
#include "io/http/http.h"
#include "io/secret/seal.h"
#include "io/secret/secret.h"
#include "io/store/db.h"
#include "io/store/query.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond the operator's grace: executors kill what does not end, answers go out. Then the daemon gives up and exits with 1. */
#define STOP_SLACK_MS 20000

/* Old events and runs are removed this long after a commit, if there was one. */
#define RETAIN_EVERY_MS (5 * 60 * 1000)

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

/* ---- stopping ---- */

static void app_step(struct app *a);

static void part_closed(void *arg)
{
    struct app *a = arg;
    CHECK(a->closing > 0);
    a->closing--;
    app_step(a);
}

static void handle_closed(uv_handle_t *h)
{
    part_closed(h->loop->data);
}

static void http_stopped(void *arg)
{
    struct app *a = arg;
    a->http = a->api.http = NULL;
    part_closed(a);
}

/* Nothing is carried out any more: whoever asks from here on finds no dispatcher. */
static void close_dispatcher(struct app *a)
{
    struct dispatcher *d = a->dispatcher;
    timer_cancel(&a->timers, &a->grace_over);
    a->dispatcher = a->host.dispatcher = a->pump.dispatcher = NULL;
    dispatcher_close(d, part_closed, a);
}

static void close_parts(struct app *a)
{
    a->state = APP_CLOSING;
    if (a->http != NULL)
        http_server_refuse(a->http);
    host_refuse(&a->host);
    host_abandon_waiters(&a->host);
    follow_abandon(&a->host);
    a->closing += 4 + (unsigned)a->source_count +
                  (a->config->manifests != NULL); /* one is ours: a part may be closed at once */
    for (size_t i = 0; i < a->source_count; i++)
        source_types[i]->stop(a->sources[i], part_closed, a);
    sweep_close(&a->sweep, part_closed, a);
    close_dispatcher(a);
    if (a->config->manifests != NULL)
        manifest_dir_close(&a->manifests, part_closed, a);
    reader_close(a->reader, part_closed, a);
    part_closed(a);
}

static void timers_closed(struct timers *t)
{
    part_closed(t->loop->data);
}

/* Last: nothing can produce a batch any more. */
static void close_journal(struct app *a)
{
    a->journal_closing = true;
    a->api.journal = NULL;
    a->closing += 3 + ARRAY_SIZE(a->signals);
    journal_close(a->journal, part_closed, a);
    pump_close(&a->pump, handle_closed);
    timer_cancel(&a->timers, &a->grace_over);
    timer_cancel(&a->timers, &a->give_up);
    timer_cancel(&a->timers, &a->retain);
    timers_close(&a->timers, timers_closed);
    for (size_t i = 0; i < ARRAY_SIZE(a->signals); i++)
        uv_close((uv_handle_t *)&a->signals[i], handle_closed);
}

static bool all_done(const struct app *a)
{
    return dispatcher_running(a->dispatcher) == 0 && !host_has_results(&a->host) &&
           pump_idle(&a->pump);
}

static void app_step(struct app *a)
{
    if (a->state == APP_DRAINING && all_done(a))
        close_parts(a);
    else if (a->state == APP_CLOSING && a->closing == 0 && !a->journal_closing &&
             pump_idle(&a->pump))
        close_journal(a);
}

static void grace_over(struct timer *t)
{
    struct app *a = container_of(t, struct app, grace_over);
    log_warn("grace is over, interrupting what still runs",
             LOG_INT("running", dispatcher_running(a->dispatcher)));
    dispatcher_interrupt(a->dispatcher);
}

static size_t running(const struct app *a)
{
    return a->dispatcher != NULL ? dispatcher_running(a->dispatcher) : 0;
}

static void kill_all(struct app *a)
{
    if (a->dispatcher != NULL)
        dispatcher_kill(a->dispatcher);
}

static void give_up(struct timer *t)
{
    struct app *a = container_of(t, struct app, give_up);
    log_error("could not stop in order; what was acknowledged is on disk, the rest is sorted out "
              "at the next start",
              LOG_INT("running", running(a)));
    kill_all(a);
    _exit(1);
}

static void drain(struct app *a)
{
    uint64_t grace_ms = a->config->stop_grace_seconds * 1000;
    a->state = APP_DRAINING;
    a->api.stopping = a->host.host.stopping = true;
    engine_hold(a->engine);
    dispatcher_withdraw(a->dispatcher, 0);
    a->closing++;
    http_server_stop(a->http, grace_ms + STOP_SLACK_MS / 2, http_stopped, a);
    timer_set(&a->timers, &a->grace_over, grace_ms);
    timer_set(&a->timers, &a->give_up, grace_ms + STOP_SLACK_MS);
    app_step(a);
}

static void stop_signal(uv_signal_t *h, int signo)
{
    struct app *a = h->loop->data;
    if (a->state != APP_SERVING) {
        kill_all(a);
        _exit(128 + signo);
    }
    log_info("stopping", LOG_STR("signal", strsignal(signo)),
             LOG_INT("running", dispatcher_running(a->dispatcher)));
    drain(a);
}

static void hangup_signal(uv_signal_t *h, int signo)
{
    struct app *a = h->loop->data;
    auth_reload(a->api.auth, &a->host.host);
}

/* ---- living ---- */

static void run_moved(struct pump *p, const struct effect_move_run *r)
{
    follow_moved(&container_of(p, struct app, pump)->host, r);
}

static void run_ended(struct pump *p, const struct effect_move_run *r)
{
    host_run_ended(&container_of(p, struct app, pump)->host, r);
}

static void pending_dropped(struct pump *p, struct slice why)
{
    struct app_host *h = &container_of(p, struct app, pump)->host;
    host_pending_dropped(h, why);
    follow_pending_dropped(h);
}

static void batch_settled(struct pump *p, int err)
{
    struct app *a = container_of(p, struct app, pump);
    if (err != 0)
        log_error("commit failed, callers were told to try again",
                  LOG_STR("error", db_strerror(err)));
    else if (!wheel_is_set(&a->retain.w) && a->state == APP_SERVING)
        timer_set(&a->timers, &a->retain, RETAIN_EVERY_MS);
    app_step(a);
}

static void retain(struct timer *t)
{
    struct app *a = container_of(t, struct app, retain);
    const struct retention r = {
        .age_ms = a->config->retention_days * 24 * 3600 * 1000,
        .count_max = a->config->retention_count,
        .topic_age_ms = a->config->topic_hours * 3600 * 1000,
        .topic_bytes_max = a->config->topic_bytes_max,
    };
    journal_retain(a->journal, &r, clock_now(&a->loop).wall);
}

static void retain_now(struct host *h)
{
    struct app *a = container_of(container_of(h, struct app_host, host), struct app, host);
    if (a->state == APP_SERVING)
        timer_set(&a->timers, &a->retain, 0);
}

/* ---- starting ---- */

/* What went wrong is said on stderr in one line, whatever the log's form. */
static int refuse(const struct diag *why)
{
    fprintf(stderr, "pawl serve: %s\n", why->msg);
    return -EINVAL;
}

static int open_store(struct app *a, struct db **ret)
{
    struct diag why;
    a->lock_fd = db_lock_dir(a->config->data, &why);
    if (a->lock_fd < 0)
        return refuse(&why);
    sweep_prepare(&a->sweep, a->config->data);
    *ret = db_open(a->config->data, &why);
    return *ret != NULL ? 0 : refuse(&why);
}

/* The catalog comes into memory; what was running when the last daemon ended is sorted out and written before anything else. */
static int recover(struct app *a, struct db *db)
{
    struct diag why;
    struct now now = clock_now(&a->loop);
    const int swept = store_find_unswept(db, &a->sweep.runs, &a->sweep.run_count);
    if (swept != 0) {
        diag_set(&why, DIAG_UNAVAILABLE, "cannot write to the database in '%s': %s",
                 a->config->data, db_strerror(swept));
        return refuse(&why);
    }
    if (store_load(db, a->engine, now, &load_def_maker, &why) < 0)
        return refuse(&why);
    struct batch *b = engine_take(a->engine);
    if (b == NULL)
        return 0;
    log_info("runs were interrupted by the last stop", LOG_INT("records", b->record_count));
    int err = journal_write(db, b);
    engine_settle(a->engine, now, b, err);
    engine_recycle(a->engine, b);
    if (err == 0)
        return 0;
    diag_set(&why, DIAG_UNAVAILABLE, "cannot write to the database in '%s': %s", a->config->data,
             db_strerror(err));
    return refuse(&why);
}

static int open_seal(struct app *a)
{
    struct diag why;
    if (seal_open(&a->seal, a->config->data, &why) < 0)
        return refuse(&why);
    load_check_secrets(a->engine, &a->seal);
    return 0;
}

static uint64_t seed(void)
{
    uint64_t s;
    secret_random(&s, sizeof(s));
    return s;
}

static void make_engine(struct app *a)
{
    const struct engine_options opt = {
        .running_max = (uint32_t)a->config->running_max,
        .leased_max = (uint32_t)a->config->leased_max,
        .batch_bytes_max = a->config->journal_bytes_max,
    };
    a->engine = engine_create(&opt, clock_now(&a->loop), seed());
}

static void make_pump(struct app *a, struct db *db)
{
    a->journal = journal_create(&a->loop, db, pump_committed, &a->pump);
    a->reader = reader_create(&a->loop, a->config->data);
    host_init(&a->host, &a->loop, &a->timers, a->engine, a->reader, a->config->public_url);
    a->data = realpath(a->config->data, NULL); /* it was locked and opened: it is there */
    a->host.host.data = a->data != NULL ? a->data : a->config->data;
    a->host.host.retain = retain_now;
    a->host.host.seal = &a->seal;
    a->host.host.nats = &a->config->nats;
    a->host.host.upload_bytes_max = a->config->upload_bytes_max;
    a->host.host.brokers = &a->config->brokers;
    a->dispatcher = a->host.dispatcher = dispatcher_create(&a->host.host);
    a->pump = (struct pump){
        .host = &a->host.host,
        .engine = a->engine,
        .journal = a->journal,
        .dispatcher = a->dispatcher,
        .run_moved = run_moved,
        .run_ended = run_ended,
        .pending_dropped = pending_dropped,
        .settled = batch_settled,
    };
}

static void make_server(struct app *a)
{
    const struct http_server_options opt = {
        .loop = &a->loop,
        .timers = &a->timers,
        .limits = config_http_limits(a->config),
        .authorize = auth_authorize,
        .word_error = kube_word_error,
        .arg = a->api.auth,
    };
    a->http = http_server_create(&opt);
    a->api.host = &a->host.host;
    a->api.http = a->http;
    a->api.journal = a->journal;
    api_routes(&a->api, a->http);
}

static int start_sources(struct app *a)
{
    struct diag why;
    for (size_t i = 0; source_types[i] != NULL; i++) {
        CHECK(i < ARRAY_SIZE(a->sources));
        a->sources[i] = source_types[i]->start(&a->host.host, a->http, &why);
        if (a->sources[i] == NULL)
            return refuse(&why);
        a->source_count++;
    }
    return 0;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* Promise 7: nothing but this machine gets in without a key, unless the operator says so. */
static int check_exposure(struct app *a)
{
    if (a->config->allow_unauthenticated)
        return 0;
    for (size_t i = 0; i < a->config->listen.len; i++) {
        if (is_loopback(a->config->listen.items[i].host))
            continue;
        auth_require_key(a->api.auth); /* also when the last key is dropped later */
        if (auth_key_count(a->api.auth) > 0)
            continue;
        struct diag why;
        diag_set(
            &why, DIAG_PERMISSION_DENIED,
            "refusing to listen on %s without an API key: others could start commands here. Make "
            "one with "
            "`pawl key add NAME --data %s`, listen on 127.0.0.1, or give --allow-unauthenticated",
            a->config->listen.items[i].host, a->config->data);
        return refuse(&why);
    }
    return 0;
}

/* What has to be ready for runs is told which pipelines there are. */
static void provide(struct app *a)
{
    for (struct pipeline *p = engine_catalog(a->engine)->pipelines_by_id; p != NULL;
         p = p->by_id.next)
        if (p->def->gets_ready)
            dispatcher_provide(a->dispatcher, p->key, slice_of(p->path), p->def->version,
                               slice_of(p->def->spec));
}

static void format_url(const struct listen_address *l, uint16_t port, struct str *ret)
{
    bool v6 = strchr(l->host, ':') != NULL;
    str_printf(ret, v6 ? "http://[%s]:%u" : "http://%s:%u", l->host, port);
}

/* Listens everywhere; the first address is the one announced. */
static int listen_all(struct app *a, struct str *ret_url)
{
    for (size_t i = 0; i < a->config->listen.len; i++) {
        const struct listen_address *l = &a->config->listen.items[i];
        uint16_t port;
        int err = http_server_listen(a->http, l->host, l->port, &port);
        if (err < 0) {
            struct diag why;
            diag_set(&why, DIAG_UNAVAILABLE, "cannot listen on %s port %u: %s", l->host, l->port,
                     strerror(-err));
            return refuse(&why);
        }
        struct str url = {0};
        format_url(l, port, &url);
        log_info("listening", LOG_STR("url", url.p));
        if (i == 0)
            *ret_url = url;
        else
            str_release(&url);
    }
    return 0;
}

/* `pawl key` sends SIGHUP to whoever holds the lock: until it is listened to, it has to wait. */
static void hold_hangups(int how)
{
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    CHECK(pthread_sigmask(how, &hangup, NULL) == 0);
}

static void start_signals(struct app *a)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        CHECK(uv_signal_init(&a->loop, &a->signals[i]) == 0);
        CHECK(uv_signal_start(&a->signals[i], numbers[i] == SIGHUP ? hangup_signal : stop_signal,
                              numbers[i]) == 0);
    }
    hold_hangups(SIG_UNBLOCK);
}

/* With manifests: once they are applied. */
static void announce(void *arg)
{
    const struct app *a = arg;
    printf("ready %s\n", a->url);
    fflush(stdout);
}

static int start(struct app *a)
{
    struct db *db;
    hold_hangups(SIG_BLOCK);
    int err = open_store(a, &db);
    if (err < 0)
        return err;
    make_engine(a);
    if (recover(a, db) < 0 || open_seal(a) < 0) {
        db_close(db);
        return -EINVAL;
    }
    a->api.auth = auth_create();
    err = auth_load(a->api.auth, db);
    if (err < 0) {
        struct diag why;
        diag_set(&why, DIAG_UNAVAILABLE, "cannot read the API keys: %s", db_strerror(err));
        db_close(db);
        return refuse(&why);
    }
    make_pump(a, db);
    sweep_start(&a->sweep, &a->host.host);
    make_server(a);
    struct str url = {0};
    err = check_exposure(a);
    if (err == 0)
        err = start_sources(a);
    if (err == 0)
        err = listen_all(a, &url);
    if (err == 0) {
        a->host.host.url = a->url = str_detach(&url);
        start_signals(a);
        pump_start(&a->pump);
        provide(a);
        if (a->config->manifests != NULL)
            manifest_dir_start(&a->manifests, &a->api, a->config->manifests, announce, a);
        else
            announce(a);
    }
    str_release(&url);
    return err;
}

int app_run(const struct config *c)
{
    struct app a = {.config = c, .lock_fd = -1};
    CHECK(uv_loop_init(&a.loop) == 0);
    a.loop.data = &a;
    timers_init(&a.timers, &a.loop);
    a.grace_over.fired = grace_over;
    a.give_up.fired = give_up;
    a.retain.fired = retain;
    if (start(&a) < 0)
        _exit(1); /* nothing was accepted, nothing runs: the system cleans up */
    uv_run(&a.loop, UV_RUN_DEFAULT);
    CHECK(a.closing == 0 && a.http == NULL);
    auth_destroy(a.api.auth);
    host_deinit(&a.host);
    engine_destroy(a.engine);
    CHECK(uv_loop_close(&a.loop) == 0);
    sweep_deinit(&a.sweep);
    manifest_dir_release(&a.manifests);
    db_unlock_dir(a.lock_fd);
    free(a.data);
    free(a.url);
    log_info("stopped");
    return 0;
}
