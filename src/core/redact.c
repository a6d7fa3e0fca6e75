#include "core/redact.h"
#include "base/check.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool redact_is_secret_header(const char *name)
{
    static const char *const parts[] = {"auth",  "cookie", "credential", "key",
                                        "passw", "secret", "signature",  "token"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (strcasestr(name, parts[i]) != NULL)
            return true;
    return false;
}

bool redact_is_sealed(const json_t *v)
{
    return json_object_size(v) == 1 && json_is_string(json_object_get(v, "sealed"));
}

/* ---- which they are ---- */

static bool is_kept(const json_t *v)
{
    return json_is_string(v) || redact_is_sealed(v);
}

void redact_each_of_executor(json_t *executor, redact_visit *visit, void *arg)
{
    const char *name;
    json_t *v;
    void *next;
    json_t *headers = json_object_get(executor, "headers");
    if (is_kept(json_object_get(executor, "secret")))
        visit(arg, executor, "secret");
    json_object_foreach_safe(headers, next, name, v)
    {
        if (is_kept(v) && redact_is_secret_header(name))
            visit(arg, headers, name);
    }
}

void redact_each(json_t *spec, redact_visit *visit, void *arg)
{
    size_t i;
    json_t *step;
    redact_each_of_executor(json_object_get(spec, "executor"), visit, arg);
    json_array_foreach(json_object_get(spec, "steps"), i, step)
        redact_each_of_executor(json_object_get(step, "executor"), visit, arg);
}

/* ---- those that are sealed ---- */

struct secret {
    const json_t *object;
    const char *name; /* NULL: none */
};

static void find_sealed(void *arg, json_t *object, const char *name)
{
    struct secret *ret = arg;
    if (ret->name == NULL && redact_is_sealed(json_object_get(object, name)))
        *ret = (struct secret){object, name};
}

int redact_refuse_sealed(json_t *executor, const char *path, struct diag *reterr)
{
    struct secret found = {0};
    redact_each_of_executor(executor, find_sealed, &found);
    if (found.name == NULL)
        return 0;
    return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                    "%s.%s%s: cannot be read, it was sealed with another key than the one in "
                    "secret.key: send it again",
                    path, found.object != executor ? "headers: " : "", found.name);
}

int redact_refuse_sealed_in(json_t *spec, struct diag *reterr)
{
    size_t i;
    json_t *step;
    if (redact_refuse_sealed(json_object_get(spec, "executor"), "executor", reterr) < 0)
        return -EINVAL;
    json_array_foreach(json_object_get(spec, "steps"), i, step)
    {
        char path[48];
        snprintf(path, sizeof(path), "steps[%zu].executor", i);
        if (redact_refuse_sealed(json_object_get(step, "executor"), path, reterr) < 0)
            return -EINVAL;
    }
    return 0;
}

/* ---- out ---- */

static void hide(void *arg, json_t *object, const char *name)
{
    json_object_set_new(object, name, json_string(REDACTED));
}

static bool has(struct slice text, const char *word)
{
    return text.len > 0 && memmem(text.p, text.len, word, strlen(word)) != NULL;
}

void redact_add(struct str *out, struct slice text)
{
    struct diag ignored;
    json_t *spec = NULL;
    if (has(text, "\"secret\"") || has(text, "\"headers\""))
        spec = json_parse_object(text, &ignored);
    if (spec == NULL) { /* most have none, and are read often */
        str_add_slice(out, text);
        return;
    }
    redact_each(spec, hide, NULL);
    str_add_json_value(out, spec);
    json_decref(spec);
}

/* ---- and back ---- */

static bool is_redacted(const json_t *v)
{
    const char *text = json_string_value(v);
    return text != NULL && strcmp(text, REDACTED) == 0;
}

/* The length of "https://example.org:8443". */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    return host != NULL ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool same_server(const json_t *a, const json_t *b)
{
    const char *of_a = json_string_value(json_object_get(a, "url"));
    const char *of_b = json_string_value(json_object_get(b, "url"));
    if (of_a == NULL || of_b == NULL)
        return false;
    const size_t len = origin_len(of_a);
    return len > 0 && len == origin_len(of_b) && strncasecmp(of_a, of_b, len) == 0;
}

static void undo_field(json_t *object, const char *name, const json_t *old)
{
    json_t *value = json_object_get(old, name);
    if (is_redacted(json_object_get(object, name)) && is_kept(value))
        json_object_set_new(object, name, json_deep_copy(value));
}

static void undo_executor(json_t *executor, const json_t *old)
{
    const char *name;
    json_t *v;
    void *next;
    json_t *headers = json_object_get(executor, "headers");
    if (!same_server(executor, old))
        return;
    undo_field(executor, "secret", old);
    json_object_foreach_safe(headers, next, name, v)
    {
        if (redact_is_secret_header(name))
            undo_field(headers, name, json_object_get(old, "headers"));
    }
}

static const json_t *step_named(const json_t *steps, const char *name)
{
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        const char *its = json_string_value(json_object_get(step, "name"));
        if (name != NULL && its != NULL && strcmp(its, name) == 0)
            return step;
    }
    return NULL;
}

void redact_undo(json_t *spec, const json_t *old)
{
    size_t i;
    json_t *step;
    const json_t *old_steps = json_object_get(old, "steps");
    undo_executor(json_object_get(spec, "executor"), json_object_get(old, "executor"));
    json_array_foreach(json_object_get(spec, "steps"), i, step)
    {
        const char *name = json_string_value(json_object_get(step, "name"));
        const json_t *before =
            name != NULL ? step_named(old_steps, name) : json_array_get(old_steps, i);
        undo_executor(json_object_get(step, "executor"), json_object_get(before, "executor"));
    }
}
