#include "api/kube_writing.h"
#include "api/kube.h"
#include "base/check.h"

static void redeemed(struct ticket *t, const struct outcome *o)
{
    struct writing *w = container_of(t, struct writing, ticket);
    if (o->err != 0)
        kube_unavailable(w->req);
    else
        w->then(w, o);
}

static void answer(struct writing *w, const struct outcome *o)
{
    const struct kube_writing *x = container_of(w, struct kube_writing, writing);
    http_respond_json(w->req, x->status, x->body);
}

struct kube_writing *kube_writing_make(struct api *a, struct http_request *req,
                                       void (*then)(struct writing *w, const struct outcome *o))
{
    struct kube_writing *w = writing_make(a, req, sizeof(*w), then != NULL ? then : answer);
    w->writing.ticket.done = redeemed;
    return w;
}
