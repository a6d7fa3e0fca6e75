/* kube_read.h - what a GET of the Kubernetes-style API asks for, and how what it gets is shown.
 *
 * ArkEvents, and the Secrets that are made of them: everything is a view of an ArkEvent (core/effect.h). A struct kube_want is
 * memory of its own, for a request is gone while its answer is still being read; it does not change, so reader threads may use it.
 */
#ifndef API_KUBE_READ_H
#define API_KUBE_READ_H
#include "api/kube.h"
#include "core/ark.h"
#include "core/effect.h"
#include "core/selector.h"

#define KUBE_SECRET_SUFFIX "-webhook-token"

struct db;

struct kube_want {
    struct api *api;
    const struct kube_kind *kind;
    char *ns;                       /* NULL: all */
    struct selector labels, fields;
    bool table;                     /* as rows of a Table, not as objects */
    bool whole;                     /* rows hold the whole object, not its metadata alone */
    char *base_url;                 /* of webhooks */
};

/* What a request wants; `ns` may be absent. NULL: a selector is wrong, and the request has been answered. */
struct kube_want *kube_want_make(struct api *a, struct http_request *req, const struct kube_kind *k, struct slice ns);
void kube_want_destroy(struct kube_want *w); /* NULL is fine */
bool kube_want_same_shape(const struct kube_want *a, const struct kube_want *b); /* what both get looks the same */

/* Whether its place and name are wanted, whatever it says. */
bool kube_wants_path(const struct kube_want *w, struct slice path);
/* Whether, with that config, it is wanted. kube_wants_path() is so. */
bool kube_wants_config(const struct kube_want *w, struct slice config);
/* The same with a config that has been parsed, for those who ask for many; NULL will do where it is not looked at. */
bool kube_wants_parsed(const struct kube_want *w, const json_t *config);
bool kube_looks_at_config(const struct kube_want *w);

/* Appends it: an object, or a row of a table. A Secret's token is read from db; NULL: from the catalog, on the loop. */
void kube_add_item(const struct kube_want *w, struct db *db, const struct ark_view *v, struct wall now, struct str *ret);

/* Everything around the items of a list, or of a table. */
void kube_add_list_begin(const struct kube_want *w, uint64_t version, struct str *ret);
void kube_add_list_end(struct str *ret);

/* Appends the bookmark of a version; `ends_list`: what was there at first has been told. */
void kube_add_bookmark(const struct kube_want *w, uint64_t version, bool ends_list, struct str *ret);

/* Appends {"type":...,"object":...} and a line end: what a watch says of it. */
void kube_add_event(const struct kube_want *w, struct db *db, const struct ark_view *v, enum ark_change what, struct wall now,
                    struct str *ret);

/* ---- parts of requests ---- */

bool kube_asks_for_table(struct slice accept); /* the value of an Accept header */
bool kube_flag(struct http_request *req, const char *name); /* a query parameter that is true, or 1 */
struct slice kube_name_of(struct slice path);  /* behind the slash */

/* The base of URLs that we tell this client; NULL is never returned. The caller frees it. */
char *kube_base_url(const struct api *a, const struct http_request *req);

#endif
