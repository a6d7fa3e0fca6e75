#include "source/config.h"
#include "base/slug.h"
#include <string.h>

bool config_take_trailing(struct json_fields *f)
{
    const char *mode = json_take_string(f, "cooldown_mode", JSON_OPTIONAL);
    if (mode == NULL || strcmp(mode, "drop") == 0)
        return false;
    if (strcmp(mode, "trailing") != 0)
        json_fields_fail(f, "cooldown_mode", "'%.32s' is neither drop nor trailing", mode);
    return true;
}

bool config_take_allow_cycle(struct json_fields *f)
{
    return json_take_bool(f, "allow_cycle", false);
}

void config_keep(json_t *config, struct trigger_draft *ret)
{
    *ret = (struct trigger_draft){.config = json_incref(config)};
}

bool config_is_pipeline_path(struct slice text)
{
    for (int part = 0; part < 3; part++) {
        const char *dot = memchr(text.p, '.', text.len);
        const struct slice slug = {text.p, dot != NULL ? (size_t)(dot - text.p) : text.len};
        if ((dot == NULL) != (part == 2) || !slug_valid(slug))
            return false;
        if (dot != NULL)
            text = (struct slice){dot + 1, text.len - slug.len - 1};
    }
    return true;
}

int config_check_pipeline(struct host *h, const char *path, const char *field, struct diag *reterr)
{
    if (h->pipeline_exists(h, slice_of(path)))
        return 0;
    return diag_set(reterr, DIAG_NOT_FOUND, "%s: there is no pipeline %s", field, path);
}
