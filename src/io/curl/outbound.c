/* The life of a request. ended() is called from the loop, from nowhere else:
 *
 *     PREPARING ──> RUNNING ──> ended()
 *         │            │
 *         └────────────┴──────> ENDING ──> ended()    cancelled, or it could not be started
 *
 * PREPARING  with the thread, which loads libcurl and prepares the request; once the library is there, a request that needs no
 *            preparation is never in this state
 * RUNNING    with libcurl
 * ENDING     `later` is due at once
 */
#include "io/curl/outbound.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/curl/multi.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PREPARING, RUNNING, ENDING };

_Static_assert(OUTBOUND_DETAIL_SIZE >= CURL_ERROR_SIZE, "room for libcurl's message");

struct outbound {
    uv_loop_t *loop;
    struct timers *timers;
    struct worker *worker;
    struct multi multi;
    bool loaded;
    CURL *spare[OUTBOUND_SPARE_MAX]; /* with their buffers, for the next requests */
    size_t spare_count;
    size_t requests;     /* not ended yet */
    struct timer linger; /* set while connections are open and there is no request */
    unsigned closing;    /* what is still to be closed */
    void (*closed)(void *arg);
    void *arg;
};

/* ---- the end ---- */

/* A handle counts for its whole life how often it began again on a new connection, and refuses to after the fifth time. So only one that
 * made no connection is kept: beside making one, making a handle is nothing. */
static bool may_be_kept(const struct outbound *o, CURL *h)
{
    long connections = 0;
    o->multi.curl->easy_getinfo(h, CURLINFO_NUM_CONNECTS, &connections);
    return connections == 0 && o->spare_count < OUTBOUND_SPARE_MAX;
}

static void put_back(struct outbound *o, CURL *h, bool own_roots)
{
    /* What is borrowed from the request. The rest of its options is set again by the next one. */
    CHECK(o->multi.curl->easy_setopt(h, CURLOPT_ERRORBUFFER, NULL) == CURLE_OK);
    if (!own_roots && may_be_kept(o, h))
        o->spare[o->spare_count++] = h;
    else
        o->multi.curl->easy_cleanup(h);
}

static void release(struct outbound_request *r)
{
    struct outbound *o = r->outbound;
    if (r->handle != NULL)
        put_back(o, r->handle, r->options.ca_file != NULL);
    free(r->headers);
    r->handle = r->headers = NULL;
    if (--o->requests == 0 && o->multi.handle != NULL)
        timer_set(o->timers, &o->linger, OUTBOUND_LINGER_MS);
}

static void end(struct outbound_request *r, struct outbound_end *e)
{
    struct str body = r->body;
    char *redirect_url = mem_strdup(e->redirect_url); /* it is the handle's, which goes */
    e->redirect_url = redirect_url;
    e->body = str_slice(&body);
    e->duration_ms = uv_now(r->outbound->loop) - r->began_ms;
    r->body = (struct str){0};
    release(r);
    r->options.ended(r, e); /* r may be gone */
    str_release(&body);
    free(redirect_url);
}

static void end_now(struct timer *t)
{
    struct outbound_request *r = container_of(t, struct outbound_request, later);
    if (r->err == -ECANCELED)
        diag_set(&r->why, DIAG_INTERNAL, "cancelled");
    struct outbound_end e = {.err = r->err, .why = r->why};
    str_reset(&r->body);
    end(r, &e);
}

static void end_later(struct outbound_request *r, int err)
{
    r->state = ENDING;
    r->err = err;
    r->later.fired = end_now;
    timer_set(r->outbound->timers, &r->later, 0);
}

static bool is_success(const struct libcurl *curl, const struct outbound_request *r)
{
    long status = 0;
    curl->easy_getinfo(r->handle, CURLINFO_RESPONSE_CODE, &status);
    return status / 100 == 2;
}

static void read_answer(const struct libcurl *curl, struct outbound_request *r,
                        struct outbound_end *e)
{
    long status = 0;
    curl_off_t seconds = 0;
    char *url = NULL;
    curl->easy_getinfo(r->handle, CURLINFO_RESPONSE_CODE, &status);
    curl->easy_getinfo(r->handle, CURLINFO_RETRY_AFTER, &seconds);
    curl->easy_getinfo(r->handle, CURLINFO_REDIRECT_URL, &url);
    e->status = (int)status;
    e->retry_after_ms = seconds <= 0           ? 0
                        : seconds > UINT32_MAX ? UINT64_MAX
                                               : (uint64_t)seconds * 1000;
    e->redirect_url = url;
}

/* libcurl does not know why it was given no socket. */
static const char *detail_of(const struct multi *m, const struct outbound_request *r, CURLcode code)
{
    return code == CURLE_COULDNT_CONNECT && m->socket_err != 0 ? strerror(m->socket_err)
                                                               : r->detail;
}

