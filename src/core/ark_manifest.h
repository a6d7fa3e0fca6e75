/* ark_manifest.h - an ArkEvent's manifest as a whole: whose it is, and what is kept of it.
 *
 *     apiVersion: arkonis.dev/v1alpha1
 *     kind: ArkEvent
 *     metadata: {name, namespace, labels, annotations}     what a server sets itself is accepted and not looked at
 *     spec: ...                                            ark_spec.h
 */
#ifndef CORE_ARK_MANIFEST_H
#define CORE_ARK_MANIFEST_H
#include "core/ark_spec.h"

#define ARK_API_VERSION "arkonis.dev/v1alpha1"
#define ARK_KIND "ArkEvent"
#define ARK_NAME_MAX 253                    /* a DNS subdomain (RFC 1123) */
#define ARK_ANNOTATION_BYTES_MAX (256 << 10) /* of all keys and values together */

struct ark_manifest {
    char *path;          /* "namespace/name" */
    json_t *config;      /* {"metadata":{"name","namespace","labels","annotations"},"spec"}: what is kept */
    const char *version; /* metadata.resourceVersion, the manifest's; NULL or empty: none is asked for */
    const char *uid;     /* metadata.uid, likewise */
    bool suspended;
    uint64_t cooldown_ms;
};

/* Reads a manifest. `ns` is the namespace that it is applied to, which it need not repeat; NULL: it is "default" if the manifest says
 * nothing. Adds what is wrong to *p. 0, or -EINVAL, and nothing to release then. Texts point into `doc`. */
int ark_manifest_read(json_t *doc, const char *ns, struct ark_manifest *ret, struct problems *p);
void ark_manifest_release(struct ark_manifest *m);

#endif
