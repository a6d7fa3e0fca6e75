#include "io/nats/adapter.h"

/* The adapter is a header that calls the library by name. */
static const struct libnats *library;
#define natsConnection_ProcessReadEvent library->natsConnection_ProcessReadEvent
#define natsConnection_ProcessWriteEvent library->natsConnection_ProcessWriteEvent
#define natsConnection_Close library->natsConnection_Close
#include <nats/adapters/libuv.h>

void adapter_init(const struct libnats *lib, uv_loop_t *loop)
{
    library = lib;
    natsLibuv_Init();
    natsLibuv_SetThreadLocalLoop(loop);
}

natsStatus adapter_attach(void **user, void *loop, natsConnection *nc, natsSock fd)
{
    return natsLibuv_Attach(user, loop, nc, fd);
}

bool adapter_reads(void *user)
{
    const natsLibuvEvents *nle = user;
    return nle->handle != NULL && uv_is_active((const uv_handle_t *)nle->handle);
}

natsStatus adapter_read(void *user, bool add)
{
    return natsLibuv_Read(user, add);
}

natsStatus adapter_write(void *user, bool add)
{
    return natsLibuv_Write(user, add);
}

natsStatus adapter_detach(void *user)
{
    return natsLibuv_Detach(user);
}
