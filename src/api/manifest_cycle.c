/* manifest_cycle.c - whether triggers of a set, with those of the catalog, would lead from a pipeline back to itself. The catalog's own
 * search (core/cycle.c) knows only what is in the catalog. */
#include "api/manifest_set.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/applied.h"
#include "core/engine.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A pipeline that was reached, and from which one. */
struct reached {
    char *path;
    size_t from; /* 0: the start */
    UT_hash_handle hh;
};

/* The set's triggers of one pipeline. */
struct starters {
    const char *path;
    VEC(const struct manifest_doc *) docs;
    UT_hash_handle hh;
};

struct search {
    const struct manifest_set *set;
    struct starters *starters; /* by path */
    const struct catalog *catalog;
    const char *target;
    VEC(struct reached *) list;
    struct reached *seen;
};

static void reach(struct search *s, const char *path, size_t from)
{
    struct reached *r;
    HASH_FIND(hh, s->seen, path, strlen(path), r);
    if (r != NULL)
        return;
    r = mem_zalloc(sizeof(*r));
    r->path = mem_strdup(path);
    r->from = from;
    HASH_ADD_KEYPTR(hh, s->seen, r->path, strlen(r->path), r);
    vec_push(&s->list, r);
}

/* True when the rule leads back to the target. */
static bool climb(struct search *s, const struct rule *r, size_t i)
{
    for (size_t k = 0; k < r->upstream_count; k++) {
        if (strcmp(r->upstreams[k].path, s->target) == 0)
            return true;
        reach(s, r->upstreams[k].path, i);
    }
    return false;
}

/* The set says it otherwise. */
static bool is_replaced(const struct search *s, const struct trigger *t)
{
    struct manifest_doc *d;
    const struct applied *mark = catalog_applied_object(s->catalog, t->id);
    if (mark == NULL)
        return false;
    HASH_FIND(hh, s->set->by_key, mark->key, strlen(mark->key), d);
    return d != NULL;
}

static bool climb_all(struct search *s, size_t i)
{
    const char *path = s->list.items[i]->path;
    const struct pipeline *p = catalog_pipeline_at(s->catalog, slice_of(path));
    const struct trigger *t;
    if (p != NULL)
        DL_FOREACH (p->triggers, t)
            if (!is_replaced(s, t) && climb(s, &t->def->rule, i))
                return true;
    const struct starters *own;
    HASH_FIND(hh, s->starters, path, strlen(path), own);
    for (size_t k = 0; own != NULL && k < own->docs.len; k++)
        if (climb(s, &own->docs.items[k]->trigger->rule, i))
            return true;
    return false;
}

static void refuse(struct manifest_set *set, const struct search *s, size_t i,
                   struct manifest_doc *d)
{
    struct str text = {0};
    str_printf(&text, "would make a cycle: %s", s->target);
    for (; i > 0; i = s->list.items[i]->from)
        str_printf(&text, " -> %s", s->list.items[i]->path);
    str_printf(&text, " -> %s; set config.allow_cycle to true if that is what you want", s->target);
    manifest_fail(set, d, "spec.config", PLACE_VALUE, text.p);
    str_release(&text);
}

static void release(struct search *s)
{
    HASH_CLEAR(hh, s->seen);
    for (size_t i = 0; i < s->list.len; i++) {
        free(s->list.items[i]->path);
        free(s->list.items[i]);
    }
    vec_release(&s->list);
}

static void check(struct manifest_set *set, struct search *s, struct manifest_doc *d)
{
    reach(s, s->target, 0);
    bool found = climb(s, &d->trigger->rule, 0);
    size_t at = 0;
    for (size_t i = 1; !found && i < s->list.len; i++) {
        found = climb_all(s, i);
        at = i;
    }
    if (found)
        refuse(set, s, at, d);
    release(s);
}

/* One trigger of a cycle says that it is wanted: that is enough. */
static bool leads_on(const struct manifest_doc *d)
{
    return d->trigger != NULL && d->trigger->rule.upstream_count > 0 &&
           !d->trigger->rule.allows_cycle;
}

static struct starters *collect(const struct manifest_set *s)
{
    struct starters *all = NULL, *own;
    for (size_t i = 0; i < s->docs.len; i++) {
        const struct manifest_doc *d = s->docs.items[i];
        if (!leads_on(d))
            continue;
        HASH_FIND(hh, all, d->upstream, strlen(d->upstream), own);
        if (own == NULL) {
            own = mem_zalloc(sizeof(*own));
            own->path = d->upstream;
            HASH_ADD_KEYPTR(hh, all, own->path, strlen(own->path), own);
        }
        vec_push(&own->docs, d);
    }
    return all;
}

static void collected_release(struct starters *all)
{
    struct starters *own, *tmp;
    HASH_ITER (hh, all, own, tmp) {
        HASH_DEL(all, own);
        vec_release(&own->docs);
        free(own);
    }
}

void manifest_plan_cycles(struct manifest_set *s, struct api *a)
{
    struct starters *starters = collect(s);
    for (size_t i = 0; i < s->docs.len; i++) {
        struct manifest_doc *d = s->docs.items[i];
        struct search search = {
            .set = s,
            .starters = starters,
            .catalog = engine_catalog(a->host->engine),
            .target = d->upstream,
        };
        if (leads_on(d) && d->result != MANIFEST_UNCHANGED)
            check(s, &search, d);
    }
    collected_release(starters);
}
