/* adapter.h - cnats' own libuv adapter, over the table of loaded functions. Only link.c needs it. */
#ifndef IO_NATS_ADAPTER_H
#define IO_NATS_ADAPTER_H
#include "io/nats/libnats.h"
#include <uv.h>

/* Once per connection attempt's end, on the loop's thread, before the first attach. */
void adapter_init(const struct libnats *lib, uv_loop_t *loop);

/* What natsOptions_SetEventLoop() wants; attach on the loop's thread only. The handles close by themselves after a detach. */
natsStatus adapter_attach(void **user, void *loop, natsConnection *nc, natsSock fd);
natsStatus adapter_read(void *user, bool add);
natsStatus adapter_write(void *user, bool add);
natsStatus adapter_detach(void *user);

/* Whether the connection's socket is still polled; good until the connection is closed. It is not after an error of the socket. */
bool adapter_reads(void *user);

#endif
