/* zone_round.c - candidates become arrivals.
 *
 *     look (worker) ──> ledger (reader) ──> new ones whose writers were not looked for: look again ──> feed
 *
 * What is new is fed as an event with its row of the ledger. What was there before the zone is written to the ledger only. What is
 * known and only has other times, or is back, keeps its row, and what is gone is marked as gone there.
 */
#include "base/check.h"
#include "base/mem.h"
#include "core/engine.h"
#include "source/zone_name.h"
#include "source/zone_same.h"
#include "source/zone_site.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FEED_AGAIN_MS 2 /* when the batch is full */

struct round *round_make(struct site *s)
{
    struct round *r = mem_zalloc(sizeof(*r));
    r->site = s;
    return r;
}

void round_add(struct round *r, const char *path, size_t len, const struct zone_look *look)
{
    const struct item it = {.round = r,
                            .path = mem_dup(path, len),
                            .len = len,
                            .looked = look != NULL,
                            .notice = NOTICE_NAME};
    vec_push(&r->items, it);
    if (look != NULL)
        r->items.items[r->items.len - 1].look = *look;
}

static void destroy(struct round *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->items.len; i++)
        free(r->items.items[i].path);
    vec_release(&r->items);
    free(r->ledger);
    free(r);
}

static void over(struct round *r)
{
    struct site *s = r->site;
    r->ended = true;
    site_round_over(s, r); /* s may be gone */
    if (r->open == 0)
        destroy(r);
}

/* ---- tickets ---- */

/* Its fate could not be decided, or not be written. */
static void once_more(struct round *r, const struct item *it)
{
    struct site *s = r->site;
    if (r->emptied)
        s->emptied = false; /* from the beginning, when the directory has been looked for again */
    else if (!s->dropped)
        later_again(s, it->path, it->len, ZONE_FAILED_MS);
}

static void landed(struct ticket *t, const struct outcome *o)
{
    struct item *it = container_of(t, struct item, ticket);
    struct round *r = it->round;
    struct site *s = r->site;
    if (it->flying != NULL)
        site_land(s, it->flying);
    it->flying = NULL;
    if (o->err != 0)
        once_more(r, it);
    s->tickets--;
    if (--r->open > 0 || !r->ended)
        return;
    destroy(r);
    site_step(s);
}

/* ---- feeding ---- */

static int carry_out(struct item *it)
{
    struct site *s = it->round->site;
    struct host *h = s->all->host;
    const struct slice path = {it->path, it->len};
    const struct ledger_file file = {
        .zone_key = s->key,
        .path = path,
        .name = zone_name_of(path),
        .inode = it->look.inode,
        .size = it->look.size,
        .mtime_ns = it->look.mtime_ns,
        .ctime_ns = it->look.ctime_ns,
    };
    switch (it->fate) {
    case FATE_FIRE:
        return site_feed(s, it->path, it->len, &it->look, SLICE_NONE, SLICE_NONE, &it->ticket);
    case FATE_RECORD:
        return engine_note_file(h->engine, h->now(h), &file, &it->ticket);
    case FATE_KEEP:
        return engine_keep_file(h->engine, h->now(h), &file, &it->ticket);
    case FATE_FORGET:
        return engine_drop_file(h->engine, h->now(h), s->key, path, &it->ticket);
    case FATE_NONE:
        break;
    }
    return 0;
}

static int feed_one(struct item *it)
{
    struct site *s = it->round->site;
    if (site_path_find(s->flying, it->path, it->len) != NULL) { /* found twice by one scan */
        site_notice(s, it->path, it->len, it->notice);
        return 0;
    }
    it->ticket.done = landed;
    const int err = carry_out(it);
    if (err < 0)
        return err;
    it->flying = site_fly(s, it->path, it->len);
    it->round->open++;
    s->tickets++;
    later_forget(s, it->path, it->len);
    return 0;
}

static void feed(struct round *r);

static void feed_again(struct timer *t)
{
    feed(container_of(t, struct round, again));
}

