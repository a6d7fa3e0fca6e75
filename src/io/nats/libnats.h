/* libnats.h - cnats, loaded when a topic needs it first.
 *
 * Linked, it and the OpenSSL that it brings would cost every idle daemon megabytes: so the functions in use are a table that
 * libnats_load() fills, as io/curl/libcurl.h does. It blocks for some milliseconds the first time. Any thread may call it.
 */
#ifndef IO_NATS_LIBNATS_H
#define IO_NATS_LIBNATS_H
#include "pawl/err.h"
#include <nats/nats.h>

#define LIBNATS_FUNCTIONS(X)                                                                                                   \
    X(nats_Open) X(nats_CloseAndWait) X(nats_ReleaseThreadMemory) X(nats_GetLastError) X(natsStatus_GetText)                   \
    X(natsOptions_Create) X(natsOptions_Destroy) X(natsOptions_SetServers) X(natsOptions_SetName)                              \
    X(natsOptions_SetTimeout) X(natsOptions_SetAllowReconnect) X(natsOptions_SetPingInterval) X(natsOptions_SetSendAsap)       \
    X(natsOptions_SetEventLoop) X(natsOptions_SetUserInfo) X(natsOptions_SetToken) X(natsOptions_SetSecure)                    \
    X(natsOptions_SetUserCredentialsFromFiles) X(natsOptions_SetNKeyFromSeed)                                                  \
    X(natsOptions_LoadCATrustedCertificates) X(natsOptions_LoadCertificatesChain)                                              \
    X(natsConnection_Connect) X(natsConnection_Destroy) X(natsConnection_IsClosed) X(natsConnection_GetLastError)              \
    X(natsConnection_ProcessReadEvent) X(natsConnection_ProcessWriteEvent) X(natsConnection_Close)                             \
    X(natsConnection_SubscribeSync) X(natsConnection_PublishRequest) X(natsConnection_Publish)                                 \
    X(natsSubscription_NextMsg) X(natsConnection_Buffered) X(natsSubscription_SetPendingLimits) X(natsSubscription_Destroy)                               \
    X(natsMsg_GetSubject) X(natsMsg_GetReply) X(natsMsg_GetData) X(natsMsg_GetDataLength) X(natsMsg_Destroy)                   \
    X(natsMsgHeader_Get)

struct libnats {
#define LIBNATS_FIELD(name) __typeof__(name) *name;
    LIBNATS_FUNCTIONS(LIBNATS_FIELD)
#undef LIBNATS_FIELD
};

/* The table, the same one each time; or NULL with *reterr, the same reason each time. It is never unloaded. */
const struct libnats *libnats_load(struct diag *reterr);

#endif
