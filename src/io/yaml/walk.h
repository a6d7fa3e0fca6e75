/* walk.h - what yaml.c stands on: libyaml's events one by one, and what is counted, remembered and said along the way.
 *
 * `event` is always the one being looked at. Who reads a node is called with its first event and returns at its last one. Functions that
 * say bool return false when they have filled *why with what is wrong, and where; then nothing is read any more.
 */
#ifndef IO_YAML_WALK_H
#define IO_YAML_WALK_H
#include "base/json.h"
#include "base/str.h"
#include "base/vec.h"
#include "io/yaml/places.h"
#include "pawl/err.h"
#include <stdbool.h>
#include <yaml.h>

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

/* One walk through a text. */
struct walk {
    struct slice text;
    struct diag *why;
    yaml_parser_t parser;
    yaml_event_t event;
    VEC(struct anchor) anchors; /* of the document */
    struct places *places;      /* NULL: nobody asks */
    struct place key;    /* of the node that is read next, where it is a member of a mapping */
    struct str failed;   /* the field that could not be read: put together while those around it give up */
    size_t nodes, bytes; /* so far, aliases expanded */
};

bool walk_next(struct walk *w);
bool __attribute__((format(printf, 2, 3))) walk_fail(struct walk *w, const char *fmt, ...); /* at the event; always false */

/* What failed is in that member, or in the i-th item. */
void walk_failed_in(struct walk *w, const char *name);
void walk_failed_in_item(struct walk *w, size_t i);

/* ---- where things are ---- */

struct place walk_here(const struct walk *w);
/* Notes the node that `event` begins; what is inside is noted next, until walk_place_end() with what this returned. */
size_t walk_place_begin(struct walk *w);
void walk_place_end(struct walk *w, size_t node);

/* ---- limits of yaml.h ---- */

bool walk_charge(struct walk *w, size_t nodes, size_t bytes); /* so many more */
bool walk_check_depth(struct walk *w, unsigned depth);

/* ---- anchors of the document ---- */

const struct anchor *walk_anchor(struct walk *w, const char *name); /* NULL: there is none yet */
/* Keeps a reference. A name may be given anew; aliases mean the last one before them. */
bool walk_put_anchor(struct walk *w, const char *name, json_t *value, const struct weight *weight);
void walk_drop_anchors(struct walk *w);

#endif
