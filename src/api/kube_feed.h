/* kube_feed.h - the latest changes of ArkEvents, for those who watch them.
 *
 * It is there while anybody watches: the first one opens it, the last one closes it. Changes are numbered as they come; the oldest
 * ones make room for new ones.
 */
#ifndef API_KUBE_FEED_H
#define API_KUBE_FEED_H
#include "api/kube_read.h"

#define KUBE_FEED_CHANGES 1024       /* that are kept */
#define KUBE_FEED_BYTES (4 << 20)    /* of them all */

struct http_piece;
struct kube_feed;

/* Who is told. */
struct kube_reader {
    const struct kube_want *want;
    void (*more)(struct kube_reader *r); /* there is one more; may read, may not close */
    struct kube_shape *shape;            /* the feed's */
    struct kube_reader *prev, *next;
};

void kube_feed_open(struct api *a, struct kube_reader *r);
void kube_feed_close(struct api *a, struct kube_reader *r);

/* The number of the first change behind a version. False: that is so far back that it is not kept any more. */
bool kube_feed_find(const struct api *a, uint64_t version, uint64_t *ret_number);

enum kube_news {
    KUBE_NONE,    /* there is no such change yet */
    KUBE_LOST,    /* and not any more: read the store */
    KUBE_CHANGE,  /* *ret_piece, borrowed until the next call, is what r is to be told of it; NULL: nothing, it does not want it */
};
enum kube_news kube_feed_take(struct api *a, const struct kube_reader *r, uint64_t number, uint64_t *ret_version,
                              struct http_piece **ret_piece);

unsigned kube_feed_readers(const struct api *a);

#endif
