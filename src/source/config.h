/* config.h - what the configs of several trigger types have in common. */
#ifndef SOURCE_CONFIG_H
#define SOURCE_CONFIG_H
#include "base/json.h"
#include "core/rule.h"
#include "pawl/source.h"

/* Takes `cooldown_mode`: true for "trailing", false for "drop" and when it is absent. */
bool config_take_trailing(struct json_fields *f);
#define OPTION_COOLDOWN_MODE                                                                       \
    {                                                                                              \
        "cooldown_mode", "string", false,                                                          \
            "drop (default), or trailing: fires once more when the cooldown ends, if it held "     \
            "anything back"                                                                        \
    }

/* Takes `allow_cycle`. */
bool config_take_allow_cycle(struct json_fields *f);
#define OPTION_ALLOW_CYCLE                                                                         \
    {                                                                                              \
        "allow_cycle", "boolean", false,                                                           \
            "accept a chain of pipelines that leads back to its beginning; default false"          \
    }

/* Makes the draft of a config that is stored as the client gave it. */
void config_keep(json_t *config, struct trigger_draft *ret);

/* True for "namespace.layer.pipeline", each part a slug. */
bool config_is_pipeline_path(struct slice text);

/* Refuses a pipeline that does not exist: `field` names the place, such as "config.dependencies[1]". 0, or -EINVAL with
 * DIAG_NOT_FOUND. */
int config_check_pipeline(struct host *h, const char *path, const char *field, struct diag *reterr);

#endif
