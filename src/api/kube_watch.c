#include "api/kube_watch.h"
#include "api/kube_feed.h"
#include "api/kube_page.h"
#include "base/check.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct watch {
    struct api *api;
    struct http_request *req; /* NULL: nobody is there any more */
    struct kube_want *want;
    struct kube_reader reader;
    struct kube_page page;
    struct timer end, mark;
    enum { LISTING, CHANGING, LIVE } state;
    bool reading;     /* a page is on its way */
    bool listed;      /* a page has come */
    bool bookmarks;   /* now and then */
    bool tells_end;   /* of what was there at first; not told yet */
    uint64_t version; /* all that is wanted of what happened up to this one has been sent */
    uint64_t next;    /* LIVE: the number of the next change */
};

/* ---- beginning and end ---- */

static void forget(struct watch *w)
{
    kube_page_release(&w->page);
    kube_want_destroy(w->want);
    free(w);
}

/* The stream ends; what is being read still comes. */
static void over(struct http_request *req)
{
    struct watch *w = req->handling;
    const struct host *h = w->api->host;
    timer_cancel(h->timers, &w->end);
    timer_cancel(h->timers, &w->mark);
    kube_feed_close(w->api, &w->reader);
    http_stream_end(req);
    w->req = NULL;
    if (!w->reading || kube_page_cancel(&w->page))
        forget(w);
}

static void end(struct timer *t)
{
    over(container_of(t, struct watch, end)->req);
}

/* ---- what is sent ---- */

static void put(struct watch *w, struct slice text)
{
    struct http_piece *p = http_piece_make(text);
    CHECK(http_stream_write(w->req, p)); /* there was room, and nothing was written since */
    http_piece_release(p);
}

static void put_bookmark(struct watch *w)
{
    struct str s = {0};
    kube_add_bookmark(w->want, w->version, w->tells_end, &s);
    w->tells_end = false;
    put(w, str_slice(&s));
    str_release(&s);
}

static void put_error(struct watch *w, int status, const char *reason, const char *message)
{
    struct str s = {0};
    str_add_cstr(&s, "{\"type\":\"ERROR\",\"object\":");
    kube_add_status(&s, status, reason, message, SLICE_NONE);
    str_add_cstr(&s, "}\n");
    put(w, str_slice(&s));
    str_release(&s);
}

/* ---- what comes ---- */

static void read_page(struct watch *w)
{
    w->reading = true;
    w->page.changes = w->state == CHANGING;
    kube_page_read(&w->page);
}

/* Behind what was sent. The feed may not reach back that far: then the store is asked first. */
static void go_live(struct watch *w)
{
    w->state = LIVE;
    if (kube_feed_find(w->api, w->version, &w->next))
        return;
    w->state = CHANGING;
    w->page.since = (struct ark_since){w->version, w->version, w->version};
}

/* Sends the next change, if there is one. Called with room. */
static bool follow(struct watch *w)
{
    struct http_piece *piece;
    uint64_t version;
    switch (kube_feed_take(w->api, &w->reader, w->next, &version, &piece)) {
    case KUBE_NONE:
        return false;
    case KUBE_LOST:
        w->state = CHANGING;
        w->page.since = (struct ark_since){w->version, w->version, w->version};
        return true;
    case KUBE_CHANGE:
        break;
    }
    w->next++;
    if (version <= w->version)
        return true; /* a reader of the store saw it on disk before the loop learned that it was */
    if (piece != NULL)
        CHECK(http_stream_write(w->req, piece));
    w->version = version;
    return true;
}

/* Does what can be done now. */
static void step(struct watch *w)
{
    while (!w->reading && http_stream_has_room(w->req)) {
        if (w->state != LIVE)
            read_page(w);
        else if (w->tells_end)
            put_bookmark(w);
        else if (!follow(w))
            return;
    }
}

/* All pages of the list are there. While they were read, things may have changed that are in the first ones. */
static void list_done(struct watch *w, bool one_page)
{
    const uint64_t first = w->version, last = w->page.version;
    if (one_page) {
        go_live(w);
        return;
    }
    w->state = CHANGING;
    w->page.since = (struct ark_since){.version = first, .made = first, .seen = last};
}

