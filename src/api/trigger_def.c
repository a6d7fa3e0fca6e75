#include "api/trigger_def.h"
#include "base/check.h"
#include "core/catalog.h"
#include "core/engine.h"
#include <errno.h>

#define COOLDOWN_S_MAX (INT64_C(10) * 366 * 86400)

/* Refuses a type nobody knows, with those that are known. */
static int unknown_type(const char *name, struct diag *reterr)
{
    struct str known = {0};
    for (const struct source_type *const *s = source_types; *s != NULL; s++) {
        for (const struct trigger_type *t = (*s)->trigger_types; t->name != NULL; t++)
            str_printf(&known, "%s%s", known.len > 0 ? ", " : "", t->name);
    }
    diag_set(reterr, DIAG_INVALID_ARGUMENT, "type: '%.64s' is not a trigger type; there are: %s",
             name, known.p);
    str_release(&known);
    return -EINVAL;
}

void trigger_take_settings(struct json_fields *f, struct trigger_wish *w)
{
    w->enabled = json_take_bool(f, "enabled", w->enabled);
    w->cooldown_s = json_take_int(f, "cooldown_seconds", w->cooldown_s, 0, COOLDOWN_S_MAX);
}

int trigger_take_new(json_t *body, struct trigger_wish *ret, void (*others)(struct json_fields *f),
                     struct diag *reterr)
{
    struct json_fields f;
    struct trigger_wish w = {.enabled = true};
    json_fields_begin(&f, body, "", reterr);
    const char *type = json_take_string(&f, "type", JSON_REQUIRED);
    w.config = json_take_object(&f, "config", JSON_REQUIRED);
    trigger_take_settings(&f, &w);
    others(&f);
    /* An unknown type is what is said first: the rest may belong to it. */
    if (type != NULL && (w.type = trigger_type_find(type)) == NULL)
        return unknown_type(type, reterr);
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    *ret = w;
    return 0;
}

/* Chains that lead back to their beginning are refused, unless the operator wants one. */
static int check_cycle(struct api *a, struct pipeline *p, const struct rule *r, struct diag *reterr)
{
    struct str cycle = {0};
    int err = 0;
    if (!r->allows_cycle && catalog_has_cycle(engine_catalog(a->host->engine), p, r, &cycle))
        err = diag_set(reterr, DIAG_INVALID_ARGUMENT,
                       "config: would make a cycle: %s; set config.allow_cycle to true if that is "
                       "what you want",
                       cycle.p);
    str_release(&cycle);
    return err;
}

struct trigger_def *trigger_def_of(struct api *a, struct pipeline *p, const struct trigger_wish *w,
                                   json_t *config, struct diag *reterr)
{
    struct rule rule = {0};
    if (w->type->rule(config, &rule, reterr) < 0 ||
        (p != NULL && w->config != NULL && check_cycle(a, p, &rule, reterr) < 0)) {
        rule_release(&rule);
        return NULL;
    }
    struct str text = {0};
    str_add_json_value(&text, config);
    struct trigger_def *def =
        trigger_def_create(str_slice(&text), w->enabled, (uint64_t)w->cooldown_s * 1000, &rule);
    str_release(&text);
    return def;
}
