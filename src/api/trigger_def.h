/* trigger_def.h - from what a client says about a trigger to its definition: the REST API's and the manifests' way. */
#ifndef API_TRIGGER_DEF_H
#define API_TRIGGER_DEF_H
#include "api/api.h"
#include "base/json.h"
#include "pawl/source.h"

struct pipeline;
struct rule;
struct trigger_def;

/* What a create or update asks for. */
struct trigger_wish {
    const struct trigger_type *type;
    json_t *config; /* borrowed from the body; NULL: as it is */
    bool enabled;
    int64_t cooldown_s;
};

/* `type`, `config`, `enabled` and `cooldown_seconds` of a new trigger; `others` takes what else the body may have. 0, or -EINVAL with
 * *reterr. The config is still to be checked by the type. */
int trigger_take_new(json_t *body, struct trigger_wish *ret, void (*others)(struct json_fields *f),
                     struct diag *reterr);

/* The latter two; what is not there stays as it is in *w. */
void trigger_take_settings(struct json_fields *f, struct trigger_wish *w);

/* The definition with a checked config; NULL with *reterr. A config that stays as it is was asked about cycles before; p == NULL: the
 * caller asks about cycles itself. */
struct trigger_def *trigger_def_of(struct api *a, struct pipeline *p, const struct trigger_wish *w,
                                   json_t *config, struct diag *reterr);

#endif
