/* zone_upload.c - POST .../files: a file over HTTP, from the socket to the disk in pieces.
 *
 *     RECEIVING ──body complete──> FINISHING ──written, synced, put in place──> FEEDING ──on disk──> 201
 *         \── client gone, too large, malformed, disk full: nothing is kept ──────────────────────── 4xx, 503
 *
 * Nobody sees half of it, and nothing is left of it after a crash (zone_spool.h). Two buffers take turns: one fills up while the other
 * is written on a worker; when both are full the client is not read from.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "core/engine.h"
#include "io/http/multipart.h"
#include "io/secret/secret.h"
#include "source/zone_http.h"
#include "source/zone_name.h"
#include "source/zone_spool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define WRITE_BYTES_MIN (64 * 1024)   /* worth a trip to the worker */
#define BUFFER_BYTES_MAX (512 * 1024) /* then the client waits */
#define FORM_BYTES_MAX (64 * 1024)    /* of a body, around the file */

struct upload {
    struct zones *all;
    struct site *site;        /* held */
    struct http_request *req; /* NULL: nobody waits for an answer */
    enum { UPLOAD_RECEIVING, UPLOAD_FINISHING, UPLOAD_FEEDING } state;
    struct upload *prev, *next;

    bool in_file, has_file, complete;
    struct str name, stored; /* as its sender gave it, made safe; and in the directory */
    char *content_type;      /* NULL: none was given */
    uint64_t size;
    struct wall at;
    struct str filling;
    bool waiting; /* the client does, for a buffer */
    struct site_path *flying;
    struct ticket ticket;

    /* the worker's while `working` */
    bool working;
    struct worker_job job;
    struct str writing;
    struct spool spool;
    int err;

    struct multipart form;
};

/* ---- the end ---- */

static void destroy(struct upload *u)
{
    struct site *s = u->site;
    DL_DELETE(u->all->uploads, u);
    u->all->upload_count--;
    if (u->flying != NULL)
        site_land(s, u->flying);
    str_release(&u->name);
    str_release(&u->stored);
    str_release(&u->filling);
    str_release(&u->writing);
    free(u->content_type);
    spool_release(&u->spool);
    free(u);
    site_release(s);
}

static void discard_work(struct worker_job *j, void *thread_state)
{
    struct upload *u = container_of(j, struct upload, job);
    spool_discard(&u->spool);
}

static void discard_done(struct worker_job *j, bool cancelled)
{
    destroy(container_of(j, struct upload, job));
}

/* Nothing is kept. To be called when no other work is under way. */
static void discard(struct upload *u)
{
    CHECK(!u->working);
    u->working = true;
    u->job = (struct worker_job){.work = discard_work, .done = discard_done};
    if (worker_post(u->all->upload_worker, &u->job) < 0) {
        discard_work(&u->job, NULL);
        destroy(u);
    }
}

static void explain(int err, struct diag *why)
{
    if (err == -ENOSPC || err == -EDQUOT)
        diag_set(why, DIAG_UNAVAILABLE, "the disk is full; nothing was kept");
    else if (err == -ENOENT || err == -ESTALE || err == -ENOTDIR)
        diag_set(why, DIAG_UNAVAILABLE,
                 "the landing zone's directory is not there; nothing was kept");
    else
        diag_set(why, DIAG_UNAVAILABLE, "the file cannot be stored: %s; nothing was kept",
                 strerror(-err));
}

/* The answer to a complete request; nothing is kept. */
static void refuse(struct upload *u, const struct diag *why)
{
    struct http_request *req = u->req;
    u->req = NULL;
    http_respond_diag(req, why);
    discard(u);
}

/* ---- on the worker ---- */

static void write_work(struct worker_job *j, void *thread_state)
{
    struct upload *u = container_of(j, struct upload, job);
    u->err = spool_write(&u->spool, u->stored.p, str_slice(&u->writing));
}

static void finish_work(struct worker_job *j, void *thread_state)
{
    struct upload *u = container_of(j, struct upload, job);
    u->err = spool_place(&u->spool, u->stored.p);
}

/* ---- the event ---- */

static void add_member(struct str *s, const char *name, struct slice text)
{
    str_printf(s, ",\"%s\":", name);
    str_add_json_or_null(s, text);
}

