/* Requests on a loop, against a server that says what a test wants and a resolver that answers when a test wants. */
#include "io/curl/outbound.h"
#include "base/mem.h"
#include "peer.h"
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <cmocka.h>

/* The resolver that libcurl gets: "slow.invalid" is looked up until the test says otherwise. */
static sem_t lookup_began, lookup_may_end;

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict res)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    if (node == NULL || strcmp(node, "slow.invalid") != 0)
        return real(node, service, hints, res);
    sem_post(&lookup_began);
    while (sem_wait(&lookup_may_end) != 0)
        ;
    return EAI_NONAME;
}

struct world {
    uv_loop_t loop;
    struct timers timers;
    struct outbound *outbound;
    struct peer peer;
    bool closed;
};

struct call {
    struct outbound_request request;
    struct world *world;
    bool ended;
    int err, status;
    uint64_t retry_after_ms;
    char *body, *why, *redirect_url;
};

static int set_up(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    sem_init(&lookup_began, 0, 0);
    sem_init(&lookup_may_end, 0, 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    timers_init(&w->timers, &w->loop);
    w->outbound = outbound_create(&w->loop, &w->timers);
    *state = w;
    return 0;
}

static void closed(void *arg)
{
    struct world *w = arg;
    w->closed = true;
    timers_close(&w->timers, NULL);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    outbound_close(w->outbound, closed, w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_true(w->closed);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
    return 0;
}

static void ended(struct outbound_request *r, const struct outbound_end *e)
{
    struct call *c = container_of(r, struct call, request);
    assert_false(c->ended);
    c->ended = true;
    uv_stop(&c->world->loop);
    c->err = e->err;
    c->status = e->status;
    c->retry_after_ms = e->retry_after_ms;
    c->body = mem_dup(e->body.p != NULL ? e->body.p : "", e->body.len);
    c->why = mem_strdup(e->why.msg);
    c->redirect_url = mem_strdup(e->redirect_url);
}

static void start(struct world *w, struct call *c, const char *url, struct outbound_options opt)
{
    *c = (struct call){.world = w};
    opt.method = opt.method != NULL ? opt.method : "POST";
    opt.url = url;
    opt.connect_ms = opt.connect_ms > 0 ? opt.connect_ms : 600000;
    opt.body_bytes_max = opt.body_bytes_max > 0 ? opt.body_bytes_max : 1000;
    opt.ended = ended;
    outbound_start(w->outbound, &c->request, &opt);
    assert_false(c->ended);
}

static void wait_for(struct world *w, const struct call *c)
{
    while (!c->ended)
        uv_run(&w->loop, UV_RUN_DEFAULT); /* until something has ended */
}

static void release(struct call *c)
{
    free(c->body);
    free(c->why);
    free(c->redirect_url);
}

static void answers_come_back(void **state)
{
    static const struct {
        const char *raw;
        int status;
        const char *body, *redirect;
        uint64_t retry_after_ms;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", NULL, 0},
        {"HTTP/1.1 204 Fine\r\n\r\n", 204, "", NULL, 0},
        {"HTTP/1.1 429 Wait\r\nRetry-After: 120\r\nContent-Length: 1\r\n\r\nx", 429, "x", NULL,
         120000},
        {"HTTP/1.1 503 Wait\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: "
         "0\r\n\r\n",
         503, "", NULL, 0},
        {"HTTP/1.1 503 Wait\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 503, "", NULL, 0},
        {"HTTP/1.1 503 Wait\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n", 503, "", NULL, 0},
        {"HTTP/1.1 307 Go\r\nLocation: https://else.invalid/x\r\nContent-Length: 0\r\n\r\n", 307,
         "", "https://else.invalid/x", 0},
        {"HTTP/1.1 302 Go\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", 302, "",
         "file:///etc/passwd", 0},
        {"HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
         200, "hi", NULL, 0},
        {"HTTP/1.1 503 Wait\r\nRetry-After: 9\r\nContent-Length: 12\r\n\r\nmuch to read", 503,
         "much to re", NULL, 9000},
        {"HTTP/1.1 404 None\r\n\r\nmuch to read", 404, "much to re", NULL, 0},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct call c;
        peer_start(&w->peer, cases[i].raw);
        start(w, &c, w->peer.url,
              (struct outbound_options){.body = SLICE("event"), .body_bytes_max = 10});
        wait_for(w, &c);
        peer_stop(&w->peer);
        assert_string_equal(c.why, "");
        assert_int_equal(c.err, 0);
        assert_int_equal(c.status, cases[i].status);
        assert_string_equal(c.body, cases[i].body);
        assert_int_equal(c.retry_after_ms, cases[i].retry_after_ms);
        if (cases[i].redirect != NULL)
            assert_string_equal(c.redirect_url, cases[i].redirect);
        else
            assert_null(c.redirect_url);
        assert_true(slice_starts(str_slice(&w->peer.got), "POST / HTTP/1.1\r\n"));
        assert_string_equal(w->peer.got.p + w->peer.got.len - 5, "event");
        str_release(&w->peer.got);
        release(&c);
    }
}

/* A date fifty minutes ahead, whatever the clock says. */
static void retry_after_may_be_a_date(void **state)
{
    struct world *w = *state;
    struct call c;
    char date[40], raw[200];
    const time_t then = time(NULL) + 3000;
    struct tm tm;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
    snprintf(raw, sizeof(raw), "HTTP/1.1 503 Wait\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n",
             date);
    peer_start(&w->peer, raw);
    start(w, &c, w->peer.url, (struct outbound_options){0});
    wait_for(w, &c);
    peer_stop(&w->peer);
    assert_in_range(c.retry_after_ms, 2000000, 3000000);
    str_release(&w->peer.got);
    release(&c);
}

static void trouble_is_named(void **state)
{
    static const struct {
        const char *raw; /* NULL: it never answers */
        const char *url; /* NULL: the peer's */
        uint64_t total_ms;
        int err;
        const char *why;
    } cases[] = {
        {"", "http://127.0.0.1:1/secret?token=1", 0, -EIO,
         "cannot reach http://127.0.0.1:1: Connection refused"},
        {"", "ftp://127.0.0.1:1/", 0, -EIO, "rotocol"},
        {NULL, NULL, 100, -ETIMEDOUT, "no complete answer within 100ms"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", NULL, 0, -EIO, "http://127.0.0.1:"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", NULL, 0, -EMSGSIZE,
         "the answer is longer than 5 bytes"},
        {"no HTTP at all", NULL, 0, -EIO, "http://127.0.0.1:"},
        {"HTTP/1.1 200 O", NULL, 0, -EIO, "http://127.0.0.1:"},
        {"HTTP/1.1 200 OK\r\n", NULL, 0, -EIO, "the answer ends within its headers"},
        {"HTTP/1.1 200 OK\r\nContent-", NULL, 0, -EIO, "the answer ends within its headers"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n", NULL, 0, -EIO,
         "the answer ends within its headers"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct call c;
        peer_start(&w->peer, cases[i].raw);
        start(w, &c, cases[i].url != NULL ? cases[i].url : w->peer.url,
              (struct outbound_options){.total_ms = cases[i].total_ms, .body_bytes_max = 5});
        wait_for(w, &c);
        peer_stop(&w->peer);
        assert_int_equal(c.err, cases[i].err);
        if (strstr(c.why, cases[i].why) == NULL || strstr(c.why, "token") != NULL)
            fail_msg("'%s' does not have '%s'", c.why, cases[i].why);
        str_release(&w->peer.got);
        release(&c);
    }
}

/* Wherever they are: before the answer, in it, behind its body. */
static void headers_are_bounded(void **state)
{
    static const struct {
        const char *before, *again;
    } cases[] = {
        {"", "HTTP/1.1 100 Continue\r\n\r\n"},
        {"HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-More: and more\r\n"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct call c;
        struct str raw = {0};
        str_add_cstr(&raw, cases[i].before);
        while (raw.len <= OUTBOUND_HEADER_BYTES_MAX + 1000)
            str_add_cstr(&raw, cases[i].again);
        peer_start(&w->peer, raw.p);
        start(w, &c, w->peer.url, (struct outbound_options){0});
        wait_for(w, &c);
        peer_stop(&w->peer);
        assert_int_equal(c.err, -EIO);
        assert_non_null(strstr(c.why, ": the answer's headers are too long"));
        str_release(&w->peer.got);
        str_release(&raw);
        release(&c);
    }
}

static void it_can_be_cancelled_at_any_time(void **state)
{
    struct world *w = *state;
    peer_start(&w->peer, NULL);
    for (int turns = 0; turns < 12; turns++) {
        struct call c;
        start(w, &c, w->peer.url, (struct outbound_options){0});
        for (int i = 0; i < turns && !c.ended; i++)
            uv_run(&w->loop, UV_RUN_NOWAIT);
        outbound_cancel(&c.request);
        outbound_cancel(&c.request);
        assert_false(c.ended);
        wait_for(w, &c);
        assert_int_equal(c.err, -ECANCELED);
        assert_string_equal(c.why, "cancelled");
        release(&c);
    }
    peer_stop(&w->peer);
    str_release(&w->peer.got);
}

/* Neither the loop nor a cancellation nor a time-out waits for a name to be looked up. */
static void a_slow_resolver_holds_nobody_up(void **state)
{
    struct world *w = *state;
    struct call slow, late, quick;
    peer_start(&w->peer, "HTTP/1.1 204 Fine\r\n\r\n");
    start(w, &slow, "http://slow.invalid/", (struct outbound_options){0});
    start(w, &late, "http://slow.invalid:81/", (struct outbound_options){.connect_ms = 50});
    start(w, &quick, w->peer.url, (struct outbound_options){0});
    wait_for(w, &quick);
    assert_int_equal(quick.status, 204);
    wait_for(w, &late);
    assert_int_equal(late.err, -ETIMEDOUT);
    sem_wait(&lookup_began);
    sem_wait(&lookup_began);
    assert_false(slow.ended);
    outbound_cancel(&slow.request);
    wait_for(w, &slow);
    assert_int_equal(slow.err, -ECANCELED);
    peer_stop(&w->peer);
    str_release(&w->peer.got);
    sem_post(&lookup_may_end);
    sem_post(&lookup_may_end);
    release(&slow);
    release(&late);
    release(&quick);
}

static void give_body(struct outbound_request *r)
{
    r->options.body = SLICE("prepared");
}

static void it_is_prepared_off_the_loop(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        struct call c;
        peer_start(&w->peer, "HTTP/1.1 204 Fine\r\n\r\n");
        start(w, &c, w->peer.url, (struct outbound_options){.method = "PUT", .prepare = give_body});
        wait_for(w, &c);
        peer_stop(&w->peer);
        assert_true(slice_starts(str_slice(&w->peer.got), "PUT / HTTP/1.1\r\n"));
        assert_non_null(strstr(w->peer.got.p, "\r\n\r\nprepared"));
        str_release(&w->peer.got);
        release(&c);
    }
}

static void many_go_at_the_same_time(void **state)
{
    enum { COUNT = 100 };
    struct world *w = *state;
    struct call *calls = mem_zalloc(COUNT * sizeof(*calls));
    peer_start(&w->peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    for (int i = 0; i < COUNT; i++)
        start(w, &calls[i], w->peer.url, (struct outbound_options){.body = SLICE("x")});
    for (int i = 0; i < COUNT; i++) {
        wait_for(w, &calls[i]);
        assert_int_equal(calls[i].err, 0);
        assert_string_equal(calls[i].body, "hi");
        release(&calls[i]);
    }
    peer_stop(&w->peer);
    str_release(&w->peer.got);
    free(calls);
}

static void count_turn(uv_prepare_t *h)
{
    (*(int *)h->data)++;
}

static void time_over(uv_timer_t *t)
{
    uv_stop(t->loop);
}

/* Turns of the loop within ms. */
static int turns_in(struct world *w, uint64_t ms)
{
    uv_prepare_t prepare = {0};
    uv_timer_t timer;
    int turns = 0;
    uv_prepare_init(&w->loop, &prepare);
    uv_timer_init(&w->loop, &timer);
    prepare.data = &turns;
    uv_prepare_start(&prepare, count_turn);
    uv_timer_start(&timer, time_over, ms, 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    return turns;
}

/* The peer closes each connection, which libcurl keeps nevertheless: the loop sees it once, not for ever, and the next request is sent
 * on a new one. */
static void a_connection_closed_while_idle_is_replaced(void **state)
{
    struct world *w = *state;
    peer_start(&w->peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    for (int i = 0; i < 3; i++) {
        struct call c;
        start(w, &c, w->peer.url, (struct outbound_options){.body = SLICE("x")});
        wait_for(w, &c);
        assert_int_equal(c.err, 0);
        assert_string_equal(c.body, "hi");
        assert_in_range(turns_in(w, 50), 1, 20);
        release(&c);
    }
    peer_stop(&w->peer);
    str_release(&w->peer.got);
}

/* The peer had the second request, and resets the connection: nobody knows whether it looked at it, so it gets it again. As often as that
 * happens: libcurl has a number of times, for all requests of a handle together. */
static void a_connection_reset_instead_of_an_answer_is_replaced(void **state)
{
    enum { RESETS = 12 };
    struct world *w = *state;
    peer_start(&w->peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    w->peer.resets = RESETS;
    for (int i = 0; i <= RESETS; i++) {
        struct call c;
        start(w, &c, w->peer.url, (struct outbound_options){.body = SLICE("x")});
        wait_for(w, &c);
        assert_string_equal(c.why, "");
        assert_string_equal(c.body, "hi");
        release(&c);
    }
    peer_stop(&w->peer);
    assert_int_equal(w->peer.resets, 0);
    str_release(&w->peer.got);
}

/* Connections that cannot be made come and go between those that are kept; each number of a socket is used again. */
static void refused_ones_among_kept_ones(void **state)
{
    struct world *w = *state;
    peer_start(&w->peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    for (int i = 0; i < 30; i++) {
        struct call fine, refused;
        char *url = mem_printf("http://localhost%s", strrchr(w->peer.url, ':'));
        start(w, &refused, "http://localhost:1/", (struct outbound_options){0});
        start(w, &fine, url, (struct outbound_options){0});
        wait_for(w, &fine);
        wait_for(w, &refused);
        assert_int_equal(fine.status, 200);
        assert_string_equal(fine.body, "hi");
        assert_int_equal(refused.err, -EIO);
        release(&fine);
        release(&refused);
        free(url);
    }
    peer_stop(&w->peer);
    str_release(&w->peer.got);
}

/* libcurl only knows that it could not connect. */
static void the_lack_of_descriptors_is_named(void **state)
{
    struct world *w = *state;
    struct rlimit before, none;
    struct call c;
    peer_start(&w->peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    start(w, &c, w->peer.url, (struct outbound_options){0});
    wait_for(w, &c); /* all is open that is opened once */
    release(&c);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    start(w, &c, "http://127.0.0.2:1/", (struct outbound_options){0});
    wait_for(w, &c);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(c.why, "cannot reach http://127.0.0.2:1: Too many open files");
    release(&c);
    peer_stop(&w->peer);
    str_release(&w->peer.got);
}

/* What one request had set does not come back with the next one on the same handle, as those on a kept connection are. */
static void a_handle_forgets_the_request_before(void **state)
{
    static const char *const headers[] = {"X-Secret: one", "Content-Type: text/plain", NULL};
    struct world *w = *state;
    struct call c;
    peer_start(&w->peer, "HTTP/1.1 204 Fine\r\n\r\n");
    w->peer.more = 2;
    start(w, &c, w->peer.url, (struct outbound_options){0});
    wait_for(w, &c);
    release(&c);
    start(w, &c, w->peer.url,
          (struct outbound_options){.method = "PUT", .headers = headers, .body = SLICE("first")});
    wait_for(w, &c);
    assert_non_null(strstr(w->peer.got.p, "X-Secret: one\r\n"));
    release(&c);
    start(w, &c, w->peer.url, (struct outbound_options){0});
    wait_for(w, &c);
    peer_stop(&w->peer);
    assert_int_equal(c.status, 204);
    assert_int_equal(w->peer.more, 0); /* all of them came on one connection */
    assert_true(slice_starts(str_slice(&w->peer.got), "POST / HTTP/1.1\r\n"));
    assert_non_null(strstr(w->peer.got.p, "Content-Length: 0\r\n"));
    assert_null(strstr(w->peer.got.p, "X-Secret"));
    assert_null(strstr(w->peer.got.p, "text/plain"));
    assert_null(strstr(w->peer.got.p, "first"));
    str_release(&w->peer.got);
    release(&c);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(answers_come_back),
        TEST(retry_after_may_be_a_date),
        TEST(trouble_is_named),
        TEST(headers_are_bounded),
        TEST(it_can_be_cancelled_at_any_time),
        TEST(a_slow_resolver_holds_nobody_up),
        TEST(it_is_prepared_off_the_loop),
        TEST(many_go_at_the_same_time),
        TEST(a_connection_closed_while_idle_is_replaced),
        TEST(a_connection_reset_instead_of_an_answer_is_replaced),
        TEST(refused_ones_among_kept_ones),
        TEST(the_lack_of_descriptors_is_named),
        TEST(a_handle_forgets_the_request_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
