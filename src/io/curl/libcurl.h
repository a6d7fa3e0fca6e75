/* libcurl.h - libcurl, loaded when it is needed first.
 *
 * Linked, libcurl and the thirty libraries it brings would cost an idle daemon more memory than all the rest of it, and every
 * start their relocations: so the functions in use are a table that libcurl_load() fills. It blocks for some ten milliseconds
 * the first time; on a loop, a worker's thread calls it. Any thread may.
 *
 *     const struct libcurl *curl = libcurl_load(&why);
 *     if (curl == NULL) ...                              -> why.msg: "libcurl.so.4 cannot be loaded: ..."
 *     CURL *h = curl->easy_init();
 */
#ifndef IO_CURL_LIBCURL_H
#define IO_CURL_LIBCURL_H
#include "pawl/err.h"
#include <curl/curl.h>
#include <stdint.h>

#define LIBCURL_FUNCTIONS(X)                                                                                                   \
    X(global_init)                                                                                                             \
    X(easy_init) X(easy_setopt) X(easy_perform) X(easy_getinfo) X(easy_strerror) X(easy_reset) X(easy_cleanup)                               \
    X(slist_append) X(slist_free_all)                                                                                          \
    X(multi_init) X(multi_setopt) X(multi_assign) X(multi_add_handle) X(multi_remove_handle) X(multi_socket_action)            \
    X(multi_info_read) X(multi_cleanup)

struct libcurl {
#define LIBCURL_FIELD(name) __typeof__(curl_##name) *name;
    LIBCURL_FUNCTIONS(LIBCURL_FIELD)
#undef LIBCURL_FIELD
};

/* The table, the same one each time; or NULL with *reterr, the same reason each time. It is never unloaded. */
const struct libcurl *libcurl_load(struct diag *reterr);

/* Sets what holds for every request of pawl: HTTP and HTTPS only, HTTP/1.1, certificates verified with the system's roots, no
 * signals, and the proxy of the environment (http_proxy, https_proxy, all_proxy, no_proxy, as curl reads them) except for this
 * machine itself. */
void libcurl_set_common(const struct libcurl *curl, CURL *h);

/* What went wrong with a request to a server, as one sentence: "cannot reach http://127.0.0.1:8080: Connection refused".
 * `detail` is what libcurl left in its error buffer; total_ms the request's time-out. */
void libcurl_explain(const struct libcurl *curl, CURL *h, CURLcode code, const char *url, const char *detail,
                     uint64_t total_ms, struct diag *ret);

#endif