static void transfer_done(struct multi *m, CURL *h, CURLcode code)
{
    char *private = NULL;
    struct outbound_end e = {0};
    m->curl->easy_getinfo(h, CURLINFO_PRIVATE, &private);
    struct outbound_request *r = (struct outbound_request *)(void *)private;
    CHECK(r != NULL && r->state == RUNNING);
    if (code == CURLE_OK && !r->headers_whole) { /* which is fine with libcurl */
        e.err = -EIO;
        libcurl_explain(m->curl, h, CURLE_PARTIAL_FILE, r->options.url,
                        "the answer ends within its headers", 0, &e.why);
    } else if (code == CURLE_OK || (r->too_long && !is_success(m->curl, r))) {
        read_answer(m->curl, r, &e);
    } else if (r->too_long) {
        e.err = -EMSGSIZE;
        diag_set(&e.why, DIAG_PAYLOAD_TOO_LARGE, "the answer is longer than %zu bytes",
                 r->options.body_bytes_max);
    } else if (r->header_bytes > OUTBOUND_HEADER_BYTES_MAX) {
        e.err = -EIO;
        libcurl_explain(m->curl, h, code, r->options.url, "the answer's headers are too long", 0,
                        &e.why);
    } else {
        e.err = code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
        libcurl_explain(m->curl, h, code, r->options.url, detail_of(m, r, code),
                        r->options.total_ms, &e.why);
    }
    end(r, &e);
}

/* ---- the request ---- */

/* One line: the status's, a header's, or the empty one behind them. There may be answers before the one that counts (1xx), and
 * headers behind its body; libcurl keeps them all, and bounds but those before the body. */
static size_t header_came(char *p, size_t size, size_t n, void *arg)
{
    struct outbound_request *r = arg;
    const struct slice line = {p, size * n};
    r->header_bytes += line.len;
    if (r->header_bytes > OUTBOUND_HEADER_BYTES_MAX)
        return 0; /* ends the request */
    if (slice_is(line, "\r\n") || slice_is(line, "\n"))
        r->headers_whole = true;
    else if (slice_starts(line, "HTTP/"))
        r->headers_whole = false;
    return line.len;
}

/* Too much of it ends the request; what there is by then will do to say what went wrong. */
static size_t body_came(char *p, size_t size, size_t n, void *arg)
{
    struct outbound_request *r = arg;
    const size_t len = size * n, room = r->options.body_bytes_max - r->body.len;
    r->too_long = len > room;
    str_add(&r->body, p, r->too_long ? room : len);
    return r->too_long ? 0 : len;
}

static bool is_agent(const char *line)
{
    static const char name[] = "User-Agent";
    const size_t len = sizeof(name) - 1;
    return strncasecmp(line, name, len) == 0 && (line[len] == ':' || line[len] == ';');
}

/* libcurl reads the list where it is. */
static void set_headers(const struct libcurl *curl, struct outbound_request *r)
{
    static struct curl_slist expect = {"Expect:",
                                       NULL}; /* a body is sent at once, not after a round trip */
    static struct curl_slist agent = {"User-Agent: pawl/" PAWL_VERSION, &expect};
    const char *const *lines = r->options.headers;
    struct curl_slist *ours = &agent;
    size_t n = 0;
    for (; lines != NULL && lines[n] != NULL; n++)
        if (is_agent(lines[n]))
            ours = &expect;
    struct curl_slist *list = mem_alloc((n + 1) * sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = (struct curl_slist){(char *)lines[i], i + 1 < n ? &list[i + 1] : ours};
    r->headers = list;
    CHECK(curl->easy_setopt(r->handle, CURLOPT_HTTPHEADER, n > 0 ? list : ours) == CURLE_OK);
}

/* What is the same for all requests. */
static CURL *make_handle(struct outbound *o)
{
    const struct libcurl *curl = o->multi.curl;
    CURL *h = curl->easy_init();
    CHECK(h != NULL);
    libcurl_set_common(curl, h);
    multi_prepare(&o->multi, h);
    CHECK(curl->easy_setopt(h, CURLOPT_WRITEFUNCTION, body_came) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_HEADERFUNCTION, header_came) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_POST, 1L) == CURLE_OK);
    /* A request that is given up while its server's name is being looked up must not wait for that. */
    CHECK(curl->easy_setopt(h, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK);
    return h;
}

static long time_left(const struct outbound_options *o)
{
    if (o->total_ms == 0)
        return 0; /* as long as it takes */
    return o->total_ms > o->spent_ms ? (long)(o->total_ms - o->spent_ms) : 1;
}

