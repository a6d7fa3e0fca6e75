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
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

enum { SPAWNING, RUNNING, DRAINING, CLOSING };

static void before_sleep(uv_prepare_t *h);

struct spawner *spawner_create(uv_loop_t *loop, struct timers *timers)
{
    struct spawner *s = mem_zalloc(sizeof(*s));
    s->loop = loop;
    s->timers = timers;
    CHECK(uv_prepare_init(loop, &s->before_sleep) == 0);
    s->before_sleep.data = s;
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

static void prepare_closed(uv_handle_t *h)
{
    struct spawner *s = h->data;
    worker_close(s->worker, worker_closed, s);
}

void spawner_close(struct spawner *s, void (*closed)(void *arg), void *arg)
{
    CHECK(s->writing == NULL);
    s->closed = closed;
    s->arg = arg;
    uv_close((uv_handle_t *)&s->before_sleep, prepare_closed);
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

static void stop_writing(struct process *p)
{
    if (p->writing_prev == NULL)
        return;
    DL_DELETE2(p->spawner->writing, p, writing_prev, writing_next);
    p->writing_prev = p->writing_next = NULL;
}

/* What is in the pipe has not been taken, when nobody is left who could read it. */
static void take_back_unread(struct process *p, int fd)
{
    struct pollfd end = {.fd = fd};
    int n = 0;
    if (p->options.interactive && poll(&end, 1, 0) == 1 && (end.revents & POLLERR) != 0 &&
        ioctl(fd, FIONREAD, &n) == 0 && n > 0)
        p->input_taken -= (uint64_t)n;
}

static void close_stream(struct process_stream *s)
{
    if (s->fd < 0)
        return;
    if (s == &s->process->streams[STDIN_FILENO]) {
        take_back_unread(s->process, s->fd);
        stop_writing(s->process);
        str_release(&s->process->input);
        s->process->input_sent = 0;
    }
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

/* The other side has closed it. */
static void lose_stream(struct process_stream *s)
{
    struct process *p = s->process;
    close_stream(s);
    if (p->state == RUNNING && p->options.closed != NULL)
        p->options.closed(p, (int)(s - p->streams));
}

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
    if (s->fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
        lose_stream(s);
    return false;
}

bool process_read(struct process *p, int fd)
{
    return read_stream(&p->streams[fd]);
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
    if (gone || p->child.input_sent == p->input.len)
        close_stream(s);
}

/* ---- the stdin of an interactive process ---- */

static void interactive_writable(uv_poll_t *h, int status, int events);

/* Also without anything to write it is watched: libuv reports that the other side has closed its end as an error. */
static void watch_input(struct process *p, bool blocked)
{
    p->input_blocked = blocked;
    CHECK(uv_poll_start(&p->streams[STDIN_FILENO].watch,
                        UV_DISCONNECT | (blocked ? UV_WRITABLE : 0), interactive_writable) == 0);
}

static void forget_sent(struct process *p, size_t n)
{
    p->input_taken += n;
    p->input_sent += n;
    if (p->input_sent < p->input.len)
        return;
    p->input_sent = 0;
    if (p->input.cap > PROCESS_INPUT_KEPT_BYTES)
        str_release(&p->input);
    else
        str_reset(&p->input);
}

static void write_input(struct process *p)
{
    struct process_stream *s = &p->streams[STDIN_FILENO];
    stop_writing(p);
    while (process_unsent(p) > 0) {
        ssize_t n = write(s->fd, p->input.p + p->input_sent, process_unsent(p));
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != EINTR) {
            lose_stream(s);
            return;
        }
        if (n > 0)
            forget_sent(p, (size_t)n);
    }
    const bool blocked = process_unsent(p) > 0;
    if (!blocked && p->input_over)
        close_stream(s);
    else if (blocked != p->input_blocked)
        watch_input(p, blocked);
}

static void interactive_writable(uv_poll_t *h, int status, int events)
{
    struct process_stream *s = container_of(h, struct process_stream, watch);
    if (status < 0)
        lose_stream(s);
    else
        write_input(s->process);
}

static void before_sleep(uv_prepare_t *h)
{
    struct spawner *s = h->data;
    while (s->writing != NULL)
        write_input(s->writing);
    uv_prepare_stop(h);
}

static void write_soon(struct process *p)
{
    struct spawner *s = p->spawner;
    if (p->state != RUNNING || p->streams[STDIN_FILENO].fd < 0 || p->input_blocked ||
        p->writing_prev != NULL)
        return;
    DL_APPEND2(s->writing, p, writing_prev, writing_next);
    CHECK(uv_prepare_start(&s->before_sleep, before_sleep) == 0);
}

/* What was sent already goes away before the memory would grow for it. */
static void make_room(struct process *p)
{
    if (p->input_sent < p->input.len / 2 || p->input_sent == 0)
        return;
    p->input.len -= p->input_sent;
    memmove(p->input.p, p->input.p + p->input_sent, p->input.len);
    p->input_sent = 0;
}

void process_write(struct process *p, struct slice bytes)
{
    CHECK(p->options.interactive);
    if (p->input_over || (p->state != SPAWNING && p->streams[STDIN_FILENO].fd < 0))
        return;
    make_room(p);
    str_add_slice(&p->input, bytes);
    write_soon(p);
}

size_t process_unsent(const struct process *p)
{
    return p->input.len - p->input_sent;
}

void process_close_input(struct process *p)
{
    CHECK(p->options.interactive);
    p->input_over = true;
    write_soon(p);
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
    p->state = DRAINING; /* nobody signals it any more */
    for (int i = STDOUT_FILENO; i <= STDERR_FILENO; i++)
        for (int n = 0; n < PROCESS_DRAIN_READS_MAX && read_stream(&p->streams[i]); n++)
            ;
    if (p->state == CLOSING)
        return; /* the reader of the output has stopped it */
    close_stream(&p->streams[STDIN_FILENO]);
    if (streams_are_closed(p)) {
        finish(p);
        return;
    }
    p->patience.fired = drain_over;
    timer_set(p->spawner->timers, &p->patience, PROCESS_DRAIN_MS);
}

static void leader_exited(uv_poll_t *h, int status, int events)
{
    struct process *p = container_of(h, struct process, exit_watch);
    CHECK(p->state == RUNNING);
    uv_poll_stop(h);
    if (p->cause != PROCESS_BY_ITSELF || p->options.whole_group)
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
        if (s->fd < 0)
            continue;
        if (i != STDIN_FILENO)
            watch(p, &s->watch, s->fd, UV_READABLE, stream_readable);
        else if (p->options.interactive)
            watch(p, &s->watch, s->fd, UV_DISCONNECT, interactive_writable);
        else
            watch(p, &s->watch, s->fd, UV_WRITABLE, input_writable);
    }
    if (p->streams[STDIN_FILENO].fd < 0)
        str_release(&p->input);
    if (p->options.interactive && (p->input.len > 0 || p->input_over))
        write_soon(p);
}

static void spawn_work(struct worker_job *j, void *thread_state)
{
    struct process *p = container_of(j, struct process, job);
    p->err = -ECANCELED;
    uv_mutex_lock(&p->spawning);
    if (!atomic_load(&p->forbidden)) {
        if (p->options.prepare != NULL)
            p->options.prepare(p);
        p->err =
            launch(&(struct launch_options){.argv = p->options.argv,
                                            .env = p->options.env,
                                            .cwd = p->options.cwd,
                                            .input = p->options.interactive ? SLICE_NONE
                                                                            : str_slice(&p->input),
                                            .dies_with_us = p->options.dies_with_us,
                                            .keep_input = p->options.interactive},
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
    else if (p->options.started != NULL)
        p->options.started(p);
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
