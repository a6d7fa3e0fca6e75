#include "io/yaml/yaml.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/check.h"
#include "base/vec.h"
#include "io/yaml/places.h"
#include "io/yaml/scalar.h"

/* libyaml gives events; one function per kind of node turns them into a value. `event` is always the one being looked at;
 * next() moves on. A function that reads a node is called with the node's first event and returns at its last one. */

/* What a node is worth against the limits. */
struct weight {
    size_t nodes, bytes;
    unsigned height; /* 1: a scalar */
};

struct anchor {
    char *name;
    json_t *value;
    struct weight weight;
};

struct reader {
    struct slice text;
    struct diag *why;
    yaml_parser_t parser;
    yaml_event_t event;
    VEC(struct anchor) anchors; /* of the document */
    struct places *places;      /* NULL: nobody asks */
    struct place key;    /* of the node that is read next, where it is a member of a mapping */
    size_t nodes, bytes; /* so far, aliases expanded */
};

static json_t *read_node(struct reader *r, unsigned depth, struct weight *ret);

/* ---- places ---- */

static struct place here(const struct reader *r)
{
    return (struct place){(uint32_t)r->event.start_mark.line + 1,
                          (uint32_t)r->event.start_mark.column + 1};
}

/* Notes the node that `event` begins; what is inside is noted next. */
static size_t place_begin(struct reader *r)
{
    const struct place key = r->key;

    r->key = (struct place){0};
    if (r->places == NULL)
        return 0;
    vec_push(&r->places->nodes, ((struct place_node){key.line > 0 ? key : here(r), here(r), 1}));
    return r->places->nodes.len - 1;
}

static void place_end(struct reader *r, size_t node)
{
    if (r->places != NULL)
        r->places->nodes.items[node].size = (uint32_t)(r->places->nodes.len - node);
}

/* ---- errors; all return false ---- */

static bool fail_at(struct reader *r, size_t line, size_t column, const char *text)
{
    diag_set(r->why, DIAG_INVALID_ARGUMENT, "not valid YAML at line %zu, column %zu: %s", line + 1,
             column + 1, text);
    if (r->why != NULL) {
        r->why->line = (int)line + 1;
        r->why->column = (int)column + 1;
    }
    return false;
}

static bool __attribute__((format(printf, 2, 3))) fail(struct reader *r, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return fail_at(r, r->event.start_mark.line, r->event.start_mark.column, text);
}

/* The bytes could not be read as characters; libyaml knows how many bytes came before. */
static bool reader_failed(struct reader *r)
{
    size_t line = 0, column = 0;

    for (size_t i = 0; i < r->parser.problem_offset && i < r->text.len; i++) {
        bool newline = r->text.p[i] == '\n';

        line += newline;
        column = newline ? 0 : column + 1;
    }
    return fail_at(r, line, column, r->parser.problem);
}

static bool parser_failed(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    char text[256];

    CHECK(p->error != YAML_MEMORY_ERROR);
    if (p->error == YAML_READER_ERROR)
        return reader_failed(r);
    snprintf(text, sizeof(text), "%s%s%s", p->problem, p->context ? ", " : "",
             p->context ? p->context : "");
    return fail_at(r, p->problem_mark.line, p->problem_mark.column, text);
}

/* ---- limits ---- */

static bool charge(struct reader *r, size_t nodes, size_t bytes)
{
    r->nodes += nodes;
    r->bytes += bytes;
    if (r->nodes > YAML_NODES_MAX)
        return fail(r, "more than %d values, aliases expanded", YAML_NODES_MAX);
    if (r->bytes > YAML_BYTES_MAX)
        return fail(r, "more than %d bytes of text, aliases expanded", YAML_BYTES_MAX);
    return true;
}

static bool check_depth(struct reader *r, unsigned depth)
{
    return depth <= YAML_DEPTH_MAX || fail(r, "more than %d levels of nesting", YAML_DEPTH_MAX);
}

/* ---- anchors ---- */

static struct anchor *anchor_find(struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->anchors.len; i++)
        if (strcmp(r->anchors.items[i].name, name) == 0)
            return &r->anchors.items[i];
    return NULL;
}

