#include "api/auth.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/http/http.h"
#include "io/secret/secret.h"
#include "io/store/db.h"
#include "io/store/query.h"
#include <stdlib.h>
#include <string.h>

struct auth {
    struct key_row *keys;
    size_t key_count;
    bool required;

    bool reloading, again;
    struct host *host;
    struct read_job job;
    /* the reader thread's, while reloading */
    struct key_row *read;
    size_t read_count;
    int err;
};

struct auth *auth_create(void)
{
    return mem_zalloc(sizeof(struct auth));
}

void auth_destroy(struct auth *a)
{
    if (a == NULL)
        return;
    CHECK(!a->reloading);
    free(a->keys);
    free(a);
}

void auth_require_key(struct auth *a)
{
    a->required = true;
}

size_t auth_key_count(const struct auth *a)
{
    return a->key_count;
}

/* ---- loading ---- */

int auth_load(struct auth *a, struct db *db)
{
    struct key_row *keys = NULL;
    size_t n = 0;
    const int err = query_keys(db, &keys, &n);
    if (err < 0)
        return err;
    free(a->keys);
    a->keys = keys;
    a->key_count = n;
    return 0;
}

static void read_keys(struct read_job *j, struct db *db)
{
    struct auth *a = container_of(j, struct auth, job);
    a->err = query_keys(db, &a->read, &a->read_count);
}

static void keys_read(struct read_job *j, int err)
{
    struct auth *a = container_of(j, struct auth, job);
    a->reloading = false;
    if (err == 0)
        err = a->err;
    if (err < 0) {
        log_error("the API keys could not be read again; the old ones stay",
                  LOG_STR("error", db_strerror(err)));
    } else {
        free(a->keys);
        a->keys = a->read;
        a->key_count = a->read_count;
        log_info("API keys read again", LOG_INT("keys", a->key_count));
    }
    a->read = NULL;
    if (a->again)
        auth_reload(a, a->host);
}

void auth_reload(struct auth *a, struct host *h)
{
    a->again = a->reloading;
    if (a->reloading)
        return;
    a->host = h;
    a->job = (struct read_job){.work = read_keys, .done = keys_read};
    a->reloading = true;
    const int err = h->read(h, &a->job);
    if (err < 0)
        keys_read(&a->job, err);
}

/* ---- checking ---- */

/* Every key is compared, so that the time tells nothing about which one was near. */
bool auth_knows(const struct auth *a, struct slice key)
{
    uint8_t hash[SHA256_SIZE];
    bool known = false;
    sha256(key, hash);
    for (size_t i = 0; i < a->key_count; i++)
        known |= secret_equal(hash, a->keys[i].hash, sizeof(hash));
    return known;
}

/* What follows the scheme, trimmed; absent when it is another scheme. */
static struct slice after_scheme(struct slice credentials, const char *scheme)
{
    const size_t n = strlen(scheme);
    if (credentials.len <= n || credentials.p[n] != ' ' ||
        !slice_is_nocase((struct slice){credentials.p, n}, scheme))
        return SLICE_NONE;
    return slice_trim((struct slice){credentials.p + n, credentials.len - n});
}

bool auth_credentials_key(struct slice credentials, struct str *ret)
{
    const struct slice bearer = after_scheme(credentials, "bearer");
    if (bearer.len > 0) {
        str_add_slice(ret, bearer);
        return true;
    }
    const struct slice basic = after_scheme(credentials, "basic");
    struct str pair = {0};
    bool found = false;
    if (basic.len > 0 && base64_decode(basic, &pair) && pair.len > 0) {
        const char *colon = memchr(pair.p, ':', pair.len);
        found = colon != NULL;
        if (found)
            str_add(ret, colon + 1, pair.len - (size_t)(colon + 1 - pair.p));
        secret_wipe(pair.p, pair.len);
    }
    str_release(&pair);
    return found;
}

static bool is_reading(const struct http_request *req)
{
    return strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
}

/* A browser lets any page send requests to this machine, and only keeps the answers from it. It says which page it was; other
 * clients say nothing of the kind. */
static bool is_of_other_site(const struct http_request *req)
{
    const struct slice site = http_header(req, "sec-fetch-site");
    const struct slice origin = http_header(req, "origin"), host = http_header(req, "host");
    if (site.p != NULL)
        return !slice_is(site, "same-origin") && !slice_is(site, "none");
    if (origin.p == NULL)
        return false;
    const char *mark = memmem(origin.p, origin.len, "://", 3);
    const char *at = mark != NULL ? mark + 3 : origin.p;
    return !slice_eq((struct slice){at, origin.len - (size_t)(at - origin.p)}, host);
}

bool auth_authorize(void *arg, const struct http_request *req, struct diag *why)
{
    const struct auth *a = arg;
    if (!is_reading(req) && is_of_other_site(req)) {
        diag_set(why, DIAG_PERMISSION_DENIED,
                 "a web page of another site asks for a change (Origin, Sec-Fetch-Site)");
        return false;
    }
    if (a->key_count == 0 && !a->required)
        return true;
    const struct slice header = http_header(req, "x-api-key");
    struct str key = {0};
    const bool found =
        header.p != NULL || auth_credentials_key(http_header(req, "authorization"), &key);
    const bool known = found && auth_knows(a, header.p != NULL ? header : str_slice(&key));
    if (key.p != NULL)
        secret_wipe(key.p, key.len);
    str_release(&key);
    if (known)
        return true;
    diag_set(why, DIAG_UNAUTHENTICATED,
             found ? "the API key is not known"
                   : "an API key is needed: send it as X-Api-Key or as Authorization: Bearer");
    return false;
}
