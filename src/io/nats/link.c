/* link.c - states of a link:
 *
 *     CONNECTING ──the job is done──> UP ──lost──> WAITING ──the timer──> CONNECTING
 *          └────────failed─────────────────────────^
 *
 * The job calls natsConnection_Connect(), which attaches the new connection to the loop from the thread it runs on, although the adapter
 * must be attached on the loop's: so attach() hands it over and waits. A connection is closed by shutting its socket down and
 * letting the library read the end of it, as its own way of closing waits for answers that this very loop would have to read.
 */
#include "io/nats/link.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/loop/worker.h"
#include "io/nats/adapter.h"
#include "io/nats/stuck.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_MS_MAX 2000 /* to one server, everything included */
#define STUCK_MS 3000       /* between two looks at an attempt: what both see is cut off */
#define CLOSE_MS_MAX 2000   /* for the library's own threads to end */
#define AGAIN_MS_MIN 100
#define AGAIN_MS_MAX 5000
#define ALIVE_S_MAX 30        /* a server's machine that answers nothing is given up after that */
#define CLOSE_READS_MAX 10000 /* of what had arrived before a connection was closed */
#define PENDING_MESSAGES_MAX 65536
#define PENDING_BYTES_MAX (256 << 20) /* arrived and not taken: nobody asks for as much */

enum state { CONNECTING, UP, WAITING, STOPPED };

/* The thread that connects waits for it. */
struct attach_call {
    void **user;
    natsConnection *nc;
    natsSock fd;
    natsStatus status;
    uv_sem_t done;
};

struct nats_link {
    struct nats_link_options opt;
    enum state state;
    bool stopping;
    const struct libnats *lib; /* NULL: it was not needed, or could not be loaded */
    natsConnection *nc;
    natsSubscription *all;
    natsSock fd;
    void *user;   /* the adapter's */
    char *filter; /* of the subscription */
    uint64_t again_ms;
    struct timer again;
    struct timer look; /* CONNECTING */
    struct stuck stuck;
    uv_check_t check;
    uv_async_t attach;
    unsigned open; /* handles */
    struct worker *worker;
    void (*closed)(void *arg);
    void *arg;

    /* the job's */
    struct worker_job job;
    natsConnection *made;
    char why[512]; /* made is NULL */
    struct attach_call *_Atomic call;
};

/* ---- connecting: on the worker's thread ---- */

static natsStatus hand_over(void **user, void *arg, natsConnection *nc, natsSock fd)
{
    struct nats_link *l = arg;
    struct attach_call c = {.user = user, .nc = nc, .fd = fd};
    CHECK(uv_sem_init(&c.done, 0) == 0);
    l->call = &c;
    CHECK(uv_async_send(&l->attach) == 0);
    uv_sem_wait(&c.done);
    uv_sem_destroy(&c.done);
    return c.status;
}

static natsStatus set_tls(const struct libnats *lib, const struct nats_settings *c, natsOptions *o)
{
    natsStatus s = NATS_OK;
    if (c->tls || strncmp(c->url, "tls:", 4) == 0 || c->tls_ca != NULL || c->tls_cert != NULL)
        s = lib->natsOptions_SetSecure(o, true);
    if (s == NATS_OK && c->tls_ca != NULL)
        s = lib->natsOptions_LoadCATrustedCertificates(o, c->tls_ca);
    if (s == NATS_OK && c->tls_cert != NULL)
        s = lib->natsOptions_LoadCertificatesChain(o, c->tls_cert, c->tls_key);
    return s;
}

static natsStatus set_identity(const struct libnats *lib, const struct nats_settings *c,
                               natsOptions *o)
{
    natsStatus s = NATS_OK;
    if (c->user != NULL)
        s = lib->natsOptions_SetUserInfo(o, c->user, c->password);
    if (s == NATS_OK && c->token != NULL)
        s = lib->natsOptions_SetToken(o, c->token);
    if (s == NATS_OK && c->credentials != NULL)
        s = lib->natsOptions_SetUserCredentialsFromFiles(o, c->credentials, NULL);
    if (s == NATS_OK && c->nkey != NULL)
        s = lib->natsOptions_SetNKeyFromSeed(o, c->nkey, c->nkey_seed);
    return s;
}