/* A name may be given anew; aliases mean the last one before them. */
static bool anchor_put(struct reader *r, const char *name, json_t *value,
                       const struct weight *weight)
{
    struct anchor *a = anchor_find(r, name);

    if (a != NULL) {
        json_decref(a->value);
    } else {
        if (r->anchors.len == YAML_ANCHORS_MAX)
            return fail(r, "more than %d anchors", YAML_ANCHORS_MAX);
        vec_push(&r->anchors, (struct anchor){.name = mem_strdup(name)});
        a = &r->anchors.items[r->anchors.len - 1];
    }
    a->value = json_incref(value);
    a->weight = *weight;
    return true;
}

static void anchors_release(struct reader *r)
{
    for (size_t i = 0; i < r->anchors.len; i++) {
        free(r->anchors.items[i].name);
        json_decref(r->anchors.items[i].value);
    }
    vec_release(&r->anchors);
}

/* ---- nodes ---- */

static bool next(struct reader *r)
{
    yaml_event_delete(&r->event);
    return yaml_parser_parse(&r->parser, &r->event) || parser_failed(r);
}

static const struct {
    const char *tag;
    enum scalar_kind kind;
} scalar_tags[] = {
    {"!", SCALAR_STRING},           {YAML_STR_TAG, SCALAR_STRING}, {YAML_INT_TAG, SCALAR_INT},
    {YAML_FLOAT_TAG, SCALAR_FLOAT}, {YAML_BOOL_TAG, SCALAR_BOOL},  {YAML_NULL_TAG, SCALAR_NULL},
};

static struct slice scalar_text(const struct reader *r)
{
    return (struct slice){(const char *)r->event.data.scalar.value, r->event.data.scalar.length};
}

static bool find_scalar_kind(struct reader *r, enum scalar_kind *ret)
{
    const char *tag = (const char *)r->event.data.scalar.tag;

    if (tag == NULL) {
        bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

        *ret = plain ? scalar_kind(scalar_text(r)) : SCALAR_STRING;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(scalar_tags); i++) {
        if (strcmp(tag, scalar_tags[i].tag) == 0) {
            *ret = scalar_tags[i].kind;
            return true;
        }
    }
    return fail(r, "the tag %s is not supported", tag);
}

static bool check_collection_tag(struct reader *r, const yaml_char_t *tag, const char *expected)
{
    return tag == NULL || strcmp((const char *)tag, "!") == 0 ||
           strcmp((const char *)tag, expected) == 0 ||
           fail(r, "the tag %s is not supported", (const char *)tag);
}

static json_t *read_scalar(struct reader *r)
{
    enum scalar_kind kind = SCALAR_NULL;
    const char *why;

    if (!charge(r, 1, r->event.data.scalar.length) || !find_scalar_kind(r, &kind))
        return NULL;
    json_t *v = scalar_value(scalar_text(r), kind, &why);

    if (v == NULL)
        fail(r, "%s", why);
    return v;
}

static void grow_height(struct weight *w, const struct weight *child)
{
    if (child->height >= w->height)
        w->height = child->height + 1;
}

static json_t *read_sequence(struct reader *r, unsigned depth, struct weight *ret)
{
    struct weight item;

    if (!charge(r, 1, 0) ||
        !check_collection_tag(r, r->event.data.sequence_start.tag, YAML_SEQ_TAG))
        return NULL;
    json_t *list = json_array(), *v;

    while (next(r) && r->event.type != YAML_SEQUENCE_END_EVENT) {
        v = read_node(r, depth + 1, &item);
        if (v == NULL)
            goto fail;
        CHECK(json_array_append_new(list, v) == 0);
        grow_height(ret, &item);
    }
    if (r->event.type == YAML_SEQUENCE_END_EVENT)
        return list;
fail:
    json_decref(list);
    return NULL;
}

/* Copies the key that `event` is, after all the checks a key needs. NULL when it fails one. */
static char *read_key(struct reader *r, const json_t *map)
{
    if (r->event.type != YAML_SCALAR_EVENT) {
        fail(r, "a key must be a simple value");
        return NULL;
    }
    struct slice text = scalar_text(r);

    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && slice_is(text, "<<")) {
        fail(r, "merge keys (<<) are not supported");
        return NULL;
    }
    if (!utf8_valid(text) || memchr(text.p, '\0', text.len) != NULL) {
        fail(r, "a key must be valid UTF-8 without NUL");
        return NULL;
    }
    if (r->event.data.scalar.anchor != NULL) {
        fail(r, "a key cannot have an anchor");
        return NULL;
    }
    if (json_object_get(map, text.p) != NULL) {
        fail(r, "the key \"%.100s\" is given twice", text.p);
        return NULL;
    }
    return charge(r, 1, text.len) ? mem_dup(text.p, text.len) : NULL;
}

