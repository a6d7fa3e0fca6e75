/* slug.h - the names that people choose: of namespaces, layers, pipelines, zones. */
#ifndef BASE_SLUG_H
#define BASE_SLUG_H
#include "base/str.h"
#include <stdbool.h>

#define SLUG_LEN_MAX 63
#define SLUG_RULE "must be 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter"

/* True for [a-z][a-z0-9_-]{0,62}. */
bool slug_valid(struct slice text);

/* A slug of a text for people: letters in lower case, one '-' for each run of anything else, none at the ends; such as "order-processing" for
 * "Order Processing". False when nothing is left that begins with a letter. */
bool slug_make(struct slice text, char ret[SLUG_LEN_MAX + 1]);

#endif
