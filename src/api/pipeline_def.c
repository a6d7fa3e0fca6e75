#include "api/pipeline_def.h"
#include "base/mem.h"
#include "core/pipeline_spec.h"
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

struct pipeline_def *pipeline_def_of(json_t *spec, struct diag *reterr)
{
    const struct executor_type *type;
    struct pipeline_def policy = {0};
    if (pipeline_spec_check(spec, &policy, reterr) < 0)
        return NULL;
    drop_nulls(spec);
    json_t *executor = executor_of(spec, &type, reterr);
    if (executor == NULL)
        return NULL;
    json_decref(executor);
    struct str text = {0};
    struct pipeline_def *def = mem_alloc(sizeof(*def));
    str_add_json_value(&text, spec);
    *def = policy;
    def->spec = str_detach(&text);
    def->pull = type->pull;
    def->capacity = executor_capacity(spec);
    def->gets_ready = executor_gets_ready(spec);
    return def;
}
