/* YAML from anybody: every document that is taken is JSON and within the limits. */
#include <string.h>
#include "base/check.h"
#include "io/yaml/places.h"
#include "io/yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_document(const json_t *v)
{
    struct str text = {0};

    str_add_json_value(&text, v);
    json_t *back = json_parse(str_slice(&text), NULL);

    CHECK(back != NULL && json_equal(v, back));
    json_decref(back);
    str_release(&text);
}

/* How many nodes a value takes at most; checks that each one lies within its parent. */
static size_t check_nodes(const struct places *at, size_t node, const json_t *v)
{
    const struct place_node *n = &at->nodes.items[node];
    size_t i, next = node + 1;
    const char *key;
    json_t *child;

    CHECK(n->size > 0 && node + n->size <= at->nodes.len && n->value.line > 0 && n->key.line > 0);
    if (n->size == 1)
        return 1;
    json_object_foreach((json_t *)v, key, child) next += check_nodes(at, next, child);
    json_array_foreach(v, i, child) next += check_nodes(at, next, child);
    CHECK(next == node + n->size);
    return n->size;
}

static void check_places(struct slice text, const json_t *expected)
{
    struct diag why = {.msg = ""};
    struct places at;
    json_t *all = yaml_parse_places(text, &at, &why);

    CHECK(expected == NULL || all != NULL); /* JSON may be taken that YAML is not */
    CHECK(all != NULL ? at.documents.len == json_array_size(all)
                      : why.line > 0 && at.nodes.len == 0);
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *doc = json_array_get(all, i);
        check_nodes(&at, at.documents.items[i], doc);
        CHECK(places_find(&at, i, doc, "a.b[1].c", PLACE_VALUE).line > 0);
    }
    json_decref(all);
    places_release(&at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = {(const char *)data, size};
    struct diag why = {.msg = ""};
    json_t *all = yaml_parse_all(text, &why), *one = yaml_parse(text, NULL);

    check_places(text, all);
    if (all == NULL) {
        CHECK(one == NULL);
        CHECK(why.msg[0] != '\0' && utf8_valid(slice_of(why.msg)));
        CHECK(why.line > 0 && why.column > 0);
        return 0;
    }
    for (size_t i = 0; i < json_array_size(all); i++)
        check_document(json_array_get(all, i));
    if (one != NULL && !json_is_null(one))
        CHECK(json_array_size(all) == 1 && json_equal(one, json_array_get(all, 0)));
    json_decref(one);
    json_decref(all);
    return 0;
}
