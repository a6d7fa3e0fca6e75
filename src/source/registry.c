/* registry.c - the table of sources, made from the list in meson.build. */
#include "pawl/source.h"
#include <string.h>

#define X(name) extern const struct source_type source_##name;
#include "source_list.inc"
#undef X

const struct source_type *const source_types[] = {
#define X(name) &source_##name,
#include "source_list.inc"
#undef X
    NULL,
};

const struct trigger_type *trigger_type_find(const char *name)
{
    for (const struct source_type *const *s = source_types; *s != NULL; s++) {
        for (const struct trigger_type *t = (*s)->trigger_types; t->name != NULL; t++) {
            if (strcmp(t->name, name) == 0)
                return t;
        }
    }
    return NULL;
}

void trigger_draft_release(struct trigger_draft *d)
{
    json_decref(d->config);
    json_decref(d->shown_once);
    *d = (struct trigger_draft){0};
}