static void take_page(struct watch *w)
{
    const bool first = !w->listed;
    w->listed = true;
    if (w->page.text.len > 0)
        put(w, str_slice(&w->page.text));
    if (w->state == CHANGING) {
        w->version = w->page.since.version;
        if (!w->page.more)
            go_live(w);
        return;
    }
    if (first)
        w->version = w->page.version;
    if (!w->page.more)
        list_done(w, first);
}

static void fail(struct watch *w, int err)
{
    char message[80];
    if (err == -ESTALE) {
        snprintf(message, sizeof(message), "too old resource version: %llu (%llu)",
                 (unsigned long long)w->version, (unsigned long long)w->page.version);
        put_error(w, 410, "Expired", message);
    } else if (err != -ECANCELED) {
        put_error(w, 503, "ServiceUnavailable", "the store cannot be read now, try again");
    }
    over(w->req);
}

static void page_done(struct kube_page *p)
{
    struct watch *w = container_of(p, struct watch, page);
    w->reading = false;
    if (w->req == NULL) {
        forget(w);
    } else if (p->err != 0) {
        fail(w, p->err);
    } else {
        take_page(w);
        step(w);
    }
}

static void more(struct kube_reader *r)
{
    struct watch *w = container_of(r, struct watch, reader);
    if (w->state == LIVE)
        step(w);
}

static void room(struct http_request *req)
{
    step(req->handling);
}

static void mark(struct timer *t)
{
    struct watch *w = container_of(t, struct watch, mark);
    if (w->state == LIVE && http_stream_queued(w->req) == 0)
        put_bookmark(w);
    timer_set(w->api->host->timers, &w->mark, KUBE_BOOKMARK_MS);
}

/* ---- the request ---- */

static const struct http_stream_ops ops = {.room = room, .shut = over, .gone = over, .stop = over};

/* A number, or nothing. Answers itself when it is something else. */
static bool take_number(struct http_request *req, const char *name, uint64_t *ret)
{
    struct slice v;
    char message[80];
    *ret = 0;
    if (!http_query(req, name, &v) || v.len == 0 || slice_u64(v, INT64_MAX, ret))
        return true;
    snprintf(message, sizeof(message), "%s: Invalid value: must be a number", name);
    kube_fail(req, 400, message, SLICE_NONE);
    return false;
}

static void begin(struct watch *w, uint64_t seconds)
{
    struct timers *timers = w->api->host->timers;
    if (seconds > 0)
        timer_set(timers, &w->end, seconds * 1000);
    if (w->bookmarks)
        timer_set(timers, &w->mark, KUBE_BOOKMARK_MS);
    kube_feed_open(w->api, &w->reader);
    step(w);
}

void kube_watch_start(struct api *a, struct http_request *req, struct kube_want *want)
{
    uint64_t version, seconds;
    const bool all = kube_flag(req, "sendInitialEvents");
    if (!take_number(req, "resourceVersion", &version) ||
        !take_number(req, "timeoutSeconds", &seconds)) {
        kube_want_destroy(want);
        return;
    }
    if (kube_feed_readers(a) >= KUBE_WATCHES_MAX) {
        kube_want_destroy(want);
        kube_fail(req, 503, "too many watches are open", SLICE_NONE);
        return;
    }
    struct watch *w = mem_zalloc(sizeof(*w));
    *w = (struct watch){
        .api = a,
        .req = req,
        .want = want,
        .reader = {.want = want, .more = more},
        .page = {.want = want, .events = true, .done = page_done},
        .end.fired = end,
        .mark.fired = mark,
        .state = version > 0 && !all ? CHANGING : LISTING,
        .bookmarks = kube_flag(req, "allowWatchBookmarks"),
        .tells_end = all,
        .version = version,
    };
    w->page.since = (struct ark_since){version, version, version};
    req->handling = w;
    if (http_stream_begin(req, 200, "application/json", &ops))
        begin(w, seconds < KUBE_WATCH_SECONDS_MAX ? seconds : KUBE_WATCH_SECONDS_MAX);
    else
        forget(w);
}
