/* The life of a process. `open` counts its handles; they exist from WATCHED on, and the last one to
 * close reports the end.
 *
 *     SPAWNING ──> RUNNING ──> DRAINING ──> CLOSING ──> ended()
 *        │            │                        ↑
 *        │            └────────────────────────┤  both streams are closed already
 *        └─────────────────────────────────────┴─> ended() at once: it was never started, there are
 * no handles
 *
 * SPAWNING  the job is with the spawner's threads; whoever wants to stop it sets `forbidden` and
 * waits RUNNING   the leader lives; pidfd and streams are polled DRAINING  the leader is reaped,
 * someone still holds a stream; `patience` limits the wait CLOSING   handles are closing
 */
#include "io/process/process.h"
#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPAWNING, RUNNING, DRAINING, CLOSING };

struct spawner *spawner_create(uv_loop_t *loop, struct timers *timers)
{
    struct spawner *s = mem_zalloc(sizeof(*s));
    s->loop = loop;
    s->timers = timers;
    signal(
        SIGCHLD,
        SIG_DFL); /* whoever started the daemon may have left it ignored: no exit could be collected */
    s->worker = worker_create(loop, &(struct worker_options){.name = "spawn",
                                                             .threads = SPAWNER_THREADS,
                                                             .waiting_max = SPAWNER_WAITING_MAX});
    return s;
}

static void worker_closed(void *arg)
{
    struct spawner *s = arg;
    void (*closed)(void *) = s->closed;
    void *closed_arg = s->arg;
    free(s);
    closed(closed_arg);
}

void spawner_close(struct spawner *s, void (*closed)(void *arg), void *arg)
{
    s->closed = closed;
    s->arg = arg;
    worker_close(s->worker, worker_closed, s);
}

/* ---- the end ---- */

static void report(struct process *p)
{
    struct process_end end = {.cause = p->cause, .err = p->err, .failed = p->child.failed};
    if (p->err == 0 && p->exit.si_code == CLD_EXITED)
        end.exit_status = p->exit.si_status;
    else if (p->err == 0)
        end.signo = p->exit.si_status;
    timer_cancel(p->spawner->timers, &p->timeout);
    timer_cancel(p->spawner->timers, &p->patience);
    uv_mutex_destroy(&p->spawning);
    str_release(&p->input);
    p->options.ended(p, &end); /* last line: may free p */
}

static void handle_closed(uv_handle_t *h)
{
    struct process *p = h->data;
    CHECK(p->open > 0);
    if (--p->open == 0)
        report(p);
}

static void close_stream(struct process_stream *s)
{
    if (s->fd < 0)
        return;
    uv_close((uv_handle_t *)&s->watch, handle_closed);
    close(s->fd);
    s->fd = -1;
}

/* The exit watch is open until here, so `open` cannot reach zero before. */
static void finish(struct process *p)
{
    CHECK(p->state == RUNNING || p->state == DRAINING);
    p->state = CLOSING;
    for (int i = 0; i < 3; i++)
        close_stream(&p->streams[i]);
    uv_close((uv_handle_t *)&p->exit_watch, handle_closed);
    close(p->child.pidfd);
}

static void drain_over(struct timer *t)
{
    finish(container_of(t, struct process, patience));
}

/* ---- the streams ---- */

/* Reads once. False when there is nothing more to read now. */
static bool read_stream(struct process_stream *s)
{
    struct process *p = s->process;
    ssize_t n = s->fd < 0 ? -1 : read(s->fd, p->spawner->scratch, PROCESS_READ_BYTES);
    if (n > 0) {
        struct slice bytes = {p->spawner->scratch, (size_t)n};
        p->options.output(p, (int)(s - p->streams), bytes);
        return true;
    }
    if (n == 0 || (s->fd >= 0 && errno != EAGAIN && errno != EINTR))
        close_stream(s);
    return false;
}

static bool streams_are_closed(const struct process *p)
{
    return p->streams[STDOUT_FILENO].fd < 0 && p->streams[STDERR_FILENO].fd < 0;
}

static void stream_readable(uv_poll_t *h, int status, int events)
{
    struct process_stream *s = container_of(h, struct process_stream, watch);
    struct process *p = s->process;
    read_stream(s);
    if (p->state == DRAINING && streams_are_closed(p))
        finish(p);
}

/* A status other than 0 says that the child has closed its end; like EPIPE that only means it wants
 * no more. */
static void input_writable(uv_poll_t *h, int status, int events)
{
    struct process_stream *s = container_of(h, struct process_stream, watch);
    struct process *p = s->process;
    size_t left = p->input.len - p->child.input_sent;
    ssize_t n = status < 0 ? -1 : write(s->fd, p->input.p + p->child.input_sent, left);
    if (n > 0)
        p->child.input_sent += (size_t)n;
    bool gone = n < 0 && (status < 0 || (errno != EAGAIN && errno != EINTR));
    if (gone || p->child.input_sent == p->input.len) {
        close_stream(s);
        str_release(&p->input);
    }
}

/* ---- stopping ---- */

/* The leader is not reaped while RUNNING, so neither its pid nor its group can have become someone
 * else's. */
static void signal_group(struct process *p, int signo)
{
    if (kill(-p->child.pid, signo) < 0)
        pidfd_send_signal(p->child.pidfd, signo, NULL, 0); /* it has joined another group */
}

