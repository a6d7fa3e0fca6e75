#include "io/process/become.h"
#include "base/fdlimit.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What a daemon may have inherited from a careless parent has small numbers. */
#define INHERITED_FDS_MAX 1024

static noreturn void give_up(struct becoming *b, enum launch_step step, int err)
{
    b->failed = step;
    b->err = err;
    _exit(127);
}

/* Every descriptor of the daemon is close-on-exec; this also catches what its own parent may have leaked into it. */
static void close_the_rest(void)
{
    if (close_range(STDERR_FILENO + 1, UINT_MAX, 0) == 0)
        return;
    for (int fd = STDERR_FILENO + 1; fd < INHERITED_FDS_MAX; fd++) /* before Linux 5.9 */
        close(fd);
}

/* A signal that is ignored stays so across exec; one that is caught does not. */
static void reset_signals(void)
{
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &by_default, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The errno of a failed attempt, or 0 when the next directory may have the program. */
static int attempt(const struct becoming *b, const char *program)
{
    execve(program, b->argv, b->env);
    return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
}

/* Looks the program up and becomes it. Returns why not. A file that may not be executed does not hide another one. */
static int look_up(struct becoming *b)
{
    const char *name = b->argv[0];
    int err = 0, denied = 0;
    if (strchr(name, '/') != NULL) {
        execve(name, b->argv, b->env);
        return errno;
    }
    for (const char *at = b->path; err == 0 && at != NULL;) {
        const char *end = strchrnul(at, ':');
        const size_t len = (size_t)(end - at);
        memcpy(b->candidate, at, len);
        strcpy(b->candidate + len, len > 0 ? "/" : "./");
        strcat(b->candidate, name);
        err = attempt(b, b->candidate);
        if (err == EACCES) {
            denied = err;
            err = 0;
        }
        at = *end != '\0' ? end + 1 : NULL;
    }
    return err != 0 ? err : denied != 0 ? denied : ENOENT;
}

noreturn void become(struct becoming *b)
{
    if (setpgid(0, 0) < 0)
        give_up(b, LAUNCH_EXEC, errno);
    for (int i = 0; i < 3; i++)
        if (dup2(b->fd[i], i) < 0)
            give_up(b, LAUNCH_PIPES, errno);
    close_the_rest();
    if (b->cwd != NULL && chdir(b->cwd) < 0)
        give_up(b, LAUNCH_CHDIR, errno);
    fdlimit_restore();
    reset_signals();
    if (b->parent != 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != b->parent) /* it went before that could count */
            _exit(127);
    }
    give_up(b, LAUNCH_EXEC, look_up(b));
}
