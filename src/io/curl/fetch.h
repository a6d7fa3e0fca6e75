/* fetch.h - one HTTP request, waited for: the client of the command line. Never on a loop.
 *
 *     struct fetch_answer a;
 *     struct fetch f = {.method = "GET", .url = "http://127.0.0.1:8080/api/v1/runs", .timeout_ms = 10000};
 *     if (fetch(&f, &a, &why) < 0) ...           -> "cannot reach http://127.0.0.1:8080: Connection refused"
 *     a.status is 200 or 404 or whatever the server said
 *     fetch_answer_release(&a);
 *
 * Redirections are not followed: they are answers. What else holds for every request: libcurl.h.
 */
#ifndef IO_CURL_FETCH_H
#define IO_CURL_FETCH_H
#include "base/str.h"
#include "pawl/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FETCH_CONNECT_MS 10000          /* to find and reach the server */
#define FETCH_BODY_BYTES_MAX (64 << 20) /* of an answer that is collected, unless the request says otherwise */

struct fetch {
    const char *method;         /* "GET" */
    const char *url;            /* absolute */
    const char *const *headers; /* "Name: value", ends with NULL; NULL: none beside the usual ones */
    struct slice body;          /* absent: none */
    uint64_t timeout_ms;        /* for all of it; 0: as long as it takes */
    size_t body_bytes_max;      /* 0: FETCH_BODY_BYTES_MAX */
    /* Takes the body of a 2xx as it comes, instead of having it collected; false ends the request, which is no error then.
     * The body of another status is collected all the same. NULL: collect. */
    bool (*received)(void *arg, int status, struct slice bytes);
    void *arg;
};

struct fetch_answer {
    int status;
    char *content_type;    /* as sent; NULL when there was none */
    uint64_t retry_after_ms; /* what Retry-After says, 0: nothing */
    struct str body;
};

/* 0 when there was an answer, of whatever status; or -EINVAL with *reterr, one sentence that names the server. Then *ret is {0}. */
int fetch(const struct fetch *f, struct fetch_answer *ret, struct diag *reterr);
void fetch_answer_release(struct fetch_answer *a);

#endif
