/* applied.h - which objects came from manifests, under which name, and what vouches for each.
 *
 * An object that is applied is marked: by its key "KIND/NAMESPACE/NAME" applying again finds it, also where the object has no name of its
 * own, as a trigger; its owner says which set of manifests it is part of, so that what is not in the set any more can be deleted. The
 * mark goes with its object, whoever deletes that. As with all of the catalog: changed by the engine, undone with its batch.
 */
#ifndef CORE_APPLIED_H
#define CORE_APPLIED_H
#include "core/catalog.h"

struct applied {
    struct uuid object; /* a pipeline's, zone's or trigger's id */
    char *key;
    char *owner;
    UT_hash_handle by_key, by_object;
};

/* NULL when there is none. */
struct applied *catalog_applied(const struct catalog *c, struct slice key);
struct applied *catalog_applied_object(const struct catalog *c, struct uuid object);

void applied_release(struct catalog *c); /* destroys all */

#endif
