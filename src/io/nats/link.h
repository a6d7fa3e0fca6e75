/* link.h - a connection to NATS servers on the loop: made again whenever it is lost, until it is stopped.
 *
 * cnats connects, shakes hands and reconnects by waiting, and holds a lock meanwhile that any other call would wait for. So
 * connecting is a job on a thread of its own, and the library's reconnecting, flushing and pinging are switched off: no other
 * thread ever touches a connection that is up. Its socket is read and written by the loop, through cnats' libuv adapter, and
 * what came in is taken from one subscription to everything below the inbox, in the same turn of the loop.
 *
 *     struct nats_link *l = nats_link_create(&options);
 *     up:      nats_link_send(l, "$JS.API.STREAM.NAMES", "<inbox>.1", body)
 *     message: m->subject is "<inbox>.1", m->data the answer
 *     nats_link_stop(l, closed, arg);
 */
#ifndef IO_NATS_LINK_H
#define IO_NATS_LINK_H
#include "base/str.h"
#include "io/loop/timers.h"
#include "pawl/topic.h" /* struct nats_settings */
#include <stdbool.h>
#include <uv.h>

struct nats_link;

struct nats_message {
    struct slice subject, reply, data; /* good as long as the handle; reply.len is 0 when there is none */
    int status; /* of a message from the server itself, as in HTTP; 0: it is not one */
    void *handle; /* to be given to nats_link_release() by whoever got the message */
};

struct nats_link_options {
    uv_loop_t *loop;
    struct timers *timers;
    const struct nats_settings *settings; /* borrowed until closed */
    const char *inbox;                    /* "_INBOX.x", nobody else's; borrowed until closed */
    void (*up)(void *arg);
    void (*down)(void *arg, const char *why); /* it was up, or an attempt failed; another one is made by itself */
    void (*message)(void *arg, const struct nats_message *m);
    void (*unanswered)(void *arg); /* nobody is there to answer what was sent to some subject; the library does not say which */
    void *arg;
};

/* Copies the options. Begins to connect. Nothing is called back from inside of it. */
struct nats_link *nats_link_create(const struct nats_link_options *opt);

/* Appends to what is being written: never waits. False when the link is down. reply may be NULL. */
bool nats_link_send(struct nats_link *l, const char *subject, const char *reply, struct slice data);

/* The value of a header, NULL when there is none. Good as long as the message. */
const char *nats_link_header(struct nats_link *l, void *handle, const char *name);
void nats_link_release(struct nats_link *l, void *handle);

/* Ends the connection, calls nothing back but closed(), later; frees l before. An attempt to connect that is under way is waited for. */
void nats_link_stop(struct nats_link *l, void (*closed)(void *arg), void *arg);

#endif
