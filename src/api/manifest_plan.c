/* manifest_plan.c - what a set would do to the catalog: each document is checked as the REST API checks it, against the catalog and the
 * set's other documents together. Nothing is changed. */
#include "api/arks.h"
#include "api/manifest_set.h"
#include "api/pipeline_def.h"
#include "api/zone_place.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/applied.h"
#include "core/engine.h"
#include "core/redact.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is in the set, and what is not any more ---- */

/* "Kind/ns/name" of a path in the catalog. */
static void add_key(struct str *ret, enum manifest_kind kind, struct slice path)
{
    const char *dot = memchr(path.p, kind == MANIFEST_ARK ? '/' : '.', path.len);
    const size_t len = dot != NULL ? (size_t)(dot - path.p) : path.len;
    str_printf(ret, "%s/%.*s/", manifest_kind_name(kind), (int)len, path.p);
    if (dot != NULL)
        str_add(ret, dot + 1, path.len - len - 1);
}

/* One of the set, as far as it counts for others; NULL when there is none. */
static struct manifest_doc *find_doc(const struct manifest_set *s, enum manifest_kind kind,
                                     struct slice path)
{
    struct manifest_doc *d;
    struct str key = {0};
    add_key(&key, kind, path);
    HASH_FIND(hh, s->by_key, key.p, key.len, d);
    str_release(&key);
    return d;
}

static bool was_in_set(const struct manifest_set *s, const struct applied *mark)
{
    struct manifest_doc *d;
    HASH_FIND(hh, s->by_key, mark->key, strlen(mark->key), d);
    return d != NULL;
}

/* A file that is there with problems keeps what it has. */
static bool file_keeps(const struct manifest_set *s, const char *name)
{
    for (size_t i = 0; i < s->file_count; i++)
        if (strcmp(s->files[i]->name, name) == 0)
            return s->files[i]->problems.len > 0;
    return false;
}

static bool has_namespace(const struct manifest_set *s, const char *key)
{
    const char *ns = strchr(key, '/') + 1;
    const size_t len = strcspn(ns, "/");
    if (s->scope.ns != NULL && slice_is((struct slice){ns, len}, s->scope.ns))
        return true;
    for (size_t i = 0; i < s->docs.len; i++) {
        const char *own = s->docs.items[i]->ns;
        if (own != NULL && slice_is((struct slice){ns, len}, own))
            return true;
    }
    return false;
}

static bool is_in_scope(const struct manifest_set *s, const struct applied *mark)
{
    if (s->scope.by_file)
        return strncmp(mark->owner, "file:", 5) == 0 && !file_keeps(s, mark->owner + 5);
    return strcmp(mark->owner, "apply") == 0 && has_namespace(s, mark->key);
}

static bool will_be_pruned(const struct manifest_set *s, const struct catalog *c,
                           enum manifest_kind kind, struct slice path)
{
    struct str key = {0};
    add_key(&key, kind, path);
    const struct applied *mark = catalog_applied(c, str_slice(&key));
    str_release(&key);
    return s->scope.prune && mark != NULL && !was_in_set(s, mark) && is_in_scope(s, mark);
}

/* ---- references ---- */

/* A host that knows the set, too, for those who check references. */
struct plan_host {
    struct host host; /* first; a copy of the real one */
    struct host *real;
    const struct manifest_set *set;
};

static bool pipeline_exists(struct host *h, struct slice path)
{
    struct plan_host *p = container_of(h, struct plan_host, host);
    return find_doc(p->set, MANIFEST_PIPELINE, path) != NULL ||
           (p->real->pipeline_exists(p->real, path) &&
            !will_be_pruned(p->set, engine_catalog(p->real->engine), MANIFEST_PIPELINE, path));
}

static bool zone_exists(struct host *h, struct slice path)
{
    struct plan_host *p = container_of(h, struct plan_host, host);
    return find_doc(p->set, MANIFEST_ZONE, path) != NULL ||
           (p->real->zone_exists(p->real, path) &&
            !will_be_pruned(p->set, engine_catalog(p->real->engine), MANIFEST_ZONE, path));
}

struct plan {
    struct manifest_set *set;
    struct api *api;
    struct catalog *catalog;
    struct plan_host host;
};

/* Whether a stored JSON text says the same. */
static bool is_same(const char *stored, const json_t *v)
{
    json_t *old = json_parse(slice_of(stored), NULL);
    const bool same = json_equal(old, v);
    json_decref(old);
    return same;
}

