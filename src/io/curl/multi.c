/* libcurl says which sockets it wants watched and when it wants to be called: on_socket() and
 * on_timeout() note that down and do no more, as they are called from inside of it. Whatever then
 * happens goes in through act(), which also collects what has ended.
 *
 * Between two requests on a connection libcurl wants its socket not watched. To tell that to epoll
 * twice for each request costs more than the rare event on an idle connection: so the sockets of
 * connections, which are opened and closed by us, are watched on, until something comes that nobody
 * wanted. All others may be closed as soon as they are not wanted: those of the resolver, and of
 * connections that could not be made, which some versions close without telling. */
#include "io/curl/multi.h"
#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

struct multi_watch {
    uv_poll_t poll;
    struct multi *multi;
    curl_socket_t fd;
    uint64_t cookie; /* of a socket that we opened; 0: another one */
    bool has_poll;
    int wanted; /* by libcurl: UV_READABLE, UV_WRITABLE */
    int active; /* what the loop was told */
    UT_hash_handle hh;
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

static struct multi_watch *find(const struct multi *m, curl_socket_t fd);
static void set_active(struct multi_watch *w, int events);

/* An error of the socket is not passed on as one: libcurl would give the request up. It does what it wanted to do and finds out by
 * itself what is wrong, after what the server said before, and whether to begin again on another connection. */
static void failed(struct multi_watch *w)
{
    struct multi *m = w->multi;
    const curl_socket_t fd = w->fd;
    w->active = 0; /* libuv does not watch it any more */
    act(m, fd,
        ((w->wanted & UV_READABLE) ? CURL_CSELECT_IN : 0) |
            ((w->wanted & UV_WRITABLE) ? CURL_CSELECT_OUT : 0));
    if (find(m, fd) == w && w->wanted != 0)
        set_active(w, w->wanted);
}

static void ready(uv_poll_t *h, int status, int events)
{
    struct multi_watch *w = container_of(h, struct multi_watch, poll);
    if (w->wanted == 0)
        set_active(w, 0);
    else if (status < 0)
        failed(w);
    else
        act(w->multi, w->fd,
            ((events & UV_READABLE) ? CURL_CSELECT_IN : 0) |
                ((events & UV_WRITABLE) ? CURL_CSELECT_OUT : 0));
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

static void set_active(struct multi_watch *w, int events)
{
    if (!w->has_poll) {
        CHECK(uv_poll_init_socket(w->multi->loop, &w->poll, w->fd) == 0);
        w->has_poll = true;
        w->multi->open++;
    }
    if (events == 0)
        uv_poll_stop(&w->poll);
    else if (events != w->active)
        CHECK(uv_poll_start(&w->poll, events, ready) == 0);
    w->active = events;
}

static void unwatch(struct multi_watch *w)
{
    HASH_DEL(w->multi->watches, w);
    if (!w->has_poll) {
        free(w);
        return;
    }
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, watch_closed);
}

static struct multi_watch *find(const struct multi *m, curl_socket_t fd)
{
    struct multi_watch *w;
    HASH_FIND_INT(m->watches, &fd, w);
    return w;
}

/* Tells it from all that had, or will have, the same number. 0: it is no socket. */
static uint64_t cookie_of(curl_socket_t fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

/* It is open, and will be until close_socket(): an answer was waited for, so it was connected. */
static bool is_lasting(const struct multi_watch *w)
{
    return w->cookie != 0 && (w->wanted & UV_READABLE) != 0 && cookie_of(w->fd) == w->cookie;
}

static struct multi_watch *watch(struct multi *m, curl_socket_t fd, uint64_t cookie)
{
    struct multi_watch *w = mem_zalloc(sizeof(*w));
    w->multi = m;
    w->fd = fd;
    w->cookie = cookie;
    HASH_ADD_INT(m->watches, fd, w);
    return w;
}

static int on_socket(CURL *h, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct multi *m = arg;
    struct multi_watch *w = find(m, fd);
    const bool over = what == CURL_POLL_REMOVE;
    if (w == NULL && over)
        return 0;
    if (w == NULL)
        w = watch(m, fd, 0);
    if (over && !is_lasting(w)) {
        unwatch(w); /* it is closed, or may be as soon as this returns */
        return 0;
    }
    w->wanted = over ? 0
                     : ((what & CURL_POLL_IN) ? UV_READABLE : 0) |
                           ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0);
    if (!over)
        set_active(w, w->wanted);
    return 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    struct multi *m = arg;
    const int fd =
        socket(addr->family, addr->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, addr->protocol);
    m->socket_err = fd < 0 ? errno : 0;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    struct multi_watch *stale = find(m, fd);
    if (stale != NULL)
        unwatch(stale); /* closed behind our back */
    watch(m, fd, cookie_of(fd));
    return fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct multi_watch *w = find(arg, fd);
    if (w != NULL)
        unwatch(w);
    return close(fd);
}

void multi_prepare(struct multi *m, CURL *h)
{
    const struct libcurl *curl = m->curl;
    CHECK(curl->easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_OPENSOCKETDATA, m) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_CLOSESOCKETDATA, m) == CURLE_OK);
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
    HASH_ITER (hh, m->watches, w, next)
        unwatch(w);
}
