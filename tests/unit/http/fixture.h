/* fixture.h - a real server on a loop of its own, and clients that speak bytes over loopback sockets.
 *
 * Everything happens on one thread: waiting for something means turning the loop until it has come. What does not come within
 * FIXTURE_WAIT_MS fails the test.
 *
 * Routes: /echo (GET, POST, PUT) says what it was asked; /p/{a}/{b} too; /small takes 8 bytes; /api needs `x-key: good`;
 * /hold (GET, POST) keeps the request in f->held for the test to answer; /none is 204; /big answers 256 KiB; /query says ?a.
 */
#ifndef TESTS_UNIT_HTTP_FIXTURE_H
#define TESTS_UNIT_HTTP_FIXTURE_H
#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"
#include "io/http/http.h"

#define FIXTURE_WAIT_MS 60000
#define FIXTURE_HELD_MAX 256
#define FIXTURE_BIG_BYTES (256 << 10)

struct fixture {
    uv_loop_t loop;
    struct timers timers;
    struct http_server *server; /* NULL once it is closed */
    uint16_t port;
    struct http_request *held[FIXTURE_HELD_MAX];
    unsigned held_count;
    unsigned handled; /* requests that reached a handler */
    bool stopping;
};

void fixture_start(struct fixture *f, const struct http_limits *limits); /* NULL: the defaults */
void fixture_turn(struct fixture *f);                                    /* one turn of the loop, without sleeping */
void fixture_stop(struct fixture *f, uint64_t grace_ms);                 /* begins to stop */
void fixture_end(struct fixture *f); /* stops if need be, waits for the end, asserts that the loop closes clean */
void fixture_await_held(struct fixture *f, unsigned count);
void fixture_answer(struct fixture *f, unsigned i, const char *body); /* 200 to f->held[i], which is NULL then */

/* Turns the loop until the expression is true. */
#define fixture_await(f, expression)                                                                                           \
    do {                                                                                                                       \
        uint64_t give_up_ = fixture_clock() + FIXTURE_WAIT_MS;                                                                 \
        while (!(expression)) {                                                                                                \
            assert_true(fixture_clock() < give_up_);                                                                           \
            fixture_turn(f);                                                                                                   \
        }                                                                                                                      \
    } while (0)
uint64_t fixture_clock(void); /* milliseconds */

struct client {
    struct fixture *f;
    int fd;
    struct str in; /* what came and was not taken yet */
    bool eof;      /* nothing more comes: the end, or a reset */
    bool reset;
};

void client_open(struct client *c, struct fixture *f);
void client_send(struct client *c, struct slice bytes); /* all of it, turning the loop; what a closed peer refuses is dropped */
void client_say(struct client *c, const char *text);
void client_shut(struct client *c); /* half-closes */
void client_poll(struct client *c); /* takes what is there */
void client_close(struct client *c);
void client_reset(struct client *c); /* closes with a reset */

/* One answer. Text is valid until the next call on the same client. */
struct answer {
    int status; /* 0: the connection ended instead */
    bool close; /* says Connection: close */
    char *head; /* with its lines */
    char *body;
    size_t body_len;
};
void client_answer(struct client *c, bool head_only, struct answer *ret);
void client_expect(struct client *c, int status, const char *body_part); /* one answer, whose body contains this */
void client_expect_end(struct client *c);                                /* nothing but the end of the stream */

#endif
