#include "io/yaml/yaml.h"
#include "base/check.h"
#include "io/yaml/walk.h"
#include "io/yaml/scalar.h"
#include <stdlib.h>
#include <string.h>

static json_t *read_node(struct walk *w, unsigned depth, struct weight *ret);

/* ---- nodes: one function per kind turns its events into a value ---- */

static const struct {
    const char *tag;
    enum scalar_kind kind;
} scalar_tags[] = {
    {"!", SCALAR_STRING},           {YAML_STR_TAG, SCALAR_STRING}, {YAML_INT_TAG, SCALAR_INT},
    {YAML_FLOAT_TAG, SCALAR_FLOAT}, {YAML_BOOL_TAG, SCALAR_BOOL},  {YAML_NULL_TAG, SCALAR_NULL},
};

static struct slice scalar_text(const struct walk *w)
{
    return (struct slice){(const char *)w->event.data.scalar.value, w->event.data.scalar.length};
}

static bool find_scalar_kind(struct walk *w, enum scalar_kind *ret)
{
    const char *tag = (const char *)w->event.data.scalar.tag;

    if (tag == NULL) {
        bool plain = w->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

        *ret = plain ? scalar_kind(scalar_text(w)) : SCALAR_STRING;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(scalar_tags); i++) {
        if (strcmp(tag, scalar_tags[i].tag) == 0) {
            *ret = scalar_tags[i].kind;
            return true;
        }
    }
    return walk_fail(w, "the tag %s is not supported", tag);
}

static bool check_collection_tag(struct walk *w, const yaml_char_t *tag, const char *expected)
{
    return tag == NULL || strcmp((const char *)tag, "!") == 0 ||
           strcmp((const char *)tag, expected) == 0 ||
           walk_fail(w, "the tag %s is not supported", (const char *)tag);
}

static json_t *read_scalar(struct walk *w)
{
    enum scalar_kind kind = SCALAR_NULL;
    const char *why;

    if (!walk_charge(w, 1, w->event.data.scalar.length) || !find_scalar_kind(w, &kind))
        return NULL;
    json_t *v = scalar_value(scalar_text(w), kind, &why);

    if (v == NULL)
        walk_fail(w, "%s", why);
    return v;
}

static void grow_height(struct weight *w, const struct weight *child)
{
    if (child->height >= w->height)
        w->height = child->height + 1;
}

static json_t *read_sequence(struct walk *w, unsigned depth, struct weight *ret)
{
    struct weight item;

    if (!walk_charge(w, 1, 0) ||
        !check_collection_tag(w, w->event.data.sequence_start.tag, YAML_SEQ_TAG))
        return NULL;
    json_t *list = json_array(), *v;

    while (walk_next(w) && w->event.type != YAML_SEQUENCE_END_EVENT) {
        v = read_node(w, depth + 1, &item);
        if (v == NULL) {
            walk_failed_in_item(w, json_array_size(list));
            goto fail;
        }
        CHECK(json_array_append_new(list, v) == 0);
        grow_height(ret, &item);
    }
    if (w->event.type == YAML_SEQUENCE_END_EVENT)
        return list;
fail:
    json_decref(list);
    return NULL;
}

/* Copies the key that `event` is, after all the checks a key needs. NULL when it fails one. */
static char *read_key(struct walk *w, const json_t *map)
{
    if (w->event.type != YAML_SCALAR_EVENT) {
        walk_fail(w, "a key must be a simple value");
        return NULL;
    }
    struct slice text = scalar_text(w);

    if (w->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && slice_is(text, "<<")) {
        walk_fail(w, "merge keys (<<) are not supported");
        return NULL;
    }
    if (!utf8_valid(text) || memchr(text.p, '\0', text.len) != NULL) {
        walk_fail(w, "a key must be valid UTF-8 without NUL");
        return NULL;
    }
    if (w->event.data.scalar.anchor != NULL) {
        walk_fail(w, "a key cannot have an anchor");
        return NULL;
    }
    if (json_object_get(map, text.p) != NULL) {
        walk_fail(w, "the key \"%.100s\" is given twice", text.p);
        walk_failed_in(w, text.p);
        return NULL;
    }
    return walk_charge(w, 1, text.len) ? mem_dup(text.p, text.len) : NULL;
}

static json_t *read_mapping(struct walk *w, unsigned depth, struct weight *ret)
{
    struct weight member;

    if (!walk_charge(w, 1, 0) ||
        !check_collection_tag(w, w->event.data.mapping_start.tag, YAML_MAP_TAG))
        return NULL;
    json_t *map = json_object();

    while (walk_next(w) && w->event.type != YAML_MAPPING_END_EVENT) {
        char *key = read_key(w, map);
        w->key = walk_here(w);
        json_t *v = key != NULL && walk_next(w) ? read_node(w, depth + 1, &member) : NULL;

        if (v != NULL)
            CHECK(json_object_set_new(map, key, v) == 0);
        else if (key != NULL)
            walk_failed_in(w, key);
        free(key);
        if (v == NULL)
            goto fail;
        grow_height(ret, &member);
    }
    if (w->event.type == YAML_MAPPING_END_EVENT)
        return map;
fail:
    json_decref(map);
    return NULL;
}

static json_t *read_alias(struct walk *w, unsigned depth, struct weight *ret)
{
    const char *name = (const char *)w->event.data.alias.anchor;
    const struct anchor *a = walk_anchor(w, name);

    if (a == NULL) {
        walk_fail(w, "no anchor &%.100s is complete before this alias", name);
        return NULL;
    }
    if (!walk_charge(w, a->weight.nodes, a->weight.bytes) ||
        !walk_check_depth(w, depth + a->weight.height - 1))
        return NULL;
    *ret = a->weight;
    return json_deep_copy(a->value);
}

