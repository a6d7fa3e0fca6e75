#include "cli/objects.h"
#include "base/check.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define LAYER_DEFAULT "events"
#define PAGE "limit=200"
#define ARKS "/apis/arkonis.dev/v1alpha1"

/* ---- values below an object ---- */

const json_t *object_value(const json_t *object, const char *path)
{
    while (object != NULL && *path != '\0') {
        char key[64];
        const size_t len = strcspn(path, ".");
        CHECK(len < sizeof(key));
        memcpy(key, path, len);
        key[len] = '\0';
        object = json_object_get(object, key);
        path += len + (path[len] == '.');
    }
    return object;
}

const char *object_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(object_value(object, path));
    return text != NULL ? text : "";
}

char *object_name(const struct kind *k, const json_t *object)
{
    const char *name = object_text(object, "metadata.name");
    const char *layer = object_text(object, "spec.layer");
    if (k->id == KIND_PIPELINE && strcmp(layer, LAYER_DEFAULT) != 0)
        return mem_printf("%s.%s", layer, name);
    return mem_strdup(name);
}

/* A segment of a path: what is not plain is escaped, for the server to judge. */
static void add_segment(struct str *s, const char *text)
{
    str_add_char(s, '/');
    for (const char *c = text; *c != '\0'; c++) {
        const bool plain =
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", *c) != NULL;
        str_printf(s, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
}

/* ---- from what the REST API shows to manifests ---- */

static void move(json_t *from, const char *name, json_t *to, const char *as)
{
    json_t *v = json_object_get(from, name);
    if (v != NULL)
        json_object_set(to, as, v);
    json_object_del(from, name);
}

/* What is neither part of the name nor of the status is the spec. */
static json_t *to_manifest(const struct kind *k, json_t *item, json_t *spec)
{
    static const char *const status_fields[] = {
        "version",     "updated_at",        "paused",      "paused_at", "pause_reason",
        "latest_run",  "file_count",        "total_bytes", "status",    "error",
        "webhook_url", "last_triggered_at", "last_run_id",
    };
    json_t *metadata = json_object(), *status = json_object();
    move(item, "name", metadata, "name");
    move(item, "namespace", metadata, "namespace");
    move(item, "id", metadata, "uid");
    move(item, "uuid", metadata, "uid");
    move(item, "created_at", metadata, "creationTimestamp");
    for (size_t i = 0; i < ARRAY_SIZE(status_fields); i++)
        move(item, status_fields[i], status, status_fields[i]);
    json_object_update(spec, item);
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "apiVersion", k->api_version, "kind", k->name,
                     "metadata", metadata, "spec", spec, "status", status);
}

/* A trigger without a name of its own is known by its id. */
static json_t *trigger_manifest(const struct kind *k, json_t *item, const json_t *pipeline)
{
    json_t *spec = json_object();
    json_object_del(item, "pipeline_id");
    if (json_object_get(item, "name") == NULL)
        json_object_set(item, "name", json_object_get(item, "id"));
    json_object_set(item, "namespace", json_object_get(pipeline, "namespace"));
    char *path = mem_printf("%s.%s", object_text(pipeline, "layer"), object_text(pipeline, "name"));
    json_object_set_new(spec, "pipeline", json_string(path));
    free(path);
    return to_manifest(k, item, spec);
}

/* ---- lists ---- */

/* All pages of a list, as they are shown; NULL with the reason printed. */
static json_t *fetch_pages(struct server *s, const char *path, const char *member)
{
    json_t *all = json_array(), *answer;
    char *cursor = NULL;
    do {
        char *url = mem_printf("%s%s" PAGE "%s%s", path, strchr(path, '?') != NULL ? "&" : "?",
                               cursor != NULL ? "&cursor=" : "", cursor != NULL ? cursor : "");
        answer = server_ask(s, "GET", url, NULL);
        free(url);
        free(cursor);
        if (answer == NULL) {
            json_decref(all);
            return NULL;
        }
        json_array_extend(all, json_object_get(answer, member));
        cursor = mem_strdup(json_string_value(json_object_get(answer, "next_cursor")));
        json_decref(answer);
    } while (cursor != NULL);
    return all;
}

static json_t *fetch_items(struct server *s, const char *collection, const char *member,
                           const char *ns)
{
    char *path =
        ns != NULL ? mem_printf("%s?namespace=%s", collection, ns) : mem_strdup(collection);
    json_t *ret = fetch_pages(s, path, member);
    free(path);
    return ret;
}

/* There is no list of all triggers: those of each pipeline are asked for. */
static json_t *list_triggers(struct server *s, const struct kind *k, const char *ns)
{
    size_t i, j;
    json_t *pipeline, *item, *ret = json_array();
    json_t *pipelines = fetch_items(s, "/api/v1/pipelines", "pipelines", ns);
    bool good = pipelines != NULL;
    json_array_foreach(pipelines, i, pipeline)
    {
        char *path =
            mem_printf("/api/v1/pipelines/%s/%s/%s/triggers", object_text(pipeline, "namespace"),
                       object_text(pipeline, "layer"), object_text(pipeline, "name"));
        json_t *items = good ? fetch_pages(s, path, "triggers") : NULL;
        good = items != NULL;
        json_array_foreach(items, j, item)
        {
            if (strcmp(object_text(item, "type"), "arkevent") != 0) /* a kind of its own */
                json_array_append_new(ret, trigger_manifest(k, item, pipeline));
        }
        json_decref(items);
        free(path);
    }
    json_decref(pipelines);
    if (good)
        return ret;
    json_decref(ret);
    return NULL;
}

static json_t *manifest_of(const struct kind *k, json_t *item)
{
    json_t *spec = json_object();
    if (k->id == KIND_PIPELINE)
        move(item, "layer", spec, "layer");
    return to_manifest(k, item, spec);
}

static json_t *list_own(struct server *s, const struct kind *k, const char *ns)
{
    size_t i;
    json_t *item, *ret = json_array();
    json_t *items = k->id == KIND_PIPELINE
                        ? fetch_items(s, "/api/v1/pipelines", "pipelines", ns)
                        : fetch_items(s, "/api/v1/landing-zones", "landing_zones", ns);
    json_array_foreach(items, i, item) json_array_append_new(ret, manifest_of(k, item));
    if (items == NULL)
        json_decref(ret);
    json_decref(items);
    return items != NULL ? ret : NULL;
}

/* Items of a Kubernetes list do not repeat what they are. */
static json_t *list_arks(struct server *s, const struct kind *k, const char *ns)
{
    size_t i;
    json_t *item, *ret = NULL;
    char *path = ns != NULL ? mem_printf(ARKS "/namespaces/%s/arkevents", ns)
                            : mem_strdup(ARKS "/arkevents");
    json_t *answer = server_ask(s, "GET", path, NULL);
    free(path);
    if (answer != NULL) {
        ret = json_incref(json_object_get(answer, "items"));
        json_array_foreach(ret, i, item)
        {
            json_object_set_new(item, "apiVersion", json_string(k->api_version));
            json_object_set_new(item, "kind", json_string(k->name));
        }
    }
    json_decref(answer);
    return ret;
}

json_t *objects_list(struct server *s, const struct kind *k, const char *ns)
{
    return k->id == KIND_ARK       ? list_arks(s, k, ns)
           : k->id == KIND_TRIGGER ? list_triggers(s, k, ns)
                                   : list_own(s, k, ns);
}

/* ---- one ---- */

/* Where a pipeline, zone or ArkEvent is. A pipeline's name with both dots, as runs have it, says the namespace itself. */
static char *url_of(const struct kind *k, const char *ns, const char *name)
{
    struct str url = {0};
    const char *dot = k->id == KIND_PIPELINE ? strchr(name, '.') : NULL;
    if (dot != NULL && strchr(dot + 1, '.') != NULL) {
        str_add_cstr(&url, "/api/v1/pipelines");
        add_segment(&url, name);
        return str_detach(&url);
    }
    if (k->id == KIND_ARK) {
        str_printf(&url, ARKS "/namespaces/%s/arkevents", ns);
    } else {
        str_printf(&url, "/api/v1/%s/%s", k->id == KIND_PIPELINE ? "pipelines" : "landing-zones",
                   ns);
        char *layer = dot != NULL ? mem_dup(name, (size_t)(dot - name)) : mem_strdup(LAYER_DEFAULT);
        if (k->id == KIND_PIPELINE)
            add_segment(&url, layer);
        free(layer);
    }
    add_segment(&url, dot != NULL ? dot + 1 : name);
    return str_detach(&url);
}

char *object_url(const struct kind *k, const json_t *object)
{
    const char *ns = object_text(object, "metadata.namespace");
    if (k->id != KIND_TRIGGER) {
        char *name = object_name(k, object), *url = url_of(k, ns, name);
        free(name);
        return url;
    }
    const char *path = object_text(object, "spec.pipeline"), *dot = strchr(path, '.');
    CHECK(dot != NULL);
    return mem_printf("/api/v1/pipelines/%s/%.*s/%s/triggers/%s", ns, (int)(dot - path), path,
                      dot + 1, object_text(object, "metadata.uid"));
}

static json_t *find_trigger(struct server *s, const struct kind *k, const char *ns,
                            const char *name)
{
    size_t i;
    json_t *t, *ret = NULL, *all = list_triggers(s, k, ns);
    if (all == NULL)
        return NULL;
    json_array_foreach(all, i, t) if (strcmp(object_text(t, "metadata.name"), name) == 0 ||
                                      strcmp(object_text(t, "metadata.uid"), name) == 0) ret = t;
    json_incref(ret);
    json_decref(all);
    if (ret == NULL)
        cli_failed(s->command, "NOT_FOUND: there is no trigger %s in the namespace %s", name, ns);
    return ret;
}

json_t *objects_get(struct server *s, const struct kind *k, const char *ns, const char *name)
{
    if (k->id == KIND_TRIGGER)
        return find_trigger(s, k, ns, name);
    char *url = url_of(k, ns, name);
    json_t *v = server_ask(s, "GET", url, NULL);
    free(url);
    if (v == NULL || k->id == KIND_ARK)
        return v;
    json_t *ret = manifest_of(k, v);
    json_decref(v);
    return ret;
}

int objects_delete(struct server *s, const struct kind *k, const char *ns, const char *name,
                   bool force)
{
    json_t *trigger = k->id == KIND_TRIGGER ? find_trigger(s, k, ns, name) : NULL;
    if (k->id == KIND_TRIGGER && trigger == NULL)
        return -1;
    char *url = trigger != NULL ? object_url(k, trigger) : url_of(k, ns, name);
    char *full = mem_printf("%s%s", url, force ? "?force=true" : "");
    json_t *answer = server_ask(s, "DELETE", full, NULL);
    free(full);
    free(url);
    json_decref(trigger);
    json_decref(answer);
    return answer != NULL ? 0 : -1;
}
