#include "base/check.h"
#include "base/mem.h"
#include "core/glob.h"
#include "core/zone.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a zone is, and what it is called; they are in the same object, and another's business. */
static const char *const identity[] = {"namespace", "name", "path"};
static const char *const exclude_default[] = {".*", "*.tmp", "*.part", "*.crdownload", "*~"};

/* ---- lists of patterns ---- */

static void globs_add(struct globs *g, const char *glob)
{
    g->items = mem_realloc(g->items, (g->count + 1) * sizeof(*g->items));
    g->items[g->count++] = mem_strdup(glob);
}

static void globs_release(struct globs *g)
{
    for (size_t i = 0; i < g->count; i++)
        free(g->items[i]);
    free(g->items);
    *g = (struct globs){0};
}

static void take_glob(struct json_fields *f, const char *list, size_t i, const json_t *v,
                      struct globs *ret)
{
    char name[32];
    const char *glob = json_string_value(v);
    snprintf(name, sizeof(name), "%s[%zu]", list, i);
    if (glob == NULL)
        json_fields_fail(f, name, "must be a string");
    else if (glob_check(f, name, glob))
        globs_add(ret, glob);
}

static void take_globs(struct json_fields *f, const char *name, struct globs *ret)
{
    json_t *list = json_take_array(f, name, JSON_OPTIONAL);
    if (list != NULL && json_array_size(list) > ZONE_GLOBS_MAX)
        json_fields_fail(f, name, "must be at most %d patterns", ZONE_GLOBS_MAX);
    for (size_t i = 0; i < json_array_size(list) && !f->failed; i++)
        take_glob(f, name, i, json_array_get(list, i), ret);
}

static bool globs_match(const struct globs *g, struct slice name, struct slice path)
{
    for (size_t i = 0; i < g->count; i++)
        if (glob_matches(g->items[i], name, path))
            return true;
    return false;
}

static bool globs_equal(const struct globs *a, const struct globs *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static json_t *globs_json(const struct globs *g)
{
    json_t *list = json_array();
    for (size_t i = 0; i < g->count; i++)
        json_array_append_new(list, json_string(g->items[i]));
    return list;
}

/* ---- definitions ---- */

static bool take_initial(struct json_fields *f)
{
    const char *v = json_take_string(f, "initial", JSON_OPTIONAL);
    if (v != NULL && strcmp(v, "fire") != 0 && strcmp(v, "record") != 0)
        json_fields_fail(f, "initial", "must be record or fire");
    return v != NULL && strcmp(v, "fire") == 0;
}

/* With every field, so that what is stored is what is shown. */
static char *describe(const struct zone_def *d, const char *description)
{
    struct str text = {0};
    json_t *v = json_pack("{s:s?, s:o, s:o, s:b, s:I, s:I, s:s}", "description", description,
                          "include", globs_json(&d->include), "exclude", globs_json(&d->exclude),
                          "recursive", d->recursive, "settle_ms", (json_int_t)d->settle_ms,
                          "rescan_seconds", (json_int_t)(d->rescan_ms / 1000), "initial",
                          d->fire_existing ? "fire" : "record");
    CHECK(v != NULL);
    str_add_json_value(&text, v);
    json_decref(v);
    return str_detach(&text);
}

struct zone_def *zone_def_make(json_t *spec, struct diag *reterr)
{
    struct json_fields f;
    struct zone_def *d = mem_zalloc(sizeof(*d));
    d->refs = 1;
    json_fields_begin(&f, spec, "", reterr);
    for (size_t i = 0; i < ARRAY_SIZE(identity); i++)
        json_ignore(&f, identity[i]);
    const char *description = json_take_string(&f, "description", JSON_OPTIONAL);
    take_globs(&f, "include", &d->include);
    take_globs(&f, "exclude", &d->exclude);
    d->recursive = json_take_bool(&f, "recursive", false);
    d->settle_ms = (uint64_t)json_take_int(&f, "settle_ms", 0, 0, ZONE_SETTLE_MS_MAX);
    d->rescan_ms = 1000 * (uint64_t)json_take_int(&f, "rescan_seconds", 0, 0, ZONE_RESCAN_S_MAX);
    d->fire_existing = take_initial(&f);
    if (json_fields_end(&f) < 0) {
        zone_def_unref(d);
        return NULL;
    }
    json_t *exclude = json_object_get(spec, "exclude");
    for (size_t i = 0;
         (exclude == NULL || json_is_null(exclude)) && i < ARRAY_SIZE(exclude_default); i++)
        globs_add(&d->exclude, exclude_default[i]);
    d->spec = describe(d, description);
    return d;
}

struct zone_def *zone_def_parse(struct slice spec, struct wall updated_at, struct diag *reterr)
{
    json_t *v = json_parse_object(spec, reterr);
    struct zone_def *d = v != NULL ? zone_def_make(v, reterr) : NULL;
    json_decref(v);
    if (d != NULL)
        d->updated_at = updated_at;
    return d;
}

struct zone_def *zone_def_ref(struct zone_def *d)
{
    d->refs++;
    return d;
}

void zone_def_unref(struct zone_def *d)
{
    if (d == NULL || --d->refs > 0)
        return;
    globs_release(&d->include);
    globs_release(&d->exclude);
    free(d->spec);
    free(d);
}

bool zone_def_same_files(const struct zone_def *a, const struct zone_def *b)
{
    return a->recursive == b->recursive && globs_equal(&a->include, &b->include) &&
           globs_equal(&a->exclude, &b->exclude);
}

bool zone_wants(const struct zone_def *d, struct slice name, struct slice path)
{
    return (d->include.count == 0 || globs_match(&d->include, name, path)) &&
           !globs_match(&d->exclude, name, path);
}

bool zone_enters(const struct zone_def *d, struct slice name, struct slice path)
{
    return d->recursive && !globs_match(&d->exclude, name, path);
}

void zone_destroy(struct zone *z)
{
    if (z == NULL)
        return;
    zone_def_unref(z->def);
    free(z->path);
    free(z->directory);
    free(z);
}
