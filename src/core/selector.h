/* selector.h - which objects somebody asks for, in the words of Kubernetes: by their labels, and by their name and namespace.
 *
 *     labelSelector:  a=b  a==b  a!=b  a in (x,y)  a notin (x,y)  a  !a       joined by commas: all of them
 *     fieldSelector:  metadata.name=x  metadata.namespace!=y                  likewise; = == !=
 */
#ifndef CORE_SELECTOR_H
#define CORE_SELECTOR_H
#include "base/json.h"
#include "base/str.h"
#include "base/vec.h"
#include "pawl/err.h"
#include <stdbool.h>

struct requirement {
    struct slice key;
    bool negated;        /* !a, a!=b, a notin (...) */
    bool any;            /* a, !a: it is there at all */
    size_t first, count; /* of `values` */
};

/* {0} selects everything. Slices point into `text`. */
struct selector {
    char *text;
    VEC(struct requirement) all;
    VEC(struct slice) values;
};

/* Reads a label selector; an empty one selects everything. 0, or -EINVAL with *reterr; to be released either way. */
int selector_parse(struct slice text, struct selector *ret, struct diag *reterr);

/* `labels` is an object of texts; NULL: none. */
bool selector_matches(const struct selector *s, const json_t *labels);

/* The same for a field selector, whose keys are metadata.name and metadata.namespace. */
int selector_parse_fields(struct slice text, struct selector *ret, struct diag *reterr);
bool selector_matches_fields(const struct selector *s, struct slice ns, struct slice name);

static inline bool selector_is_empty(const struct selector *s)
{
    return s->all.len == 0;
}
void selector_release(struct selector *s);

#endif
