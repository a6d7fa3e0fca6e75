#include "core/redact.h"
#include "base/check.h"
#include <string.h>
#include <strings.h>

static bool is_secret_header(const char *name)
{
    static const char *const parts[] = {"auth",  "cookie", "credential", "key",
                                        "passw", "secret", "signature",  "token"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (strcasestr(name, parts[i]) != NULL)
            return true;
    return false;
}

/* ---- out ---- */

static void redact_executor(json_t *executor)
{
    const char *name;
    json_t *v;
    if (json_is_string(json_object_get(executor, "secret")))
        json_object_set_new(executor, "secret", json_string(REDACTED));
    json_object_foreach(json_object_get(executor, "headers"), name, v)
    {
        if (json_is_string(v) && is_secret_header(name))
            json_string_set(v, REDACTED);
    }
}

static void redact(json_t *spec)
{
    size_t i;
    json_t *step;
    redact_executor(json_object_get(spec, "executor"));
    json_array_foreach(json_object_get(spec, "steps"), i, step)
        redact_executor(json_object_get(step, "executor"));
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
    redact(spec);
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
    if (is_redacted(json_object_get(object, name)) && json_is_string(value))
        json_object_set_new(object, name, json_string(json_string_value(value)));
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
        if (is_secret_header(name))
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
