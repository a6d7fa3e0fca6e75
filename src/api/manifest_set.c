#include "api/manifest_set.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/catalog.h"
#include <stdlib.h>
#include <string.h>

const char *manifest_kind_name(enum manifest_kind k)
{
    static const char *const names[] = {
        [MANIFEST_PIPELINE] = "Pipeline",
        [MANIFEST_ZONE] = "LandingZone",
        [MANIFEST_TRIGGER] = "Trigger",
        [MANIFEST_ARK] = ARK_KIND,
    };
    return names[k];
}

static const char *result_name(enum manifest_result r)
{
    static const char *const names[] = {"created", "configured", "unchanged", "pruned"};
    return names[r];
}

/* ---- life ---- */

void manifest_set_add(struct manifest_set *s, struct slice name, struct slice text)
{
    struct manifest_file *f = mem_zalloc(sizeof(*f));
    f->name = mem_dup(name.p, name.len);
    str_add_slice(&f->text, text);
    s->files = mem_realloc(s->files, (s->file_count + 1) * sizeof(struct manifest_file *));
    s->files[s->file_count++] = f;
}

void manifest_doc_forget_plan(struct manifest_doc *d)
{
    pipeline_def_destroy(d->pipeline);
    zone_def_unref(d->zone);
    if (d->trigger != NULL)
        trigger_def_destroy(d->trigger);
    trigger_draft_release(&d->draft);
    free(d->directory);
    d->pipeline = NULL;
    d->zone = NULL;
    d->trigger = NULL;
    d->draft = (struct trigger_draft){0};
    d->directory = NULL;
}

static void doc_destroy(struct manifest_doc *d)
{
    manifest_doc_forget_plan(d);
    ark_manifest_release(&d->ark);
    json_decref(d->spec);
    free(d->prefix);
    free(d->ns);
    free(d->name);
    free(d->key);
    free(d->path);
    free(d->upstream);
    free(d);
}

static void file_destroy(struct manifest_file *f)
{
    for (size_t i = 0; i < f->problems.len; i++) {
        free(f->problems.items[i].field);
        free(f->problems.items[i].message);
    }
    vec_release(&f->problems);
    places_release(&f->places);
    json_decref(f->documents);
    str_release(&f->text);
    free(f->name);
    free(f);
}

void manifest_set_release(struct manifest_set *s)
{
    HASH_CLEAR(hh, s->by_key);
    for (size_t i = 0; i < s->docs.len; i++)
        doc_destroy(s->docs.items[i]);
    for (size_t i = 0; i < s->file_count; i++)
        file_destroy(s->files[i]);
    for (size_t i = 0; i < s->pruned.len; i++)
        free(s->pruned.items[i].key);
    vec_release(&s->docs);
    vec_release(&s->pruned);
    free(s->files);
    *s = (struct manifest_set){0};
}

bool manifest_doc_counts(const struct manifest_doc *d)
{
    return d->file->problems.len == 0;
}

/* ---- problems ---- */

static void add_problem(struct manifest_set *s, struct manifest_file *f,
                        const struct manifest_problem *p)
{
    s->problem_count++;
    if (s->listed_count >= MANIFEST_PROBLEMS_MAX && f->problems.len > 0 && p->document > 0)
        return;
    s->listed_count++;
    vec_push(&f->problems, *p);
    struct manifest_problem *kept = &f->problems.items[f->problems.len - 1];
    kept->field = mem_strdup(p->field);
    kept->message = mem_strdup(p->message);
}

void manifest_fail_file(struct manifest_set *s, struct manifest_file *f, struct place at,
                        const char *field, const char *message)
{
    const struct manifest_problem p = {
        .place = at, .field = (char *)field, .message = (char *)message};
    add_problem(s, f, &p);
}

