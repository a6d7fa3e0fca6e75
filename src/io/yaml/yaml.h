/* yaml.h - YAML that people write, as JSON values.
 *
 * Scalars follow the core schema of YAML 1.2: plain `true`, `null`, `12`, `0x1f`, `1.5e3` are what they look like, `yes` and
 * `12:30` are strings, and so is everything quoted. Keys are strings, whatever they look like. Anchors and aliases work; an alias is a copy.
 *
 * Refused, with the place: duplicate keys, merge keys (<<), keys that are not scalars, tags other than those of the core schema,
 * infinity and NaN, integers beyond 64 bits, NUL in strings, and whatever goes over the limits below. The limits hold for what
 * a text means, not only for what it says: aliases count each time as much as what they stand for.
 *
 *     json_t *config = yaml_parse(text, &why);
 *     if (config == NULL) ...            -> why.line, why.column, why.msg: `not valid YAML at line 3, column 1: ...`
 */
#ifndef IO_YAML_YAML_H
#define IO_YAML_YAML_H
#include "base/json.h"
#include "base/str.h"
#include "pawl/err.h"
struct places; /* io/yaml/places.h */

#define YAML_BYTES_MAX (1024 * 1024) /* of a text; and of all scalars in it, aliases expanded */
#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX 100000        /* in all documents of a text */
#define YAML_ANCHORS_MAX 256         /* in one document */

/* Reads a text of at most one document. A text without one, or an empty one, is JSON null. NULL with *reterr on failure. The
 * caller owns the reference. */
json_t *yaml_parse(struct slice text, struct diag *reterr);

/* Reads a text of any number of documents, separated by `---`, into a JSON array. Empty documents are left out. NULL with
 * *reterr on failure. The caller owns the reference. */
json_t *yaml_parse_all(struct slice text, struct diag *reterr);

/* The same, and *ret says where each value is; the caller releases it. After a failure it says
 * which field it was. A text that is one JSON value is
 * taken whatever it holds, as far as base/json.h takes it. */
json_t *yaml_parse_places(struct slice text, struct places *ret, struct diag *reterr);

#endif
