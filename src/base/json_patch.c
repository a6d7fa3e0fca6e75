#include "base/json_patch.h"
#include "base/check.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

/* ---- merge patches ---- */

/* Takes a reference to target, which is ours to change. */
static json_t *merge(json_t *target, const json_t *patch)
{
    const char *key;
    json_t *v;
    if (!json_is_object(patch)) {
        json_decref(target);
        return json_deep_copy(patch);
    }
    if (!json_is_object(target)) {
        json_decref(target);
        target = json_object();
    }
    json_object_foreach((json_t *)patch, key, v)
    {
        if (json_is_null(v))
            json_object_del(target, key);
        else
            json_object_set_new(target, key, merge(json_incref(json_object_get(target, key)), v));
    }
    return target;
}

json_t *json_merge_patch(const json_t *target, const json_t *patch)
{
    return merge(json_deep_copy(target), patch);
}

/* ---- pointers (RFC 6901) ---- */

struct pointer {
    const char *text; /* for messages */
    char *memory;
    char *tokens[JSON_PATCH_DEPTH_MAX];
    size_t count;
};

static int malformed(struct diag *reterr, size_t op, const char *why)
{
    return diag_set(reterr, DIAG_INVALID_ARGUMENT, "operation %zu: %s", op, why);
}

static int unfit(struct diag *reterr, const struct pointer *p, const char *why)
{
    return diag_set(reterr, DIAG_FAILED_PRECONDITION, "%.200s: %s",
                    p->text[0] != '\0' ? p->text : "the whole value", why);
}

/* "~1" is a slash, "~0" a tilde; in place. False for any other "~". */
static bool unescape(char *token)
{
    char *to = token;
    for (const char *from = token; *from != '\0'; from++) {
        if (*from != '~') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from != '0' && *from != '1')
            return false;
        *to++ = *from == '0' ? '~' : '/';
    }
    *to = '\0';
    return true;
}

/* False when it is none, or is too deep. To be released either way. */
static bool pointer_parse(const char *text, struct pointer *ret)
{
    *ret = (struct pointer){.text = text, .memory = mem_strdup(text)};
    char *at = ret->memory;
    while (*at != '\0') {
        if (*at != '/' || ret->count == JSON_PATCH_DEPTH_MAX)
            return false;
        *at++ = '\0';
        ret->tokens[ret->count++] = at;
        at += strcspn(at, "/");
    }
    for (size_t i = 0; i < ret->count; i++)
        if (!unescape(ret->tokens[i]))
            return false;
    return true;
}

/* An element that is there; decimal, without leading zeros. */
static bool index_of(const json_t *array, const char *token, size_t count, size_t *ret)
{
    uint64_t n;
    if (!slice_u64(slice_of(token), UINT32_MAX, &n) || (token[0] == '0' && token[1] != '\0') ||
        n >= count)
        return false;
    *ret = (size_t)n;
    return true;
}

static json_t *member(const json_t *v, const char *token)
{
    size_t i;
    if (json_is_object(v))
        return json_object_get(v, token);
    return json_is_array(v) && index_of(v, token, json_array_size(v), &i) ? json_array_get(v, i)
                                                                          : NULL;
}

/* What the first n tokens lead to; borrowed. NULL: nothing is there. */
static json_t *walk(json_t *doc, const struct pointer *p, size_t n)
{
    for (size_t i = 0; i < n && doc != NULL; i++)
        doc = member(doc, p->tokens[i]);
    return doc;
}

/* ---- operations ---- */

struct patching {
    json_t *doc;
    size_t copied; /* bytes */
    struct diag *why;
};

struct operation {
    const char *name;
    struct pointer path, from;
    json_t *value; /* NULL: there is none */
};

static size_t depth_of(json_t *v)
{
    size_t max = 0, i, depth;
    const char *key;
    json_t *x;
    if (json_is_object(v))
        json_object_foreach(v, key, x) max = (depth = depth_of(x)) > max ? depth : max;
    if (json_is_array(v))
        json_array_foreach(v, i, x) max = (depth = depth_of(x)) > max ? depth : max;
    return json_is_object(v) || json_is_array(v) ? max + 1 : 0;
}

/* Takes v. */
static int put(struct patching *p, const struct pointer *at, json_t *v)
{
    json_t *into = at->count > 0 ? walk(p->doc, at, at->count - 1) : NULL;
    const char *last = at->count > 0 ? at->tokens[at->count - 1] : NULL;
    size_t i = json_array_size(into);
    int err = 0;
    if (at->count + depth_of(v) > JSON_PATCH_DEPTH_MAX)
        err = unfit(p->why, at, "would be nested too deep");
    else if (at->count == 0) {
        json_decref(p->doc);
        p->doc = json_incref(v);
    } else if (json_is_object(into))
        json_object_set(into, last, v);
    else if (json_is_array(into) && (strcmp(last, "-") == 0 || index_of(into, last, i + 1, &i)))
        json_array_insert(into, i, v);
    else
        err = unfit(p->why, at, "there is no such place");
    json_decref(v);
    return err;
}