void manifest_fail(struct manifest_set *s, struct manifest_doc *d, const char *field,
                   enum place_of what, const char *message)
{
    struct str full = {0};
    d->bad = true;
    str_add_cstr(&full, d->prefix);
    str_add_cstr(&full, field);
    if (full.len > 0 && full.p[full.len - 1] == '.')
        full.p[--full.len] = '\0';
    json_t *root = json_array_get(d->file->documents, d->index);
    const struct manifest_problem p = {
        .place = places_find(&d->file->places, d->index, root, full.p != NULL ? full.p : "", what),
        .document = (unsigned)d->index + 1,
        .field = full.p != NULL ? full.p : (char *)"",
        .message = (char *)message,
    };
    add_problem(s, d->file, &p);
    str_release(&full);
}

/* What stands before the first colon is a field, unless it is a sentence. */
void manifest_fail_diag(struct manifest_set *s, struct manifest_doc *d, const char *parent,
                        const struct diag *why)
{
    const char *colon = strstr(why->msg, ": ");
    const size_t len = colon != NULL ? (size_t)(colon - why->msg) : 0;
    if (len == 0 || memchr(why->msg, ' ', len) != NULL) {
        manifest_fail(s, d, parent, PLACE_VALUE, why->msg);
        return;
    }
    char *field = mem_printf("%s.%.*s", parent, (int)len, why->msg);
    const bool unknown = strstr(colon, "is not a known field") != NULL;
    manifest_fail(s, d, field, unknown ? PLACE_KEY : PLACE_VALUE, colon + 2);
    free(field);
}

void manifest_add_problems(const struct manifest_file *f, struct str *ret)
{
    for (size_t i = 0; i < f->problems.len; i++) {
        const struct manifest_problem *p = &f->problems.items[i];
        if (ret->len > 0 && ret->p[ret->len - 1] == '}')
            str_add_char(ret, ',');
        str_add_cstr(ret, "{\"file\":");
        str_add_json(ret, slice_of(f->name));
        str_printf(ret, ",\"line\":%u,\"column\":%u,\"document\":%u,\"field\":", p->place.line,
                   p->place.column, p->document);
        str_add_json(ret, slice_of(p->field));
        str_add_cstr(ret, ",\"message\":");
        str_add_json(ret, slice_of(p->message));
        str_add_char(ret, '}');
    }
}

void manifest_format_problem(const struct manifest_problem *p, struct str *ret)
{
    str_printf(ret, "%u:%u: %s%s%s", p->place.line, p->place.column, p->field,
               p->field[0] != '\0' ? ": " : "", p->message);
}

/* ---- results ---- */

static void add_result(struct str *ret, enum manifest_kind kind, struct slice ns, struct slice name,
                       enum manifest_result result, const json_t *shown_once)
{
    json_t *v = json_object();
    json_object_set_new(v, "kind", json_string(manifest_kind_name(kind)));
    json_object_set_new(v, "namespace", json_stringn(ns.p, ns.len));
    json_object_set_new(v, "name", json_stringn(name.p, name.len));
    json_object_set_new(v, "result", json_string(result_name(result)));
    if (shown_once != NULL && result == MANIFEST_CREATED)
        json_object_update(v, (json_t *)shown_once);
    if (ret->len > 0 && ret->p[ret->len - 1] == '}')
        str_add_char(ret, ',');
    str_add_json_value(ret, v);
    json_decref(v);
}

static void add_pruned(struct str *ret, const struct manifest_pruned *p)
{
    const char *ns = strchr(p->key, '/') + 1, *name = strchr(ns, '/') + 1;
    add_result(ret, p->kind, (struct slice){ns, (size_t)(name - 1 - ns)}, slice_of(name),
               MANIFEST_PRUNED, NULL);
}

void manifest_add_results(const struct manifest_set *s, struct str *ret)
{
    for (size_t i = 0; i < s->docs.len; i++) {
        const struct manifest_doc *d = s->docs.items[i];
        if (manifest_doc_counts(d))
            add_result(ret, d->kind, slice_of(d->ns), slice_of(d->name), d->result,
                       d->draft.shown_once);
    }
    for (size_t i = 0; i < s->pruned.len; i++)
        add_pruned(ret, &s->pruned.items[i]);
}
