/* kube_watch.h - lists that go on: what is there, or what has changed since a version, and then every change as it happens.
 *
 *     LISTING ──all pages──> CHANGING ──all pages──> LIVE
 *     (no version asked for)   (a version)  ^          │ so far behind that the feed does not have it any more
 *                                           └──────────┘
 *
 * LIVE, each change comes from the feed (kube_feed.h), rendered once for all who want it in the same shape. A watcher takes what its
 * connection takes (stream_bytes_max); one that is slow gets the last state of what it missed from the store instead of each change,
 * and one that takes nothing is cut (write_ms_max) and comes again with its last resourceVersion.
 */
#ifndef API_KUBE_WATCH_H
#define API_KUBE_WATCH_H
#include "api/kube_read.h"

#define KUBE_WATCHES_MAX 4096        /* at a time: 503 */
#define KUBE_BOOKMARK_MS 60000       /* between bookmarks, for those who want them */
#define KUBE_WATCH_SECONDS_MAX 86400 /* of timeoutSeconds; longer ones end then */

/* Answers. Takes w. */
void kube_watch_start(struct api *a, struct http_request *req, struct kube_want *w);

#endif
