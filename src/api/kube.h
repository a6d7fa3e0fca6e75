/* kube.h - what the files of the Kubernetes-style API share.
 *
 * It serves one custom resource, ArkEvents, so that an unmodified kubectl works with them; beside it the Secrets with the tokens of
 * webhooks, read-only, and Namespaces.
 *
 *     kube_discovery.c   what there is: /api, /apis, /version, /openapi
 *     kube_status.c      errors, as Status objects
 *     kube_read.c        what a GET asks for, and how it is shown
 *     kube_page.c        parts of long lists and of what has changed, read off the loop
 *     kube_get.c         one object
 *     kube_list.c        all of them
 *     kube_watch.c       all of them, and what happens to them
 *     kube_feed.c        what has happened lately, for those who watch
 *     kube_write.c       create, replace, patch, delete
 *     kube_body.c        what the body of a write says; kube_writing.c its answer
 *     kube_namespaces.c  get and list namespaces; kube_namespace_write.c makes, changes, deletes them
 */
#ifndef API_KUBE_H
#define API_KUBE_H
#include "api/api.h"

#define KUBE_GROUP "arkonis.dev"
#define KUBE_ARKS "/apis/arkonis.dev/v1alpha1"
#define KUBE_CORE "/api/v1"

struct kube_kind {
    const char *plural, *kind;
    const char *group; /* "" for the core group */
    const char *api_version;
};
extern const struct kube_kind kube_arkevents, kube_secrets, kube_namespaces;

/* ---- kube_status.c ---- */

/* Answers with a Status of that HTTP status; its reason goes with it. `details` is a JSON object, or absent. */
void kube_fail(struct http_request *req, int status, const char *message, struct slice details);

/* The same about one object: the details are its name and kind. */
void kube_not_found(struct http_request *req, const struct kube_kind *k, struct slice name);
/* 409 with the reason AlreadyExists. */
void kube_exists(struct http_request *req, const struct kube_kind *k, struct slice name);
/* 409: the object is not the one that the client thinks it is. */
void kube_conflict(struct http_request *req, const struct kube_kind *k, struct slice name, const char *why);

/* It is gone: 200 with a Status. */
void kube_respond_deleted(struct http_request *req, const struct kube_kind *k, struct slice name, const char *uid);

void kube_unavailable(struct http_request *req); /* 503: nothing was changed */
void kube_unreadable(struct http_request *req);  /* 503: the store cannot be read */

/* Appends a Status with any reason. */
void kube_add_status(struct str *s, int status, const char *reason, const char *message, struct slice details);

/* For http_server_options: words errors of this API as Status objects. */
bool kube_word_error(const struct http_request *req, int status, const char *code, const char *message, struct str *ret);

/* ---- namespaces ---- */

/* A UUID made of a text: the same for the same text. For objects that have no id of their own. */
struct uuid kube_uid_of(const char *what, struct slice text);

#endif
