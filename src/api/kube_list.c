/* kube_list.c - all ArkEvents, or all Secrets, in one answer.
 *
 *     read a page ──it is the last──> one body
 *         │ there is more
 *     begin a stream, write the page ──room──> read the next one, write it ──> ... ──the last──> end
 *
 * So a list of any length takes the memory of one page, and the loop is never held up. What changes while later pages are read may
 * be in them already: a watch from the list's resourceVersion, which is that of its first page, says so again.
 */
#include "api/kube_page.h"
#include "api/kube_watch.h"
#include "api/resources.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include <stdlib.h>

struct listing {
    struct api *api;
    struct http_request *req; /* NULL: nobody is there any more */
    struct kube_want *want;
    struct kube_page page;
    bool begun;
};

static void forget(struct listing *l)
{
    kube_page_release(&l->page);
    kube_want_destroy(l->want);
    free(l);
}

/* ---- the stream ---- */

static void room(struct http_request *req)
{
    struct listing *l = req->handling;
    kube_page_read(&l->page);
}

/* The client has gone, or the daemon stops: the answer is never whole. */
static void cut(struct http_request *req)
{
    struct listing *l = req->handling;
    http_stream_end(req);
    l->req = NULL;
    if (kube_page_cancel(&l->page))
        forget(l);
}

static const struct http_stream_ops ops = {.room = room, .gone = cut, .stop = cut};

static void write_page(struct listing *l)
{
    struct http_piece *piece = http_piece_make(str_slice(&l->page.text));
    CHECK(http_stream_write(l->req,
                            piece)); /* nothing is read without room, and nobody else writes */
    http_piece_release(piece);
}

static void go_on(struct listing *l)
{
    if (!l->page.more)
        kube_add_list_end(&l->page.text);
    if (l->page.text.len > 0)
        write_page(l);
    if (!l->page.more) {
        http_stream_end(l->req);
        forget(l);
    } else if (http_stream_has_room(l->req)) {
        kube_page_read(&l->page);
    }
}

/* ---- the first page ---- */

static void answer_at_once(struct listing *l, struct str *body)
{
    str_add_slice(body, str_slice(&l->page.text));
    kube_add_list_end(body);
    http_respond_json(l->req, 200, str_slice(body));
    forget(l);
}

static void begin_stream(struct listing *l, struct str *head)
{
    l->req->handling = l;
    l->begun = http_stream_begin(l->req, 200, "application/json", &ops);
    if (!l->begun) {
        forget(l);
        return;
    }
    str_add_slice(head, str_slice(&l->page.text));
    str_reset(&l->page.text);
    str_add_slice(&l->page.text, str_slice(head));
    go_on(l);
}

static void begin(struct listing *l)
{
    struct str head = {0};
    kube_add_list_begin(l->want, l->page.version, &head);
    if (l->page.more)
        begin_stream(l, &head);
    else
        answer_at_once(l, &head);
    str_release(&head);
}

/* A list that has begun cannot say what went wrong: it breaks off, and what came of it is no JSON. */
static void fail(struct listing *l)
{
    if (l->begun)
        http_stream_end(l->req);
    else
        kube_unreadable(l->req);
    forget(l);
}

static void page_done(struct kube_page *p)
{
    struct listing *l = container_of(p, struct listing, page);
    if (l->req == NULL)
        forget(l);
    else if (p->err != 0)
        fail(l);
    else if (l->begun)
        go_on(l);
    else
        begin(l);
}

/* ---- requests ---- */

static void list(struct http_request *req, struct api *a, const struct kube_kind *k,
                 struct slice ns)
{
    struct kube_want *w = kube_want_make(a, req, k, ns);
    if (w == NULL)
        return;
    if (kube_flag(req, "watch")) {
        kube_watch_start(a, req, w);
        return;
    }
    struct listing *l = mem_zalloc(sizeof(*l));
    *l = (struct listing){.api = a, .req = req, .want = w};
    l->page.want = w;
    l->page.done = page_done;
    kube_page_read(&l->page);
}

static void list_arks(struct http_request *req, void *ctx)
{
    list(req, ctx, &kube_arkevents, SLICE_NONE);
}

static void list_arks_of(struct http_request *req, void *ctx)
{
    list(req, ctx, &kube_arkevents, req->params[0]);
}

static void list_secrets(struct http_request *req, void *ctx)
{
    list(req, ctx, &kube_secrets, SLICE_NONE);
}

static void list_secrets_of(struct http_request *req, void *ctx)
{
    list(req, ctx, &kube_secrets, req->params[0]);
}

static const struct http_route routes[] = {
    {"GET", KUBE_ARKS "/arkevents", list_arks, SCOPE_API, 0},
    {"GET", KUBE_ARKS "/namespaces/{ns}/arkevents", list_arks_of, SCOPE_API, 0},
    {"GET", KUBE_CORE "/secrets", list_secrets, SCOPE_API, 0},
    {"GET", KUBE_CORE "/namespaces/{ns}/secrets", list_secrets_of, SCOPE_API, 0},
};
const struct resource resource_kube_list = {routes, ARRAY_SIZE(routes)};
