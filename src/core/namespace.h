/* namespace.h - namespaces that somebody has made, for clients of the Kubernetes-style API.
 *
 * A namespace needs no making: it is there as soon as something is in it. One that was made is there until it is deleted, and may
 * have labels and annotations.
 */
#ifndef CORE_NAMESPACE_H
#define CORE_NAMESPACE_H
#include "core/catalog.h"

struct namespace {
    char *name;
    char *config; /* JSON object: "labels" and "annotations", as given */
    uint64_t version; /* 1, and one more with each change */
    struct wall created_at;
    UT_hash_handle hh;
};

/* NULL: nobody has made it. */
struct namespace *catalog_namespace(const struct catalog *c, struct slice name);

void namespaces_release(struct catalog *c);  /* destroys all */

#endif
