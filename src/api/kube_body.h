/* kube_body.h - what the body of a write says. Each function answers the request itself when it returns NULL or false. */
#ifndef API_KUBE_BODY_H
#define API_KUBE_BODY_H
#include "api/kube.h"
#include "base/json.h"
#include "core/ark_manifest.h"

/* An object, as JSON (also without a Content-Type) or YAML. The caller owns it. */
json_t *kube_body_object(struct http_request *req);

/* Whether the body is a merge patch, a JSON patch or, where that is accepted, a strategic merge patch: 415 when not. It comes before
 * all else: by it a client learns that an apply on the server's side is not supported, whether the object is there or not. */
bool kube_body_is_patch(struct http_request *req, bool strategic);

/* `doc` after the patch in the body, an object; a strategic merge patch is taken as a merge patch. The caller owns it. */
json_t *kube_body_patched(struct http_request *req, const struct kube_kind *k, struct slice name, const json_t *doc);

/* Whether it is of the kind, and of the name and namespace, that the request's path says; those that it does not mention are put in. Absent: the path does
 * not say. */
bool kube_body_fits(struct http_request *req, json_t *doc, const struct kube_kind *k, struct slice ns, struct slice name);

/* 409 when the client has said of which object, and which version of it, its write is about, and that is another one. */
bool kube_body_is_current(struct http_request *req, const json_t *doc, const struct kube_kind *k, struct slice name,
                          struct uuid id, uint64_t version);

/* Deals with problems as `fieldValidation` wants it; releases them. */
bool kube_body_valid(struct http_request *req, struct problems *p, const struct kube_kind *k, struct slice name);

/* Whether `dryRun` and `fieldValidation` have values that there are, so that nothing is done that was to be tried only: the first
 * thing that a write looks at. */
bool kube_body_options(struct http_request *req);
bool kube_dry_run(struct http_request *req); /* options are valid */

/* metadata.name and so on of a document; SLICE_NONE when it is no text, or is empty. */
struct slice kube_metadata(const json_t *doc, const char *field);

/* What the body of a DELETE says. */
struct kube_deletion {
    bool dry_run;
    struct slice uid, version; /* it must be this one; in the arena, SLICE_NONE: any */
};
bool kube_body_deletion(struct http_request *req, struct kube_deletion *ret);

#endif