static natsStatus set_servers(const struct libnats *lib, const struct nats_settings *c,
                              natsOptions *o)
{
    const char *servers[NATS_SERVERS_MAX];
    char *list = mem_strdup(c->url), *rest = list, *one;
    int n = 0;
    while ((one = strsep(&rest, ",")) != NULL && n < NATS_SERVERS_MAX)
        servers[n++] = one;
    const natsStatus s = lib->natsOptions_SetServers(o, servers, n);
    free(list);
    return s;
}

static natsStatus set_options(struct nats_link *l, natsOptions *o)
{
    const struct libnats *lib = l->lib;
    natsStatus s = set_servers(lib, l->opt.settings, o);
    if (s == NATS_OK)
        s = lib->natsOptions_SetName(o, "pawl");
    if (s == NATS_OK)
        s = lib->natsOptions_SetTimeout(o, CONNECT_MS_MAX);
    if (s == NATS_OK)
        s = lib->natsOptions_SetAllowReconnect(o, false);
    if (s == NATS_OK)
        s = lib->natsOptions_SetPingInterval(o, 0);
    if (s == NATS_OK)
        s = lib->natsOptions_SetSendAsap(o, true);
    if (s == NATS_OK)
        s = lib->natsOptions_SetEventLoop(o, l, hand_over, adapter_read, adapter_write,
                                          adapter_detach);
    if (s == NATS_OK)
        s = set_identity(lib, l->opt.settings, o);
    return s == NATS_OK ? set_tls(lib, l->opt.settings, o) : s;
}

static void explain(struct nats_link *l, natsStatus s)
{
    natsStatus ignored;
    const char *detail = l->lib->nats_GetLastError(&ignored);
    const bool more = detail != NULL && *detail != '\0' && s != NATS_INVALID_ARG;
    snprintf(l->why, sizeof(l->why), "cannot connect to NATS: %s",
             more ? detail : l->lib->natsStatus_GetText(s));
}

static void connect_work(struct worker_job *j, void *unused)
{
    struct nats_link *l = container_of(j, struct nats_link, job);
    struct diag why;
    natsOptions *o = NULL;
    l->made = NULL;
    l->lib = libnats_load(&why);
    if (l->lib == NULL) {
        snprintf(l->why, sizeof(l->why), "%s", why.msg);
        return;
    }
    natsStatus s = l->lib->natsOptions_Create(&o);
    if (s == NATS_OK)
        s = set_options(l, o);
    if (s == NATS_OK)
        s = l->lib->natsConnection_Connect(&l->made, o);
    if (s != NATS_OK) {
        explain(l, s);
        l->made = NULL;
    }
    l->lib->natsOptions_Destroy(o);
}

/* The library's threads end before the worker's does. */
static void thread_stop(void *lib_at)
{
    const struct libnats *lib = *(const struct libnats **)lib_at;
    if (lib != NULL)
        lib->nats_CloseAndWait(CLOSE_MS_MAX);
}

static void *thread_start(void *arg)
{
    return arg;
}

/* ---- on the loop ---- */

