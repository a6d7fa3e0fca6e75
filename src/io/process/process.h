/* process.h - a child process on the loop: started off the loop, watched through its pidfd, ended
 * as a group.
 *
 * Starting a program blocks until its exec, so that happens on the spawner's threads; everything
 * else is loop work. A process ends when its leader exits, whatever children it leaves behind: what
 * they may still write is read for PROCESS_DRAIN_MS at most, or until both streams are closed.
 * Children left behind by a process that ended by itself go on undisturbed, unless the options say otherwise. A process that was
 * stopped (by process_stop or its timeout) takes its whole group with it: SIGTERM to the group,
 * SIGKILL after the grace or as soon as the leader is gone.
 *
 *     process_start(&c->process, spawner, &(struct process_options){.argv = argv, .env = env,
 * .output = ..., .ended = ...});
 *
 * The daemon ignores SIGPIPE: a child that closes its stdin early is not an error.
 *
 * An interactive process is written to for as long as it lives: process_write() takes bytes at any time, before it runs, too, and they
 * go out before the loop sleeps, what was written in one turn as one write(2). What the pipe has no room for waits here: the caller
 * looks at process_unsent() and stops in time. closed() says that the other side will not read, or not write, any more.
 */
#ifndef IO_PROCESS_PROCESS_H
#define IO_PROCESS_PROCESS_H
#include "base/str.h"
#include "io/process/launch.h"
#include "io/loop/timers.h"
#include "io/loop/worker.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#define PROCESS_DRAIN_MS 200          /* how long the streams are read after the leader's exit */
#define PROCESS_READ_BYTES (64 << 10) /* what one stream may deliver in one turn of the loop */
#define PROCESS_DRAIN_READS_MAX                                                                    \
    16 /* such reads when the leader has exited, before other handles get their turn */
#define PROCESS_KILL_GRACE_MS                                                                      \
    10000 /* between SIGTERM and SIGKILL, unless the options say otherwise */
#define PROCESS_INPUT_KEPT_BYTES (64 << 10) /* of memory, for the next process_write() */
#define SPAWNER_THREADS 2
#define SPAWNER_WAITING_MAX 65536 /* processes that wait to be started */

struct process;

/* What all processes of a loop share: the threads that start them, and the buffer that they are
 * read into. */
struct spawner {
    struct timers *timers;
    struct worker *worker;
    uv_loop_t *loop;
    uv_prepare_t before_sleep; /* active while there is something to write */
    struct process *writing;   /* DL over writing_prev, writing_next */
    void (*closed)(void *arg);
    void *arg;
    char scratch[PROCESS_READ_BYTES];
};

struct spawner *spawner_create(uv_loop_t *loop,
                               struct timers *timers); /* no threads before the first process */
void spawner_close(struct spawner *s, void (*closed)(void *arg),
                   void *arg); /* no process may be left. Frees s */

/* Why a process ended. */
enum process_cause {
    PROCESS_BY_ITSELF, /* it exited, was killed by someone else, or could not be started */
    PROCESS_TIMED_OUT,
    PROCESS_STOPPED, /* process_stop() came first */
};

struct process_end {
    enum process_cause cause;
    int err; /* it never ran: negative errno; -ECANCELED when it was stopped before its start */
    enum launch_step failed; /* with err: what could not be done */
    int exit_status;         /* when err == 0 and signo == 0 */
    int signo;               /* the signal that killed it, or 0 */
};

struct process_options {
    char *const *argv; /* borrowed until ended, as are env and cwd */
    char *const *env;
    const char *cwd;     /* NULL: the daemon's */
    uint64_t timeout_ms; /* 0: none; counts from process_start */
    uint64_t kill_grace_ms;
    bool dies_with_us;                  /* killed, without its children, when this process ends, or the spawner */
    bool whole_group; /* what it leaves behind when it ends by itself is killed, too */
    bool interactive;                   /* its stdin stays open for process_write() */
    void (*started)(struct process *p); /* it runs now; may be NULL */
    void (*closed)(struct process *p,
                   int fd); /* while the leader lives, as far as is known; may be NULL */
    void (*prepare)(struct process *p); /* on a spawner's thread before the start: may fill
                                           p->input; may be NULL */
    void (*output)(struct process *p, int fd,
                   struct slice bytes); /* fd: STDOUT_FILENO or STDERR_FILENO; borrowed */
    void (*ended)(struct process *p, const struct process_end *e); /* the last call; may free p */
};

struct process_stream {
    struct process *process;
    uv_poll_t watch;
    int fd; /* -1: closed */
};

struct process {
    /* constant while it lives */
    struct spawner *spawner;
    struct process_options options;
    /* the spawner's thread, until the job is done */
    struct worker_job job;
    struct str input; /* for its stdin, followed by the end of file; of an interactive one: the loop's, what is unsent */
    struct launched child;
    int err;
    /* both */
    uv_mutex_t spawning;   /* held while the child is being started */
    atomic_bool forbidden; /* do not start it any more, or kill it at once */
    /* the loop */
    int state;
    enum process_cause cause;
    unsigned open; /* handles */
    uv_poll_t exit_watch;
    struct process_stream streams[3];
    struct timer timeout, patience; /* patience: the kill grace, then the drain */
    bool input_over, input_blocked; /* no more is to come; the pipe is full */
    size_t input_sent;              /* of an interactive one: so much of input is in the pipe */
    uint64_t input_taken;           /* and so much in all; once it is closed, without what certainly nobody has read */
    struct process *writing_prev, *writing_next; /* the spawner's; prev is NULL when it is not in there */
    siginfo_t exit;
};

/* Starts it. Cannot fail at once: ended() follows exactly once, later, never from inside. */
void process_start(struct process *p, struct spawner *s, const struct process_options *opt);

/* Ends it early, with cause PROCESS_STOPPED unless it was ending already. Harmless at any time
 * before ended(). */
void process_stop(struct process *p);

/* For interactive ones. Copies bytes; after process_close_input(), or when the other side has closed its end, they go nowhere. */
void process_write(struct process *p, struct slice bytes);
size_t process_unsent(const struct process *p);
/* The end of file, behind what was written. */
void process_close_input(struct process *p);

/* Reads what a stream holds at this moment, PROCESS_READ_BYTES at most: output() is called from inside. False when there is nothing. */
bool process_read(struct process *p, int fd);

/* SIGKILLs the group now. Waits for a start that is under way, so it is for a daemon that is about
 * to exit. */
void process_kill(struct process *p);

#endif