static void feed(struct round *r)
{
    struct site *s = r->site;
    int err = 0;
    for (; r->fed < r->items.len && err == 0; r->fed += err == 0) {
        struct item *it = &r->items.items[r->fed];
        if (it->fate == FATE_NONE || s->dropped)
            continue;
        err = feed_one(it);
    }
    if (err == 0 || s->dropped || s->all->stopping) {
        over(r);
        return;
    }
    r->again.fired = feed_again;
    timer_set(s->all->host->timers, &r->again, FEED_AGAIN_MS);
}

/* ---- looking ---- */

static void look_work(struct worker_job *j, void *thread_state)
{
    struct round *r = container_of(j, struct round, job);
    struct zone_lookout l;
    const int root = zone_fs_root(&r->site->root);
    r->err = root < 0 ? root : 0;
    if (root < 0)
        return;
    zone_lookout_init(&l, root);
    for (size_t i = 0; i < r->items.len; i++) {
        struct item *it = &r->items.items[i];
        if (!it->looked)
            zone_fs_look(&l, it->path, r->writers, &it->look);
    }
    zone_lookout_release(&l);
    close(root);
}

static void look_done(struct worker_job *j, bool cancelled);

static void look(struct round *r, bool writers)
{
    r->writers = writers && r->site->local;
    r->job = (struct worker_job){.work = look_work, .done = look_done};
    if (worker_post(r->site->all->worker, &r->job) < 0)
        look_done(&r->job, true);
}

/* What the ledger has of a site whose directory is not there is not there either. */
static void look_at_nothing(struct round *r)
{
    for (size_t i = 0; i < r->items.len; i++) {
        r->items.items[i].look.kind = LOOK_GONE;
        r->items.items[i].looked = true;
    }
}

/* Everything later: the worker or the store would not have it now. */
static void give_up(struct round *r)
{
    for (size_t i = 0; i < r->items.len; i++)
        once_more(r, &r->items.items[i]);
    over(r);
}

/* ---- the ledger ---- */

static void ledger_work(struct read_job *j, struct db *db)
{
    struct round *r = container_of(j, struct round, read);
    r->err = query_ledger(db, r->site->key, r->ledger, r->items.len);
}

/* Whether there was a notice about it, or about a directory it is in. */
static bool is_noticed(struct site *s, const struct item *it)
{
    const struct site_path *p = site_path_find(s->candidates, it->path, it->len);
    return (p != NULL && p->notice != NOTICE_ATTRIBUTES) || later_has(s, it->path, it->len) ||
           site_path_covered(s->subtrees, it->path, it->len);
}

/* All that was told of it is that its times or its mode were set. */
static bool is_only_touched(const struct round *r, const struct item *it)
{
    const struct site_path *p = site_path_find(r->site->candidates, it->path, it->len);
    return it->notice == NOTICE_ATTRIBUTES ||
           (r->priming && p != NULL && p->notice == NOTICE_ATTRIBUTES);
}

/* It has not changed since the directory is watched, or not been written, and nobody has told of its coming. */
static bool was_there_before(const struct round *r, const struct item *it)
{
    struct site *s = r->site;
    if (is_noticed(s, it))
        return false;
    if (r->priming && it->look.ctime_ns <= s->since_ns)
        return true;
    return !s->primed && is_only_touched(r, it) && it->look.mtime_ns <= s->since_ns;
}

static enum item_fate decide_file(const struct round *r, const struct item *it,
                                  const struct ledger_look *l)
{
    struct site *s = r->site;
    const enum zone_same same = zone_same(l, &it->look);
    if (same != ZONE_OTHER) {
        later_forget(s, it->path, it->len);
        return l->gone || same == ZONE_RETIMED ? FATE_KEEP : FATE_NONE;
    }
    if (was_there_before(r, it))
        return FATE_RECORD;
    if (it->notice == NOTICE_ATTRIBUTES && !l->known)
        return FATE_NONE; /* what else it may be is told of, or found by a scan */
    return later_ready(s, it) ? FATE_FIRE : FATE_NONE;
}

