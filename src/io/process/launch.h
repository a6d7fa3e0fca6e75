/* launch.h - starts a program with three pipes and a pidfd, through vfork.
 *
 * vfork (as posix_spawn, which is made of it) shares the address space with the child until it has
 * called exec, so its cost does not grow with the memory of the daemon. The calling thread waits for
 * that exec, which is why process.h calls this off the loop.
 *
 * The child leads a process group of its own, has default signal handling and an empty signal mask,
 * the limit of descriptors that the daemon was started with, and sees exactly three of them: 0, 1
 * and 2. There is no shell: argv[0] is looked up in the PATH of this process, the rest is passed as
 * it is.
 */
#ifndef IO_PROCESS_LAUNCH_H
#define IO_PROCESS_LAUNCH_H
#include "base/str.h"
#include "io/process/become.h"
#include <stdbool.h>
#include <sys/types.h>

struct launch_options {
    char *const *argv;  /* ends with NULL */
    char *const *env;   /* NAME=value, ends with NULL */
    const char *cwd;    /* NULL: that of this process */
    struct slice input; /* for the child's stdin: as much as fits its pipe is written ahead */
    bool dies_with_us;  /* killed when the thread that calls launch() ends, at the latest with this process; its children are not */
    bool keep_input;    /* the stdin stays open, and nothing is written ahead */
};

struct launched {
    pid_t pid; /* and process group; 0 when the start failed */
    int pidfd; /* readable when the process has ended; it must then be reaped through
                  waitid(P_PIDFD) */
    int fd[3]; /* our ends of its stdin (-1: all of the input is in the pipe), stdout and stderr;
                  non-blocking */
    size_t input_sent;
    enum launch_step failed; /* which step went wrong */
};

/* 0, or negative errno with ret->failed set and every descriptor closed. The pidfd and all of fd
 * are the caller's to close. */
int launch(const struct launch_options *opt, struct launched *ret);

#endif
