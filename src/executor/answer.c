#include "executor/answer.h"
#include "base/json.h"
#include "base/json_compact.h"
#include <errno.h>
#include <string.h>

/* The members that mean something, as they stand in the text. */
struct members {
    struct slice id, status, output, error, retry;
};

bool answer_is(struct slice line)
{
    line = slice_trim(line);
    return line.len > 0 && line.p[0] == '{';
}

/* ---- walking over JSON that is known to be right and without blanks ---- */

static const char *skip_string(const char *p)
{
    for (p++; *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p + 1;
}

static const char *skip_value(const char *p)
{
    unsigned depth = 0;
    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && depth-- == 0)
            return p;
        else if (*p == ',' && depth == 0)
            return p;
        p++;
    } while (true);
}

static struct slice *member_named(struct members *m, struct slice key)
{
    if (slice_is(key, "\"id\""))
        return &m->id;
    if (slice_is(key, "\"status\""))
        return &m->status;
    if (slice_is(key, "\"output\""))
        return &m->output;
    if (slice_is(key, "\"error\""))
        return &m->error;
    return slice_is(key, "\"retry\"") ? &m->retry : NULL;
}

/* False when a member stands there twice. */
static bool find_members(const char *object, struct members *ret)
{
    const char *p = object + 1;
    while (*p != '}') {
        const char *key_end = skip_string(p), *value = key_end + 1, *end = skip_value(value);
        struct slice *m = member_named(ret, (struct slice){p, (size_t)(key_end - p)});
        if (m != NULL && m->p != NULL)
            return false;
        if (m != NULL)
            *m = (struct slice){value, (size_t)(end - value)};
        p = *end == ',' ? end + 1 : end;
    }
    return true;
}

/* ---- values ---- */

static bool is_string(struct slice value)
{
    return value.len > 0 && value.p[0] == '"';
}

/* The text of a JSON string. Most have no escapes and are taken where they stand. */
static bool string_text(struct slice value, json_t **decoded, struct slice *ret)
{
    const struct slice inner = {value.p + 1, value.len - 2};
    if (memchr(inner.p, '\\', inner.len) == NULL) {
        *ret = inner;
        return true;
    }
    struct diag ignored;
    *decoded = json_parse(value, &ignored);
    if (*decoded == NULL)
        return false; /* a NUL, or half of a surrogate pair */
    *ret = (struct slice){json_string_value(*decoded), json_string_length(*decoded)};
    return true;
}

static int wrong(struct diag *reterr, const char *what)
{
    return diag_set(reterr, DIAG_INTERNAL, "%s", what);
}

/* Where, and why: it may only be nested too deep. */
static int not_json(struct slice line, struct diag *reterr)
{
    json_t *v = json_parse(line, reterr);
    json_decref(v);
    return v == NULL ? -EINVAL : wrong(reterr, "it is not JSON");
}

static int read_id(struct answer *a, struct slice id, struct diag *reterr)
{
    if (!is_string(id) || !uuid_parse((struct slice){id.p + 1, id.len - 2}, &a->id))
        return wrong(reterr, "its id must be the id of an event that it was given");
    return 0;
}

static int read_status(struct answer *a, const struct members *m, struct diag *reterr)
{
    a->success = slice_is(m->status, "\"success\"");
    if (!a->success && !slice_is(m->status, "\"failed\""))
        return wrong(reterr, "its status must be \"success\" or \"failed\"");
    a->conclusive = !a->success && slice_is(m->retry, "false");
    return 0;
}

static int read_texts(struct answer *a, const struct members *m, struct diag *reterr)
{
    a->output = m->output;
    if (slice_is(m->output, "null"))
        a->output = SLICE_NONE;
    else if (is_string(m->output) && !string_text(m->output, &a->decoded[0], &a->output))
        return wrong(reterr, "its output must not have a NUL or half of a surrogate pair in it");
    if (m->error.p == NULL || slice_is(m->error, "null"))
        return 0;
    if (!is_string(m->error) || !string_text(m->error, &a->decoded[1], &a->error))
        return wrong(reterr,
                     "its error must be a string without a NUL or half of a surrogate pair");
    return 0;
}

static void forget(struct answer *a)
{
    for (int i = 0; i < 2; i++) {
        json_decref(a->decoded[i]);
        a->decoded[i] = NULL;
    }
    str_reset(&a->text);
    a->output = a->error = SLICE_NONE;
}

int answer_read(struct answer *a, struct slice line, struct diag *reterr)
{
    struct members m = {0};
    forget(a);
    if (!json_compact(line, &a->text))
        return not_json(line, reterr);
    if (!find_members(a->text.p, &m))
        return wrong(reterr, "it has a member twice");
    if (read_id(a, m.id, reterr) < 0 || read_status(a, &m, reterr) < 0)
        return -EINVAL;
    return read_texts(a, &m, reterr);
}

void answer_release(struct answer *a)
{
    forget(a);
    str_release(&a->text);
}
