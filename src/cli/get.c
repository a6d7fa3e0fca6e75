/* get.c - `pawl get`, `pawl describe` and `pawl delete`: the objects of a running daemon, by kind and name. */
#include "base/check.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/slug.h"
#include "cli/describe.h"
#include "cli/objects.h"
#include "cli/table.h"
#include "core/ark_doc.h"
#include "io/yaml/print.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMESPACE_FLAGS                                                                            \
    {                                                                                              \
        "namespace", "NS", "the namespace (default: default)", FLAG_ONCE, 'n'                      \
    }

static const struct flag get_flags[] = {
    NAMESPACE_FLAGS,
    {"all-namespaces", NULL, "those of all namespaces", FLAG_ONCE, 'A'},
    {"output", "FORM", "table, yaml, json or name (default: table)", FLAG_ONCE, 'o'},
    SERVER_FLAGS,
    {NULL},
};
static const struct flag describe_flags[] = {NAMESPACE_FLAGS, SERVER_FLAGS, {NULL}};
static const struct flag delete_flags[] = {
    NAMESPACE_FLAGS,
    {"force", NULL, "although others depend on it", FLAG_ONCE},
    SERVER_FLAGS,
    {NULL},
};

/* ---- tables ---- */

/* A column: its heading, and where its value is. */
struct column {
    const char *name, *path;
    enum { SHOWN, AGE, DUE } as; /* times: how long ago, and in how long */
    const char *otherwise; /* what it is where the object does not say; NULL: nothing is shown */
};

static const struct column columns[][8] = {
    [KIND_ARK] = {{"TYPE", "spec.source.type"},
                  {"SUSPENDED", "spec.suspended", .otherwise = "false"},
                  {"FIRED", "status.firedCount"},
                  {"LAST FIRED", "status.lastFiredAt", AGE},
                  {"NEXT FIRE", "status.nextFireAt", DUE},
                  {"AGE", "metadata.creationTimestamp", AGE}},
    [KIND_PIPELINE] = {{"VERSION", "status.version"},
                       {"EXECUTOR", "spec.executor.type"},
                       {"PAUSED", "status.paused"},
                       {"LATEST RUN", "status.latest_run.status"},
                       {"AGE", "metadata.creationTimestamp", AGE}},
    [KIND_TRIGGER] = {{"PIPELINE", "spec.pipeline"},
                      {"TYPE", "spec.type"},
                      {"ENABLED", "spec.enabled"},
                      {"LAST FIRED", "status.last_triggered_at", AGE},
                      {"AGE", "metadata.creationTimestamp", AGE}},
    [KIND_ZONE] = {{"PATH", "spec.path"},
                   {"FILES", "status.file_count"},
                   {"STATUS", "status.status"},
                   {"AGE", "metadata.creationTimestamp", AGE}},
};

static void add_value(struct str *s, const struct column *c, const json_t *object)
{
    const json_t *v = object_value(object, c->path);
    struct wall at;
    const int64_t now = (int64_t)time(NULL) * 1000;
    if (c->as != SHOWN && rfc3339_parse(slice_of(object_text(object, c->path)), &at)) {
        str_add_cstr(s, c->as == DUE ? "in " : "");
        str_add_age(s, c->as == DUE ? at.ms - now : now - at.ms);
    } else if (json_is_string(v))
        str_add_cstr(s, json_string_value(v));
    else if (v != NULL && !json_is_null(v))
        str_add_json_value(s, v);
    else if (c->otherwise != NULL)
        str_add_cstr(s, c->otherwise);
}

static void add_row(struct table *t, const struct kind *k, const json_t *object, bool with_ns)
{
    char *name = object_name(k, object);
    if (with_ns)
        table_cell(t, object_text(object, "metadata.namespace"));
    table_cell(t, name);
    free(name);
    for (const struct column *c = columns[k->id]; c->name != NULL; c++) {
        struct str text = {0};
        add_value(&text, c, object);
        table_cell(t, text.p);
        str_release(&text);
    }
}

static void print_table(const struct kind *k, const json_t *list, bool with_ns)
{
    struct table t = {0};
    size_t i;
    json_t *object;
    if (with_ns)
        table_column(&t, "NAMESPACE");
    table_column(&t, "NAME");
    for (const struct column *c = columns[k->id]; c->name != NULL; c++)
        table_column(&t, c->name);
    json_array_foreach(list, i, object) add_row(&t, k, object, with_ns);
    table_print(&t, stdout);
    table_release(&t);
}

/* ---- other forms ---- */

static void print_names(const struct kind *k, const json_t *list)
{
    size_t i;
    json_t *object;
    json_array_foreach(list, i, object)
    {
        char *name = object_name(k, object), *full = kind_object_name(k, name);
        printf("%s\n", full);
        free(full);
        free(name);
    }
}

static void print_text(const json_t *v, bool yaml)
{
    struct str text = {0};
    if (yaml) {
        str_add_yaml(&text, v, 0);
    } else {
        char *p = json_dumps(v, JSON_INDENT(4));
        str_printf(&text, "%s\n", p);
        free(p);
    }
    fputs(text.p, stdout);
    str_release(&text);
}

/* One that was asked for by name stands alone; several are a list, which can be applied as it is. */
static void print_objects(json_t *list, bool alone, bool yaml)
{
    json_t *v =
        alone ? json_incref(json_array_get(list, 0))
              : json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", list);
    print_text(v, yaml);
    json_decref(v);
}