static bool is_same_text(const char *a, const char *b)
{
    json_t *v = json_parse(slice_of(b), NULL);
    const bool same = is_same(a, v);
    json_decref(v);
    return same;
}

static void set_result(struct manifest_doc *d, bool exists, bool same)
{
    d->result = !exists ? MANIFEST_CREATED : same ? MANIFEST_UNCHANGED : MANIFEST_CONFIGURED;
}

/* ---- kinds ---- */

static void plan_pipeline(struct plan *p, struct manifest_doc *d)
{
    struct diag why;
    const struct seal *seal = p->api->host->seal;
    const struct pipeline *old = catalog_pipeline_at(p->catalog, slice_of(d->path));
    json_t *was = old != NULL ? pipeline_def_spec(seal, old->def) : NULL;
    json_t *spec = json_deep_copy(d->spec);
    redact_undo(spec, was); /* what was shown without its secrets may be applied again */
    d->pipeline = pipeline_def_of(seal, spec, &why);
    if (d->pipeline == NULL)
        manifest_fail_diag(p->set, d, "spec", &why);
    else
        set_result(d, old != NULL, json_equal(was, spec));
    json_decref(was);
    json_decref(spec);
}

static int check_zone(struct plan *p, struct manifest_doc *d, const struct zone *old,
                      struct diag *reterr)
{
    if (old != NULL && strcmp(old->directory, d->directory) != 0)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "path: cannot be changed, it is %s",
                        old->made_by_us ? "pawl's own directory" : old->directory);
    if (old != NULL)
        return zone_place_check_change(p->api, old, d->zone, reterr);
    if (d->probe_err == -ENOTDIR)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "path: is not a directory, or leads through something that is none");
    return d->ours ? 0 : zone_place_check(p->api, d->directory, d->zone->recursive, reterr);
}

static void plan_zone(struct plan *p, struct manifest_doc *d)
{
    struct diag why;
    struct str directory = {0};
    const struct zone *old = catalog_zone_at(p->catalog, slice_of(d->path));
    json_t *spec = json_deep_copy(d->spec);
    const bool placed =
        zone_place_take(p->api, spec, slice_of(d->path), &directory, &d->ours, &why) == 0;
    d->directory = str_detach(&directory);
    json_object_del(spec, "path");
    d->zone = placed ? zone_def_make(spec, &why) : NULL;
    json_decref(spec);
    if (d->zone == NULL || check_zone(p, d, old, &why) < 0)
        manifest_fail_diag(p->set, d, "spec", &why);
    else
        set_result(d, old != NULL, old != NULL && is_same_text(old->def->spec, d->zone->spec));
}

/* The trigger that an earlier application made. */
static struct trigger *find_trigger(const struct catalog *c, const struct manifest_doc *d)
{
    const struct applied *mark = catalog_applied(c, slice_of(d->key));
    return mark != NULL ? catalog_trigger(c, mark->object) : NULL;
}

static void no_others(struct json_fields *f)
{
}

static bool is_option(const struct trigger_type *type, const char *name)
{
    for (const struct option_doc *o = type->options; o != NULL && o->name != NULL; o++)
        if (strcmp(o->name, name) == 0)
            return true;
    return false;
}

/* What a type keeps in a config beside its options is its own, such as the hash of a token: a manifest need not repeat that. */
static json_t *with_own_fields(const struct trigger_type *type, json_t *config, json_t *was)
{
    json_t *v, *ret = json_copy(config);
    const char *name;
    json_object_foreach(was, name,
                        v) if (!is_option(type, name) && json_object_get(ret, name) == NULL)
        json_object_set(ret, name, v);
    return ret;
}

static int draft_trigger(struct plan *p, struct manifest_doc *d, const struct trigger *old,
                         struct trigger_wish *w, struct diag *reterr)
{
    json_t *was = old != NULL ? json_parse(slice_of(old->def->config), NULL) : NULL;
    int err = 0;
    if (old != NULL && strcmp(old->type, w->type->name) != 0)
        err = diag_set(reterr, DIAG_INVALID_ARGUMENT,
                       "type: cannot be changed; delete the trigger, or give it another name");
    json_t *config = err == 0 ? with_own_fields(w->type, w->config, was) : NULL;
    if (err == 0)
        err = w->type->check(&p->host.host, config, was, &d->draft, reterr);
    json_decref(config);
    json_decref(was);
    if (err < 0)
        d->draft = (struct trigger_draft){0};
    return err;
}

