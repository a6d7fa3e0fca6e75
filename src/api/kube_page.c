#include "api/kube_page.h"
#include "base/check.h"
#include <errno.h>

/* Too many readings wait already: tried again after this long. */
#define READ_AGAIN_MS 20

/* ---- on a reader thread ---- */

static bool has_room(struct kube_page *p)
{
    p->more = ++p->scanned >= KUBE_PAGE_SCANNED_MAX || p->text.len >= KUBE_PAGE_BYTES;
    return !p->more;
}

static void add(struct kube_page *p, const struct ark_view *v, enum ark_change what)
{
    if (p->events) {
        kube_add_event(p->want, p->db, v, what, p->now, &p->text);
    } else {
        if (p->items > 0)
            str_add_char(&p->text, ',');
        kube_add_item(p->want, p->db, v, p->now, &p->text);
    }
    p->items++;
}

static bool visit_listed(void *arg, const struct ark_view *v)
{
    struct kube_page *p = arg;
    if (kube_wants_path(p->want, v->path) && kube_wants_config(p->want, v->config))
        add(p, v, ARK_ADDED);
    str_reset(&p->after);
    str_add_slice(&p->after, v->path);
    return has_room(p);
}

/* What it was like before is not known. One that is not wanted any more may have been: those who know it are told that it is gone, the
 * others do not mind. */
static bool visit_changed(void *arg, const struct ark_view *v)
{
    struct kube_page *p = arg;
    if (kube_wants_path(p->want, v->path)) {
        const bool wanted = kube_wants_config(p->want, v->config);
        if (wanted || v->what != ARK_ADDED)
            add(p, v, wanted ? v->what : ARK_DELETED);
    }
    p->since.version = v->version;
    return has_room(p);
}

static int read_list(struct kube_page *p, struct db *db)
{
    return query_arks(db, slice_of(p->want->ns),
                      p->after.p != NULL ? str_slice(&p->after) : SLICE_NONE, visit_listed, p,
                      &p->version);
}

static int read_changes(struct kube_page *p, struct db *db)
{
    const struct ark_since since = p->since;
    const int err =
        query_ark_changes(db, slice_of(p->want->ns), &since, visit_changed, p, &p->version);
    if (err == 0 && !p->more)
        p->since.version = p->version;
    if (p->since.seen < p->since.version)
        p->since.seen = p->since.version;
    return err;
}

static void work(struct read_job *j, struct db *db)
{
    struct kube_page *p = container_of(j, struct kube_page, job);
    p->db = db;
    p->err = p->changes ? read_changes(p, db) : read_list(p, db);
}

/* ---- on the loop ---- */

static void done(struct read_job *j, int err)
{
    struct kube_page *p = container_of(j, struct kube_page, job);
    if (err != 0)
        p->err = err;
    p->posted = false;
    p->done(p);
}

static void post(struct kube_page *p)
{
    struct host *h = p->want->api->host;
    const int err = h->read(h, &p->job);
    p->posted = err == 0;
    if (err == 0)
        return;
    if (err != -EAGAIN)
        p->err = err;
    timer_set(h->timers, &p->again, err == -EAGAIN ? READ_AGAIN_MS : 0);
}

static void again(struct timer *t)
{
    struct kube_page *p = container_of(t, struct kube_page, again);
    if (p->err != 0)
        p->done(p); /* never from inside kube_page_read() */
    else
        post(p);
}

void kube_page_read(struct kube_page *p)
{
    struct host *h = p->want->api->host;
    p->err = 0;
    p->more = false;
    p->scanned = 0;
    p->now = h->now(h).wall;
    p->job = (struct read_job){.work = work, .done = done};
    p->again.fired = again;
    str_reset(&p->text);
    post(p);
}

bool kube_page_cancel(struct kube_page *p)
{
    timer_cancel(p->want->api->host->timers, &p->again);
    return !p->posted;
}

void kube_page_release(struct kube_page *p)
{
    str_release(&p->text);
    str_release(&p->after);
}
