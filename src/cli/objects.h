/* objects.h - objects of a running daemon, each in the form of its manifest: {"apiVersion","kind","metadata","spec","status"}. */
#ifndef CLI_OBJECTS_H
#define CLI_OBJECTS_H
#include "cli/kinds.h"
#include "cli/server.h"

/* All of a kind in a namespace; ns == NULL: in all. A new array, or NULL with the reason printed. */
json_t *objects_list(struct server *s, const struct kind *k, const char *ns);

/* The one of that name: of a pipeline "layer.name", "name" in the layer events, or "namespace.layer.name" whatever ns is; of a trigger
 * its manifest's name, or its id. NULL with the reason printed. */
json_t *objects_get(struct server *s, const struct kind *k, const char *ns, const char *name);

/* Deletes the one of that name. 0, or -1 with the reason printed. */
int objects_delete(struct server *s, const struct kind *k, const char *ns, const char *name, bool force);

/* What an object is called where its kind is known; the caller frees it. */
char *object_name(const struct kind *k, const json_t *object);

/* A text below an object, such as "metadata.name"; "" when there is none. */
const char *object_text(const json_t *object, const char *path);
const json_t *object_value(const json_t *object, const char *path);

/* The path of a pipeline's or trigger's resource: "/api/v1/pipelines/...". The caller frees it. */
char *object_url(const struct kind *k, const json_t *object);

#endif
