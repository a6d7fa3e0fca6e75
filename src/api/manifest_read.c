/* manifest_read.c - from texts to documents with names: all that can be told without the catalog, so that it may be done off the loop. */
#include "api/manifest_set.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/slug.h"
#include "io/yaml/yaml.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYER_DEFAULT "events"

/* ---- what is wrong ---- */

static void take_problems(struct manifest_set *s, struct manifest_doc *d, struct problems *p)
{
    for (size_t i = 0; i < p->list.len; i++) {
        const struct problem *x = &p->list.items[i];
        manifest_fail(s, d, x->field, x->cause == CAUSE_UNKNOWN ? PLACE_KEY : PLACE_VALUE,
                      x->message);
    }
    problems_release(p);
}

/* ---- our own kinds ---- */

static void take_api_version(struct fields *f)
{
    const char *v = fields_string(f, "apiVersion");
    if (v == NULL && !fields_has(f, "apiVersion"))
        fields_fail(f, CAUSE_REQUIRED, "apiVersion", "Required value: " MANIFEST_API_VERSION);
    else if (v != NULL && strcmp(v, MANIFEST_API_VERSION) != 0)
        fields_refuse(f, CAUSE_NOT_SUPPORTED, "apiVersion", v,
                      "supported values: \"" MANIFEST_API_VERSION "\"");
}

static const char *take_slug(struct fields *f, const char *name, const char *dflt)
{
    const char *v = fields_string(f, name);
    if (v == NULL && !fields_has(f, name)) {
        if (dflt == NULL)
            fields_fail(f, CAUSE_REQUIRED, name, "Required value: " SLUG_RULE);
        return dflt;
    }
    if (v != NULL && !slug_valid(slice_of(v)))
        fields_refuse(f, CAUSE_INVALID, name, v, SLUG_RULE);
    return v;
}

static void read_metadata(struct manifest_set *s, struct manifest_doc *d, json_t *v,
                          struct problems *p)
{
    static const char *const servers[] = {"uid", "creationTimestamp", "resourceVersion",
                                          "generation"};
    struct fields f;
    fields_begin(&f, v, "metadata", p);
    const char *name = take_slug(&f, "name", NULL);
    const char *ns = take_slug(&f, "namespace", s->ns != NULL ? s->ns : "default");
    for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
        fields_ignore(&f, servers[i]);
    fields_end(&f);
    d->name = mem_strdup(name);
    d->ns = mem_strdup(ns);
}

/* A pipeline's layer is part of its name. */
static void read_layer(struct manifest_doc *d, struct problems *p)
{
    struct fields f;
    fields_begin(&f, d->spec, "spec", p);
    const char *layer = take_slug(&f, "layer", LAYER_DEFAULT);
    if (layer != NULL && d->name != NULL) {
        char *full = mem_printf("%s.%s", layer, d->name);
        free(d->name);
        d->name = full;
    }
    json_object_del(d->spec, "layer");
}

/* "NAME", "LAYER.NAME" or "NAMESPACE.LAYER.NAME". */
static char *pipeline_path(const char *ns, const char *text)
{
    size_t dots = 0;
    for (const char *c = text; *c != '\0'; c++)
        dots += *c == '.';
    return dots == 0   ? mem_printf("%s." LAYER_DEFAULT ".%s", ns, text)
           : dots == 1 ? mem_printf("%s.%s", ns, text)
                       : mem_strdup(text);
}

static void read_upstream(struct manifest_doc *d, struct problems *p)
{
    struct fields f;
    fields_begin(&f, d->spec, "spec", p);
    const char *v = fields_string(&f, "pipeline");
    if (v != NULL && d->ns != NULL)
        d->upstream = pipeline_path(d->ns, v);
    else if (v == NULL && !fields_has(&f, "pipeline"))
        fields_fail(&f, CAUSE_REQUIRED, "pipeline",
                    "Required value: the pipeline that it starts, such as name or layer.name");
    json_object_del(d->spec, "pipeline");
}

