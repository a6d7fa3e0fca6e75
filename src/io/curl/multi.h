/* multi.h - libcurl's multi handle on the loop: its sockets as uv_poll handles, its one timer as one of ours. For outbound.c. */
#ifndef IO_CURL_MULTI_H
#define IO_CURL_MULTI_H
#include "io/curl/libcurl.h"
#include "io/loop/timers.h"
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct multi_watch;

struct multi {
    const struct libcurl *curl;
    uv_loop_t *loop;
    struct timers *timers;
    CURLM *handle; /* NULL: closed */
    struct timer timeout;
    struct multi_watch *watches; /* the open ones, by socket */
    size_t open;                 /* uv handles, closing ones included */
    int socket_err;              /* errno of the last socket that could not be made; 0: the last one could */
    void (*done)(struct multi *m, CURL *h, CURLcode code); /* a transfer has ended; it is out of the multi handle */
    void (*drained)(struct multi *m);                      /* the last uv handle has been closed after multi_close; may be NULL */
};

/* m->curl, loop, timers and done are set. */
void multi_open(struct multi *m, size_t idle_max);
void multi_prepare(struct multi *m, CURL *h); /* a new handle, or one that was reset, before its first multi_add */
void multi_add(struct multi *m, CURL *h);
void multi_remove(struct multi *m, CURL *h); /* before its end; done() will not be called for it */
/* Closes all connections. No transfer may be left. multi_open() may follow at once. */
void multi_close(struct multi *m);

#endif