static void plan_trigger(struct plan *p, struct manifest_doc *d)
{
    struct diag why;
    struct trigger_wish w;
    const struct trigger *old = find_trigger(p->catalog, d);
    if (!pipeline_exists(&p->host.host, slice_of(d->upstream)))
        manifest_fail(p->set, d, "spec.pipeline", PLACE_VALUE,
                      "there is no such pipeline, nor is it among these manifests");
    else if (old != NULL && strcmp(old->pipeline->path, d->upstream) != 0)
        manifest_fail(p->set, d, "spec.pipeline", PLACE_VALUE,
                      "cannot be changed; delete the trigger, or give it another name");
    else if (trigger_take_new(d->spec, &w, no_others, &why) < 0 ||
             draft_trigger(p, d, old, &w, &why) < 0 ||
             (d->trigger = trigger_def_of(p->api, NULL, &w, d->draft.config, &why)) == NULL)
        manifest_fail_diag(p->set, d, "spec", &why);
    if (d->trigger == NULL)
        return;
    d->type = w.type;
    set_result(d, old != NULL,
               old != NULL && old->def->enabled == d->trigger->enabled &&
                   old->def->cooldown_ms == d->trigger->cooldown_ms &&
                   is_same(old->def->config, d->draft.config));
}

static void plan_ark(struct plan *p, struct manifest_doc *d)
{
    const struct arkevent *old = catalog_ark(p->catalog, slice_of(d->path));
    set_result(d, old != NULL, old != NULL && !arks_differs(old, &d->ark));
}

/* ---- the set ---- */

static void plan_doc(struct plan *p, struct manifest_doc *d)
{
    static void (*const by_kind[])(struct plan *, struct manifest_doc *) = {
        [MANIFEST_PIPELINE] = plan_pipeline,
        [MANIFEST_ZONE] = plan_zone,
        [MANIFEST_TRIGGER] = plan_trigger,
        [MANIFEST_ARK] = plan_ark,
    };
    by_kind[d->kind](p, d);
}

/* Without keeps_good nothing will be put, but all that is wrong is to be said. */
static bool is_planned(const struct manifest_set *s, const struct manifest_doc *d)
{
    return s->keeps_good ? manifest_doc_counts(d) : !d->bad;
}

static void index_docs(struct manifest_set *s)
{
    HASH_CLEAR(hh, s->by_key);
    for (size_t i = 0; i < s->docs.len; i++) {
        struct manifest_doc *d = s->docs.items[i];
        struct manifest_doc *first;
        manifest_doc_forget_plan(d);
        if (d->key == NULL || (s->keeps_good && !manifest_doc_counts(d)))
            continue;
        HASH_FIND(hh, s->by_key, d->key, strlen(d->key), first);
        if (first == NULL)
            HASH_ADD_KEYPTR(hh, s->by_key, d->key, strlen(d->key), d);
    }
}

static enum manifest_kind kind_of(const char *key)
{
    int k = 0;
    const struct slice kind = {key, strcspn(key, "/")};
    while (!slice_is(kind, manifest_kind_name((enum manifest_kind)k)))
        CHECK(++k < MANIFEST_KINDS);
    return (enum manifest_kind)k;
}

static void plan_prune(struct plan *p)
{
    struct manifest_set *s = p->set;
    struct applied *mark, *tmp;
    HASH_ITER (by_key, p->catalog->applied_by_key, mark, tmp) {
        if (!was_in_set(s, mark) && is_in_scope(s, mark))
            vec_push(&s->pruned,
                     ((struct manifest_pruned){kind_of(mark->key), mem_strdup(mark->key)}));
    }
}

/* With keeps_good a file that turns out bad is left out, and what is left is looked at again: it may refer to that one. */
void manifest_set_plan(struct manifest_set *s, struct api *a)
{
    struct plan p = {
        .set = s,
        .api = a,
        .catalog = engine_catalog(a->host->engine),
        .host = {.host = *a->host, .real = a->host, .set = s},
    };
    size_t before;
    p.host.host.pipeline_exists = pipeline_exists;
    p.host.host.zone_exists = zone_exists;
    do {
        before = s->problem_count;
        index_docs(s);
        for (size_t i = 0; i < s->docs.len; i++)
            if (is_planned(s, s->docs.items[i]))
                plan_doc(&p, s->docs.items[i]);
        if (s->problem_count == before)
            manifest_plan_cycles(s, a);
    } while (s->problem_count > before && s->keeps_good);
    if (s->scope.prune && (s->problem_count == 0 || s->keeps_good))
        plan_prune(&p);
}
