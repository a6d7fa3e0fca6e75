/* app_start.c - from a configuration to a daemon that serves.
 *
 *     lock and open the store ─> catalog into memory, what was interrupted sorted out ─> key, auth ─> journal, pump, dispatcher
 *     ─> server, sources ─> listen ─> signals ─> ready
 *
 * Nothing is accepted before the last step but one, so whatever fails on the way is said, and the process ends as it is.
 */
#include "api/auth.h"
#include "api/kube.h"
#include "app/app_internal.h"
#include "app/load.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/engine.h"
#include "executor/dispatcher.h"
#include "io/http/http.h"
#include "io/secret/secret.h"
#include "io/store/db.h"
#include "io/store/query.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    sweep_hold(&a->sweep, a->engine);
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
    a->host.host.retain = app_retain_now;
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
        .run_moved = app_run_moved,
        .run_ended = app_run_ended,
        .pending_dropped = app_pending_dropped,
        .settled = app_batch_settled,
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

static char *make_url(const struct listen_address *l, uint16_t port)
{
    const bool v6 = strchr(l->host, ':') != NULL;
    return mem_printf(v6 ? "http://[%s]:%u" : "http://%s:%u", l->host, port);
}

/* Listens everywhere; the first address is the one announced. */
static int listen_all(struct app *a)
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
        char *url = make_url(l, port);
        log_info("listening", LOG_STR("url", url));
        if (i == 0)
            a->host.host.url = a->url = url;
        else
            free(url);
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
        CHECK(uv_signal_start(&a->signals[i],
                              numbers[i] == SIGHUP ? app_hangup_signal : app_stop_signal,
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

static int open_auth(struct app *a, struct db *db)
{
    struct diag why;
    a->api.auth = auth_create();
    const int err = auth_load(a->api.auth, db);
    if (err == 0)
        return 0;
    diag_set(&why, DIAG_UNAVAILABLE, "cannot read the API keys: %s", db_strerror(err));
    return refuse(&why);
}

/* What was accepted earlier is in memory, and everything has been made that carries it on. */
static int begin(struct app *a)
{
    struct db *db;
    if (open_store(a, &db) < 0)
        return -EINVAL;
    make_engine(a);
    if (recover(a, db) < 0 || open_seal(a) < 0 || open_auth(a, db) < 0) {
        db_close(db);
        return -EINVAL;
    }
    make_pump(a, db);
    sweep_start(&a->sweep, &a->host.host);
    return 0;
}

/* Requests come in from here on. */
static int open_up(struct app *a)
{
    make_server(a);
    if (check_exposure(a) < 0 || start_sources(a) < 0)
        return -EINVAL;
    return listen_all(a);
}

int app_start(struct app *a)
{
    hold_hangups(SIG_BLOCK);
    if (begin(a) < 0 || open_up(a) < 0)
        return -EINVAL;
    start_signals(a);
    pump_start(&a->pump);
    provide(a);
    app_retain_now(&a->host.host);
    if (a->config->manifests != NULL)
        manifest_dir_start(&a->manifests, &a->api, a->config->manifests, announce, a);
    else
        announce(a);
    return 0;
}
