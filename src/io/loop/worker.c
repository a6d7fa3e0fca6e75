#include "io/loop/worker.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/mem.h"

/* A job's way: worker_post puts it on `waiting`, a thread takes it, runs it and puts it on `ended`,
 * the async handle wakes the loop, which takes the whole list and calls every done(). Threads wait
 * on `changed` and nowhere else.
 *
 * Closing: the threads end when their jobs have; the last one wakes the loop. Then nothing else
 * runs, so what is still waiting is cancelled behind what has ended: the order of completions holds
 * to the end. The loop never waits for a job. */

struct queue {
    struct worker_job *first, *last;
    size_t count;
};

struct worker {
    /* the loop's */
    uv_loop_t *loop;
    struct worker_options opt;
    char name[16];
    uv_async_t wake;
    uv_thread_t *threads;
    unsigned thread_count;
    size_t open_jobs; /* posted, and done() not called yet */
    void (*closed)(void *arg);
    void *closed_arg;

    /* everybody's, under the lock */
    uv_mutex_t lock;
    uv_cond_t changed;
    struct queue waiting, ended;
    unsigned alive; /* threads that have not come to their end */
    bool closing;
};

static void queue_push(struct queue *q, struct worker_job *j)
{
    j->next = NULL;
    if (q->first == NULL)
        q->first = j;
    else
        q->last->next = j;
    q->last = j;
    q->count++;
}

static struct worker_job *queue_pop(struct queue *q)
{
    struct worker_job *j = q->first;

    if (j != NULL) {
        q->first = j->next;
        q->count--;
        j->next = NULL;
    }
    return j;
}

/* ---- on the threads ---- */

static struct worker_job *next_job(struct worker *w)
{
    struct worker_job *j = NULL;

    uv_mutex_lock(&w->lock);
    while (!w->closing && (j = queue_pop(&w->waiting)) == NULL)
        uv_cond_wait(&w->changed, &w->lock);
    uv_mutex_unlock(&w->lock);
    return j;
}

/* The first of several ends wakes the loop; it finds the others with it. */
static void job_ended(struct worker *w, struct worker_job *j)
{
    uv_mutex_lock(&w->lock);
    queue_push(&w->ended, j);
    if (w->ended.count == 1)
        uv_async_send(&w->wake);
    uv_mutex_unlock(&w->lock);
}

/* Sending under the lock keeps w alive until it is done: the loop looks at `alive` under the lock,
 * too. */
static void thread_ended(struct worker *w)
{
    uv_mutex_lock(&w->lock);
    w->alive--;
    uv_async_send(&w->wake);
    uv_mutex_unlock(&w->lock);
}

static void run_thread(void *arg)
{
    struct worker *w = arg;
    struct worker_job *j;

    pthread_setname_np(pthread_self(), w->name);
    void *state = w->opt.thread_start ? w->opt.thread_start(w->opt.arg) : NULL;

    while ((j = next_job(w)) != NULL) {
        j->work(j, state);
        job_ended(w, j);
    }
    if (w->opt.thread_stop != NULL)
        w->opt.thread_stop(state);
    thread_ended(w);
}

/* ---- on the loop ---- */

static void complete(struct worker *w, struct queue jobs, bool cancelled)
{
    struct worker_job *j;

    while ((j = queue_pop(&jobs)) != NULL) {
        CHECK(w->open_jobs > 0);
        w->open_jobs--;
        j->done(j, cancelled);
    }
}

static void handle_closed(uv_handle_t *h)
{
    struct worker *w = container_of((uv_async_t *)h, struct worker, wake);
    void (*closed)(void *) = w->closed;
    void *arg = w->closed_arg;

    uv_cond_destroy(&w->changed);
    uv_mutex_destroy(&w->lock);
    free(w->threads);
    free(w);
    if (closed != NULL)
        closed(arg);
}

static void finish_closing(struct worker *w)
{
    for (unsigned i = 0; i < w->thread_count; i++)
        CHECK(uv_thread_join(&w->threads[i]) == 0);
    complete(w, w->waiting, true);
    CHECK(w->open_jobs == 0);
    uv_close((uv_handle_t *)&w->wake, handle_closed);
}

static void woken(uv_async_t *wake)
{
    struct worker *w = container_of(wake, struct worker, wake);

    uv_mutex_lock(&w->lock);
    const struct queue ended = w->ended;
    const bool over = w->closing && w->alive == 0;

    w->ended = (struct queue){0};
    uv_mutex_unlock(&w->lock);

    complete(w, ended, false);
    if (over)
        finish_closing(w);
    else if (w->open_jobs == 0 && !w->closing)
        uv_unref((uv_handle_t *)wake); /* an idle worker does not keep the loop alive */
}

struct worker *worker_create(uv_loop_t *loop, const struct worker_options *opt)
{
    struct worker *w = mem_zalloc(sizeof(*w));

    CHECK(opt->threads > 0 && opt->waiting_max > 0);
    w->loop = loop;
    w->opt = *opt;
    snprintf(w->name, sizeof(w->name), "%s", opt->name);
    w->threads = mem_zalloc(opt->threads * sizeof(*w->threads));
    CHECK(uv_mutex_init(&w->lock) == 0);
    CHECK(uv_cond_init(&w->changed) == 0);
    CHECK(uv_async_init(loop, &w->wake, woken) == 0);
    uv_unref((uv_handle_t *)&w->wake);
    return w;
}

/* With every signal blocked, so that signals go to the loop's thread. One thread is enough to go on
 * with. */
static bool start_threads(struct worker *w)
{
    sigset_t all, before;

    if (w->thread_count > 0)
        return true;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    uv_mutex_lock(&w->lock);
    while (w->thread_count < w->opt.threads &&
           uv_thread_create(&w->threads[w->thread_count], run_thread, w) == 0) {
        w->thread_count++;
        w->alive++;
    }
    uv_mutex_unlock(&w->lock);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return w->thread_count > 0;
}

int worker_post(struct worker *w, struct worker_job *j)
{
    if (w->closing || !start_threads(w))
        return -EAGAIN;
    uv_mutex_lock(&w->lock);
    const bool full = w->waiting.count >= w->opt.waiting_max;

    if (!full) {
        queue_push(&w->waiting, j);
        uv_cond_signal(&w->changed);
    }
    uv_mutex_unlock(&w->lock);
    if (full)
        return -EAGAIN;
    if (w->open_jobs++ == 0)
        uv_ref((uv_handle_t *)&w->wake);
    return 0;
}

void worker_close(struct worker *w, void (*closed)(void *arg), void *arg)
{
    CHECK(!w->closing);
    w->closed = closed;
    w->closed_arg = arg;
    uv_ref((uv_handle_t *)&w->wake);
    uv_mutex_lock(&w->lock);
    w->closing = true;
    uv_cond_broadcast(&w->changed);
    uv_mutex_unlock(&w->lock);
    uv_async_send(&w->wake); /* there may be no thread to do it */
}
