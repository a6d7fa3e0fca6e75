#include "io/curl/libcurl.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/library.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The name that the library is loaded by: its interface has been version 4 since 2006. */
#define LIBCURL_NAME "libcurl.so.4"
#define THIS_MACHINE "localhost,127.0.0.1,::1"

static struct libcurl table;
static struct diag trouble; /* msg is empty when there was none */

static const struct library_function functions[] = {
#define ROW(name) {"curl_" #name, (void **)&table.name},
    LIBCURL_FUNCTIONS(ROW)
#undef ROW
};

static void load(void)
{
    void *library = library_open(LIBCURL_NAME, "install libcurl (Debian: libcurl4)", &trouble);
    if (library == NULL ||
        !library_find(library, LIBCURL_NAME, functions, ARRAY_SIZE(functions), &trouble))
        return;
    if (table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        diag_set(&trouble, DIAG_UNAVAILABLE, LIBCURL_NAME " cannot be initialised");
}

const struct libcurl *libcurl_load(struct diag *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, load) == 0);
    if (trouble.msg[0] == '\0')
        return &table;
    if (reterr != NULL)
        *reterr = trouble;
    return NULL;
}

/* libcurl forgets the environment's list when it is given one: so both are put together. */
static void set_no_proxy(const struct libcurl *curl, CURL *h)
{
    const char *list = getenv("no_proxy");
    if (list == NULL)
        list = getenv("NO_PROXY");
    char *both = list == NULL || *list == '\0' ? mem_strdup(THIS_MACHINE)
                 : strcmp(list, "*") == 0      ? mem_strdup("*")
                                               : mem_printf("%s," THIS_MACHINE, list);
    CHECK(curl->easy_setopt(h, CURLOPT_NOPROXY, both) == CURLE_OK);
    free(both);
}

static bool environment_has_proxy(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (getenv(names[i]) != NULL)
            return true;
    return false;
}

/* To know that there is none saves libcurl a look into the environment and a walk through the exceptions for each request. */
static void set_proxy(const struct libcurl *curl, CURL *h)
{
    if (environment_has_proxy())
        set_no_proxy(curl, h);
    else
        CHECK(curl->easy_setopt(h, CURLOPT_PROXY, "") == CURLE_OK);
}

void libcurl_set_common(const struct libcurl *curl, CURL *h)
{
    CHECK(curl->easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK);
    CHECK(curl->easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK);
    set_proxy(curl, h);
}

/* ---- what went wrong ---- */

/* The front of a URL up to its path, without what may stand before an '@': credentials are nobody's business. */
static void add_origin(struct str *s, const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + strlen("://") : url;
    const size_t len = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', len);
    str_add(s, url, (size_t)(host - url));
    str_add(s, at != NULL ? at + 1 : host, at != NULL ? len - (size_t)(at + 1 - host) : len);
}

static bool was_connected(const struct libcurl *curl, CURL *h)
{
    double seconds = 0;
    curl->easy_getinfo(h, CURLINFO_PRETRANSFER_TIME, &seconds);
    return seconds > 0;
}

static void explain_timeout(const struct libcurl *curl, CURL *h, const char *origin, uint64_t ms,
                            struct diag *ret)
{
    char limit[DURATION_TEXT_MAX];
    duration_format(ms, limit);
    if (was_connected(curl, h))
        diag_set(ret, DIAG_DEADLINE_EXCEEDED, "%s: no complete answer within %s", origin, limit);
    else
        diag_set(ret, DIAG_DEADLINE_EXCEEDED, "cannot reach %s: the connection timed out", origin);
}

static const char *reason(const struct libcurl *curl, CURL *h, CURLcode code, const char *detail)
{
    long os = 0;
    curl->easy_getinfo(h, CURLINFO_OS_ERRNO, &os);
    if (code == CURLE_COULDNT_CONNECT && os != 0 && os != EINPROGRESS)
        return strerror((int)os);
    return detail != NULL && *detail != '\0' ? detail : curl->easy_strerror(code);
}

void libcurl_explain(const struct libcurl *curl, CURL *h, CURLcode code, const char *url,
                     const char *detail, uint64_t total_ms, struct diag *ret)
{
    struct str origin = {0};
    add_origin(&origin, url);
    const char *why = reason(curl, h, code, detail);
    if (code == CURLE_OPERATION_TIMEDOUT)
        explain_timeout(curl, h, origin.p, total_ms, ret);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        diag_set(ret, DIAG_UNAVAILABLE, "%s: its certificate is not trusted: %s", origin.p, why);
    else if (was_connected(curl, h))
        diag_set(ret, DIAG_UNAVAILABLE, "%s: %s", origin.p, why);
    else
        diag_set(ret, DIAG_UNAVAILABLE, "cannot reach %s: %s", origin.p, why);
    str_release(&origin);
}
