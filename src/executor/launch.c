#include "executor/launch.h"
#include "base/check.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
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

/* Moves a descriptor above the three that the child's file actions overwrite. */
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

/* Every signal there is: sigfillset leaves out the two that the C library keeps for its threads, which
 * posix_spawn would then leave ignored in the child. */
static sigset_t all_signals(void)
{
    sigset_t all;
    memset(&all, 0xff, sizeof(all));
    return all;
}

static void init_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, all = all_signals();
    sigemptyset(&none);
    CHECK(posix_spawnattr_init(attr) == 0);
    CHECK(posix_spawnattr_setsigmask(attr, &none) == 0);
    CHECK(posix_spawnattr_setsigdefault(attr, &all) == 0);
    CHECK(posix_spawnattr_setpgroup(attr, 0) == 0);
    CHECK(posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF) == 0);
}

/* Every descriptor of the daemon is close-on-exec; closefrom also catches what its own parent may
 * have leaked into it. */
static void init_actions(posix_spawn_file_actions_t *actions, const char *cwd,
                         const struct child_ends *child)
{
    CHECK(posix_spawn_file_actions_init(actions) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(posix_spawn_file_actions_adddup2(actions, child->fd[i], i) == 0);
    CHECK(posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1) == 0);
    if (cwd != NULL)
        CHECK(posix_spawn_file_actions_addchdir_np(actions, cwd) == 0);
}

/* posix_spawn tells an error number, not which action it came from: ask the directory itself. */
static enum launch_step failed_step(const char *cwd)
{
    struct stat st;
    if (cwd == NULL || (stat(cwd, &st) == 0 && S_ISDIR(st.st_mode) && access(cwd, X_OK) == 0))
        return LAUNCH_EXEC;
    return LAUNCH_CHDIR;
}

static int start_child(const struct launch_options *opt, struct launched *ret,
                       const struct child_ends *child)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t actions;
    init_attributes(&attr);
    init_actions(&actions, opt->cwd, child);
    int err = posix_spawnp(&ret->pid, opt->argv[0], &actions, &attr, opt->argv, opt->env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    if (err != 0) {
        ret->pid = 0;
        ret->failed = failed_step(opt->cwd);
    }
    return -err;
}

/* The process exists but cannot be watched, so it must not go on. */
static int abandon_child(struct launched *ret, int err)
{
    kill(-ret->pid, SIGKILL);
    while (waitpid(ret->pid, NULL, 0) < 0 && errno == EINTR)
        ;
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
