/* kube_writing.h - a write of the Kubernetes-style API, answered after its commit. */
#ifndef API_KUBE_WRITING_H
#define API_KUBE_WRITING_H
#include "api/work.h"
#include "base/uuid.h"

struct kube_writing {
    struct writing writing;
    int status;
    struct slice body; /* in the request's arena */
    char uid[UUID_TEXT_LEN + 1]; /* the handler's */
};

/* One whose ticket answers 503 as Kubernetes words it when nothing was stored, else calls `then`. NULL: it answers `status` with
 * `body`, which may be set until then. */
struct kube_writing *kube_writing_make(struct api *a, struct http_request *req,
                                       void (*then)(struct writing *w, const struct outcome *o));

#endif