static void answer_created(struct upload *u, struct uuid id)
{
    struct str body = {0}, path = {0};
    str_printf(&path, "%s/%s", u->site->directory, u->stored.p);
    str_add_cstr(&body, "{\"id\":\"");
    str_add_uuid(&body, id);
    str_add_cstr(&body, "\",\"zone_id\":\"");
    str_add_uuid(&body, u->site->id);
    str_add_char(&body, '"');
    add_member(&body, "filename", str_slice(&u->name));
    add_member(&body, "path", str_slice(&path));
    add_member(&body, "relative_path", str_slice(&u->stored));
    str_add_cstr(&body, ",\"size_bytes\":");
    str_add_u64(&body, u->spool.look.size);
    add_member(&body, "content_type", slice_of(u->content_type));
    str_add_cstr(&body, ",\"uploaded_at\":");
    str_add_time(&body, u->at);
    str_add_char(&body, '}');
    http_respond_json(u->req, 201, str_slice(&body));
    str_release(&body);
    str_release(&path);
}

static void stored(struct ticket *t, const struct outcome *o)
{
    struct upload *u = container_of(t, struct upload, ticket);
    struct diag why;
    if (o->err != 0) {
        diag_set(&why, DIAG_UNAVAILABLE,
                 "the file's arrival could not be stored; nothing was kept, try again");
        refuse(u, &why);
        return;
    }
    answer_created(u, o->event);
    u->req = NULL;
    destroy(u);
}

static void feed(struct upload *u)
{
    struct host *h = u->all->host;
    struct diag why;
    u->state = UPLOAD_FEEDING;
    u->ticket.done = stored;
    u->at = h->now(h).wall;
    int err = u->site->dropped ? -ENOENT : 0;
    if (err == 0)
        err = site_feed(u->site, u->stored.p, u->stored.len, &u->spool.look, str_slice(&u->name),
                        slice_of(u->content_type), &u->ticket);
    if (err == 0)
        return;
    if (err == -ENOENT)
        diag_set(&why, DIAG_NOT_FOUND, "the landing zone has been deleted");
    else
        diag_set(&why, DIAG_UNAVAILABLE, "the store does not keep up; nothing was kept, try again");
    refuse(u, &why);
}

/* ---- the body ---- */

static void go_on(struct upload *u);

static void work_done(struct worker_job *j, bool cancelled)
{
    struct upload *u = container_of(j, struct upload, job);
    struct diag why;
    u->working = false;
    if (cancelled)
        u->err = -ECANCELED;
    if (u->req == NULL) {
        discard(u);
        return;
    }
    if (u->err == 0) {
        go_on(u);
        return;
    }
    explain(u->err, &why);
    if (u->state == UPLOAD_RECEIVING)
        http_body_refuse(u->req, &why); /* cut() discards */
    else
        refuse(u, &why);
}

static void post(struct upload *u, void (*work)(struct worker_job *j, void *thread_state))
{
    u->working = true;
    u->job = (struct worker_job){.work = work, .done = work_done};
    CHECK(worker_post(u->all->upload_worker, &u->job) ==
          0); /* it ends after the last upload, and takes more than there may be */
}

static void write_next(struct upload *u)
{
    const struct str empty = u->writing;
    u->writing = u->filling;
    u->filling = empty;
    str_reset(&u->filling);
    post(u, write_work);
}

static void choose_name(struct upload *u)
{
    struct host *h = u->all->host;
    uint32_t random;
    str_reset(&u->stored);
    secret_random(&random, sizeof(random));
    zone_name_store(str_slice(&u->name), h->now(h).wall, random, &u->stored);
}

/* After each write, and when the body is complete. */
static void go_on(struct upload *u)
{
    if (u->state == UPLOAD_FINISHING && u->flying != NULL) {
        feed(u);
        return;
    }
    if (u->filling.len >= WRITE_BYTES_MIN || (u->filling.len > 0 && u->state == UPLOAD_FINISHING)) {
        write_next(u);
    } else if (u->state == UPLOAD_FINISHING) {
        while (site_path_find(u->site->flying, u->stored.p, u->stored.len) != NULL)
            choose_name(u); /* once in sixteen million times, in the same millisecond */
        u->flying = site_fly(u->site, u->stored.p, u->stored.len);
        post(u, finish_work);
    }
    if (u->waiting) {
        u->waiting = false;
        http_body_resume(u->req);
    }
}

/* ---- the form ---- */

static int malformed(struct diag *why, const char *text)
{
    return diag_set(why, DIAG_INVALID_ARGUMENT, "%s", text);
}

