#include "api/pipeline_def.h"
#include "base/mem.h"
#include "core/pipeline_spec.h"
#include "core/redact.h"
#include "io/secret/seal_spec.h"
#include "pawl/executor.h"

/* A field that is null is one that is not given. */
static void drop_nulls(json_t *spec)
{
    const char *name;
    json_t *v;
    void *tmp;
    json_object_foreach_safe(spec, tmp, name, v)
    {
        if (json_is_null(v))
            json_object_del(spec, name);
    }
}

/* Its text, as it is kept. */
static char *sealed_text(const struct seal *s, const json_t *spec)
{
    struct str text = {0};
    json_t *sealed = json_deep_copy(spec);
    seal_spec(s, sealed);
    str_add_json_value(&text, sealed);
    json_decref(sealed);
    return str_detach(&text);
}

struct pipeline_def *pipeline_def_of(const struct seal *s, json_t *spec, struct diag *reterr)
{
    const struct executor_type *type;
    struct pipeline_def policy = {0};
    if (pipeline_spec_check(spec, &policy, reterr) < 0 || redact_refuse_sealed_in(spec, reterr) < 0)
        return NULL;
    drop_nulls(spec);
    json_t *executor = executor_of(spec, &type, reterr);
    if (executor == NULL)
        return NULL;
    json_decref(executor);
    struct pipeline_def *def = mem_alloc(sizeof(*def));
    *def = policy;
    def->spec = sealed_text(s, spec);
    def->pull = type->pull;
    def->capacity = executor_capacity(spec);
    def->gets_ready = executor_gets_ready(spec);
    return def;
}

json_t *pipeline_def_spec(const struct seal *s, const struct pipeline_def *def)
{
    json_t *spec = json_parse(slice_of(def->spec), NULL);
    unseal_spec(s, spec);
    return spec;
}
