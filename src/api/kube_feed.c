#include "api/kube_feed.h"
#include "base/check.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A change, with texts of its own. */
struct change {
    struct ark_view view;
    char *memory;
    size_t bytes;
    json_t *config, *previous; /* parsed for the first who looks at them; NULL before */
};

/* What those are told who want it in the same shape: the last piece that was made for them. */
struct kube_shape {
    const struct kube_want *like; /* of its first reader, or another one */
    unsigned readers;
    struct http_piece *piece; /* NULL: none was made yet */
    uint64_t number;          /* the change it is about */
    enum ark_change what;
    struct kube_shape *prev, *next;
};

struct kube_feed {
    struct ark_listener listener; /* first */
    struct api *api;
    struct change changes[KUBE_FEED_CHANGES]; /* number n is at n % KUBE_FEED_CHANGES */
    uint64_t first, end;                      /* numbers */
    size_t bytes;
    uint64_t lost; /* the version of the last one that was thrown away */
    struct kube_reader *readers;
    unsigned reader_count;
    struct kube_shape *shapes;
};

/* ---- changes ---- */

static struct change *change_at(struct kube_feed *f, uint64_t number)
{
    return &f->changes[number % KUBE_FEED_CHANGES];
}

static void drop_first(struct kube_feed *f)
{
    struct change *c = change_at(f, f->first++);
    f->lost = c->view.version;
    f->bytes -= c->bytes;
    json_decref(c->config);
    json_decref(c->previous);
    free(c->memory);
}

static struct slice copy(char **at, struct slice s)
{
    if (s.p == NULL)
        return SLICE_NONE;
    char *p = *at;
    memcpy(p, s.p, s.len);
    *at += s.len;
    return (struct slice){p, s.len};
}

static void append(struct kube_feed *f, const struct ark_view *v)
{
    const size_t bytes = v->path.len + v->config.len + v->missing.len + v->previous.len + 1;
    while (f->end > f->first &&
           (f->end - f->first == KUBE_FEED_CHANGES || f->bytes + bytes > KUBE_FEED_BYTES))
        drop_first(f);
    struct change *c = change_at(f, f->end++);
    char *at = mem_alloc(bytes);
    *c = (struct change){.view = *v, .memory = at, .bytes = bytes};
    c->view.path = copy(&at, v->path);
    c->view.config = copy(&at, v->config);
    c->view.missing = copy(&at, v->missing);
    c->view.previous = copy(&at, v->previous);
    f->bytes += bytes;
}

static void changed(struct ark_listener *l, const struct ark_view *v)
{
    struct kube_feed *f = container_of(l, struct kube_feed, listener);
    struct kube_reader *r, *tmp;
    append(f, v);
    DL_FOREACH_SAFE (f->readers, r, tmp)
        r->more(r);
}

bool kube_feed_find(const struct api *a, uint64_t version, uint64_t *ret_number)
{
    struct kube_feed *f = a->kube_feed;
    uint64_t n = f->first;
    if (version < f->lost)
        return false;
    while (n < f->end && change_at(f, n)->view.version <= version)
        n++;
    *ret_number = n;
    return true;
}

/* ---- what it means to a reader ---- */

static bool wants(const struct kube_want *w, struct slice config, json_t **parsed)
{
    if (*parsed == NULL && kube_looks_at_config(w))
        *parsed = json_parse_object(config, NULL);
    return kube_wants_parsed(w, *parsed);
}

/* False: nothing. An object that begins to be what a reader selects comes to be for it, and one that ceases to is gone. */
static bool translate(const struct kube_want *w, struct change *c, enum ark_change *ret)
{
    const struct ark_view *v = &c->view;
    if (!kube_wants_path(w, v->path))
        return false;
    const bool is = wants(w, v->config, &c->config);
    const bool was = v->previous.p != NULL ? wants(w, v->previous, &c->previous) : is;
    const bool before = v->what != ARK_ADDED && was, after = v->what != ARK_DELETED && is;
    *ret = !before ? ARK_ADDED : after ? ARK_MODIFIED : ARK_DELETED;
    if (before && after)
        return w->kind != &kube_secrets; /* a token never changes */
    return before || after;
}

static struct http_piece *piece_of(struct kube_feed *f, struct kube_shape *s,
                                   const struct ark_view *v, uint64_t number, enum ark_change what)
{
    struct host *h = f->api->host;
    struct str text = {0};
    if (s->piece != NULL && s->number == number && s->what == what)
        return s->piece;
    if (s->piece != NULL)
        http_piece_release(s->piece);
    kube_add_event(s->like, NULL, v, what, h->now(h).wall, &text);
    s->piece = http_piece_make(str_slice(&text));
    s->number = number;
    s->what = what;
    str_release(&text);
    return s->piece;
}

enum kube_news kube_feed_take(struct api *a, const struct kube_reader *r, uint64_t number,
                              uint64_t *ret_version, struct http_piece **ret_piece)
{
    struct kube_feed *f = a->kube_feed;
    enum ark_change what;
    if (number < f->first)
        return KUBE_LOST;
    if (number == f->end)
        return KUBE_NONE;
    struct change *c = change_at(f, number);
    *ret_version = c->view.version;
    *ret_piece =
        translate(r->want, c, &what) ? piece_of(f, r->shape, &c->view, number, what) : NULL;
    return KUBE_CHANGE;
}

/* ---- readers ---- */

static struct kube_shape *shape_of(struct kube_feed *f, const struct kube_want *w)
{
    struct kube_shape *s;
    DL_FOREACH (f->shapes, s)
        if (kube_want_same_shape(s->like, w))
            return s;
    s = mem_zalloc(sizeof(*s));
    s->like = w;
    DL_APPEND(f->shapes, s);
    return s;
}

/* Its first reader may go before the others. */
static void leave_shape(struct kube_feed *f, struct kube_reader *r)
{
    struct kube_shape *s = r->shape;
    struct kube_reader *other;
    if (--s->readers == 0) {
        DL_DELETE(f->shapes, s);
        if (s->piece != NULL)
            http_piece_release(s->piece);
        free(s);
        return;
    }
    DL_FOREACH (f->readers, other)
        if (other->shape == s)
            break;
    s->like = other->want;
}

static void destroy(struct api *a)
{
    struct kube_feed *f = a->kube_feed;
    while (f->end > f->first)
        drop_first(f);
    CHECK(a->host->arks == &f->listener);
    a->host->arks = NULL;
    free(f);
    a->kube_feed = NULL;
}

void kube_feed_open(struct api *a, struct kube_reader *r)
{
    struct kube_feed *f = a->kube_feed;
    if (f == NULL) {
        f = a->kube_feed = mem_zalloc(sizeof(*f));
        f->api = a;
        f->listener.changed = changed;
        CHECK(a->host->arks == NULL);
        a->host->arks = &f->listener;
    }
    r->shape = shape_of(f, r->want);
    r->shape->readers++;
    f->reader_count++;
    DL_APPEND(f->readers, r);
}

void kube_feed_close(struct api *a, struct kube_reader *r)
{
    struct kube_feed *f = a->kube_feed;
    DL_DELETE(f->readers, r);
    leave_shape(f, r);
    if (--f->reader_count == 0)
        destroy(a);
}

unsigned kube_feed_readers(const struct api *a)
{
    return a->kube_feed != NULL ? a->kube_feed->reader_count : 0;
}
