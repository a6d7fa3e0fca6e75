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
#include "api/auth.h"
#include "app/app_internal.h"
#include "app/follow.h"
#include "base/check.h"
#include "base/log.h"
#include "core/engine.h"
#include "executor/dispatcher.h"
#include "io/http/http.h"
#include "io/secret/secret.h"
#include "io/store/db.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond the operator's grace: executors kill what does not end, answers go out. Then the daemon gives up and exits with 1. */
#define STOP_SLACK_MS 20000

/* Old events and runs are removed at start, and this long after a commit; they also get old while nothing is written. */
#define RETAIN_AFTER_MS (5 * 60 * 1000)
#define RETAIN_IDLE_MS (60 * 60 * 1000)

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

void app_stop_signal(uv_signal_t *h, int signo)
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

void app_hangup_signal(uv_signal_t *h, int signo)
{
    struct app *a = h->loop->data;
    auth_reload(a->api.auth, &a->host.host);
}

/* ---- living ---- */

void app_run_moved(struct pump *p, const struct effect_move_run *r)
{
    follow_moved(&container_of(p, struct app, pump)->host, r);
}

void app_run_ended(struct pump *p, const struct effect_move_run *r)
{
    host_run_ended(&container_of(p, struct app, pump)->host, r);
}

void app_pending_dropped(struct pump *p, struct slice why)
{
    struct app_host *h = &container_of(p, struct app, pump)->host;
    host_pending_dropped(h, why);
    follow_pending_dropped(h);
}

static void retain_in(struct app *a, uint64_t ms)
{
    if (a->state != APP_SERVING)
        return;
    a->retain_due = true;
    timer_set(&a->timers, &a->retain, ms);
}

void app_batch_settled(struct pump *p, int err)
{
    struct app *a = container_of(p, struct app, pump);
    if (err != 0)
        log_error("commit failed, callers were told to try again",
                  LOG_STR("error", db_strerror(err)));
    else if (!a->retain_due)
        retain_in(a, RETAIN_AFTER_MS);
    app_step(a);
}

static void retain(struct timer *t)
{
    struct app *a = container_of(t, struct app, retain);
    retain_in(a, RETAIN_IDLE_MS);
    a->retain_due = false;
    const struct retention r = {
        .age_ms = a->config->retention_days * 24 * 3600 * 1000,
        .count_max = a->config->retention_count,
        .topic_age_ms = a->config->topic_hours * 3600 * 1000,
        .topic_bytes_max = a->config->topic_bytes_max,
    };
    journal_retain(a->journal, &r, clock_now(&a->loop).wall);
}

void app_retain_now(struct host *h)
{
    struct app *a = container_of(container_of(h, struct app_host, host), struct app, host);
    retain_in(a, 0);
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
    if (app_start(&a) < 0)
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
