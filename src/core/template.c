#include "core/template.h"
#include "base/check.h"
#include "base/json_compact.h"
#include <string.h>

#define OPEN "{{"
#define CLOSE "}}"
#define BRACES_LEN 2
#define BODY ".trigger.body"

/* Finds `what` in text from `at` on; text.len when it is not there. */
static size_t find(struct slice text, size_t at, const char *what)
{
    const char *p = at < text.len ? memmem(text.p + at, text.len - at, what, strlen(what)) : NULL;
    return p != NULL ? (size_t)(p - text.p) : text.len;
}

/* One step through a text: the plain part before the next look-up, then what stands between its braces. */
struct piece {
    struct slice plain;
    struct slice look_up; /* absent: there is none any more */
    bool open;            /* its braces are not closed */
};

static struct piece next_piece(struct slice text, size_t *at)
{
    const size_t open = find(text, *at, OPEN);
    struct piece p = {.plain = {text.p + *at, open - *at}};
    if (open == text.len) {
        *at = open;
        return p;
    }
    const size_t begin = open + BRACES_LEN, close = find(text, begin, CLOSE);
    p.open = close == text.len;
    p.look_up = slice_trim((struct slice){text.p + begin, close - begin});
    *at = p.open ? close : close + BRACES_LEN;
    return p;
}

/* ---- look-ups ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_char(name.p[i]))
            return false;
    return name.len > 0;
}

/* Takes ".name" off the front of *path. */
static bool take_name(struct slice *path, struct slice *ret)
{
    if (path->len == 0 || path->p[0] != '.')
        return false;
    const struct slice rest = {path->p + 1, path->len - 1};
    const size_t end = find(rest, 0, ".");
    *ret = (struct slice){rest.p, end};
    *path = (struct slice){rest.p + end, rest.len - end};
    return is_name(*ret);
}

static bool is_body(struct slice look_up, struct slice *ret_path)
{
    if (!slice_starts(look_up, BODY))
        return false;
    *ret_path = (struct slice){look_up.p + strlen(BODY), look_up.len - strlen(BODY)};
    return ret_path->len == 0 || ret_path->p[0] == '.';
}

static bool is_known(struct slice look_up)
{
    struct slice path, name;
    if (!is_body(look_up, &path))
        return slice_is(look_up, ".trigger.name") || slice_is(look_up, ".trigger.firedAt") ||
               slice_is(look_up, ".trigger.output");
    while (path.len > 0)
        if (!take_name(&path, &name))
            return false;
    return true;
}

int template_check(struct slice text, struct diag *reterr)
{
    for (size_t at = 0; at < text.len;) {
        const size_t from = at;
        const struct piece p = next_piece(text, &at);
        if (p.look_up.p == NULL || (!p.open && is_known(p.look_up)))
            continue;
        const int column = (int)(from + p.plain.len + 1);
        const int err =
            p.open ? diag_set(reterr, DIAG_INVALID_ARGUMENT, "column %d: '{{' without '}}'", column)
                   : diag_set(reterr, DIAG_INVALID_ARGUMENT,
                              "column %d: '%.*s' is not a look-up: .trigger.body.NAME, "
                              ".trigger.output, .trigger.firedAt or .trigger.name",
                              column, p.look_up.len < 100 ? (int)p.look_up.len : 100, p.look_up.p);
        if (reterr != NULL)
            reterr->column = column;
        return err;
    }
    return 0;
}

/* ---- values ---- */

/* A string that stands for no text (half of a surrogate pair) is left as it was written. */
void template_add_json(struct slice value, struct str *ret)
{
    json_t *text = NULL;
    if (value.len > 0 && value.p[0] == '"')
        text = json_loadb(value.p, value.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (text != NULL)
        str_add(ret, json_string_value(text), json_string_length(text));
    else if (!slice_is(value, "null"))
        CHECK(json_compact(value, ret));
    json_decref(text);
}

static void add_member(const struct json_members *body, struct slice path, struct str *ret)
{
    struct slice name;
    const json_t *at = body != NULL ? body->root : NULL;
    while (at != NULL && path.len > 0) {
        CHECK(take_name(&path, &name));
        at = json_members_get(at, name);
    }
    if (at != NULL)
        template_add_json(json_members_text(body, at), ret);
}

static void add_value(struct slice look_up, const struct template_values *v, struct str *ret)
{
    struct slice path;
    if (is_body(look_up, &path))
        add_member(v->body, path, ret);
    else if (slice_is(look_up, ".trigger.name"))
        str_add_slice(ret, v->name);
    else if (slice_is(look_up, ".trigger.firedAt"))
        str_add_slice(ret, v->fired_at);
    else
        str_add_slice(ret, v->output);
}

bool template_render(struct slice text, const struct template_values *v, size_t bytes_max,
                     struct str *ret)
{
    for (size_t at = 0; at < text.len && ret->len <= bytes_max;) {
        const struct piece p = next_piece(text, &at);
        str_add_slice(ret, p.plain);
        if (p.look_up.p != NULL)
            add_value(p.look_up, v, ret);
    }
    return ret->len <= bytes_max;
}