/* ---- what is asked for ---- */

static int take_kind(const struct cli_command *c, const struct flags *f, const struct kind **ret)
{
    const char *ns = flags_get(f, "namespace", NULL);
    if (f->args.len == 0)
        return cli_usage_error(c, "of what kind? arkevents, pipelines, triggers or landingzones");
    if (ns != NULL && !slug_valid(slice_of(ns)))
        return cli_usage_error(c, "--namespace: '%s' " SLUG_RULE, ns);
    *ret = kind_take(c, f->args.items[0]);
    return *ret != NULL ? CLI_OK : CLI_USAGE;
}

static const char *namespace_of(const struct flags *f)
{
    return flags_get(f, "namespace", "default");
}

/* Those named, or all. */
static json_t *fetch_asked(struct server *s, const struct flags *f, const struct kind *k,
                           const char *ns)
{
    if (f->args.len == 1)
        return objects_list(s, k, ns);
    json_t *list = json_array();
    for (size_t i = 1; i < f->args.len; i++) {
        json_t *v = objects_get(s, k, ns, f->args.items[i]);
        if (v == NULL) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, v);
    }
    return list;
}

static bool is_form(const char *form)
{
    static const char *const forms[] = {"table", "yaml", "json", "name"};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
        if (strcmp(forms[i], form) == 0)
            return true;
    return false;
}

static int get(struct server *s, const struct flags *f, const struct kind *k, const char *form)
{
    const bool all = flags_get(f, "all-namespaces", NULL) != NULL;
    json_t *list = fetch_asked(s, f, k, all ? NULL : namespace_of(f));
    if (list == NULL)
        return CLI_FAILED;
    if (strcmp(form, "name") == 0)
        print_names(k, list);
    else if (strcmp(form, "table") != 0)
        print_objects(list, f->args.len == 2, strcmp(form, "yaml") == 0);
    else if (json_array_size(list) > 0)
        print_table(k, list, all);
    else
        fprintf(stderr, "none in %s%s\n", all ? "any namespace" : "the namespace ",
                all ? "" : namespace_of(f));
    json_decref(list);
    return CLI_OK;
}

static int run_get(const struct flags *f)
{
    struct server s;
    const struct kind *k;
    const char *form = flags_get(f, "output", "table");
    int code = take_kind(&cli_get, f, &k);
    if (code == CLI_OK && !is_form(form))
        code = cli_usage_error(&cli_get, "--output: '%s' is not table, yaml, json or name", form);
    if (code == CLI_OK && f->args.len > 1 && flags_get(f, "all-namespaces", NULL) != NULL)
        code = cli_usage_error(&cli_get, "a name is one in a namespace: not with -A");
    if (code == CLI_OK)
        code = server_open(&s, &cli_get, f);
    if (code != CLI_OK)
        return code;
    code = get(&s, f, k, form);
    server_close(&s);
    return code;
}

static int run_describe(const struct flags *f)
{
    struct server s;
    const struct kind *k;
    int code = take_kind(&cli_describe, f, &k);
    if (code == CLI_OK)
        code = server_open(&s, &cli_describe, f);
    if (code != CLI_OK)
        return code;
    json_t *list = fetch_asked(&s, f, k, namespace_of(f)), *object;
    size_t i;
    code = list != NULL ? CLI_OK : CLI_FAILED;
    json_array_foreach(list, i, object)
    {
        if (i > 0)
            printf("\n\n");
        if (code == CLI_OK)
            code = describe(&s, k, object);
    }
    json_decref(list);
    server_close(&s);
    return code;
}

/* Goes on after one that cannot be deleted: the others do not depend on it. */
static int delete_all(struct server *s, const struct flags *f, const struct kind *k)
{
    int code = CLI_OK;
    for (size_t i = 1; i < f->args.len; i++) {
        const char *name = f->args.items[i];
        char *full = kind_object_name(k, name);
        if (objects_delete(s, k, namespace_of(f), name, flags_get(f, "force", NULL) != NULL) == 0)
            printf("%s deleted\n", full);
        else
            code = CLI_FAILED;
        free(full);
    }
    return code;
}

static int run_delete(const struct flags *f)
{
    struct server s;
    const struct kind *k;
    int code = take_kind(&cli_delete, f, &k);
    if (code == CLI_OK && f->args.len == 1)
        code = cli_usage_error(&cli_delete, "delete which? Name it");
    if (code == CLI_OK)
        code = server_open(&s, &cli_delete, f);
    if (code != CLI_OK)
        return code;
    code = delete_all(&s, f, k);
    server_close(&s);
    return code;
}

const struct cli_command cli_get = {
    .name = "get",
    .args = "KIND [NAME...] [-n NS | -A] [-o table|yaml|json|name] [--server URL]",
    .help =
        "Shows objects: arkevents, pipelines, triggers, landingzones. What -o yaml prints can be\n"
        "applied.",
    .flags = get_flags,
    .run = run_get,
};

const struct cli_command cli_describe = {
    .name = "describe",
    .args = "KIND [NAME...] [-n NS] [--server URL]",
    .help = "Shows all about objects: what they are, how they are, what they did last.",
    .flags = describe_flags,
    .run = run_describe,
};

const struct cli_command cli_delete = {
    .name = "delete",
    .args = "KIND NAME... [-n NS] [--force] [--server URL]",
    .help = "Deletes objects.",
    .flags = delete_flags,
    .run = run_delete,
};