static void set_up(const struct libcurl *curl, struct outbound_request *r)
{
    const struct outbound_options *o = &r->options;
    CURL *h = r->handle;
    CHECK(curl->easy_setopt(h, CURLOPT_PRIVATE, r) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_URL, o->url) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_ERRORBUFFER, r->detail) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_TIMEOUT_MS, time_left(o)) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_WRITEDATA, r) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_HEADERDATA, r) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_POSTFIELDS, o->body.p != NULL ? o->body.p : "") == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.len) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_CUSTOMREQUEST, o->method) == CURLE_OK);
    if (o->ca_file != NULL)
        CHECK(curl->easy_setopt(h, CURLOPT_CAINFO, o->ca_file) == CURLE_OK);
    set_headers(curl, r);
}

static void run(struct outbound_request *r)
{
    struct outbound *o = r->outbound;
    if (o->multi.handle == NULL)
        multi_open(&o->multi, OUTBOUND_IDLE_MAX);
    r->handle = o->spare_count > 0 ? o->spare[--o->spare_count] : make_handle(o);
    set_up(o->multi.curl, r);
    r->state = RUNNING;
    multi_add(&o->multi, r->handle);
}

/* ---- before it ---- */

static void prepare(struct worker_job *j, void *thread_state)
{
    struct outbound_request *r = container_of(j, struct outbound_request, job);
    if (libcurl_load(&r->why) == NULL)
        r->err = -EIO;
    else if (r->options.prepare != NULL)
        r->options.prepare(r);
}

static void prepared(struct worker_job *j, bool cancelled)
{
    struct outbound_request *r = container_of(j, struct outbound_request, job);
    struct outbound *o = r->outbound;
    if (r->state == ENDING) { /* cancelled meanwhile */
        end_later(r, -ECANCELED);
        return;
    }
    CHECK(!cancelled); /* the worker is closed when there is no request left */
    if (r->err != 0) {
        end_later(r, r->err);
        return;
    }
    o->multi.curl = libcurl_load(NULL);
    o->loaded = true;
    run(r);
}

void outbound_start(struct outbound *o, struct outbound_request *r,
                    const struct outbound_options *opt)
{
    *r = (struct outbound_request){.options = *opt, .outbound = o, .state = PREPARING};
    r->job = (struct worker_job){.work = prepare, .done = prepared};
    r->began_ms = uv_now(o->loop);
    o->requests++;
    timer_cancel(o->timers, &o->linger);
    if (o->loaded && opt->prepare == NULL) {
        run(r);
    } else if (worker_post(o->worker, &r->job) < 0) {
        diag_set(&r->why, DIAG_UNAVAILABLE, "too many requests wait to be sent");
        end_later(r, -EIO);
    }
}

void outbound_cancel(struct outbound_request *r)
{
    const int state = r->state;
    if (state == ENDING)
        return;
    if (state == PREPARING) {
        r->state = ENDING; /* prepared() goes on from there */
        return;
    }
    multi_remove(&r->outbound->multi, r->handle);
    end_later(r, -ECANCELED);
}

/* ---- life ---- */

static void disconnect(struct outbound *o)
{
    while (o->spare_count > 0)
        o->multi.curl->easy_cleanup(o->spare[--o->spare_count]);
    multi_close(&o->multi);
}

static void linger_over(struct timer *t)
{
    disconnect(container_of(t, struct outbound, linger));
}

struct outbound *outbound_create(uv_loop_t *loop, struct timers *timers)
{
    struct outbound *o = mem_zalloc(sizeof(*o));
    o->loop = loop;
    o->timers = timers;
    o->linger.fired = linger_over;
    o->multi = (struct multi){.loop = loop, .timers = timers, .done = transfer_done};
    o->worker = worker_create(loop, &(struct worker_options){.name = "outbound",
                                                             .threads = 1,
                                                             .waiting_max = OUTBOUND_WAITING_MAX});
    return o;
}

static void part_closed(struct outbound *o)
{
    if (--o->closing > 0)
        return;
    void (*closed)(void *) = o->closed;
    void *arg = o->arg;
    free(o);
    closed(arg);
}

static void watches_closed(struct multi *m)
{
    part_closed(container_of(m, struct outbound, multi));
}

static void worker_closed(void *arg)
{
    part_closed(arg);
}

void outbound_close(struct outbound *o, void (*closed)(void *arg), void *arg)
{
    CHECK(o->requests == 0);
    o->closed = closed;
    o->arg = arg;
    o->closing = 1;
    timer_cancel(o->timers, &o->linger);
    disconnect(o);
    if (o->multi.open > 0) {
        o->closing++;
        o->multi.drained = watches_closed;
    }
    worker_close(o->worker, worker_closed, o);
}