static const yaml_char_t *anchor_name(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static json_t *read_unanchored(struct walk *w, unsigned depth, struct weight *ret)
{
    if (!walk_check_depth(w, depth))
        return NULL;
    switch (w->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(w);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(w, depth, ret);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(w, depth, ret);
    case YAML_ALIAS_EVENT:
        return read_alias(w, depth, ret);
    default:
        CHECK(!"an event that does not begin a node");
    }
    return NULL;
}

/* `depth` is this node's, 1 for a document's root. */
static json_t *read_node(struct walk *w, unsigned depth, struct weight *ret)
{
    const size_t nodes_before = w->nodes, bytes_before = w->bytes;
    const size_t place = walk_place_begin(w);
    char *anchor = mem_strdup((const char *)anchor_name(&w->event));

    *ret = (struct weight){.height = 1};
    json_t *v = read_unanchored(w, depth, ret);

    walk_place_end(w, place);
    ret->nodes = w->nodes - nodes_before;
    ret->bytes = w->bytes - bytes_before;
    if (v != NULL && anchor != NULL && !walk_put_anchor(w, anchor, v, ret)) {
        json_decref(v);
        v = NULL;
    }
    free(anchor);
    return v;
}

/* ---- documents ---- */

static json_t *read_document(struct walk *w)
{
    struct weight weight;
    json_t *v = walk_next(w) ? read_node(w, 1, &weight) : NULL;

    walk_drop_anchors(w);
    if (v != NULL && !walk_next(w)) {
        json_decref(v);
        return NULL;
    }
    CHECK(v == NULL || w->event.type == YAML_DOCUMENT_END_EVENT);
    return v;
}

/* A document that is empty leaves nothing behind. */
static void take_document(struct walk *w, json_t *list, json_t *v, size_t place)
{
    if (!json_is_null(v)) {
        CHECK(json_array_append_new(list, v) == 0);
        if (w->places != NULL)
            vec_push(&w->places->documents, place);
        return;
    }
    json_decref(v);
    if (w->places != NULL)
        w->places->nodes.len = place;
}

static bool read_stream(struct walk *w, json_t *list, size_t documents_max)
{
    size_t documents = 0;

    if (!walk_next(w)) /* the stream's start */
        return false;
    while (walk_next(w) && w->event.type == YAML_DOCUMENT_START_EVENT) {
        if (documents++ == documents_max)
            return walk_fail(w, "only one document is expected");
        const size_t place = w->places != NULL ? w->places->nodes.len : 0;
        json_t *v = read_document(w);

        if (v == NULL)
            return false;
        take_document(w, list, v, place);
    }
    return w->event.type == YAML_STREAM_END_EVENT;
}

static bool check_size(struct slice text, struct diag *reterr)
{
    if (text.len <= YAML_BYTES_MAX)
        return true;
    diag_set(reterr, DIAG_PAYLOAD_TOO_LARGE, "the YAML text is longer than %d bytes",
             YAML_BYTES_MAX);
    return false;
}

static json_t *parse(struct slice text, size_t documents_max, struct places *places,
                     struct diag *reterr)
{
    struct walk w = {.text = text, .why = reterr, .places = places};

    if (!check_size(text, reterr))
        return NULL;
    json_t *list = json_array();

    CHECK(yaml_parser_initialize(&w.parser));
    yaml_parser_set_input_string(&w.parser, (const yaml_char_t *)(text.p ? text.p : ""), text.len);
    if (!read_stream(&w, list, documents_max)) {
        json_decref(list);
        list = NULL;
        if (places != NULL)
            places->failed = str_detach(&w.failed);
    }
    str_release(&w.failed);
    yaml_event_delete(&w.event);
    yaml_parser_delete(&w.parser);
    return list;
}

json_t *yaml_parse_all(struct slice text, struct diag *reterr)
{
    return parse(text, SIZE_MAX, NULL, reterr);
}

json_t *yaml_parse(struct slice text, struct diag *reterr)
{
    json_t *list = parse(text, 1, NULL, reterr), *v = NULL;

    if (list != NULL)
        v = json_array_size(list) > 0 ? json_incref(json_array_get(list, 0)) : json_null();
    json_decref(list);
    return v;
}

/* What libyaml does not take of JSON: pairs of surrogates, keys of more than 1024 bytes, blanks before the first bracket. */
static json_t *parse_json(struct slice text, struct places *ret)
{
    const size_t mark = slice_starts(text, "\xef\xbb\xbf") ? 3 : 0;
    size_t i = mark;

    while (i < text.len && text.p[i] != '\0' && strchr(" \t\r\n", text.p[i]) != NULL)
        i++;
    if (i == text.len || (text.p[i] != '{' && text.p[i] != '['))
        return NULL;
    json_t *v = json_parse((struct slice){text.p + mark, text.len - mark}, NULL);

    if (v != NULL && !places_scan_json(ret, text, YAML_NODES_MAX)) {
        places_release(ret);
        json_decref(v);
        v = NULL;
    }
    return v;
}

json_t *yaml_parse_places(struct slice text, struct places *ret, struct diag *reterr)
{
    *ret = (struct places){0};
    if (!check_size(text, reterr))
        return NULL;
    json_t *v = parse_json(text, ret);

    if (v != NULL)
        return json_pack("[o]", v);
    v = parse(text, SIZE_MAX, ret, reterr);
    if (v == NULL) {
        vec_release(&ret->nodes);
        vec_release(&ret->documents);
    }
    return v;
}
