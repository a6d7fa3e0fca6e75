/* router.h - from method and path to a handler's row.
 *
 * A tree with one level per path segment. A literal segment is preferred to a {name}; where the preferred way does not lead to
 * a row, the other one is tried. Segments are compared and handed out percent-decoded; a decoded slash stays inside of its segment.
 */
#ifndef IO_HTTP_ROUTER_H
#define IO_HTTP_ROUTER_H
#include "io/http/http.h"

#define ROUTER_SEGMENTS_MAX 16 /* deeper paths match nothing */

struct router_node;

struct router {
    struct router_node *root; /* NULL: no rows yet */
};

enum router_result { ROUTER_FOUND, ROUTER_NO_PATH, ROUTER_NO_METHOD };

void router_release(struct router *rt);

/* Keeps the row. CHECKs that the pattern is well-formed and not there yet. */
void router_add(struct router *rt, const struct http_route *row, void *ctx);

/* Looks up req->method and req->path, whose escapes must be valid. When found, sets route, ctx and params; otherwise leaves
 * them alone. Takes memory from req->arena. */
enum router_result router_find(const struct router *rt, struct http_request *req);

/* The methods that the path of a ROUTER_NO_METHOD answer does have, as the value of an Allow header, in the arena. */
const char *router_allow(const struct router *rt, struct http_request *req);

#endif