static void read_own(struct manifest_set *s, struct manifest_doc *d)
{
    struct fields f;
    struct problems found = {0};
    fields_begin(&f, d->json, "", &found);
    take_api_version(&f);
    fields_ignore(&f, "kind");
    fields_ignore(&f, "status");
    json_t *metadata = fields_take(&f, "metadata", JSON_OBJECT);
    json_t *spec = fields_take(&f, "spec", JSON_OBJECT);
    if (metadata != NULL || !fields_has(&f, "metadata"))
        read_metadata(s, d, metadata, &found);
    if (spec == NULL && !fields_has(&f, "spec"))
        fields_fail(&f, CAUSE_REQUIRED, "spec", "Required value");
    fields_end(&f);
    if (spec != NULL) {
        d->spec = json_deep_copy(spec);
        if (d->kind == MANIFEST_PIPELINE)
            read_layer(d, &found);
        else if (d->kind == MANIFEST_TRIGGER)
            read_upstream(d, &found);
    }
    if (d->name != NULL && d->ns != NULL && d->kind != MANIFEST_TRIGGER)
        d->path = mem_printf("%s.%s", d->ns, d->name);
    take_problems(s, d, &found);
}

/* ---- ArkEvents ---- */

static void read_ark(struct manifest_set *s, struct manifest_doc *d)
{
    struct problems found = {0};
    const json_t *metadata = json_object_get(d->json, "metadata");
    const bool says = json_is_string(json_object_get(metadata, "namespace"));
    if (ark_manifest_read(d->json, says ? NULL : s->ns, &d->ark, &found) == 0) {
        const char *slash = strchr(d->ark.path, '/');
        d->path = mem_strdup(d->ark.path);
        d->ns = mem_dup(d->ark.path, (size_t)(slash - d->ark.path));
        d->name = mem_strdup(slash + 1);
    }
    take_problems(s, d, &found);
}

/* ---- documents ---- */

static bool find_kind(const char *name, enum manifest_kind *ret)
{
    for (int k = 0; name != NULL && k < MANIFEST_KINDS; k++) {
        if (strcmp(name, manifest_kind_name((enum manifest_kind)k)) == 0) {
            *ret = (enum manifest_kind)k;
            return true;
        }
    }
    return false;
}

static void refuse_kind(struct manifest_set *s, struct manifest_doc *d)
{
    static const char *const known = "there are: Pipeline, LandingZone, Trigger, " ARK_KIND;
    const json_t *kind = json_object_get(d->json, "kind");
    char text[256];
    if (json_is_string(kind))
        snprintf(text, sizeof(text), "Unsupported value: \"%.64s\": %s", json_string_value(kind),
                 known);
    else
        snprintf(text, sizeof(text), "%s: %s", kind == NULL ? "Required value" : "Invalid value",
                 known);
    manifest_fail(s, d, "kind", PLACE_VALUE, text);
}

static void read_items(struct manifest_set *s, struct manifest_file *f, size_t index, json_t *list);

static void read_document(struct manifest_set *s, struct manifest_file *f, size_t index, json_t *v,
                          char *prefix)
{
    const char *kind = json_string_value(json_object_get(v, "kind"));
    if (prefix[0] == '\0' && kind != NULL && json_is_array(json_object_get(v, "items")) &&
        (strcmp(kind, "List") == 0 || strcmp(kind, ARK_KIND "List") == 0)) {
        free(prefix);
        read_items(s, f, index, json_object_get(v, "items"));
        return;
    }
    struct manifest_doc *d = mem_zalloc(sizeof(*d));
    *d = (struct manifest_doc){.file = f, .index = index, .json = v, .prefix = prefix};
    vec_push(&s->docs, d);
    f->objects++;
    if (!json_is_object(v)) {
        manifest_fail(s, d, "", PLACE_VALUE,
                      "must be an object with apiVersion, kind, metadata and spec");
        return;
    }
    if (!find_kind(kind, &d->kind)) {
        refuse_kind(s, d);
        return;
    }
    if (d->kind == MANIFEST_ARK)
        read_ark(s, d);
    else
        read_own(s, d);
    if (d->name != NULL && d->ns != NULL)
        d->key = mem_printf("%s/%s/%s", manifest_kind_name(d->kind), d->ns, d->name);
}

