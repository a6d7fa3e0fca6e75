/* cycle.c - chains of pipelines that would lead back to where they began: a search upstream, breadth first. */
#include "base/vec.h"
#include "core/catalog.h"
#include <utlist.h>

/* A pipeline that was reached, and from which one. */
struct reached {
    struct pipeline *pipeline;
    size_t from; /* index; 0 is the start */
};

struct search {
    struct catalog *catalog;
    const struct pipeline *target;
    VEC(struct reached) reached;
};

/* Adds what is upstream of the i-th; true when that is where the search began. */
static bool climb(struct search *s, const struct rule *r, size_t i)
{
    for (size_t k = 0; k < r->upstream_count; k++) {
        struct pipeline *up = catalog_pipeline_at(s->catalog, slice_of(r->upstreams[k].path));
        if (up == s->target)
            return true;
        if (up == NULL || up->search == s->catalog->search)
            continue;
        up->search = s->catalog->search;
        vec_push(&s->reached, ((struct reached){up, i}));
    }
    return false;
}

static bool climb_all(struct search *s, size_t i)
{
    const struct trigger *t;
    DL_FOREACH (s->reached.items[i].pipeline->triggers, t)
        if (climb(s, &t->def->rule, i))
            return true;
    return false;
}

/* Events run from the target down the way that was climbed, back to the target. */
static void spell(const struct search *s, size_t i, struct str *ret)
{
    str_add_cstr(ret, s->target->path);
    for (; i > 0; i = s->reached.items[i].from)
        str_printf(ret, " -> %s", s->reached.items[i].pipeline->path);
    str_printf(ret, " -> %s", s->target->path);
}

bool catalog_has_cycle(struct catalog *c, struct pipeline *p, const struct rule *rule,
                       struct str *ret_cycle)
{
    struct search s = {.catalog = c, .target = p};
    c->search++;
    p->search = c->search;
    vec_push(&s.reached, ((struct reached){p, 0}));
    bool found = climb(&s, rule, 0);
    size_t at = 0;
    for (size_t i = 1; !found && i < s.reached.len; i++) {
        found = climb_all(&s, i);
        at = i;
    }
    if (found)
        spell(&s, at, ret_cycle);
    vec_release(&s.reached);
    return found;
}

const struct trigger *catalog_follower(const struct catalog *c, const struct pipeline *p)
{
    const struct followed *f = catalog_followed(c, slice_of(p->path));
    const struct upstream *u = f != NULL ? f->upstreams : NULL;
    while (u != NULL && u->trigger->pipeline == p)
        u = u->next;
    return u != NULL ? u->trigger : NULL;
}
