#include "io/process/launch.h"
#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's ends of the pipes. */
struct child_ends {
    int fd[3];
};

static void close_all(int fd[3])
{
    for (int i = 0; i < 3; i++) {
        if (fd[i] >= 0)
            close(fd[i]);
        fd[i] = -1;
    }
}

/* Moves a descriptor above the three that the child overwrites. */
static int keep_clear(int *fd)
{
    if (*fd > STDERR_FILENO)
        return 0;
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0)
        return -errno;
    close(*fd);
    *fd = moved;
    return 0;
}

/* O_NONBLOCK belongs to one end of a pipe: ours never blocks, the child's behaves as a program
 * expects. */
static int open_pipe(int index, struct launched *ours, struct child_ends *child)
{
    int end[2];
    if (pipe2(end, O_CLOEXEC) < 0)
        return -errno;
    ours->fd[index] = end[index == STDIN_FILENO ? 1 : 0];
    child->fd[index] = end[index == STDIN_FILENO ? 0 : 1];
    int err = keep_clear(&ours->fd[index]);
    if (err == 0)
        err = keep_clear(&child->fd[index]);
    if (err == 0 && fcntl(ours->fd[index], F_SETFL, O_NONBLOCK) < 0)
        err = -errno;
    return err;
}

/* An input that fits the pipe needs no further attention: the child finds it and the end of file.
 * The reading end is still open here, so there is no EPIPE. */
static void write_ahead(struct slice input, struct launched *ours)
{
    while (ours->input_sent < input.len) {
        ssize_t n =
            write(ours->fd[STDIN_FILENO], input.p + ours->input_sent, input.len - ours->input_sent);
        if (n < 0)
            return;
        ours->input_sent += (size_t)n;
    }
    close(ours->fd[STDIN_FILENO]);
    ours->fd[STDIN_FILENO] = -1;
}

/* Every signal there is: sigfillset leaves out the two that the C library keeps for its threads. */
static sigset_t all_signals(void)
{
    sigset_t all;
    memset(&all, 0xff, sizeof(all));
    return all;
}

/* Runs become() in a child and stands still until its exec. Handlers of ours must not run in there: they would find our memory. */
static pid_t fork_and_become(struct becoming *b)
{
    const sigset_t all = all_signals();
    sigset_t before;
    CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
    const pid_t pid = vfork();
    if (pid == 0)
        become(b);
    const int err = errno;
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return pid > 0 ? pid : -err;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static const char *search_path(void)
{
    const char *path = getenv("PATH");
    return path != NULL ? path : "/usr/bin:/bin";
}

static int start_child(const struct launch_options *opt, struct launched *ret,
                       const struct child_ends *child)
{
    struct becoming b = {.argv = opt->argv,
                         .env = opt->env,
                         .cwd = opt->cwd,
                         .parent = opt->dies_with_us ? getpid() : 0,
                         .path = search_path(),
                         .fd = {child->fd[0], child->fd[1], child->fd[2]}};
    b.candidate = mem_alloc(strlen(b.path) + strlen(opt->argv[0]) + sizeof("./"));
    const pid_t pid = fork_and_become(&b);
    free(b.candidate);
    ret->failed = LAUNCH_EXEC;
    if (pid < 0)
        return (int)pid;
    if (b.err != 0) {
        reap(pid);
        ret->failed = b.failed;
        return -b.err;
    }
    ret->pid = pid;
    return 0;
}

/* The process exists but cannot be watched, so it must not go on. */
static int abandon_child(struct launched *ret, int err)
{
    kill(-ret->pid, SIGKILL);
    reap(ret->pid);
    ret->pid = 0;
    return err;
}

int launch(const struct launch_options *opt, struct launched *ret)
{
    struct child_ends child = {{-1, -1, -1}};
    int err = 0;

    *ret = (struct launched){.pidfd = -1, .fd = {-1, -1, -1}, .failed = LAUNCH_PIPES};
    for (int i = 0; i < 3 && err == 0; i++)
        err = open_pipe(i, ret, &child);
    if (err == 0) {
        if (!opt->keep_input)
            write_ahead(opt->input, ret);
        err = start_child(opt, ret, &child);
    }
    close_all(child.fd);
    if (err == 0) {
        ret->pidfd = pidfd_open(ret->pid, 0); /* close-on-exec by itself */
        if (ret->pidfd < 0)
            err = abandon_child(ret, -errno);
    }
    if (err < 0)
        close_all(ret->fd);
    return err;
}