static json_t *read_mapping(struct reader *r, unsigned depth, struct weight *ret)
{
    struct weight member;

    if (!charge(r, 1, 0) || !check_collection_tag(r, r->event.data.mapping_start.tag, YAML_MAP_TAG))
        return NULL;
    json_t *map = json_object();

    while (next(r) && r->event.type != YAML_MAPPING_END_EVENT) {
        char *key = read_key(r, map);
        r->key = here(r);
        json_t *v = key != NULL && next(r) ? read_node(r, depth + 1, &member) : NULL;

        if (v != NULL)
            CHECK(json_object_set_new(map, key, v) == 0);
        free(key);
        if (v == NULL)
            goto fail;
        grow_height(ret, &member);
    }
    if (r->event.type == YAML_MAPPING_END_EVENT)
        return map;
fail:
    json_decref(map);
    return NULL;
}

static json_t *read_alias(struct reader *r, unsigned depth, struct weight *ret)
{
    const char *name = (const char *)r->event.data.alias.anchor;
    const struct anchor *a = anchor_find(r, name);

    if (a == NULL) {
        fail(r, "no anchor &%.100s is complete before this alias", name);
        return NULL;
    }
    if (!charge(r, a->weight.nodes, a->weight.bytes) ||
        !check_depth(r, depth + a->weight.height - 1))
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

static json_t *read_unanchored(struct reader *r, unsigned depth, struct weight *ret)
{
    if (!check_depth(r, depth))
        return NULL;
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(r, depth, ret);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(r, depth, ret);
    case YAML_ALIAS_EVENT:
        return read_alias(r, depth, ret);
    default:
        CHECK(!"an event that does not begin a node");
    }
    return NULL;
}

/* `depth` is this node's, 1 for a document's root. */
static json_t *read_node(struct reader *r, unsigned depth, struct weight *ret)
{
    const size_t nodes_before = r->nodes, bytes_before = r->bytes;
    const size_t place = place_begin(r);
    char *anchor = mem_strdup((const char *)anchor_name(&r->event));

    *ret = (struct weight){.height = 1};
    json_t *v = read_unanchored(r, depth, ret);

    place_end(r, place);
    ret->nodes = r->nodes - nodes_before;
    ret->bytes = r->bytes - bytes_before;
    if (v != NULL && anchor != NULL && !anchor_put(r, anchor, v, ret)) {
        json_decref(v);
        v = NULL;
    }
    free(anchor);
    return v;
}

/* ---- documents ---- */

static json_t *read_document(struct reader *r)
{
    struct weight weight;
    json_t *v = next(r) ? read_node(r, 1, &weight) : NULL;

    anchors_release(r);
    if (v != NULL && !next(r)) {
        json_decref(v);
        return NULL;
    }
    CHECK(v == NULL || r->event.type == YAML_DOCUMENT_END_EVENT);
    return v;
}

/* A document that is empty leaves nothing behind. */
static void take_document(struct reader *r, json_t *list, json_t *v, size_t place)
{
    if (!json_is_null(v)) {
        CHECK(json_array_append_new(list, v) == 0);
        if (r->places != NULL)
            vec_push(&r->places->documents, place);
        return;
    }
    json_decref(v);
    if (r->places != NULL)
        r->places->nodes.len = place;
}

static bool read_stream(struct reader *r, json_t *list, size_t documents_max)
{
    size_t documents = 0;

    if (!next(r)) /* the stream's start */
        return false;
    while (next(r) && r->event.type == YAML_DOCUMENT_START_EVENT) {
        if (documents++ == documents_max)
            return fail(r, "only one document is expected");
        const size_t place = r->places != NULL ? r->places->nodes.len : 0;
        json_t *v = read_document(r);

        if (v == NULL)
            return false;
        take_document(r, list, v, place);
    }
    return r->event.type == YAML_STREAM_END_EVENT;
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
    struct reader r = {.text = text, .why = reterr, .places = places};

    if (!check_size(text, reterr))
        return NULL;
    json_t *list = json_array();

    CHECK(yaml_parser_initialize(&r.parser));
    yaml_parser_set_input_string(&r.parser, (const yaml_char_t *)(text.p ? text.p : ""), text.len);
    if (!read_stream(&r, list, documents_max)) {
        json_decref(list);
        list = NULL;
    }
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
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
    if (v == NULL)
        places_release(ret);
    return v;
}
