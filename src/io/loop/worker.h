/* worker.h - a thread with an inbox: work goes there, its completion comes back to the loop.
 *
 * Unlike libuv's pool a worker belongs to one purpose, so slow queries can never delay the journal. With more than one thread
 * the jobs of one worker run in parallel and may complete in any order; with one thread they run and complete in order.
 */
#ifndef IO_LOOP_WORKER_H
#define IO_LOOP_WORKER_H
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct worker;

/* Embed it. work() runs on a thread; done() on the loop, later, exactly once, also when the job was cancelled. */
struct worker_job {
    void (*work)(struct worker_job *j, void *thread_state);
    void (*done)(struct worker_job *j, bool cancelled); /* cancelled: work() never ran. May free j */
    struct worker_job *next;
};

struct worker_options {
    const char *name;      /* at most 15 bytes: the threads' names */
    unsigned threads;      /* started at the first job, kept until close */
    size_t waiting_max;    /* jobs waiting beyond this are refused */
    /* Each thread's own state, such as a database connection. Called on the thread; both may be NULL. */
    void *(*thread_start)(void *arg);
    void (*thread_stop)(void *thread_state);
    void *arg;
};

/* Copies the options. Does not start threads. */
struct worker *worker_create(uv_loop_t *loop, const struct worker_options *opt);

/* 0, or -EAGAIN when too many wait or the worker is closing: then done() is not called. */
int worker_post(struct worker *w, struct worker_job *j);

/* Lets running jobs end, cancels waiting ones (their done() is called), ends the threads, frees w, then calls closed. */
void worker_close(struct worker *w, void (*closed)(void *arg), void *arg);

#endif
