/* become.h - between vfork and exec: a copy of the daemon becomes another program.
 *
 * What posix_spawn does, by hand, because it has no way to set a limit. Until the exec the child runs in the daemon's memory while its
 * parent's thread stands still: nothing here allocates, locks, or returns.
 */
#ifndef IO_PROCESS_BECOME_H
#define IO_PROCESS_BECOME_H
#include <stdnoreturn.h>

enum launch_step { LAUNCH_PIPES, LAUNCH_CHDIR, LAUNCH_EXEC };

/* What the program gets, and, written by the child, why it did not come to that. */
struct becoming {
    char *const *argv, *const *env;
    const char *cwd;     /* NULL: the daemon's */
    int parent;          /* killed when this process is not there any more; 0: not */
    const char *path;    /* directories to look argv[0] up in when it has no slash */
    char *candidate;     /* room for one of them, a slash, argv[0] and a NUL */
    int fd[3];           /* its stdin, stdout and stderr; all above 2 */
    volatile int err;    /* errno; 0 after a successful exec */
    volatile enum launch_step failed;
};

/* Leads a group of its own, with default signal handling, an empty signal mask, and no descriptors but the three. */
noreturn void become(struct becoming *b);

#endif
