/* stuck.h - cuts off a connection to NATS that the library does not get done with.
 *
 * cnats waits without an end, and busily, for a server that has said INFO and then says nothing any more, whatever time it was given; and it
 * shows the socket to nobody before the connection is made. So the socket is looked for among all of the process: one whose peer has the port of
 * a server. Shut down, it reads as ended, and the attempt fails as it should. In the worst case somebody else's connection to the same port
 * is cut with it, and has to be made again.
 */
#ifndef IO_NATS_STUCK_H
#define IO_NATS_STUCK_H
#include <stdint.h>

#define STUCK_SEEN_MAX 32

/* What the last look has seen. Zero it when an attempt begins. */
struct stuck {
    uint64_t seen[STUCK_SEEN_MAX];
    unsigned count;
};

/* Cuts off what the last look has seen, too. `url`: as in struct nats_settings. */
void stuck_look(struct stuck *s, const char *url);

/* Cuts off whatever is there. */
void stuck_cut(const char *url);

#endif
