/* webhook_url.h - where webhooks are to be sent, as far as we know. */
#ifndef API_WEBHOOK_URL_H
#define API_WEBHOOK_URL_H
#include "api/api.h"

/* public_url, else the request's Host when that is well formed, with the path of the webhooks;
 * the path alone when there is neither. In the request's arena. */
char *webhook_url(const struct api *a, struct http_request *req);

/* True for a name, an IPv4 address or an IPv6 address in brackets, with or without a port. */
bool host_valid(struct slice host);

#endif
