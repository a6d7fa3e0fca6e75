/* streams.h - a server whose GET /stream answers in pieces that the test writes, and clients that read them. */
#ifndef TESTS_UNIT_HTTP_STREAMS_H
#define TESTS_UNIT_HTTP_STREAMS_H
#include "fixture.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define HOST "Host: x\r\n"
#define STREAM "GET /stream HTTP/1.1\r\n" HOST "\r\n"
#define ASK_ECHO "GET /echo HTTP/1.1\r\n" HOST "\r\n"
#define ASK_HOLD "GET /hold HTTP/1.1\r\n" HOST "\r\n"
#define STREAMS_MAX 128
#define SMALL_BYTES_MAX 4096 /* stream_bytes_max where a test fills it */

static struct fixture f;
static struct client c;

/* What each stream was told, in the order of their requests. */
static struct {
    struct http_request *req[STREAMS_MAX];
    unsigned room[STREAMS_MAX], shut[STREAMS_MAX], gone[STREAMS_MAX], stop[STREAMS_MAX];
    unsigned count, open, refused;
    bool end_when_gone, end_when_stopped;
} s;

static inline unsigned number_of(const struct http_request *req)
{
    for (unsigned i = 0; i < s.count; i++)
        if (s.req[i] == req)
            return i;
    fail_msg("not a stream of ours");
    return 0;
}

static inline void end(unsigned i)
{
    struct http_request *req = s.req[i];

    assert_non_null(req);
    s.req[i] = NULL;
    s.open--;
    http_stream_end(req);
}

static inline void room(struct http_request *req)
{
    s.room[number_of(req)]++;
}

static inline void shut(struct http_request *req)
{
    s.shut[number_of(req)]++;
}

static inline void gone(struct http_request *req)
{
    const unsigned i = number_of(req);

    s.gone[i]++;
    if (s.end_when_gone)
        end(i);
}

static inline void stop(struct http_request *req)
{
    const unsigned i = number_of(req);

    s.stop[i]++;
    if (s.end_when_stopped)
        end(i);
}

static const struct http_stream_ops ops = {room, shut, gone, stop};

static inline void begin(struct http_request *req)
{
    if (!http_stream_begin(req, 200, "text/plain", &ops)) {
        s.refused++;
        return;
    }
    assert_true(s.count < STREAMS_MAX);
    s.req[s.count++] = req;
    s.open++;
}

static inline void stream(struct http_request *req, void *ctx)
{
    assert_ptr_equal(ctx, &s);
    begin(req);
}

static const struct http_route routes[] = {{"GET", "/stream", stream, SCOPE_PUBLIC, 0, NULL}};

static inline int setup(void **state)
{
    memset(&s, 0, sizeof(s));
    fixture_start(&f, *state);
    http_server_route(f.server, routes, 1, &s);
    client_open(&c, &f);
    return 0;
}

static inline int teardown(void **state)
{
    client_close(&c);
    for (unsigned i = 0; i < s.count; i++)
        if (s.req[i] != NULL)
            end(i);
    fixture_end(&f);
    return 0;
}

static inline bool say(unsigned i, const char *text)
{
    struct http_piece *p = http_piece_make(slice_of(text));
    const bool ret = http_stream_write(s.req[i], p);

    http_piece_release(p);
    return ret;
}

static inline void await_streams(unsigned count)
{
    fixture_await(&f, s.count >= count);
    assert_int_equal(s.count, count);
}

/* Takes exactly these bytes. */
static inline void expect_bytes(struct client *from, const char *text)
{
    const size_t len = strlen(text);

    fixture_await(&f, (client_poll(from), from->in.len >= len || from->eof));
    if (from->in.len < len || memcmp(from->in.p, text, len) != 0)
        fail_msg("not `%s` but `%s`", text, from->in.p ? from->in.p : "");
    memmove(from->in.p, from->in.p + len, from->in.len - len + 1);
    from->in.len -= len;
}

/* Takes the head of a streamed answer, which says this; what is behind it stays. */
static inline void expect_head(struct client *from, const char *says, const char *says_not)
{
    struct answer a;

    client_answer(from, true, &a);
    assert_int_equal(a.status, 200);
    assert_null(strstr(a.head, "Content-Length"));
    if (strstr(a.head, says) == NULL || strstr(a.head, says_not) != NULL)
        fail_msg("`%s`", a.head);
}

static inline void expect_chunked(struct client *from)
{
    expect_head(from, "Transfer-Encoding: chunked\r\n", "Connection: close");
}

/* Little room, and so much time. */
#define STREAM_LIMITS(streams, ms)                                                                 \
    {                                                                                              \
        .header_bytes_max = 4096,                                                                  \
        .body_bytes_max = 4096,                                                                    \
        .buffered_bytes_max = 1 << 20,                                                             \
        .connections_max = 16,                                                                     \
        .pipelined_max = 8,                                                                        \
        .unsent_bytes_max = 64 << 10,                                                              \
        .streams_max = (streams),                                                                  \
        .stream_bytes_max = SMALL_BYTES_MAX,                                                       \
        .header_ms_max = (ms),                                                                     \
        .body_ms_max = (ms),                                                                       \
        .idle_ms_max = (ms),                                                                       \
        .write_ms_max = (ms),                                                                      \
    }

/* ---- back-pressure ---- */

/* Fills the stream and the kernel's buffers until a write is refused. Returns how many letters went
 * in. */
static inline size_t fill(unsigned i, size_t letters)
{
    char text[513];

    do {
        for (size_t at = 0; at < 512; at++)
            text[at] = (char)('a' + (letters + at) % 26);
        text[512] = '\0';
        fixture_turn(&f);
        letters += 512;
    } while (say(i, text));
    return letters - 512;
}

static inline void narrow(struct client *k)
{
    assert_int_equal(setsockopt(k->fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)), 0);
}

/* A test with a server that has these limits; NULL: the defaults. */
#define STREAM_TEST(name, limits)                                                                  \
    {                                                                                              \
        #name, name, setup, teardown, (void *)(uintptr_t)(limits)                                  \
    }

#endif
