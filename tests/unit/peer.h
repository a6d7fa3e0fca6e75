/* peer.h - a server that answers every connection with bytes that a test wrote: what no real server would send, too.
 *
 *     struct peer p;
 *     peer_start(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
 *     ... p.url is "http://127.0.0.1:PORT"
 *     peer_stop(&p);                      p.got is what the last connection sent
 */
#ifndef UNIT_PEER_H
#define UNIT_PEER_H
#include "base/check.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    const char *answer; /* NULL: none, the connection stays open */
    int listener;
    pthread_t thread;
    char url[40];
    struct str got;
    unsigned more;   /* requests that the first connection answers beside one; all others answer one */
    unsigned resets; /* so many connections are kept after that, and reset when there is another request */
};

/* Until the head is there, and as much behind it as its Content-Length says. */
static inline bool peer_has_all(const struct str *s)
{
    const char *end = s->len > 0 ? strstr(s->p, "\r\n\r\n") : NULL;
    const char *length = end != NULL ? strcasestr(s->p, "content-length:") : NULL;
    if (end == NULL)
        return false;
    const size_t body = length != NULL && length < end ? strtoul(length + 15, NULL, 10) : 0;
    return s->len >= (size_t)(end + 4 - s->p) + body;
}

/* `got` stays as it is until there is something new. */
static inline void peer_read(struct peer *p, int fd)
{
    char piece[4096];
    ssize_t n = recv(fd, piece, sizeof(piece), 0);
    if (n > 0)
        str_reset(&p->got);
    for (; n > 0; n = recv(fd, piece, sizeof(piece), 0)) {
        str_add(&p->got, piece, (size_t)n);
        if (p->answer != NULL && peer_has_all(&p->got))
            return;
    }
}

static inline void peer_exchange(struct peer *p, int fd)
{
    peer_read(p, fd);
    if (p->answer != NULL)
        (void)!send(fd, p->answer, strlen(p->answer), MSG_NOSIGNAL);
}

static inline void peer_answer(struct peer *p, int fd)
{
    const struct linger reset = {.l_onoff = 1};
    peer_exchange(p, fd);
    for (; p->more > 0; p->more--)
        peer_exchange(p, fd);
    if (p->resets > 0) {
        p->resets--;
        peer_read(p, fd);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    close(fd);
}

static inline void *peer_run(void *arg)
{
    struct peer *p = arg;
    int fd;
    while ((fd = accept(p->listener, NULL, NULL)) >= 0)
        peer_answer(p, fd);
    return NULL;
}

static inline void peer_start(struct peer *p, const char *answer)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *p = (struct peer){.answer = answer, .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK(bind(p->listener, (struct sockaddr *)&at, sizeof(at)) == 0);
    CHECK(listen(p->listener, 16) == 0);
    CHECK(getsockname(p->listener, (struct sockaddr *)&at, &len) == 0);
    snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
    CHECK(pthread_create(&p->thread, NULL, peer_run, p) == 0);
}

/* Nobody may be connected any more. */
static inline void peer_stop(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

#endif
