#include "io/curl/fetch.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/curl/libcurl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct transfer {
    const struct libcurl *curl;
    CURL *h;
    struct curl_slist *headers;
    const struct fetch *f;
    struct fetch_answer *answer;
    bool enough, too_long; /* why it was ended early */
    char detail[CURL_ERROR_SIZE];
};

static size_t body_bytes_max(const struct fetch *f)
{
    return f->body_bytes_max > 0 ? f->body_bytes_max : FETCH_BODY_BYTES_MAX;
}

/* What it returns is what was taken; anything less ends the transfer. */
static size_t body_came(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    const struct slice bytes = {p, size * n};
    long status = 0;
    t->curl->easy_getinfo(t->h, CURLINFO_RESPONSE_CODE, &status);
    if (t->f->received != NULL && status / 100 == 2) {
        t->enough = !t->f->received(t->f->arg, (int)status, bytes);
        return t->enough ? 0 : bytes.len;
    }
    if (bytes.len > body_bytes_max(t->f) - t->answer->body.len) {
        t->too_long = true;
        return 0;
    }
    str_add_slice(&t->answer->body, bytes);
    return bytes.len;
}

static void set_body(struct transfer *t)
{
    const struct fetch *f = t->f;
    if (f->body.p != NULL) {
        CHECK(t->curl->easy_setopt(t->h, CURLOPT_POST, 1L) == CURLE_OK);
        CHECK(t->curl->easy_setopt(t->h, CURLOPT_POSTFIELDS, f->body.p) == CURLE_OK);
        CHECK(t->curl->easy_setopt(t->h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.len) ==
              CURLE_OK);
    } else if (strcmp(f->method, "POST") == 0 || strcmp(f->method, "PUT") == 0) {
        CHECK(t->curl->easy_setopt(t->h, CURLOPT_POST, 1L) == CURLE_OK);
        CHECK(t->curl->easy_setopt(t->h, CURLOPT_POSTFIELDS, "") == CURLE_OK);
    } else if (strcmp(f->method, "HEAD") == 0) {
        CHECK(t->curl->easy_setopt(t->h, CURLOPT_NOBODY, 1L) == CURLE_OK);
    }
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_CUSTOMREQUEST, f->method) == CURLE_OK);
}

static void add_header(struct transfer *t, const char *line)
{
    struct curl_slist *longer = t->curl->slist_append(t->headers, line);
    CHECK(longer != NULL);
    t->headers = longer;
}

static void set_headers(struct transfer *t)
{
    add_header(t, "User-Agent: pawl/" PAWL_VERSION);
    add_header(t, "Expect:"); /* a body is sent at once, not after a round trip */
    for (size_t i = 0; t->f->headers != NULL && t->f->headers[i] != NULL; i++)
        add_header(t, t->f->headers[i]);
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK);
}

static void set_up(struct transfer *t)
{
    libcurl_set_common(t->curl, t->h);
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_URL, t->f->url) == CURLE_OK);
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_ERRORBUFFER, t->detail) == CURLE_OK);
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_MS) ==
          CURLE_OK);
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_TIMEOUT_MS, (long)t->f->timeout_ms) == CURLE_OK);
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_WRITEFUNCTION, body_came) == CURLE_OK);
    CHECK(t->curl->easy_setopt(t->h, CURLOPT_WRITEDATA, t) == CURLE_OK);
    set_body(t);
    set_headers(t);
}

static void read_answer(struct transfer *t)
{
    struct fetch_answer *a = t->answer;
    long status = 0;
    curl_off_t seconds = 0;
    char *type = NULL;
    t->curl->easy_getinfo(t->h, CURLINFO_RESPONSE_CODE, &status);
    t->curl->easy_getinfo(t->h, CURLINFO_CONTENT_TYPE, &type);
    t->curl->easy_getinfo(t->h, CURLINFO_RETRY_AFTER, &seconds);
    a->status = (int)status;
    a->content_type = mem_strdup(type);
    a->retry_after_ms = seconds > 0 && seconds < UINT32_MAX ? (uint64_t)seconds * 1000 : 0;
}

static int perform(struct transfer *t, struct diag *reterr)
{
    const CURLcode code = t->curl->easy_perform(t->h);
    if (code == CURLE_OK || t->enough) {
        read_answer(t);
        return 0;
    }
    if (t->too_long)
        return diag_set(reterr, DIAG_PAYLOAD_TOO_LARGE, "%s: the answer is longer than %zu bytes",
                        t->f->url, body_bytes_max(t->f));
    struct diag why;
    libcurl_explain(t->curl, t->h, code, t->f->url, t->detail, t->f->timeout_ms, &why);
    return diag_set(reterr, why.code, "%s", why.msg);
}

int fetch(const struct fetch *f, struct fetch_answer *ret, struct diag *reterr)
{
    *ret = (struct fetch_answer){0};
    struct transfer t = {.curl = libcurl_load(reterr), .f = f, .answer = ret};
    if (t.curl == NULL)
        return -EINVAL;
    t.h = t.curl->easy_init();
    CHECK(t.h != NULL);
    set_up(&t);
    const int err = perform(&t, reterr);
    t.curl->easy_cleanup(t.h);
    t.curl->slist_free_all(t.headers);
    if (err < 0)
        fetch_answer_release(ret);
    return err;
}

void fetch_answer_release(struct fetch_answer *a)
{
    free(a->content_type);
    str_release(&a->body);
    *a = (struct fetch_answer){0};
}
