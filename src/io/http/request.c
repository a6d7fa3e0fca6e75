/* request.c - requests and their pool, and what a handler may ask of one. */
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mem.h"
#include "io/http/internal.h"

struct request *request_of(const struct http_request *req)
{
    return container_of(req, struct request, pub);
}

struct request *request_acquire(struct http_server *s, struct conn *c)
{
    struct request *r = s->request_pool;

    if (r != NULL) {
        s->request_pool = r->next;
        s->request_pool_count--;
    } else {
        r = mem_alloc(sizeof(*r));
        r->arena = (struct arena){0};
        r->body = r->answer = r->head.bytes = (struct str){0};
        r->pieces = (struct piece_queue){0};
    }
    r->pub = (struct http_request){.arena = &r->arena};
    r->server = s;
    r->conn = c;
    r->next = NULL;
    r->gone = NULL;
    r->state = REQUEST_READING;
    r->queued = r->continue_due = r->streaming = r->chunked = false;
    r->ops = NULL;
    r->news = 0;
    r->header_count = 0;
    r->buffered = r->body_max = r->sent = 0;
    r->length = 0;
    r->head.field_count = 0;
    r->head.major = r->head.minor = 1; /* until it is known better */
    return r;
}

/* Empties a buffer; one that has grown is not worth keeping. */
static void recycle(struct str *s)
{
    if (s->cap > HTTP_REQUEST_KEPT_BYTES_MAX)
        str_release(s);
    else
        str_reset(s);
}

void request_drop_body(struct request *r)
{
    r->server->buffered_bytes -= r->buffered;
    r->buffered = 0;
    recycle(&r->body);
    r->pub.body = SLICE("");
}

void http_body_forget(struct http_request *req)
{
    struct request *r = request_of(req);

    CHECK(r->state == REQUEST_HANDLING);
    request_drop_body(r);
}

void request_drop_input(struct request *r)
{
    request_drop_body(r);
    recycle(&r->head.bytes);
    arena_reset(&r->arena);
}

static void destroy(struct request *r)
{
    str_release(&r->body);
    str_release(&r->answer);
    str_release(&r->head.bytes);
    arena_release(&r->arena);
    free(r);
}

void request_cut(struct request *r)
{
    if (!r->streaming)
        return;
    r->streaming = false;
    r->pub.route->sink->cut(&r->pub);
}

void request_release(struct request *r)
{
    struct http_server *s = r->server;

    CHECK(!r->queued);
    request_cut(r);
    request_drop_input(r);
    piece_queue_release(&r->pieces);
    if (s->request_pool_count == HTTP_REQUEST_POOL_MAX) {
        destroy(r);
        return;
    }
    recycle(&r->answer);
    r->next = s->request_pool;
    s->request_pool = r;
    s->request_pool_count++;
}

void request_pool_release(struct http_server *s)
{
    while (s->request_pool != NULL) {
        struct request *r = s->request_pool;

        s->request_pool = r->next;
        destroy(r);
    }
    s->request_pool_count = 0;
}

void http_on_gone(struct http_request *req, void (*gone)(struct http_request *req))
{
    struct request *r = request_of(req);

    r->gone = gone;
    if (r->conn == NULL || r->conn->eof)
        request_client_gone(r);
}

void request_client_gone(struct request *r)
{
    void (*gone)(struct http_request * req) = r->gone;

    if (r->state == REQUEST_STREAMED) {
        stream_gone(r);
        return;
    }
    r->gone = NULL;
    if (r->state == REQUEST_HANDLING && gone != NULL)
        gone(&r->pub);
}

void request_let_go(struct request *r)
{
    r->queued = false;
    r->conn = NULL;
    if (r->state == REQUEST_HANDLING || r->state == REQUEST_STREAMED)
        request_client_gone(r);
    else
        request_release(r);
}

struct slice http_header(const struct http_request *req, const char *name)
{
    const struct head *h = &request_of(req)->head;
    struct slice wanted = slice_of(name);

    for (unsigned i = 0; i < h->field_count; i++)
        if (slice_eq(head_name(h, i), wanted))
            return head_value(h, i);
    return SLICE_NONE;
}

static struct slice decoded(struct http_request *req, struct slice text)
{
    char *p = arena_alloc(req->arena, text.len + 1);
    size_t len = escapes_decode(text, true, p);

    p[len] = '\0';
    return (struct slice){p, len};
}

static bool name_is(struct http_request *req, struct slice raw, const char *name)
{
    if (memchr(raw.p, '%', raw.len) == NULL && memchr(raw.p, '+', raw.len) == NULL)
        return slice_is(raw, name);
    return slice_is(decoded(req, raw), name);
}

bool http_query(struct http_request *req, const char *name, struct slice *ret)
{
    const char *at = req->query.p, *end = at + req->query.len;

    while (at != NULL && at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp ? amp : end;
        const char *eq = memchr(at, '=', (size_t)(stop - at));
        const char *name_end = eq ? eq : stop;

        if (name_is(req, (struct slice){at, (size_t)(name_end - at)}, name)) {
            const char *value = eq ? eq + 1 : stop;

            *ret = decoded(req, (struct slice){value, (size_t)(stop - value)});
            return true;
        }
        at = stop + 1;
    }
    return false;
}
