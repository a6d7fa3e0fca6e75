/* kinds.h - the kinds of objects that commands name: `pawl get pipelines`, `pawl delete trigger NAME`. */
#ifndef CLI_KINDS_H
#define CLI_KINDS_H
#include "base/str.h"
#include "cli/cli.h"

enum kind_id { KIND_ARK, KIND_PIPELINE, KIND_TRIGGER, KIND_ZONE };

struct kind {
    enum kind_id id;
    const char *name;        /* "Pipeline": of manifests */
    const char *api_version; /* "pawl.dev/v1" */
    const char *words[8];    /* that people call it, in lower case, the plural first; ends with NULL */
};

/* By any of its words, whatever the case of the letters; NULL when there is none. */
const struct kind *kind_find(const char *word);

/* The same, with an error that names those there are. */
const struct kind *kind_take(const struct cli_command *c, const char *word);

/* "pipeline.pawl.dev/load"; the caller frees it. `k` may be NULL: the name alone. */
char *kind_object_name(const struct kind *k, const char *name);

#endif
