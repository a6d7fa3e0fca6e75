/* libcurl says which sockets it wants watched and when it wants to be called: on_socket() and on_timeout() note that down and do no
 * more, as they are called from inside of it. Whatever then happens goes in through act(), which also collects what has ended. */
#include "io/curl/multi.h"
#include "base/check.h"
#include "base/mem.h"
#include <stdlib.h>
#include <utlist.h>

struct multi_watch {
    uv_poll_t poll;
    struct multi *multi;
    curl_socket_t fd;
    struct multi_watch *prev, *next;
};

/* ---- into libcurl ---- */

static void collect(struct multi *m)
{
    CURLMsg *message;
    int left;
    while (m->handle != NULL && (message = m->curl->multi_info_read(m->handle, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *h = message->easy_handle;
        const CURLcode code = message->data.result;
        CHECK(m->curl->multi_remove_handle(m->handle, h) == CURLM_OK);
        m->done(m, h, code);
    }
}

static void act(struct multi *m, curl_socket_t fd, int events)
{
    int running;
    if (m->handle == NULL)
        return;
    CHECK(m->curl->multi_socket_action(m->handle, fd, events, &running) == CURLM_OK);
    collect(m);
}

static void timed_out(struct timer *t)
{
    act(container_of(t, struct multi, timeout), CURL_SOCKET_TIMEOUT, 0);
}

static void ready(uv_poll_t *h, int status, int events)
{
    struct multi_watch *w = container_of(h, struct multi_watch, poll);
    const int what = status < 0 ? CURL_CSELECT_ERR
                                : ((events & UV_READABLE) ? CURL_CSELECT_IN : 0) |
                                      ((events & UV_WRITABLE) ? CURL_CSELECT_OUT : 0);
    act(w->multi, w->fd, what);
}

/* ---- out of libcurl ---- */

static void watch_closed(uv_handle_t *h)
{
    struct multi_watch *w = container_of((uv_poll_t *)h, struct multi_watch, poll);
    struct multi *m = w->multi;
    free(w);
    if (--m->open == 0 && m->handle == NULL && m->drained != NULL)
        m->drained(m);
}

/* The socket may be closed as soon as this returns: it is not watched any more then. */
static void unwatch(struct multi_watch *w)
{
    DL_DELETE(w->multi->watches, w);
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, watch_closed);
}

static struct multi_watch *watch(struct multi *m, curl_socket_t fd)
{
    struct multi_watch *w = mem_zalloc(sizeof(*w));
    w->multi = m;
    w->fd = fd;
    CHECK(uv_poll_init_socket(m->loop, &w->poll, fd) == 0);
    m->open++;
    DL_APPEND(m->watches, w);
    CHECK(m->curl->multi_assign(m->handle, fd, w) == CURLM_OK);
    return w;
}

static int on_socket(CURL *h, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct multi *m = arg;
    struct multi_watch *w = of_socket;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL)
            unwatch(w);
        return 0;
    }
    if (w == NULL)
        w = watch(m, fd);
    const int events =
        ((what & CURL_POLL_IN) ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0);
    CHECK(uv_poll_start(&w->poll, events, ready) == 0);
    return 0;
}

static int on_timeout(CURLM *handle, long ms, void *arg)
{
    struct multi *m = arg;
    if (ms < 0)
        timer_cancel(m->timers, &m->timeout);
    else
        timer_set(m->timers, &m->timeout, (uint64_t)ms);
    return 0;
}

/* ---- life ---- */

void multi_open(struct multi *m, size_t idle_max)
{
    const struct libcurl *curl = m->curl;
    CHECK(m->handle == NULL);
    m->handle = curl->multi_init();
    CHECK(m->handle != NULL);
    m->timeout.fired = timed_out;
    CHECK(curl->multi_setopt(m->handle, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
    CHECK(curl->multi_setopt(m->handle, CURLMOPT_SOCKETDATA, m) == CURLM_OK);
    CHECK(curl->multi_setopt(m->handle, CURLMOPT_TIMERFUNCTION, on_timeout) == CURLM_OK);
    CHECK(curl->multi_setopt(m->handle, CURLMOPT_TIMERDATA, m) == CURLM_OK);
    CHECK(curl->multi_setopt(m->handle, CURLMOPT_MAXCONNECTS, (long)idle_max) == CURLM_OK);
}

void multi_add(struct multi *m, CURL *h)
{
    CHECK(m->curl->multi_add_handle(m->handle, h) == CURLM_OK);
}

void multi_remove(struct multi *m, CURL *h)
{
    CHECK(m->curl->multi_remove_handle(m->handle, h) == CURLM_OK);
}

void multi_close(struct multi *m)
{
    struct multi_watch *w, *next;
    CURLM *handle = m->handle;
    if (handle == NULL)
        return;
    CHECK(m->curl->multi_cleanup(handle) == CURLM_OK);
    m->handle = NULL;
    timer_cancel(m->timers, &m->timeout);
    DL_FOREACH_SAFE (m->watches, w, next)
        unwatch(w);
}
