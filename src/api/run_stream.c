/* run_stream.c - the life of a stream:
 *
 *     follow_run ──first news──> http_stream_begin ──events as there is room──> final status, end
 *         │                           │ refused, HEAD                │ client gone, daemon stops
 *         └─no such run: 404          └──────> over                  └──────> over
 *
 * It has memory of its own, because a request is gone when http_stream_begin() refuses it.
 *
 * Readers of one run are told of a line one after the other and make the same piece of it: the last
 * piece made is kept for as long as there are streams, and taken again when it says the same. */
#include "api/run_stream.h"
#include "api/work.h"
#include "base/check.h"
#include "base/mem.h"
#include "io/loop/timers.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The id of the last event of a run. A browser that asks again with it is told to stop. */
#define LAST_ID "end"

struct run_stream {
    struct api *api;
    struct http_request *req;
    struct run_follower follower;
    struct timer beat;
    const char *missing;
    bool begun;
    bool shut; /* the client has closed its side */
};

/* ---- events ---- */

static void add_line(struct str *s, const struct follow_news *n)
{
    str_printf(s, "event: log\nid: %u.%u\ndata: ", n->at.attempt, n->at.line);
    str_add_slice(s, n->line);
    str_add_cstr(s, "\n\n");
}

static void add_status(struct str *s, const struct run_stream *r, const struct follow_news *n)
{
    str_add_cstr(s, "event: status\n");
    if (run_status_is_final(n->status))
        str_add_cstr(s, "id: " LAST_ID "\n");
    str_add_cstr(s, "data: {\"run_id\":\"");
    str_add_uuid(s, r->follower.run);
    str_printf(s, "\",\"status\":\"%s\",\"attempt\":%u}\n\n", run_status_name(n->status),
               n->at.attempt);
}

static struct http_piece *piece_of(struct api *a, struct slice text)
{
    if (a->run_piece != NULL && slice_eq(http_piece_bytes(a->run_piece), text))
        return a->run_piece;
    if (a->run_piece != NULL)
        http_piece_release(a->run_piece);
    return a->run_piece = http_piece_make(text);
}

static void rearm(struct run_stream *r)
{
    timer_set(r->api->host->timers, &r->beat, r->shut ? RUN_STREAM_DOUBT_MS : RUN_STREAM_BEAT_MS);
}

/* There is room: it was asked for. */
static void put(struct run_stream *r, struct slice text)
{
    CHECK(http_stream_write(r->req, piece_of(r->api, text)));
    rearm(r);
}

static void beat(struct timer *t)
{
    struct run_stream *r = container_of(t, struct run_stream, beat);
    if (http_stream_queued(r->req) == 0)
        put(r, SLICE(":\n\n"));
    else
        rearm(r);
}

/* ---- beginning and end ---- */

static void forget(struct run_stream *r)
{
    struct api *a = r->api;
    timer_cancel(a->host->timers, &r->beat);
    a->host->unfollow_run(a->host, &r->follower);
    free(r);
    if (--a->run_streams > 0 || a->run_piece == NULL)
        return;
    http_piece_release(a->run_piece);
    a->run_piece = NULL;
}

/* Of a stream that has begun. */
static void over(struct http_request *req)
{
    forget(req->handling);
    http_stream_end(req);
}

static void shut(struct http_request *req)
{
    struct run_stream *r = req->handling;
    r->shut = true;
    timer_set(r->api->host->timers, &r->beat, 0);
}

static void room(struct http_request *req);

static const struct http_stream_ops ops = {.room = room, .shut = shut, .gone = over, .stop = over};

static bool begin(struct run_stream *r)
{
    r->req->handling = r;
    http_response_header(r->req, "Cache-Control", "no-store");
    http_response_header(r->req, "X-Accel-Buffering", "no"); /* proxies pass lines on at once */
    r->begun = http_stream_begin(r->req, 200, "text/event-stream", &ops);
    return r->begun;
}

static void refuse(struct run_stream *r, int err)
{
    struct http_request *req = r->req;
    const char *missing = r->missing;
    forget(r);
    if (err == -ENOENT)
        http_respond_error(req, DIAG_NOT_FOUND, 0, missing);
    else
        http_respond_error(req, DIAG_UNAVAILABLE, 1, "the store cannot be read now, try again");
}

/* ---- what comes ---- */

static struct follow_news next(struct run_stream *r)
{
    return r->api->host->follow_next(r->api->host, &r->follower);
}