static void grace_over(struct timer *t)
{
    signal_group(container_of(t, struct process, patience), SIGKILL); /* leader_exited() follows */
}

static void terminate(struct process *p)
{
    signal_group(p, SIGTERM);
    signal_group(p, SIGCONT); /* a suspended group could not answer */
    p->patience.fired = grace_over;
    timer_set(p->spawner->timers, &p->patience, p->options.kill_grace_ms);
}

static void stop_because(struct process *p, enum process_cause cause)
{
    if (p->cause != PROCESS_BY_ITSELF || p->state == CLOSING)
        return;
    if (p->state == DRAINING) {
        finish(p); /* it did end by itself: only the wait is cut short */
        return;
    }
    p->cause = cause;
    if (p->state == RUNNING)
        terminate(p);
    else
        atomic_store(&p->forbidden, true); /* spawn_done() follows */
}

void process_stop(struct process *p)
{
    stop_because(p, PROCESS_STOPPED);
}

static void timed_out(struct timer *t)
{
    stop_because(container_of(t, struct process, timeout), PROCESS_TIMED_OUT);
}

void process_kill(struct process *p)
{
    atomic_store(&p->forbidden, true);
    uv_mutex_lock(&p->spawning);
    if (p->child.pid > 0 && p->state <= RUNNING)
        kill(-p->child.pid, SIGKILL);
    uv_mutex_unlock(&p->spawning);
}

/* ---- the leader's exit ---- */

/* Usually everything it wrote is in the pipes by now, followed by their ends: one visit sees it
 * all. */
static void drain(struct process *p)
{
    for (int i = STDOUT_FILENO; i <= STDERR_FILENO; i++)
        for (int n = 0; n < PROCESS_DRAIN_READS_MAX && read_stream(&p->streams[i]); n++)
            ;
    close_stream(&p->streams[STDIN_FILENO]);
    if (streams_are_closed(p)) {
        finish(p);
        return;
    }
    p->state = DRAINING;
    p->patience.fired = drain_over;
    timer_set(p->spawner->timers, &p->patience, PROCESS_DRAIN_MS);
}

static void leader_exited(uv_poll_t *h, int status, int events)
{
    struct process *p = container_of(h, struct process, exit_watch);
    CHECK(p->state == RUNNING);
    uv_poll_stop(h);
    if (p->cause != PROCESS_BY_ITSELF)
        signal_group(p, SIGKILL); /* before the leader is reaped: until then the group id is
                                     certainly its own */
    CHECK(waitid(P_PIDFD, (id_t)p->child.pidfd, &p->exit, WEXITED) == 0);
    timer_cancel(p->spawner->timers, &p->timeout);
    timer_cancel(p->spawner->timers, &p->patience);
    drain(p);
}

/* ---- the start ---- */

static void watch(struct process *p, uv_poll_t *h, int fd, int events, uv_poll_cb cb)
{
    CHECK(uv_poll_init(p->spawner->loop, h, fd) == 0);
    CHECK(uv_poll_start(h, events, cb) == 0);
    h->data = p;
    p->open++;
}

static void watch_child(struct process *p)
{
    p->state = RUNNING;
    watch(p, &p->exit_watch, p->child.pidfd, UV_READABLE, leader_exited);
    for (int i = 0; i < 3; i++) {
        struct process_stream *s = &p->streams[i];
        s->process = p;
        s->fd = p->child.fd[i];
        if (s->fd >= 0)
            watch(p, &s->watch, s->fd, i == STDIN_FILENO ? UV_WRITABLE : UV_READABLE,
                  i == STDIN_FILENO ? input_writable : stream_readable);
    }
    if (p->streams[STDIN_FILENO].fd < 0)
        str_release(&p->input);
}

static void spawn_work(struct worker_job *j, void *thread_state)
{
    struct process *p = container_of(j, struct process, job);
    p->err = -ECANCELED;
    uv_mutex_lock(&p->spawning);
    if (!atomic_load(&p->forbidden)) {
        if (p->options.prepare != NULL)
            p->options.prepare(p);
        p->err = launch(&(struct launch_options){.argv = p->options.argv,
                                                 .env = p->options.env,
                                                 .cwd = p->options.cwd,
                                                 .input = str_slice(&p->input)},
                        &p->child);
    }
    uv_mutex_unlock(&p->spawning);
}

static void spawn_done(struct worker_job *j, bool cancelled)
{
    struct process *p = container_of(j, struct process, job);
    if (cancelled)
        p->err = -ECANCELED;
    if (p->err < 0) {
        report(p);
        return;
    }
    watch_child(p);
    if (p->cause != PROCESS_BY_ITSELF)
        terminate(p);
}

static void spawn_refused(struct timer *t)
{
    report(container_of(t, struct process, patience));
}

void process_start(struct process *p, struct spawner *s, const struct process_options *opt)
{
    *p = (struct process){.spawner = s, .options = *opt, .state = SPAWNING};
    p->job = (struct worker_job){.work = spawn_work, .done = spawn_done};
    p->timeout.fired = timed_out;
    CHECK(uv_mutex_init(&p->spawning) == 0);
    if (opt->timeout_ms > 0)
        timer_set(s->timers, &p->timeout, opt->timeout_ms);
    int err = worker_post(s->worker, &p->job); /* p->err belongs to the thread if this succeeds */
    if (err < 0) {
        p->err = err;
        p->patience.fired = spawn_refused;
        timer_set(s->timers, &p->patience, 0);
    }
}
