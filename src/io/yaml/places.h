/* places.h - where the values of a text are: the line and column of each, so that what is wrong with one can be pointed at.
 *
 *     struct places at = {0};
 *     json_t *documents = yaml_parse_places(text, &at, &why);
 *     struct place p = places_find(&at, 1, json_array_get(documents, 1), "spec.targets[1].team", PLACE_VALUE);
 *     printf("%u:%u", p.line, p.column);
 *     places_release(&at);
 */
#ifndef IO_YAML_PLACES_H
#define IO_YAML_PLACES_H
#include "base/json.h"
#include "base/str.h"
#include "base/vec.h"

struct place {
    uint32_t line, column; /* from 1; columns are characters */
};

/* A value. Those inside it follow it, in the order of the JSON value that was made of the text. */
struct place_node {
    struct place key, value; /* key: of a member of an object, else as value */
    uint32_t size;           /* nodes, with all inside; of an alias 1: what it stands for was written elsewhere */
};

struct places {
    VEC(struct place_node) nodes;
    VEC(size_t) documents; /* the root of each */
    char *failed;          /* when the text could not be read: the field at which it was given up, "" the text; else NULL */
};

enum place_of { PLACE_VALUE, PLACE_KEY };

/* Where a field of a document is, such as "metadata.name" or "spec.targets[1].team"; "": the document. Of one that is not there, the
 * place of what it would be in. `doc` is the i-th document as it was parsed, unchanged. */
struct place places_find(const struct places *p, size_t i, json_t *doc, const char *field, enum place_of what);

/* Records the values of a JSON text that has been parsed without an error, as one document. False when there are more than nodes_max. */
bool places_scan_json(struct places *p, struct slice text, size_t nodes_max);

void places_release(struct places *p);

#endif
