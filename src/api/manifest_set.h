/* manifest_set.h - manifests that are applied together: files, the documents in them, and what is wrong with those.
 *
 *     manifest_set_add(&s, "a.yaml", text);       for each file
 *     manifest_set_read(&s);                      documents, names, whatever can be told without the catalog; on any thread
 *     manifest_set_plan(&s, api);                 the rest, and what would become of each; changes nothing
 *     if (s.problem_count == 0) manifest_set_put(&s, api);   in the same turn of the loop, into one batch of the engine
 *     manifest_set_release(&s);
 *
 * A set is applied as a whole or not at all, unless `keeps_good` is set: then files with a problem are left out, and what they defined
 * before stays as it is. Documents may refer to each other in any order, across files.
 *
 * A document that is a list ({"kind": "List", "items": [...]}) counts as its items.
 */
#ifndef API_MANIFEST_SET_H
#define API_MANIFEST_SET_H
#include "api/trigger_def.h"
#include "base/vec.h"
#include "core/ark_manifest.h"
#include "io/yaml/places.h"
#include <uthash.h>

#define MANIFEST_API_VERSION "pawl.dev/v1" /* of our own kinds; ArkEvents: ARK_API_VERSION */
#define MANIFEST_FILES_MAX 1000
#define MANIFEST_DOCUMENTS_MAX 1000 /* of a set: they are one transaction */
#define MANIFEST_PROBLEMS_MAX 200   /* further ones are not listed */
#define MANIFEST_FILE_NAME_MAX 255

/* In the order in which they are put: later ones refer to earlier ones. */
enum manifest_kind { MANIFEST_PIPELINE, MANIFEST_ZONE, MANIFEST_TRIGGER, MANIFEST_ARK, MANIFEST_KINDS };
const char *manifest_kind_name(enum manifest_kind k); /* "Pipeline", ...; static memory */

enum manifest_result { MANIFEST_CREATED, MANIFEST_CONFIGURED, MANIFEST_UNCHANGED, MANIFEST_PRUNED };

struct manifest_problem {
    struct place place;
    unsigned document; /* from 1; 0: the file as a whole */
    char *field;       /* "spec.targets[0].team"; "": the document */
    char *message;
};

struct manifest_file {
    char *name;
    struct str text;
    struct places places;
    json_t *documents; /* array; NULL: it could not be read */
    VEC(struct manifest_problem) problems;
    size_t objects; /* documents that are objects of one kind or another */
};

struct manifest_doc {
    struct manifest_file *file;
    size_t index;   /* of the document in its file */
    char *prefix;   /* of its fields: "items[3]." or "" */
    json_t *json;   /* borrowed from the file */
    enum manifest_kind kind;
    char *ns, *name; /* of a pipeline: "layer.name" */
    char *key;       /* "Kind/ns/name"; NULL: its name is not known */
    bool bad;        /* there is a problem with it, listed or not */
    char *path;      /* how the catalog calls it; of a trigger NULL */
    UT_hash_handle hh; /* by key */

    /* what it asks for; by kind */
    json_t *spec; /* a copy without what belongs to the name */
    struct ark_manifest ark;
    struct pipeline_def *pipeline;
    struct zone_def *zone;
    char *directory;
    bool ours;
    int probe_err; /* of a zone's directory that was looked at */
    char *upstream; /* of a trigger: its pipeline's path */
    const struct trigger_type *type;
    struct trigger_def *trigger;
    struct trigger_draft draft;
    enum manifest_result result;
    struct uuid object; /* of a zone that was put: its id */
};

/* What was in an earlier set, and is not in this one. */
struct manifest_pruned {
    enum manifest_kind kind;
    char *key;
};

/* Which objects a set vouches for. */
struct manifest_scope {
    bool prune;     /* those in the scope that are not in the set are deleted */
    bool by_file;   /* owners are files: "file:NAME"; else "apply" for all, and the scope is the namespaces of the set */
    const char *ns; /* one more namespace of the scope; NULL: none */
};

struct manifest_set {
    struct manifest_file **files;
    size_t file_count;
    VEC(struct manifest_doc *) docs;
    const char *ns; /* of documents that do not say; borrowed; NULL: "default" */
    struct manifest_scope scope;
    bool keeps_good;
    size_t problem_count, listed_count; /* in all files; those that are kept */
    struct manifest_doc *by_key; /* those that others may refer to; the plan's */
    VEC(struct manifest_pruned) pruned;
};

void manifest_set_add(struct manifest_set *s, struct slice name, struct slice text); /* copies both */
void manifest_set_read(struct manifest_set *s);
void manifest_set_plan(struct manifest_set *s, struct api *a);
bool manifest_set_changes(const struct manifest_set *s, struct api *a); /* whether putting it would change anything */
void manifest_set_put(struct manifest_set *s, struct api *a);
void manifest_set_release(struct manifest_set *s);

/* ---- for these modules ---- */

/* Whether it takes part: nothing is wrong with its file. */
bool manifest_doc_counts(const struct manifest_doc *d);
void manifest_doc_forget_plan(struct manifest_doc *d);

/* Adds a problem to the document's file; the field is without the prefix. `what`: whether the value or its name is pointed at. */
void manifest_fail(struct manifest_set *s, struct manifest_doc *d, const char *field, enum place_of what, const char *message);
/* The same for a message such as "executor.argv: is required", whose field is below `parent`. */
void manifest_fail_diag(struct manifest_set *s, struct manifest_doc *d, const char *parent, const struct diag *why);
/* The same for a file that could not be read; the field may be "". */
void manifest_fail_file(struct manifest_set *s, struct manifest_file *f, struct place at, const char *field, const char *message);

/* Looks for cycles among the triggers of the plan and those of the catalog. */
void manifest_plan_cycles(struct manifest_set *s, struct api *a);

/* ---- for who answers ---- */

/* Appends {"file","line","column","document","field","message"}, ... of all files, or of one. */
void manifest_add_problems(const struct manifest_file *f, struct str *ret);
/* Appends "line:column: field: message". */
void manifest_format_problem(const struct manifest_problem *p, struct str *ret);
/* Appends {"kind","namespace","name","result"}, ... in the order of the documents, then what was pruned. */
void manifest_add_results(const struct manifest_set *s, struct str *ret);

#endif
