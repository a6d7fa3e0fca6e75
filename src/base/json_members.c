/* json_members.c - the index is made of jansson's values: of an object an object, of all else the place where it stands.
 *
 * An object's own place is its member with the empty name, which nobody asks for. */
#include "base/json_members.h"
#include "base/check.h"
#include "base/json_compact.h"
#include "base/json_scan.h"
#include <string.h>

#define PLACE_BITS 31 /* of the offset, and of the length */
#define OWN_PLACE ""

static json_t *place(const struct json_members *m, const char *from, const char *end)
{
    return json_integer(
        (json_int_t)((uint64_t)(from - m->text.p) << PLACE_BITS | (uint64_t)(end - from)));
}

static void advance(struct slice *rest, size_t n)
{
    *rest = (struct slice){rest->p + n, rest->len - n};
}

/* Names with escapes mean what they stand for. Those that stand for no text, or for none, cannot be asked for. False when there is
 * one of that name already. */
static bool add_member(json_t *object, struct slice key, json_t *value)
{
    const bool plain = memchr(key.p, '\\', key.len) == NULL;
    json_t *decoded = plain ? NULL : json_loadb(key.p, key.len, JSON_DECODE_ANY, NULL);
    struct slice name = {key.p + 1, key.len - 2};
    if (!plain)
        name = (struct slice){json_string_value(decoded), json_string_length(decoded)};
    const bool twice = name.len > 0 && json_object_getn(object, name.p, name.len) != NULL;
    if (name.len > 0 && !twice)
        json_object_setn(object, name.p, name.len, value);
    json_decref(decoded);
    json_decref(value);
    return !twice;
}

static json_t *read_value(const struct json_members *m, struct slice *rest);

/* rest begins with the opening brace, and is what follows the closing one afterwards. */
static json_t *read_object(const struct json_members *m, struct slice *rest)
{
    const char *from = rest->p;
    json_t *object = json_object();
    advance(rest, 1);
    while (*rest = json_scan_next(*rest), rest->p[0] != '}') {
        const struct slice key = {rest->p, json_scan_len(*rest)};
        advance(rest, key.len);
        json_t *value = read_value(m, rest);
        if (value == NULL || !add_member(object, key, value)) {
            json_decref(object);
            return NULL;
        }
    }
    advance(rest, 1);
    json_object_set_new(object, OWN_PLACE, place(m, from, rest->p));
    return object;
}

static json_t *read_value(const struct json_members *m, struct slice *rest)
{
    *rest = json_scan_next(*rest);
    if (rest->p[0] == '{')
        return read_object(m, rest);
    const char *from = rest->p;
    advance(rest, json_scan_len(*rest));
    return place(m, from, rest->p);
}

bool json_members_open(struct json_members *m, struct slice text)
{
    struct slice rest = text;
    *m = (struct json_members){.text = text};
    if (text.len > INT32_MAX || !json_is_value(text))
        return false;
    m->root = read_value(m, &rest);
    return m->root != NULL;
}

void json_members_close(struct json_members *m)
{
    json_decref(m->root);
    *m = (struct json_members){0};
}

const json_t *json_members_get(const json_t *value, struct slice name)
{
    CHECK(name.len > 0);
    return json_object_getn(value, name.p, name.len);
}

struct slice json_members_text(const struct json_members *m, const json_t *value)
{
    const json_t *at = json_is_object(value) ? json_object_get(value, OWN_PLACE) : value;
    const uint64_t n = (uint64_t)json_integer_value(at);
    return (struct slice){m->text.p + (n >> PLACE_BITS), n & ((UINT64_C(1) << PLACE_BITS) - 1)};
}
