/* zone.h - landing zones: directories that are watched.
 *
 * As with pipelines the identity never changes and the definition is replaced as a whole. The files of a zone are not in memory:
 * the ledger in the store has them.
 */
#ifndef CORE_ZONE_H
#define CORE_ZONE_H
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"
#include "pawl/err.h"
#include "pawl/time.h"
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#define ZONE_GLOBS_MAX 64 /* in a list of patterns */
#define ZONE_SETTLE_MS_MAX (60 * 60 * 1000)
#define ZONE_RESCAN_S_MAX 86400

struct globs {
    char **items;
    size_t count;
};

/* What a zone takes for an arrival. Immutable; the zone and whoever works with it off the loop hold references. */
struct zone_def {
    char *spec;           /* JSON object: every field of the definition, defaults filled in */
    struct globs include; /* none: every file */
    struct globs exclude; /* also for the names of directories */
    bool recursive;       /* files below subdirectories, too */
    bool fire_existing;   /* files that were there before the zone are arrivals */
    uint64_t
        settle_ms; /* size and time of modification must have stood still this long; 0: as the file system needs */
    uint64_t rescan_ms; /* between two looks at everything; 0: as the file system needs */
    struct wall updated_at;
    uint32_t refs; /* counted on the loop */
};

struct zone {
    struct uuid id;
    int64_t key;     /* row key, small */
    char *path;      /* "namespace.name" */
    char *directory; /* absolute */
    bool made_by_us; /* below the data directory: made, and removed, by us */
    bool primed;     /* what was there before it is in the ledger */
    struct wall new_since; /* until then: what has not changed since was there before it, or before its definition took it for an arrival */
    struct zone_def *def;
    struct wall created_at;
    UT_hash_handle by_id, by_path;
};

/* Makes a definition of a checked JSON object: `description`, `include`, `exclude`, `recursive`, `settle_ms`, `rescan_seconds`, `initial`. It
 * has one reference. NULL with *reterr naming the field. */
struct zone_def *zone_def_make(json_t *spec, struct diag *reterr);
struct zone_def *zone_def_parse(struct slice spec, struct wall updated_at, struct diag *reterr);
struct zone_def *zone_def_ref(struct zone_def *d);
void zone_def_unref(struct zone_def *d); /* NULL is fine */

/* Whether both take the same files of a directory for arrivals. */
bool zone_def_same_files(const struct zone_def *a, const struct zone_def *b);

/* Whether the definition wants a file, whether it wants to look into a directory. Both texts have a NUL behind them. */
bool zone_wants(const struct zone_def *d, struct slice name, struct slice path);
bool zone_enters(const struct zone_def *d, struct slice name, struct slice path);

void zone_destroy(struct zone *z); /* NULL is fine */

#endif
