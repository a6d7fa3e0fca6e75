#include "core/ark_manifest.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/slug.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_LEN_MAX 63
#define LABEL_PREFIX_LEN_MAX 253

/* ---- names, by the rules of Kubernetes ---- */

static bool is_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* Letters and digits at both ends, and `between` in between as well. */
static bool is_word(struct slice s, bool (*ends)(char), const char *between, size_t len_max)
{
    if (s.len == 0 || s.len > len_max || !ends(s.p[0]) || !ends(s.p[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!ends(s.p[i]) && (s.p[i] == '\0' || strchr(between, s.p[i]) == NULL))
            return false;
    return true;
}

/* RFC 1123: labels of a-z, 0-9 and '-', with dots between them. */
static bool is_subdomain(struct slice s)
{
    if (s.len > ARK_NAME_MAX)
        return false;
    for (;;) {
        const char *dot = s.len > 0 ? memchr(s.p, '.', s.len) : NULL;
        const struct slice label = {s.p, dot != NULL ? (size_t)(dot - s.p) : s.len};
        if (!is_word(label, is_lower, "-", ARK_NAME_MAX))
            return false;
        if (dot == NULL)
            return true;
        s = (struct slice){dot + 1, s.len - label.len - 1};
    }
}

/* "name" or "prefix/name" */
static bool is_qualified(const char *key)
{
    const char *slash = strchr(key, '/');
    const char *name = slash != NULL ? slash + 1 : key;
    if (slash != NULL && (slash - key > LABEL_PREFIX_LEN_MAX ||
                          !is_subdomain((struct slice){key, (size_t)(slash - key)})))
        return false;
    return is_word(slice_of(name), is_alnum, "-_.", LABEL_LEN_MAX);
}

static bool is_label_value(struct slice v)
{
    return v.len == 0 || is_word(v, is_alnum, "-_.", LABEL_LEN_MAX);
}

/* ---- metadata ---- */

static void check_label(struct fields *f, const char *name, const char *key, json_t *v)
{
    if (!is_qualified(key))
        fields_refuse(f, CAUSE_INVALID, name, key,
                      "a key must be 1 to 63 letters, digits, '-', '_' and '.', with a letter or "
                      "digit at both ends, optionally behind a DNS subdomain and '/'");
    if (!json_is_string(v)) {
        char *field = mem_printf("%s.%s", name, key);
        fields_wrong_type(f, field, v, "string");
        free(field);
    }
}

static json_t *take_labels(struct fields *f)
{
    const char *key;
    json_t *v, *labels = fields_take(f, "labels", JSON_OBJECT);
    json_object_foreach(labels, key, v)
    {
        check_label(f, "labels", key, v);
        if (json_is_string(v) &&
            !is_label_value((struct slice){json_string_value(v), json_string_length(v)}))
            fields_refuse(f, CAUSE_INVALID, "labels", json_string_value(v),
                          "a value must be empty or at most 63 letters, digits, '-', '_' and '.', "
                          "with a letter or digit at both ends");
    }
    return labels;
}

static json_t *take_annotations(struct fields *f)
{
    size_t bytes = 0;
    const char *key;
    json_t *v, *all = fields_take(f, "annotations", JSON_OBJECT);
    json_object_foreach(all, key, v)
    {
        check_label(f, "annotations", key, v);
        bytes += strlen(key) + json_string_length(v);
    }
    if (bytes > ARK_ANNOTATION_BYTES_MAX)
        fields_fail(f, CAUSE_TOO_MANY, "annotations",
                    "Too long: must have at most 262144 bytes in all");
    return all;
}

static const char *take_name(struct fields *f)
{
    const char *name = fields_string(f, "name");
    if (name == NULL && !fields_has(f, "name"))
        fields_fail(f, CAUSE_REQUIRED, "name", "Required value: name is required");
    if (name != NULL && !is_subdomain(slice_of(name)))
        fields_refuse(f, CAUSE_INVALID, "name", name,
                      "must be at most 253 of a-z, 0-9, '-' and '.', with a letter or digit at "
                      "both ends and beside each '.'");
    return name;
}

/* Teams of the namespace are pipelines, so its name must do for those, too. */
static const char *take_namespace(struct fields *f, const char *ns)
{
    const char *given = fields_string(f, "namespace");
    const char *ret = given != NULL && given[0] != '\0' ? given : ns != NULL ? ns : "default";
    if (ns != NULL && strcmp(ret, ns) != 0)
        fields_refuse(f, CAUSE_INVALID, "namespace", ret,
                      "the namespace of the object does not match the namespace on the request");
    else if (!slug_valid(slice_of(ret)))
        fields_refuse(f, CAUSE_INVALID, "namespace", ret, SLUG_RULE);
    return ret;
}

static void set_unless_empty(json_t *to, const char *name, json_t *v)
{
    if (json_object_size(v) > 0)
        json_object_set(to, name, v);
}

static void read_metadata(json_t *v, const char *ns, struct ark_manifest *ret, struct problems *p)
{
    static const char *const servers[] = {
        "creationTimestamp", "deletionGracePeriodSeconds",
        "deletionTimestamp", "finalizers",
        "generation",        "managedFields",
        "ownerReferences",   "selfLink",
    };
    struct fields f;
    fields_begin(&f, v, "metadata", p);
    const char *name = take_name(&f);
    const char *in = take_namespace(&f, ns);
    json_t *labels = take_labels(&f), *annotations = take_annotations(&f);
    ret->version = fields_string(&f, "resourceVersion");
    ret->uid = fields_string(&f, "uid");
    for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
        fields_ignore(&f, servers[i]);
    fields_end(&f);
    if (name == NULL)
        return;
    json_t *kept = json_pack("{s:s, s:s}", "name", name, "namespace", in);
    set_unless_empty(kept, "labels", labels);
    set_unless_empty(kept, "annotations", annotations);
    json_object_set_new(ret->config, "metadata", kept);
    ret->path = mem_printf("%s/%s", in, name);
}

/* ---- the whole ---- */

static void take_constant(struct fields *f, const char *name, const char *wanted)
{
    char why[96];
    const char *v = fields_string(f, name);
    snprintf(why, sizeof(why), "supported values: \"%s\"", wanted);
    if (v != NULL && strcmp(v, wanted) != 0)
        fields_refuse(f, CAUSE_NOT_SUPPORTED, name, v, why);
    else if (v == NULL && !fields_has(f, name))
        fields_fail(f, CAUSE_REQUIRED, name, "Required value");
}

static void read_spec(json_t *v, struct ark_manifest *ret, struct problems *p)
{
    struct ark_spec spec;
    if (ark_spec_read(v, &spec, p) < 0)
        return;
    ret->suspended = spec.suspended;
    ret->cooldown_ms = spec.cooldown_ms;
    ark_spec_release(&spec);
    json_object_set(ret->config, "spec", v);
}

int ark_manifest_read(json_t *doc, const char *ns, struct ark_manifest *ret, struct problems *p)
{
    struct fields f;
    struct problems found = {.prunes = p->prunes};
    struct ark_manifest m = {.config = json_object()};
    fields_begin(&f, doc, "", &found);
    take_constant(&f, "apiVersion", ARK_API_VERSION);
    take_constant(&f, "kind", ARK_KIND);
    json_t *metadata = fields_take(&f, "metadata", JSON_OBJECT);
    json_t *spec = fields_take(&f, "spec", JSON_OBJECT);
    if (metadata != NULL || !fields_has(&f, "metadata"))
        read_metadata(metadata, ns, &m, &found);
    if (spec != NULL || !fields_has(&f, "spec"))
        read_spec(spec, &m, &found);
    fields_ignore(&f, "status");
    fields_end(&f);
    const bool fatal = found.fatal;
    problems_move(p, &found);
    if (fatal)
        ark_manifest_release(&m);
    else
        *ret = m;
    return fatal ? -EINVAL : 0;
}

void ark_manifest_release(struct ark_manifest *m)
{
    free(m->path);
    json_decref(m->config);
    *m = (struct ark_manifest){0};
}
