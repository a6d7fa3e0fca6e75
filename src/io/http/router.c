#include "io/http/router.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mem.h"
#include "io/http/rules.h"

#define METHODS_MAX 16 /* different ones on one path */

struct row {
    const struct http_route *route;
    void *ctx;
    struct row *next;
};

struct router_node {
    struct slice segment;         /* of the literal; in the pattern's memory */
    struct router_node *children; /* literals */
    struct router_node *param;    /* any segment */
    struct router_node *next;     /* among its parent's children */
    struct row *rows;             /* of patterns that end here */
};

struct path {
    struct slice segments[ROUTER_SEGMENTS_MAX];
    unsigned count;
};

/* ---- making ---- */

static void node_destroy(struct router_node *n)
{
    for (struct router_node *c = n->children, *next; c != NULL; c = next) {
        next = c->next;
        node_destroy(c);
    }
    if (n->param != NULL)
        node_destroy(n->param);
    for (struct row *r = n->rows, *next; r != NULL; r = next) {
        next = r->next;
        free(r);
    }
    free(n);
}

void router_release(struct router *rt)
{
    if (rt->root != NULL)
        node_destroy(rt->root);
    rt->root = NULL;
}

/* Splits at slashes; one at the end is as good as none. False when there are too many segments. */
static bool split(struct slice path, struct path *ret)
{
    const char *at = path.p + 1, *end = path.p + path.len;

    ret->count = 0;
    if (path.len > 1 && end[-1] == '/')
        end--;
    while (at <= end && path.len > 1) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        size_t len = (size_t)((slash ? slash : end) - at);

        if (ret->count == ROUTER_SEGMENTS_MAX)
            return false;
        ret->segments[ret->count++] = (struct slice){at, len};
        at += len + 1;
    }
    return true;
}

static struct router_node *child_literal(const struct router_node *n, struct slice segment)
{
    for (struct router_node *c = n->children; c != NULL; c = c->next)
        if (slice_eq(c->segment, segment))
            return c;
    return NULL;
}

static struct router_node *child_add(struct router_node *n, struct slice segment)
{
    struct router_node *c = mem_zalloc(sizeof(*c));

    c->segment = segment;
    c->next = n->children;
    n->children = c;
    return c;
}

static struct router_node *descend(struct router_node *n, struct slice segment, unsigned *params)
{
    if (segment.len > 0 && segment.p[0] == '{') {
        CHECK(segment.len > 2 && segment.p[segment.len - 1] == '}');
        CHECK((*params)++ < HTTP_PARAMS_MAX);
        if (n->param == NULL)
            n->param = mem_zalloc(sizeof(*n->param));
        return n->param;
    }
    struct router_node *c = child_literal(n, segment);

    return c != NULL ? c : child_add(n, segment);
}

void router_add(struct router *rt, const struct http_route *row, void *ctx)
{
    struct path path;
    unsigned params = 0;

    CHECK(row->pattern[0] == '/' && row->handler != NULL);
    CHECK(split(slice_of(row->pattern), &path));
    if (rt->root == NULL)
        rt->root = mem_zalloc(sizeof(*rt->root));
    struct router_node *n = rt->root;

    for (unsigned i = 0; i < path.count; i++)
        n = descend(n, path.segments[i], &params);
    for (const struct row *r = n->rows; r != NULL; r = r->next)
        CHECK(strcmp(r->route->method, row->method) != 0); /* two rows for the same requests */
    struct row *r = mem_zalloc(sizeof(*r));

    *r = (struct row){.route = row, .ctx = ctx, .next = n->rows};
    n->rows = r;
}

/* ---- finding ---- */

static const struct row *row_of(const struct router_node *n, const char *method)
{
    const struct row *get = NULL;

    for (const struct row *r = n->rows; r != NULL; r = r->next) {
        if (strcmp(r->route->method, method) == 0)
            return r;
        if (strcmp(r->route->method, "GET") == 0)
            get = r;
    }
    return strcmp(method, "HEAD") == 0 ? get : NULL;
}

/* Walks down every way that fits the path, literals first, until visit() says that it has what it
 * wants. */
struct search {
    const struct path *path;
    bool (*visit)(struct search *s, const struct router_node *n);
    const char *method;
    const struct row *row; /* what was found */
    struct slice params[HTTP_PARAMS_MAX];
    unsigned param_count;
    const char *methods[METHODS_MAX]; /* what was there instead */
    unsigned method_count;
};

static bool walk(struct search *s, const struct router_node *n, unsigned depth)
{
    if (depth == s->path->count)
        return n->rows != NULL && s->visit(s, n);
    struct slice segment = s->path->segments[depth];
    const struct router_node *literal = child_literal(n, segment);

    if (literal != NULL && walk(s, literal, depth + 1))
        return true;
    if (n->param == NULL || segment.len == 0)
        return false;
    s->params[s->param_count++] = segment;
    if (walk(s, n->param, depth + 1))
        return true;
    s->param_count--;
    return false;
}

static bool visit_method(struct search *s, const struct router_node *n)
{
    s->row = row_of(n, s->method);
    if (s->method_count == 0)
        s->methods[s->method_count++] = n->rows->route->method; /* the path exists */
    return s->row != NULL;
}

static bool visit_all(struct search *s, const struct router_node *n)
{
    for (const struct row *r = n->rows; r != NULL; r = r->next) {
        bool known = false;

        for (unsigned i = 0; i < s->method_count; i++)
            known |= strcmp(s->methods[i], r->route->method) == 0;
        if (!known && s->method_count < METHODS_MAX)
            s->methods[s->method_count++] = r->route->method;
    }
    return false;
}

static bool split_decoded(struct slice path, struct arena *arena, struct path *ret)
{
    if (path.p[0] != '/' || !split(path, ret))
        return false;
    if (memchr(path.p, '%', path.len) == NULL)
        return true;
    for (unsigned i = 0; i < ret->count; i++) {
        char *decoded = arena_alloc(arena, ret->segments[i].len + 1);

        ret->segments[i].len = escapes_decode(ret->segments[i], false, decoded);
        ret->segments[i].p = decoded;
    }
    return true;
}

enum router_result router_find(const struct router *rt, struct http_request *req)
{
    struct path path;
    struct search s;

    if (rt->root == NULL || !split_decoded(req->path, req->arena, &path))
        return ROUTER_NO_PATH;
    s.path = &path;
    s.visit = visit_method;
    s.method = req->method;
    s.param_count = s.method_count = 0;
    if (!walk(&s, rt->root, 0))
        return s.method_count > 0 ? ROUTER_NO_METHOD : ROUTER_NO_PATH;
    memcpy(req->params, s.params, s.param_count * sizeof(s.params[0]));
    req->route = s.row->route;
    req->ctx = s.row->ctx;
    return ROUTER_FOUND;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *router_allow(const struct router *rt, struct http_request *req)
{
    struct path path;
    struct search s = {.path = &path, .visit = visit_all};
    struct str text = {0};
    char *ret;

    CHECK(rt->root != NULL && split_decoded(req->path, req->arena, &path));
    (void)walk(&s, rt->root, 0);
    qsort(s.methods, s.method_count, sizeof(s.methods[0]), by_name);
    for (unsigned i = 0; i < s.method_count; i++)
        str_printf(&text, "%s%s%s", i > 0 ? ", " : "", s.methods[i],
                   strcmp(s.methods[i], "GET") == 0 ? ", HEAD" : "");
    ret = arena_strdup(req->arena, str_slice(&text));
    str_release(&text);
    return ret;
}