/* Appends its event. False when it has none: nothing follows for now, or ever. */
static bool add_news(struct run_stream *r, const struct follow_news *n, struct str *s)
{
    if (n->kind == FOLLOW_LINE)
        add_line(s, n);
    else if (n->kind == FOLLOW_STATUS)
        add_status(s, r, n);
    return n->kind == FOLLOW_LINE || n->kind == FOLLOW_STATUS;
}

/* Sends n and what is behind it, as one piece. Returns the last that was taken. */
static enum follow_kind send_batch(struct run_stream *r, struct follow_news n)
{
    struct str text = {0};
    while (add_news(r, &n, &text) && text.len < RUN_STREAM_BATCH_BYTES)
        n = next(r);
    if (text.len > 0)
        put(r, str_slice(&text));
    str_release(&text);
    return n.kind;
}

/* There is room for a piece. */
static void go_on(struct run_stream *r, struct follow_news n)
{
    enum follow_kind last = send_batch(r, n);
    while (last != FOLLOW_NOTHING && last != FOLLOW_END && http_stream_has_room(r->req))
        last = send_batch(r, next(r));
    if (last == FOLLOW_END)
        over(r->req);
}

static void room(struct http_request *req)
{
    struct run_stream *r = req->handling;
    go_on(r, next(r));
}

/* Nothing is answered before it is known whether there is such a run. */
static void try_to_begin(struct run_stream *r)
{
    const struct follow_news n = next(r);
    if (n.kind == FOLLOW_NOTHING)
        return;
    if (n.kind == FOLLOW_END && n.err != 0) {
        refuse(r, n.err);
        return;
    }
    if (!begin(r)) {
        forget(r);
        return;
    }
    rearm(r);
    go_on(r, n);
}

static void more(struct run_follower *f)
{
    struct run_stream *r = container_of(f, struct run_stream, follower);
    if (!r->begun)
        try_to_begin(r);
    else if (http_stream_has_room(r->req))
        go_on(r, next(r));
}

/* ---- the request ---- */

/* The next element of a list with commas, without its parameters. */
static struct slice take_range(struct slice *list)
{
    const char *comma = memchr(list->p, ',', list->len);
    struct slice ret = {list->p, comma != NULL ? (size_t)(comma - list->p) : list->len};
    const size_t used = ret.len + (comma != NULL);
    *list = (struct slice){list->p + used, list->len - used};
    const char *semicolon = memchr(ret.p, ';', ret.len);
    if (semicolon != NULL)
        ret.len = (size_t)(semicolon - ret.p);
    return slice_trim(ret);
}

bool run_stream_wanted(const struct http_request *req)
{
    struct slice accept = http_header(req, "accept");
    while (accept.len > 0)
        if (slice_is_nocase(take_range(&accept), "text/event-stream"))
            return true;
    return false;
}

static bool parse_mark(struct slice id, struct log_mark *ret)
{
    const char *dot = memchr(id.p, '.', id.len);
    uint64_t attempt, line;
    if (dot == NULL)
        return false;
    const struct slice before = {id.p, (size_t)(dot - id.p)};
    const struct slice after = {dot + 1, id.len - before.len - 1};
    if (!slice_u64(before, UINT32_MAX, &attempt) || !slice_u64(after, UINT32_MAX, &line))
        return false;
    *ret = (struct log_mark){(uint32_t)attempt, (uint32_t)line};
    return true;
}

/* Where the reader was. Answers itself when it returns false. */
static bool take_mark(struct http_request *req, struct log_mark *ret)
{
    const struct slice id = http_header(req, "last-event-id");
    *ret = (struct log_mark){0};
    if (id.len == 0 || parse_mark(id, ret))
        return true;
    if (slice_is(id, LAST_ID))
        http_respond(req, 204, NULL, SLICE("")); /* EventSource does not come again after that */
    else
        http_respond_error(req, DIAG_INVALID_ARGUMENT, 0,
                           "Last-Event-ID: must be the id of an event of this stream");
    return false;
}

void run_stream_start(struct api *a, struct http_request *req, struct uuid run, const char *missing)
{
    struct log_mark after;
    if (!take_mark(req, &after))
        return;
    if (a->run_streams >= RUN_STREAMS_MAX) {
        http_respond_error(req, DIAG_UNAVAILABLE, 1, "too many logs are being followed");
        return;
    }
    struct run_stream *r = mem_zalloc(sizeof(*r));
    *r = (struct run_stream){
        .api = a,
        .req = req,
        .follower = {.run = run, .after = after, .more = more},
        .beat.fired = beat,
        .missing = missing,
    };
    a->run_streams++;
    a->host->follow_run(a->host, &r->follower);
    try_to_begin(r);
}
