#include "io/yaml/places.h"
#include "base/check.h"
#include <string.h>

/* ---- finding ---- */

struct cursor {
    const struct places *places;
    size_t node;
    json_t *value;
};

/* The part of `field` that a key of the object is, or 0: keys may have dots in them, so the longest one counts. */
static size_t match_key(const char *field, const char *key)
{
    const size_t len = strlen(key);
    if (strncmp(field, key, len) != 0)
        return 0;
    return field[len] == '\0' || field[len] == '.' || field[len] == '[' ? len : 0;
}

/* Whether the node has others inside, as many as its value has. */
static bool is_open(const struct cursor *c, size_t children)
{
    return c->places->nodes.items[c->node].size > children && children > 0;
}

static bool enter_member(struct cursor *c, const char **field)
{
    size_t node = c->node + 1, best_len = 0;
    struct cursor best = *c;
    const char *key;
    json_t *v;
    if (!is_open(c, json_object_size(c->value)))
        return false;
    json_object_foreach(c->value, key, v)
    {
        const size_t len = match_key(*field, key);
        if (len > best_len) {
            best_len = len;
            best.node = node;
            best.value = v;
        }
        node += c->places->nodes.items[node].size;
    }
    *c = best;
    *field += best_len;
    return best_len > 0;
}

static bool enter_item(struct cursor *c, const char **field)
{
    char *end;
    const unsigned long want = strtoul(*field + 1, &end, 10);
    const size_t count = json_array_size(c->value);
    if (!is_open(c, count) || *end != ']' || want >= count)
        return false;
    c->node++;
    for (unsigned long i = 0; i < want; i++)
        c->node += c->places->nodes.items[c->node].size;
    c->value = json_array_get(c->value, want);
    *field = end + 1;
    return true;
}

struct place places_find(const struct places *p, size_t i, json_t *doc, const char *field,
                         enum place_of what)
{
    if (i >= p->documents.len)
        return (struct place){1, 1};
    struct cursor c = {p, p->documents.items[i], doc};
    bool found = true;
    while (*field != '\0' && found) {
        if (*field == '.' && *++field == '\0')
            break;
        found = *field == '[' ? enter_item(&c, &field) : enter_member(&c, &field);
    }
    const struct place_node *n = &p->nodes.items[c.node];
    return found && what == PLACE_VALUE ? n->value : n->key;
}

void places_release(struct places *p)
{
    vec_release(&p->nodes);
    vec_release(&p->documents);
    free(p->failed);
    p->failed = NULL;
}

/* ---- JSON ----
 *
 * The text is known to be right, so that only strings and brackets have to be told apart. */

struct scan {
    struct places *places;
    const char *p, *end;
    struct place at;
    size_t nodes_max;
};

static void step(struct scan *s)
{
    const unsigned char c = (unsigned char)*s->p++;
    if (c == '\n')
        s->at = (struct place){s->at.line + 1, 1};
    else if ((c & 0xc0) != 0x80) /* not the rest of a character */
        s->at.column++;
}

static bool is_at(const struct scan *s, const char *any_of)
{
    return s->p < s->end && strchr(any_of, *s->p) != NULL && *s->p != '\0';
}

static void skip(struct scan *s, const char *any_of)
{
    while (is_at(s, any_of))
        step(s);
}

static void skip_string(struct scan *s)
{
    step(s);
    while (s->p < s->end && *s->p != '"') {
        if (*s->p == '\\')
            step(s);
        if (s->p < s->end)
            step(s);
    }
    if (s->p < s->end)
        step(s);
}

#define BLANKS " \t\r\n"

static bool scan_value(struct scan *s, struct place key);

static bool scan_inside(struct scan *s)
{
    const bool object = *s->p == '{';
    step(s);
    skip(s, BLANKS);
    while (s->p < s->end && !is_at(s, "]}")) {
        const struct place key = s->at;
        if (object) {
            skip_string(s);
            skip(s, BLANKS ":");
        }
        if (!scan_value(s, key))
            return false;
        skip(s, BLANKS ",");
    }
    if (s->p < s->end)
        step(s);
    return true;
}

/* As deep as the parser has let the text be. */
static bool scan_value(struct scan *s, struct place key)
{
    const size_t node = s->places->nodes.len;
    bool good = true;
    if (node == s->nodes_max)
        return false;
    vec_push(&s->places->nodes, ((struct place_node){.key = key, .value = s->at}));
    if (is_at(s, "{["))
        good = scan_inside(s);
    else if (is_at(s, "\""))
        skip_string(s);
    else
        while (s->p < s->end && !is_at(s, ",]}" BLANKS))
            step(s);
    s->places->nodes.items[node].size = (uint32_t)(s->places->nodes.len - node);
    return good;
}

bool places_scan_json(struct places *p, struct slice text, size_t nodes_max)
{
    struct scan s = {p, text.p, text.p + text.len, {1, 1}, nodes_max};
    if (slice_starts(text, "\xef\xbb\xbf"))
        s.p += 3;
    skip(&s, BLANKS);
    vec_push(&p->documents, p->nodes.len);
    return scan_value(&s, s.at);
}
