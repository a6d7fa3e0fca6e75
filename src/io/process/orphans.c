#include "io/process/orphans.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/slurp.h"
#include "base/str.h"
#include "base/vec.h"
#include "io/loop/worker.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 100 /* how long a wait goes on before it is seen that it was broken off */

struct orphan {
    pid_t pid;
    int pidfd;
};

struct orphans {
    struct worker_job job;
    struct worker *worker;
    struct orphans_options opt;
    char *instance;
    struct uuid *runs; /* sorted */
    atomic_bool broken_off;
    void (*closed)(void *arg);
    void *arg;
    /* the thread's */
    struct orphans_result result;
    struct str env;
    VEC(struct orphan) found;
};

/* ---- whose a process is ---- */

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* The value of a variable in what /proc/PID/environ says, or SLICE_NONE. */
static struct slice find_variable(struct slice env, const char *name)
{
    const size_t len = strlen(name);
    for (const char *at = env.p, *end = env.p + env.len; at < end;) {
        const size_t left = (size_t)(end - at), n = strnlen(at, left);
        if (n > len && memcmp(at, name, len) == 0 && at[len] == '=')
            return (struct slice){at + len + 1, n - len - 1};
        at += n < left ? n + 1 : left;
    }
    return SLICE_NONE;
}

/* Of the same data directory, in another life. */
static bool is_former(const char *instance, struct slice other)
{
    const size_t len = (size_t)(strchr(instance, '/') - instance) + 1;
    return other.len >= len && memcmp(other.p, instance, len) == 0 && !slice_is(other, instance);
}

static bool is_ours(const struct orphans *o, struct slice env)
{
    struct uuid run;
    if (!is_former(o->instance, find_variable(env, "PAWL_INSTANCE")))
        return false;
    if (find_variable(env, "PAWL_WORKER_ID").p != NULL)
        return true;
    return uuid_parse(find_variable(env, "PAWL_RUN_ID"), &run) && o->opt.run_count > 0 &&
           bsearch(&run, o->runs, o->opt.run_count, sizeof(run), by_id) != NULL;
}

/* The environment that it was started with, into o->env. A process that has ended has none. */
static int read_env(struct orphans *o, pid_t pid)
{
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    o->env.len = 0;
    const int err = slurp(fd, ORPHANS_ENV_BYTES_MAX, &o->env);
    close(fd);
    return err;
}

/* Looked at again with its pidfd in hand: what that refers to is what was looked at. */
static void take(struct orphans *o, pid_t pid)
{
    const int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return;
    if (read_env(o, pid) == 0 && is_ours(o, str_slice(&o->env)))
        vec_push(&o->found, ((struct orphan){pid, pidfd}));
    else
        close(pidfd);
}

static void look_at(struct orphans *o, pid_t pid)
{
    const int err = read_env(o, pid);
    o->result.looked_at++;
    o->result.unreadable += err == -EACCES || err == -EPERM;
    if (err == 0 && is_ours(o, str_slice(&o->env)))
        take(o, pid);
}

/* False when there is nothing to end. */
static bool look(struct orphans *o)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        o->result.err = -errno;
        return false;
    }
    const struct dirent *entry;
    o->result.looked_at = o->result.unreadable = 0;
    while ((entry = readdir(proc)) != NULL && o->found.len < ORPHANS_AT_ONCE_MAX &&
           !atomic_load(&o->broken_off)) {
        const pid_t pid = atoi(entry->d_name);
        if (pid > 0 && pid != getpid())
            look_at(o, pid);
    }
    closedir(proc);
    return o->found.len > 0;
}

/* ---- ending them ---- */

static bool has_ended(const struct orphan *x)
{
    struct pollfd p = {.fd = x->pidfd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

/* The group is one that a run made, and its number is not given away while x lives. What has joined ours is left to itself. */
static void signal_all(const struct orphans *o, int signo)
{
    for (size_t i = 0; i < o->found.len; i++) {
        const struct orphan *x = &o->found.items[i];
        const pid_t group = getpgid(x->pid);
        if (group > 1 && group != getpgrp() && !has_ended(x))
            kill(-group, signo);
        pidfd_send_signal(x->pidfd, signo, NULL, 0);
    }
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Waits for those that were found to end, and lets go of them. */
static void wait_for_all(struct orphans *o, uint64_t ms)
{
    const uint64_t until = now_ms() + ms;
    for (size_t i = 0; i < o->found.len; i++) {
        struct pollfd p = {.fd = o->found.items[i].pidfd, .events = POLLIN};
        for (uint64_t now = now_ms(); !atomic_load(&o->broken_off); now = now_ms()) {
            const uint64_t left = now < until ? until - now : 0;
            if (poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS) != 0 || left == 0)
                break;
        }
        close(p.fd);
    }
    o->found.len = 0;
}

static void sweep(struct worker_job *j, void *thread_state)
{
    struct orphans *o = container_of(j, struct orphans, job);
    for (int round = 0; look(o); round++) {
        if (round > ORPHANS_KILLS_MAX || atomic_load(&o->broken_off)) {
            o->result.left = o->found.len;
            wait_for_all(o, 0);
            break;
        }
        o->result.ended += round == 0 ? o->found.len : 0;
        signal_all(o, round == 0 ? SIGTERM : SIGKILL);
        if (round == 0)
            signal_all(o, SIGCONT); /* a suspended one could not answer */
        wait_for_all(o, round == 0 ? o->opt.grace_ms : ORPHANS_KILL_MS);
    }
}

/* ---- life ---- */

static void worker_closed(void *arg)
{
    struct orphans *o = arg;
    void (*closed)(void *) = o->closed;
    void *closed_arg = o->arg;
    str_release(&o->env);
    vec_release(&o->found);
    free(o->instance);
    free(o->runs);
    free(o);
    if (closed != NULL)
        closed(closed_arg);
}

static void swept(struct worker_job *j, bool cancelled)
{
    struct orphans *o = container_of(j, struct orphans, job);
    if (o->closed != NULL)
        return; /* orphans_close() has told the worker to close */
    o->opt.done(o->opt.arg, &o->result);
    worker_close(o->worker, worker_closed, o);
}

struct orphans *orphans_sweep(uv_loop_t *loop, const struct orphans_options *opt)
{
    struct orphans *o = mem_zalloc(sizeof(*o));
    CHECK(strchr(opt->instance, '/') != NULL);
    o->opt = *opt;
    o->instance = mem_strdup(opt->instance);
    if (opt->run_count > 0) {
        o->runs = mem_alloc(opt->run_count * sizeof(*o->runs));
        memcpy(o->runs, opt->runs, opt->run_count * sizeof(*o->runs));
        qsort(o->runs, opt->run_count, sizeof(*o->runs), by_id);
    }
    o->job = (struct worker_job){.work = sweep, .done = swept};
    o->worker = worker_create(
        loop, &(struct worker_options){.name = "orphans", .threads = 1, .waiting_max = 1});
    CHECK(worker_post(o->worker, &o->job) == 0);
    return o;
}

void orphans_close(struct orphans *o, void (*closed)(void *arg), void *arg)
{
    o->closed = closed;
    o->arg = arg;
    atomic_store(&o->broken_off, true);
    worker_close(o->worker, worker_closed, o);
}