static int take_out(struct patching *p, const struct pointer *at)
{
    size_t i;
    json_t *from = at->count > 0 ? walk(p->doc, at, at->count - 1) : NULL;
    if (from == NULL || member(from, at->tokens[at->count - 1]) == NULL)
        return unfit(p->why, at, at->count > 0 ? "does not exist" : "cannot be removed");
    if (json_is_object(from))
        json_object_del(from, at->tokens[at->count - 1]);
    else if (index_of(from, at->tokens[at->count - 1], json_array_size(from), &i))
        json_array_remove(from, i);
    return 0;
}

static int add(struct patching *p, const struct operation *o)
{
    return put(p, &o->path, json_deep_copy(o->value));
}

static int remove_one(struct patching *p, const struct operation *o)
{
    return take_out(p, &o->path);
}

static int replace(struct patching *p, const struct operation *o)
{
    if (o->path.count > 0) {
        const int err = take_out(p, &o->path);
        if (err < 0)
            return err;
    }
    return add(p, o);
}

/* A value must not end up within itself. */
static bool is_within(const struct pointer *p, const struct pointer *outer)
{
    if (p->count <= outer->count)
        return false;
    for (size_t i = 0; i < outer->count; i++)
        if (strcmp(p->tokens[i], outer->tokens[i]) != 0)
            return false;
    return true;
}

static int move(struct patching *p, const struct operation *o)
{
    json_t *v = walk(p->doc, &o->from, o->from.count);
    if (v == NULL)
        return unfit(p->why, &o->from, "does not exist");
    if (is_within(&o->path, &o->from))
        return unfit(p->why, &o->from, "cannot be moved into itself");
    if (strcmp(o->path.text, o->from.text) == 0)
        return 0;
    json_incref(v);
    const int err = take_out(p, &o->from);
    if (err < 0) {
        json_decref(v);
        return err;
    }
    return put(p, &o->path, v);
}

static int copy(struct patching *p, const struct operation *o)
{
    json_t *v = walk(p->doc, &o->from, o->from.count);
    if (v == NULL)
        return unfit(p->why, &o->from, "does not exist");
    p->copied += json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (p->copied > JSON_PATCH_COPIED_BYTES_MAX)
        return unfit(p->why, &o->from, "the patch copies too much");
    return put(p, &o->path, json_deep_copy(v));
}

/* 1 and 1.0 are the same number. */
static bool is_same(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    size_t i;
    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b))
        return json_number_value(a) == json_number_value(b);
    if (json_is_object(a) && json_is_object(b)) {
        json_object_foreach((json_t *)a, key, v)
        {
            if (json_object_get(b, key) == NULL || !is_same(v, json_object_get(b, key)))
                return false;
        }
        return json_object_size(a) == json_object_size(b);
    }
    if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        json_array_foreach(a, i, v)
        {
            if (!is_same(v, json_array_get(b, i)))
                return false;
        }
        return true;
    }
    return json_equal(a, b);
}

static int test(struct patching *p, const struct operation *o)
{
    const json_t *v = walk(p->doc, &o->path, o->path.count);
    if (v == NULL)
        return unfit(p->why, &o->path, "does not exist");
    return is_same(v, o->value) ? 0 : unfit(p->why, &o->path, "is not what the patch expects");
}

static const struct {
    const char *name;
    int (*run)(struct patching *p, const struct operation *o);
    bool has_value, has_from;
} operations[] = {
    {"add", add, true, false},         {"copy", copy, false, true},
    {"move", move, false, true},       {"remove", remove_one, false, false},
    {"replace", replace, true, false}, {"test", test, true, false},
};

static int run_parsed(struct patching *p, struct operation *o, json_t *op, size_t number)
{
    const char *path = json_string_value(json_object_get(op, "path"));
    const char *from = json_string_value(json_object_get(op, "from"));
    if (path == NULL || !pointer_parse(path, &o->path))
        return malformed(p->why, number, "path: must be a JSON pointer");
    for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
        if (strcmp(operations[i].name, o->name) != 0)
            continue;
        if (operations[i].has_value && o->value == NULL)
            return malformed(p->why, number, "value: is required");
        if (operations[i].has_from && (from == NULL || !pointer_parse(from, &o->from)))
            return malformed(p->why, number, "from: must be a JSON pointer");
        return operations[i].run(p, o);
    }
    return malformed(p->why, number, "op: must be add, copy, move, remove, replace or test");
}

static int run(struct patching *p, json_t *op, size_t number)
{
    const char *name = json_string_value(json_object_get(op, "op"));
    struct operation o = {.name = name != NULL ? name : "", .value = json_object_get(op, "value")};
    const int err = run_parsed(p, &o, op, number);
    free(o.path.memory);
    free(o.from.memory);
    return err;
}

json_t *json_patch(const json_t *doc, const json_t *ops, struct diag *reterr)
{
    struct patching p = {.doc = json_deep_copy(doc), .why = reterr};
    int err = 0;
    if (!json_is_array(ops))
        err =
            diag_set(reterr, DIAG_INVALID_ARGUMENT, "a JSON patch must be an array of operations");
    else if (json_array_size(ops) > JSON_PATCH_OPS_MAX)
        err = diag_set(reterr, DIAG_INVALID_ARGUMENT, "a JSON patch has at most %d operations",
                       JSON_PATCH_OPS_MAX);
    for (size_t i = 0; err == 0 && i < json_array_size(ops); i++)
        err = run(&p, json_array_get(ops, i), i);
    if (err == 0)
        return p.doc;
    json_decref(p.doc);
    return NULL;
}
