/* http_request.h - the request that an http executor sends for a run: the event as a CloudEvent (core/cloud_event.h), signed when
 * there is a secret.
 *
 *     Content-Type: ...            the payload's, or application/cloudevents+json
 *     ce-...: ...                  in binary mode
 *     webhook-id: <run id>         the same for every attempt; of a step "<run id>:<step>". These three with a secret
 *     webhook-timestamp: <seconds> of the attempt
 *     webhook-signature: v1,...
 *     Pawl-Callback-Url: ...       these two with `callback`
 *     Pawl-Callback-Token: ...
 */
#ifndef EXECUTOR_HTTP_REQUEST_H
#define EXECUTOR_HTTP_REQUEST_H
#include "base/arena.h"
#include "executor/http_config.h"
#include "pawl/run.h"

struct http_body {
    struct arena arena;   /* the headers' */
    const char **headers; /* "Name: value", ends with NULL */
    struct str body;
};

/* Makes it; any thread may. callback_url and callback_token are NULL without a callback. */
void http_body_make(struct http_body *ret, const struct http_config *c, const struct run_start *s,
                    struct wall now, const char *callback_url, const char *callback_token);
void http_body_release(struct http_body *b);

#endif
