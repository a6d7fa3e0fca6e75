/* source.h - how to add a source: code that turns something outside into events.
 *
 * A source is one file in src/source ending in `const struct source_type source_foo = {...}` and
 * its name in the list in src/source/meson.build. It brings the trigger types whose events it
 * makes. Config parsing, `pawl help`, the docs and a contract test iterate the table; nothing
 * switches over types.
 */
#ifndef PAWL_SOURCE_H
#define PAWL_SOURCE_H
#include "pawl/err.h"
#include "pawl/event.h"
#include "pawl/host.h"
#include <jansson.h>
#include <stdbool.h>

struct http_server;
struct rule; /* core/rule.h */

/* One documented field of a config object. */
struct option_doc {
    const char *name; /* as it stands in the config */
    const char *type; /* "string", "integer", "boolean", "object", "array" */
    bool required;
    const char *help; /* one line */
};

#define TRIGGER_LABEL_SIZE 256

/* A trigger config that was checked, ready to be stored. */
struct trigger_draft {
    json_t *config;     /* what is stored and shown; the owner of the draft releases it */
    json_t *shown_once; /* object whose members are added to the creation response only, or NULL;
                             released likewise */
};
void trigger_draft_release(struct trigger_draft *d);

struct trigger_type {
    const char *name;                 /* "webhook" */
    const char *help;                 /* one line */
    const struct option_doc *options; /* what config may hold; ends with a NULL name */

    /* Checks a config from a client, references included. `old` is the stored config when the
     * trigger exists, else NULL. Fills *ret, or returns -EINVAL with *reterr naming the field as
     * `config.<field>: ...`. Must refuse unknown fields. */
    int (*check)(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                 struct diag *reterr);

    /* What a checked config means: when it fires. Fills *ret, which the caller releases; 0, or -EINVAL with *reterr. */
    int (*rule)(json_t *config, struct rule *ret, struct diag *reterr);

    /* What the runs of a trigger with that stored config say of it: "trigger:webhook", "trigger:cron:0 * * * *". */
    void (*label)(json_t *config, char ret[TRIGGER_LABEL_SIZE]);

    bool shows_webhook_url; /* its triggers are shown with webhook_url */
    bool has_targets;       /* its triggers nest under no pipeline: their rules have targets */

    /* One whose stored config has no rule any more, since another pawl took it or a zone file is gone, is loaded nevertheless: it fires
     * never, and has no targets, until it is changed. Of other types such a trigger keeps the daemon from starting. */
    bool outlives_rule;
};

struct source;

struct source_type {
    const char *name; /* "webhook": also the source of its events */
    const char *help;
    const struct trigger_type *trigger_types; /* ends with a NULL name */

    /* Starts: adds routes, opens what it needs. NULL with *reterr when the daemon must not start.
     */
    struct source *(*start)(struct host *h, struct http_server *http, struct diag *reterr);

    /* Ends: no event is fed from now on; frees s when everything is closed, then calls closed,
     * which may be at once. */
    void (*stop)(struct source *s, void (*closed)(void *arg), void *arg);
};

extern const struct source_type *const source_types[];          /* sorted by name, ends with NULL */
const struct trigger_type *trigger_type_find(const char *name); /* NULL when there is none */

#endif
