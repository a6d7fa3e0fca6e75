/* manifest_put.c - a planned set goes into the engine: one batch, so all of it is on disk or none. */
#include "api/arks.h"
#include "api/manifest_set.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/applied.h"
#include "core/engine.h"
#include <stdio.h>
#include <string.h>

struct put {
    struct manifest_set *set;
    struct api *api;
    struct engine *engine;
    struct catalog *catalog;
    struct now now;
};

/* ---- one document ----
 *
 * What was planned is taken out of the document: the engine owns it now. */

static struct uuid put_pipeline(struct put *p, struct manifest_doc *d)
{
    struct pipeline *old = catalog_pipeline_at(p->catalog, slice_of(d->path));
    struct pipeline_def *def = d->pipeline;
    if (d->result == MANIFEST_UNCHANGED)
        return old->id;
    d->pipeline = NULL;
    if (old == NULL)
        return engine_add_pipeline(p->engine, p->now, slice_of(d->path), def, NULL)->id;
    engine_change_pipeline(p->engine, p->now, old, def, NULL);
    return old->id;
}

static struct uuid put_zone(struct put *p, struct manifest_doc *d)
{
    struct zone *old = catalog_zone_at(p->catalog, slice_of(d->path));
    struct zone_def *def = d->zone;
    if (d->result == MANIFEST_UNCHANGED)
        return old->id;
    d->zone = NULL;
    if (old == NULL)
        return engine_add_zone(p->engine, p->now, slice_of(d->path), slice_of(d->directory),
                               d->ours, def, NULL)
            ->id;
    engine_change_zone(p->engine, p->now, old, def, NULL);
    return old->id;
}

static struct uuid put_trigger(struct put *p, struct manifest_doc *d)
{
    const struct applied *mark = catalog_applied(p->catalog, slice_of(d->key));
    struct trigger *old = mark != NULL ? catalog_trigger(p->catalog, mark->object) : NULL;
    struct trigger_def *def = d->trigger;
    char label[TRIGGER_LABEL_SIZE];
    if (d->result == MANIFEST_UNCHANGED)
        return old->id;
    d->trigger = NULL;
    d->type->label(d->draft.config, label);
    if (old == NULL) {
        struct pipeline *target = catalog_pipeline_at(p->catalog, slice_of(d->upstream));
        CHECK(target != NULL);
        return engine_add_trigger(p->engine, p->now, target, d->type->name, def, slice_of(label),
                                  NULL)
            ->id;
    }
    engine_change_trigger(p->engine, p->now, old, def, slice_of(label), NULL);
    return old->id;
}

static struct uuid put_ark(struct put *p, struct manifest_doc *d)
{
    struct arkevent *old = catalog_ark(p->catalog, slice_of(d->path));
    if (old == NULL)
        return arks_add(p->api, &d->ark, NULL)->trigger.id;
    arks_replace(p->api, old, &d->ark, NULL);
    return old->trigger.id;
}

static void put_doc(struct put *p, struct manifest_doc *d)
{
    static struct uuid (*const by_kind[])(struct put *, struct manifest_doc *) = {
        [MANIFEST_PIPELINE] = put_pipeline,
        [MANIFEST_ZONE] = put_zone,
        [MANIFEST_TRIGGER] = put_trigger,
        [MANIFEST_ARK] = put_ark,
    };
    char *owner =
        p->set->scope.by_file ? mem_printf("file:%s", d->file->name) : mem_strdup("apply");
    d->object = by_kind[d->kind](p, d);
    engine_mark_applied(p->engine, slice_of(d->key), slice_of(owner), d->object);
    free(owner);
}

/* ---- pruning: what refers to others first ---- */

static void drop(struct put *p, const struct manifest_pruned *x)
{
    const struct applied *mark = catalog_applied(p->catalog, slice_of(x->key));
    if (mark == NULL)
        return; /* it went with something else */
    struct trigger *t = catalog_trigger(p->catalog, mark->object);
    switch (x->kind) {
    case MANIFEST_PIPELINE:
        engine_drop_pipeline(p->engine, p->now, catalog_pipeline(p->catalog, mark->object), NULL);
        break;
    case MANIFEST_ZONE:
        engine_drop_zone(p->engine, p->now, catalog_zone(p->catalog, mark->object), NULL);
        break;
    case MANIFEST_TRIGGER:
        engine_drop_trigger(p->engine, p->now, t, NULL);
        break;
    case MANIFEST_ARK:
        engine_drop_ark(p->engine, p->now, ark_of(t), NULL);
        break;
    case MANIFEST_KINDS:
        CHECK(!"a kind");
    }
}

static bool changes_owner(const struct manifest_set *s, const struct catalog *c,
                          const struct manifest_doc *d)
{
    const struct applied *mark = catalog_applied(c, slice_of(d->key));
    if (mark == NULL)
        return true;
    return s->scope.by_file ? strncmp(mark->owner, "file:", 5) != 0 ||
                                  strcmp(mark->owner + 5, d->file->name) != 0
                            : strcmp(mark->owner, "apply") != 0;
}

bool manifest_set_changes(const struct manifest_set *s, struct api *a)
{
    if (s->pruned.len > 0)
        return true;
    for (size_t i = 0; i < s->docs.len; i++) {
        const struct manifest_doc *d = s->docs.items[i];
        if (manifest_doc_counts(d) && (d->result != MANIFEST_UNCHANGED ||
                                       changes_owner(s, engine_catalog(a->host->engine), d)))
            return true;
    }
    return false;
}

void manifest_set_put(struct manifest_set *s, struct api *a)
{
    struct put p = {
        .set = s,
        .api = a,
        .engine = a->host->engine,
        .catalog = engine_catalog(a->host->engine),
        .now = a->host->now(a->host),
    };
    for (int kind = 0; kind < MANIFEST_KINDS; kind++)
        for (size_t i = 0; i < s->docs.len; i++)
            if ((int)s->docs.items[i]->kind == kind && manifest_doc_counts(s->docs.items[i]))
                put_doc(&p, s->docs.items[i]);
    for (int kind = MANIFEST_KINDS - 1; kind >= 0; kind--)
        for (size_t i = 0; i < s->pruned.len; i++)
            if ((int)s->pruned.items[i].kind == kind)
                drop(&p, &s->pruned.items[i]);
}
