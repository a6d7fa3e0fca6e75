/* scalar.h - what a plain YAML scalar means in the core schema of YAML 1.2 (section 10.3.2). */
#ifndef IO_YAML_SCALAR_H
#define IO_YAML_SCALAR_H
#include "base/json.h"
#include "base/str.h"

enum scalar_kind { SCALAR_NULL, SCALAR_BOOL, SCALAR_INT, SCALAR_FLOAT, SCALAR_STRING };

/* Which kind an untagged plain scalar is. */
enum scalar_kind scalar_kind(struct slice text);

/* The value of a scalar as the given kind; the caller owns it. NULL with *ret_why (static memory) when it is none that JSON has:
 * not of that kind, too big, infinite, not a text. */
json_t *scalar_value(struct slice text, enum scalar_kind kind, const char **ret_why);

#endif
