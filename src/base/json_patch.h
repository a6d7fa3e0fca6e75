/* json_patch.h - changing a JSON value by a patch: merge patches (RFC 7386) and JSON patches (RFC 6902).
 *
 * Patches come from people: how far one can blow up or deepen a value is bounded.
 */
#ifndef BASE_JSON_PATCH_H
#define BASE_JSON_PATCH_H
#include "base/json.h"
#include "pawl/err.h"

#define JSON_PATCH_OPS_MAX 10000
#define JSON_PATCH_COPIED_BYTES_MAX (1 << 20) /* by all "copy" operations of a patch */
#define JSON_PATCH_DEPTH_MAX 64                /* of where a value ends up, and of what it holds, together */

/* A new value: `target` with the members of the patch put in, replaced, and, where they are null, taken out. */
json_t *json_merge_patch(const json_t *target, const json_t *patch);

/* A new value: `doc` after all operations, in their order. NULL with *reterr: DIAG_INVALID_ARGUMENT, this is no JSON patch;
 * DIAG_FAILED_PRECONDITION, it does not fit the value. */
json_t *json_patch(const json_t *doc, const json_t *ops, struct diag *reterr);

#endif
