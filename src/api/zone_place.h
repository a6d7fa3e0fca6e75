/* zone_place.h - which directories may be landing zones. */
#ifndef API_ZONE_PLACE_H
#define API_ZONE_PLACE_H
#include "api/api.h"
#include "base/json.h"
#include "base/str.h"
struct diag;
struct zone;
struct zone_def;

/* Appends the directory of a new zone at path ("namespace.name", with a NUL): `path` of the body, or, with *ret_ours set, one of ours.
 * 0, or -EINVAL with *reterr. */
int zone_place_take(const struct api *a, json_t *body, struct slice path, struct str *ret,
                    bool *ret_ours, struct diag *reterr);

/* Refuses a client's directory whose events would be of pawl's own files: in the data directory, or above it when recursive. */
int zone_place_check(const struct api *a, const char *directory, bool recursive,
                     struct diag *reterr);

/* Refuses a definition that a zone cannot get any more, or not where it is. */
int zone_place_check_change(const struct api *a, const struct zone *z, const struct zone_def *def,
                            struct diag *reterr);

#endif
