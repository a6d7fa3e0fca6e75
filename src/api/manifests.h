/* manifests.h - how the files of a watched directory of manifests are, for whoever asks: GET /api/v1/manifests. */
#ifndef API_MANIFESTS_H
#define API_MANIFESTS_H
#include "base/vec.h"
#include "pawl/time.h"
#include <stddef.h>

struct manifest_status {
    char *name;
    char *problems;         /* JSON objects with commas between; "": it is applied as it stands there */
    char *first;            /* of them, for people: "line:column: field: message" */
    size_t objects;         /* documents in it */
    struct wall applied_at; /* when it was last without a problem; unset: never since the start */
};

struct manifest_state {
    const char *directory;
    char *error; /* why the directory cannot be read; NULL: it can */
    VEC(struct manifest_status) files;
};

void manifest_state_release(struct manifest_state *s);

#endif