static void read_items(struct manifest_set *s, struct manifest_file *f, size_t index, json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (s->docs.len > MANIFEST_DOCUMENTS_MAX)
            break;
        read_document(s, f, index, item, mem_printf("items[%zu].", i));
    }
}

/* A problem has a place of its own: what is said of it in front of the message is cut. */
static void fail_unread(struct manifest_set *s, struct manifest_file *f, const struct diag *why)
{
    const char *colon = why->line > 0 ? strstr(why->msg, ": ") : NULL;
    const struct place at = {why->line > 0 ? (uint32_t)why->line : 1,
                             why->column > 0 ? (uint32_t)why->column : 1};
    char *text = colon != NULL ? mem_printf("not valid YAML%s", colon) : mem_strdup(why->msg);
    manifest_fail_file(s, f, at, f->places.failed != NULL ? f->places.failed : "", text);
    free(text);
}

static void read_file(struct manifest_set *s, struct manifest_file *f)
{
    struct diag why = {0};
    if (f->problems.len > 0)
        return; /* it could not even be had */
    f->documents = yaml_parse_places(str_slice(&f->text), &f->places, &why);
    str_release(&f->text);
    if (f->documents == NULL) {
        fail_unread(s, f, &why);
        return;
    }
    for (size_t i = 0; i < json_array_size(f->documents); i++) {
        if (s->docs.len > MANIFEST_DOCUMENTS_MAX)
            break;
        read_document(s, f, i, json_array_get(f->documents, i), mem_strdup(""));
    }
}

/* ---- the set ---- */

/* The first one counts; the second one is told where that is. */
static void refuse_doubles(struct manifest_set *s)
{
    struct manifest_doc *seen = NULL, *first;
    for (size_t i = 0; i < s->docs.len; i++) {
        struct manifest_doc *d = s->docs.items[i];
        if (d->key == NULL)
            continue;
        HASH_FIND(hh, seen, d->key, strlen(d->key), first);
        if (first == NULL) {
            HASH_ADD_KEYPTR(hh, seen, d->key, strlen(d->key), d);
            continue;
        }
        json_t *root = json_array_get(first->file->documents, first->index);
        const struct place at =
            places_find(&first->file->places, first->index, root, first->prefix, PLACE_VALUE);
        char *text =
            mem_printf("Duplicate value: %s %s/%s is defined in %s:%u, too",
                       manifest_kind_name(d->kind), d->ns, d->name, first->file->name, at.line);
        manifest_fail(s, d, "metadata.name", PLACE_VALUE, text);
        free(text);
    }
    HASH_CLEAR(hh, seen);
}

static void refuse_too_many(struct manifest_set *s)
{
    char text[128];
    snprintf(text, sizeof(text), "more than %d documents in all: they could not be applied at once",
             MANIFEST_DOCUMENTS_MAX);
    for (size_t i = 0; i < s->file_count; i++) /* nobody knows what the rest would have been */
        if (s->keeps_good || i + 1 == s->file_count)
            manifest_fail_file(s, s->files[i], (struct place){1, 1}, "", text);
}

void manifest_set_read(struct manifest_set *s)
{
    for (size_t i = 0; i < s->file_count; i++)
        read_file(s, s->files[i]);
    if (s->docs.len > MANIFEST_DOCUMENTS_MAX)
        refuse_too_many(s);
    refuse_doubles(s);
}