static int begin_file(struct upload *u, struct diag *why)
{
    if (u->has_file)
        return malformed(why, "file: there must be one");
    if (u->form.filename.len == 0)
        return malformed(why, "file: must be a file, with a filename");
    u->has_file = u->in_file = true;
    zone_name_make_safe(u->form.filename, &u->name);
    choose_name(u);
    if (u->form.content_type.len > 0 && u->form.content_type.len <= 255)
        u->content_type = mem_dup(u->form.content_type.p, u->form.content_type.len);
    return 0;
}

static int add_bytes(struct upload *u, struct diag *why)
{
    u->size += u->form.piece.len;
    if (u->size > u->all->host->upload_bytes_max)
        return diag_set(why, DIAG_PAYLOAD_TOO_LARGE,
                        "the file is larger than the %llu bytes that are accepted",
                        (unsigned long long)u->all->host->upload_bytes_max);
    str_add_slice(&u->filling, u->form.piece);
    return 0;
}

static int take(struct upload *u, enum multipart_event event, struct diag *why)
{
    switch (event) {
    case MULTIPART_PART:
        return slice_is(u->form.name, "file") ? begin_file(u, why) : 0;
    case MULTIPART_DATA:
        return u->in_file ? add_bytes(u, why) : 0;
    case MULTIPART_PART_END:
        u->in_file = false;
        return 0;
    case MULTIPART_END:
        u->complete = true;
        return 0;
    case MULTIPART_BAD:
        return malformed(why, u->form.why);
    case MULTIPART_MORE:
        break;
    }
    return 0;
}

static enum http_flow data(struct http_request *req, struct slice piece, struct diag *why)
{
    struct upload *u = req->stream;
    enum multipart_event event;
    size_t used;
    do {
        event = multipart_feed(&u->form, piece.p, piece.len, &used);
        piece.p += used;
        piece.len -= used;
        if (take(u, event, why) < 0)
            return HTTP_REFUSE;
    } while (event != MULTIPART_MORE);
    if (u->filling.len >= WRITE_BYTES_MIN && !u->working)
        write_next(u);
    u->waiting = u->filling.len >= BUFFER_BYTES_MAX;
    return u->waiting ? HTTP_HOLD : HTTP_ON;
}

static uint64_t body_bytes_max(void *ctx)
{
    const struct zones *all = ctx;
    return all->host->upload_bytes_max + FORM_BYTES_MAX;
}

static int begin(struct http_request *req, void *ctx, struct diag *why)
{
    struct zones *all = ctx;
    struct site *s = zone_http_site(all, req, why);
    if (s == NULL)
        return -EINVAL;
    if (all->upload_count >= ZONE_UPLOADS_MAX)
        return diag_set(why, DIAG_UNAVAILABLE, "too many files are being uploaded, try again");
    struct upload *u = mem_zalloc(sizeof(*u));
    if (!multipart_init(&u->form, http_header(req, "content-type"))) {
        free(u);
        return diag_set(why, DIAG_INVALID_ARGUMENT,
                        "Content-Type: must be multipart/form-data with a boundary");
    }
    u->all = all;
    u->site = s;
    u->req = req;
    spool_init(&u->spool, s->directory);
    site_hold(s);
    DL_APPEND(all->uploads, u);
    all->upload_count++;
    req->stream = u;
    return 0;
}

static void cut(struct http_request *req)
{
    struct upload *u = req->stream;
    u->req = NULL;
    if (!u->working)
        discard(u);
}

const struct http_sink zone_upload_sink = {
    .body_bytes_max = body_bytes_max, .begin = begin, .data = data, .cut = cut};

void zone_upload_complete(struct http_request *req, void *zones)
{
    struct upload *u = req->stream;
    struct diag why;
    u->state = UPLOAD_FINISHING;
    if (u->complete && u->has_file) {
        if (!u->working)
            go_on(u);
        return;
    }
    malformed(&why, u->complete ? "file: is required" : "the form is not complete");
    http_respond_diag(req, &why);
    u->req = NULL;
    if (!u->working)
        discard(u);
}

void zone_uploads_stop(struct zones *all)
{
    struct upload *u, *tmp;
    struct diag why;
    diag_set(&why, DIAG_UNAVAILABLE, "stopping; nothing was kept");
    DL_FOREACH_SAFE (all->uploads, u, tmp)
        if (u->state == UPLOAD_RECEIVING && u->req != NULL)
            http_body_refuse(u->req, &why);
}
