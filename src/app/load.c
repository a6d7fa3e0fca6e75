#include "app/load.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/ark.h"
#include "core/engine.h"
#include "core/pipeline_spec.h"
#include "core/redact.h"
#include "io/secret/seal_spec.h"
#include "io/secret/secret.h"
#include "pawl/executor.h"
#include "pawl/source.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A stored spec was checked when it came in. If another version of pawl refuses its executor all the same, the daemon starts
 * nevertheless: the dispatcher fails such runs with the reason. */
static bool is_pull(json_t *spec)
{
    const struct executor_type *type;
    struct diag ignored;
    json_t *executor = executor_of(spec, &type, &ignored);
    bool pull = executor != NULL && type->pull;
    json_decref(executor);
    return pull;
}

static struct pipeline_def *make_pipeline(struct slice spec, uint32_t version,
                                          struct wall updated_at, struct diag *reterr)
{
    struct pipeline_def *d = mem_zalloc(sizeof(*d));
    json_t *root;
    if (pipeline_spec_parse(spec, d, &root, reterr) < 0) {
        free(d);
        return NULL;
    }
    d->pull = is_pull(root);
    d->capacity = executor_capacity(root);
    d->gets_ready = executor_gets_ready(root);
    json_decref(root);
    d->spec = mem_dup(spec.p, spec.len);
    d->version = version;
    d->updated_at = updated_at;
    return d;
}

static void keep_broken(const struct trigger_type *type, json_t *config, const char *why,
                        struct rule *ret)
{
    char label[TRIGGER_LABEL_SIZE];
    type->label(config, label);
    log_warn("a trigger is kept that cannot be understood any more: it does not fire until it is "
             "changed",
             LOG_STR("trigger", label), LOG_STR("problem", why));
    if (type->has_targets)
        rule_set_targets(ret, 0);
}

static int rule_of(const struct trigger_type *type, struct slice config, struct rule *ret,
                   struct diag *reterr)
{
    struct diag why;
    json_t *root = json_parse_object(config, &why);
    int err = root != NULL ? type->rule(root, ret, &why) : -EINVAL;
    if (root != NULL && err < 0 && type->outlives_rule) {
        keep_broken(type, root, why.msg, ret);
        err = 0;
    } else if (err < 0 && reterr != NULL) {
        *reterr = why;
    }
    json_decref(root);
    return err;
}

static struct trigger_def *make_trigger(struct slice type_name, struct slice config, bool enabled,
                                        uint64_t cooldown_ms, struct wall updated_at,
                                        const char **ret_type, struct diag *reterr)
{
    char *name = mem_dup(type_name.p, type_name.len);
    const struct trigger_type *type = trigger_type_find(name);
    struct rule rule = {0};
    int err = 0;
    if (type == NULL)
        err = diag_set(reterr, DIAG_INTERNAL, "trigger type '%s' is not known to this pawl", name);
    else
        err = rule_of(type, config, &rule, reterr);
    free(name);
    if (err < 0)
        return NULL;
    struct trigger_def *d = trigger_def_create(config, enabled, cooldown_ms, &rule);
    d->updated_at = updated_at;
    *ret_type = type->name;
    return d;
}

const struct def_maker load_def_maker = {.pipeline = make_pipeline, .trigger = make_trigger};

/* ---- secrets ---- */

static bool can_be_read(const struct pipeline_def *def, const struct seal *s, struct diag *reterr)
{
    if (strstr(def->spec, "\"sealed\"") == NULL) /* most have none */
        return true;
    json_t *spec = json_parse(slice_of(def->spec), NULL);
    unseal_spec(s, spec);
    const bool ret = redact_refuse_sealed_in(spec, reterr) == 0;
    json_decref(spec);
    return ret;
}

static void check_tokens(const struct catalog *c, const struct seal *s)
{
    const struct arkevent *a, *tmp;
    const char *first = NULL;
    char text[ARK_TOKEN_SEALED_MAX];
    int64_t count = 0;
    HASH_ITER (hh, c->arks, a, tmp) {
        const struct slice sealed = {(const char *)a->token.sealed, a->token.sealed_len};
        if (!ark_is_webhook(a) || seal_read(s, sealed, text))
            continue;
        first = first != NULL ? first : a->path;
        count++;
    }
    secret_wipe(text, sizeof(text));
    if (count > 0)
        log_warn("the Secrets of ArkEvents cannot be read: their tokens were sealed with another "
                 "key than the one in " SEAL_KEY_FILE "; calls with the tokens still work",
                 LOG_INT("arkevents", count), LOG_STR("first", first));
}

void load_check_secrets(struct engine *e, const struct seal *s)
{
    struct diag why;
    const char *first = NULL;
    int64_t count = 0;
    for (const struct pipeline *p = engine_catalog(e)->pipelines_by_id; p != NULL;
         p = p->by_id.next) {
        if (can_be_read(p->def, s, &why))
            continue;
        first = first != NULL ? first : p->path;
        count++;
    }
    if (count > 0)
        log_warn("secrets of pipelines cannot be read, their runs will fail: they were sealed with "
                 "another key than the one in " SEAL_KEY_FILE,
                 LOG_INT("pipelines", count), LOG_STR("first", first));
    check_tokens(engine_catalog(e), s);
}
