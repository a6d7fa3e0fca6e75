/* kube_namespace.h - a namespace as kubectl knows it: there as soon as something is in it, or because somebody has made it.
 *
 *     kube_namespaces.c        get, list, and a watch that says what there is
 *     kube_namespace_write.c   made, changed, deleted
 */
#ifndef API_KUBE_NAMESPACE_H
#define API_KUBE_NAMESPACE_H
#include "api/kube.h"
#include "base/str.h"
#include "base/uuid.h"
#include "pawl/time.h"

#define KUBE_NAMESPACES KUBE_CORE "/namespaces"
#define KUBE_NAMESPACE KUBE_NAMESPACES "/{name}"

/* What is shown of one; all of it borrowed. */
struct kube_namespace {
    struct slice name, config; /* config: `metadata` members as an object; absent: nobody has made it */
    uint64_t version;
    struct wall created_at;
};

struct uuid kube_namespace_uid(struct slice name); /* the same for every namespace of that name */
void kube_namespace_add(const struct kube_namespace *v, struct str *s); /* appends it as a JSON object */

#endif
