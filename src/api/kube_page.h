/* kube_page.h - a part of a long list of ArkEvents, or of what has changed among them, read off the loop.
 *
 *     p->want = w; p->changes = false; p->done = done;
 *     kube_page_read(p);                          done() follows, once, later
 *     done: p->err, p->text, p->more              when there is more: kube_page_read(p) again goes on where this one ended
 */
#ifndef API_KUBE_PAGE_H
#define API_KUBE_PAGE_H
#include "api/kube_read.h"
#include "io/loop/timers.h"
#include "io/store/query.h"
#include "pawl/host.h"

#define KUBE_PAGE_BYTES 262144 /* of text; a page ends behind the item that goes beyond it */
#define KUBE_PAGE_SCANNED_MAX 5000 /* ArkEvents that are looked at for one page */

struct kube_page {
    const struct kube_want *want;
    bool changes;           /* since `since`; else all, by path */
    bool events;            /* as what a watch says of them; else as items of a list */
    struct ark_since since;
    void (*done)(struct kube_page *p);

    /* of the last page */
    int err;          /* 0; -ESTALE: changes that old are not known any more; others: the store cannot be read, or the daemon stops */
    struct str text;
    bool more;
    uint64_t version; /* as of when it was read */

    struct str after; /* the path that the list has come to */
    size_t scanned;
    uint64_t items;   /* in all pages so far */
    bool posted; /* done() is due */
    struct db *db;
    struct wall now;
    struct read_job job;
    struct timer again;
};

void kube_page_read(struct kube_page *p);
/* The answer is not wanted any more. True: nothing is being read, done() will not be called, p may go. False: done() will be. */
bool kube_page_cancel(struct kube_page *p);
void kube_page_release(struct kube_page *p); /* nothing is being read */

#endif