static void set_alive(natsSock fd)
{
    const int on = 1, idle = 10, every = 5, count = (ALIVE_S_MAX - idle) / every;
    const unsigned user_ms = ALIVE_S_MAX * 1000;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

static void attach_wanted(uv_async_t *h)
{
    struct nats_link *l = container_of(h, struct nats_link, attach);
    struct attach_call *c = atomic_exchange(&l->call, NULL);
    if (c == NULL)
        return;
    adapter_init(l->lib, l->opt.loop);
    l->fd = c->fd;
    set_alive(c->fd);
    c->status = adapter_attach(c->user, l->opt.loop, c->nc, c->fd);
    l->user = *c->user;
    uv_sem_post(&c->done);
}

/* What came before the socket was shut down is read and thrown away: nothing of it was acknowledged. */
static void close_connection(struct nats_link *l)
{
    const struct libnats *lib = l->lib;
    uv_check_stop(&l->check);
    if (lib->natsConnection_Buffered(l->nc) > 0)
        lib->natsConnection_ProcessWriteEvent(l->nc);
    if (!lib->natsConnection_IsClosed(l->nc))
        shutdown(l->fd, SHUT_RDWR);
    for (int i = 0; i < CLOSE_READS_MAX && !lib->natsConnection_IsClosed(l->nc); i++)
        lib->natsConnection_ProcessReadEvent(l->nc);
    lib->natsSubscription_Destroy(l->all);
    lib->natsConnection_Destroy(l->nc);
    l->all = NULL;
    l->nc = NULL;
}

static void try_later(struct nats_link *l, const char *why)
{
    l->state = WAITING;
    timer_set(l->opt.timers, &l->again, l->again_ms);
    l->again_ms = l->again_ms * 2 < AGAIN_MS_MAX ? l->again_ms * 2 : AGAIN_MS_MAX;
    l->opt.down(l->opt.arg, why);
}

static void lost(struct nats_link *l)
{
    const char *detail = NULL;
    const natsStatus s = l->lib->natsConnection_GetLastError(l->nc, &detail);
    char why[256];
    if (s == NATS_OK)
        detail = "its socket has failed";
    else if (detail == NULL || *detail == '\0')
        detail = l->lib->natsStatus_GetText(s);
    snprintf(why, sizeof(why), "the connection to NATS was lost: %s", detail);
    close_connection(l);
    try_later(l, why);
}

static bool is_inbox(const struct nats_link *l, const char *subject)
{
    const size_t len = strlen(l->opt.inbox);
    return strncmp(subject, l->opt.inbox, len) == 0 && subject[len] == '.';
}

static void deliver(struct nats_link *l, natsMsg *msg)
{
    const struct libnats *lib = l->lib;
    const char *reply = lib->natsMsg_GetReply(msg), *status;
    struct nats_message m = {
        .subject = slice_of(lib->natsMsg_GetSubject(msg)),
        .reply = slice_of(reply != NULL ? reply : ""),
        .data = {lib->natsMsg_GetData(msg), (size_t)lib->natsMsg_GetDataLength(msg)},
        .handle = msg,
    };
    if (m.data.p == NULL)
        m.data = SLICE("");
    if (m.data.len == 0 && is_inbox(l, m.subject.p) &&
        lib->natsMsgHeader_Get(msg, "Status", &status) == NATS_OK)
        m.status = atoi(status);
    l->opt.message(l->opt.arg, &m);
}

/* When a socket has an error (the server was killed), libuv stops polling it and the adapter reads once. That may have been good data
 * which had come before the error, so that the library has not seen the error, and will not. */
static bool is_lost(const struct nats_link *l)
{
    return l->lib->natsConnection_IsClosed(l->nc) || !adapter_reads(l->user);
}

/* After the sockets were read. */
static void take(uv_check_t *h)
{
    struct nats_link *l = container_of(h, struct nats_link, check);
    natsMsg *msg;
    natsStatus s;
    while ((s = l->lib->natsSubscription_NextMsg(&msg, l->all, 0)) == NATS_OK ||
           s == NATS_NO_RESPONDERS) {
        if (s == NATS_OK)
            deliver(l, msg);
        else
            l->opt.unanswered(l->opt.arg);
    }
    if (is_lost(l))
        lost(l);
}

static void go_on_closing(struct nats_link *l);

static void connected(struct nats_link *l)
{
    const natsStatus s = l->lib->natsConnection_SubscribeSync(&l->all, l->nc, l->filter);
    if (s != NATS_OK) {
        close_connection(l);
        try_later(l, l->lib->natsStatus_GetText(s));
        return;
    }
    l->lib->natsSubscription_SetPendingLimits(l->all, PENDING_MESSAGES_MAX, PENDING_BYTES_MAX);
    l->state = UP;
    l->again_ms = AGAIN_MS_MIN;
    uv_check_start(&l->check, take);
    l->opt.up(l->opt.arg);
}

static void look(struct timer *t)
{
    struct nats_link *l = container_of(t, struct nats_link, look);
    stuck_look(&l->stuck, l->opt.settings->url);
    timer_set(l->opt.timers, &l->look, STUCK_MS);
}

static void connect_done(struct worker_job *j, bool cancelled)
{
    struct nats_link *l = container_of(j, struct nats_link, job);
    timer_cancel(l->opt.timers, &l->look);
    l->nc = l->made;
    if (l->stopping) {
        if (l->nc != NULL)
            close_connection(l);
        go_on_closing(l);
    } else if (l->nc == NULL) {
        try_later(l, l->why);
    } else {
        connected(l);
    }
}

static void begin(struct nats_link *l)
{
    l->state = CONNECTING;
    l->job = (struct worker_job){.work = connect_work, .done = connect_done};
    l->stuck = (struct stuck){0};
    timer_set(l->opt.timers, &l->look, STUCK_MS);
    CHECK(worker_post(l->worker, &l->job) == 0);
}

static void again(struct timer *t)
{
    begin(container_of(t, struct nats_link, again));
}

struct nats_link *nats_link_create(const struct nats_link_options *opt)
{
    struct nats_link *l = mem_zalloc(sizeof(*l));
    l->opt = *opt;
    l->filter = mem_printf("%s.>", opt->inbox);
    l->again_ms = AGAIN_MS_MIN;
    l->again.fired = again;
    l->look.fired = look;
    const struct worker_options w = {
        .name = "nats",
        .threads = 1,
        .waiting_max = 1,
        .thread_start = thread_start,
        .thread_stop = thread_stop,
        .arg = &l->lib,
    };
    l->worker = worker_create(opt->loop, &w);
    CHECK(uv_check_init(opt->loop, &l->check) == 0);
    CHECK(uv_async_init(opt->loop, &l->attach, attach_wanted) == 0);
    l->open = 2;
    begin(l);
    return l;
}

bool nats_link_send(struct nats_link *l, const char *subject, const char *reply, struct slice data)
{
    if (l->state != UP)
        return false;
    const natsStatus s =
        reply != NULL
            ? l->lib->natsConnection_PublishRequest(l->nc, subject, reply, data.p, (int)data.len)
            : l->lib->natsConnection_Publish(l->nc, subject, data.p, (int)data.len);
    return s == NATS_OK;
}

const char *nats_link_header(struct nats_link *l, void *handle, const char *name)
{
    const char *value;
    return l->lib->natsMsgHeader_Get(handle, name, &value) == NATS_OK ? value : NULL;
}

void nats_link_release(struct nats_link *l, void *handle)
{
    l->lib->natsMsg_Destroy(handle);
}

/* ---- the end ---- */

static void handle_closed(struct nats_link *l)
{
    if (--l->open > 0)
        return;
    void (*closed)(void *) = l->closed;
    void *arg = l->arg;
    free(l->filter);
    free(l);
    closed(arg);
}

static void check_closed(uv_handle_t *h)
{
    handle_closed(container_of((uv_check_t *)h, struct nats_link, check));
}

static void attach_closed(uv_handle_t *h)
{
    handle_closed(container_of((uv_async_t *)h, struct nats_link, attach));
}

static void worker_closed(void *arg)
{
    struct nats_link *l = arg;
    uv_close((uv_handle_t *)&l->check, check_closed);
    uv_close((uv_handle_t *)&l->attach, attach_closed);
}

static void go_on_closing(struct nats_link *l)
{
    l->state = STOPPED;
    if (l->lib != NULL)
        l->lib->nats_ReleaseThreadMemory();
    worker_close(l->worker, worker_closed, l);
}

void nats_link_stop(struct nats_link *l, void (*closed)(void *arg), void *arg)
{
    l->stopping = true;
    l->closed = closed;
    l->arg = arg;
    timer_cancel(l->opt.timers, &l->again);
    if (l->state == CONNECTING) {
        stuck_cut(l->opt.settings->url);
        return; /* connect_done() follows */
    }
    if (l->state == UP)
        close_connection(l);
    go_on_closing(l);
}