static enum item_fate decide(const struct round *r, const struct item *it,
                             const struct ledger_look *l)
{
    switch (it->look.kind) {
    case LOOK_FILE:
        return decide_file(r, it, l);
    case LOOK_BUSY:
    case LOOK_FAILED:
        if (it->notice != NOTICE_ATTRIBUTES)
            later_busy(r->site, it);
        return FATE_NONE;
    case LOOK_GONE:
    case LOOK_OTHER:
        break;
    }
    later_forget(r->site, it->path, it->len);
    return l->known && !l->gone ? FATE_FORGET : FATE_NONE;
}

/* New files that nobody has looked at for writers yet; the others are `looked`. */
static bool choose_for_writers(struct round *r)
{
    bool any = false;
    for (size_t i = 0; i < r->items.len; i++) {
        struct item *it = &r->items.items[i];
        it->looked = it->fate != FATE_FIRE || it->checked;
        any |= !it->looked;
    }
    return any;
}

static void ledger_done(struct read_job *j, int err)
{
    struct round *r = container_of(j, struct round, read);
    struct site *s = r->site;
    if (err != 0 || r->err != 0) {
        give_up(r);
        return;
    }
    if (r->priming)
        watch_drain(s->all);
    for (size_t i = 0; i < r->items.len && (s->armed || r->emptied); i++)
        r->items.items[i].fate = decide(r, &r->items.items[i], &r->ledger[i]);
    if (s->armed && choose_for_writers(r))
        look(r, true);
    else
        feed(r);
}

/* What is flying comes back when it has landed. */
static void defer_flying(struct round *r)
{
    struct site *s = r->site;
    size_t n = 0;
    for (size_t i = 0; i < r->items.len; i++) {
        struct item *it = &r->items.items[i];
        if (site_path_find(s->flying, it->path, it->len) == NULL) {
            r->items.items[n++] = *it;
            continue;
        }
        site_notice(s, it->path, it->len, it->notice);
        free(it->path);
    }
    r->items.len = n;
}

static void ask_ledger(struct round *r)
{
    struct host *h = r->site->all->host;
    defer_flying(r);
    r->ledger = mem_zalloc(r->items.len * sizeof(*r->ledger) + 1);
    for (size_t i = 0; i < r->items.len; i++)
        r->ledger[i].path = (struct slice){r->items.items[i].path, r->items.items[i].len};
    r->read = (struct read_job){.work = ledger_work, .done = ledger_done};
    const int err = r->items.len > 0 ? h->read(h, &r->read) : 0;
    if (err < 0)
        give_up(r);
    else if (r->items.len == 0)
        over(r);
}

static void looked_for_writers(struct round *r)
{
    for (size_t i = 0; i < r->items.len; i++) {
        struct item *it = &r->items.items[i];
        if (it->fate == FATE_FIRE && it->look.kind != LOOK_FILE) {
            it->fate = FATE_NONE;
            later_busy(r->site, it);
        }
    }
    feed(r);
}

static void look_done(struct worker_job *j, bool cancelled)
{
    struct round *r = container_of(j, struct round, job);
    struct site *s = r->site;
    if (cancelled) {
        give_up(r);
        return;
    }
    if (r->err != 0) {
        site_disarm(s); /* when it is there again all of it is gone through */
        over(r);
        return;
    }
    for (size_t i = 0; i < r->items.len; i++) {
        struct item *it = &r->items.items[i];
        it->checked |= !it->looked && (r->writers || !s->local);
        it->looked = true;
    }
    if (r->ledger == NULL)
        ask_ledger(r);
    else
        looked_for_writers(r);
}

void round_start(struct round *r)
{
    bool looked = true, writers = true;
    if (r->emptied)
        look_at_nothing(r);
    for (size_t i = 0; i < r->items.len; i++)
        looked &= r->items.items[i].looked;
    writers = r->site->scan == NULL || r->site->scan->round != r;
    if (looked)
        ask_ledger(r);
    else
        look(r, writers);
}
