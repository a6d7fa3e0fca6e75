/* The table of executors, made from the list in meson.build. */
#include "base/json.h"
#include "pawl/executor.h"
#include <errno.h>
#include <string.h>

#define X(name) extern const struct executor_type executor_##name;
#include "executor_list.inc"
#undef X

#define X(name) &executor_##name,
const struct executor_type *const executor_types[] = {
#include "executor_list.inc"
    NULL,
};
#undef X

const struct executor_type *executor_type_find(const char *name)
{
    for (const struct executor_type *const *t = executor_types; *t != NULL; t++)
        if (strcmp((*t)->name, name) == 0)
            return *t;
    return NULL;
}

static int refuse_type(const char *name, struct diag *reterr)
{
    struct str known = {0};
    for (const struct executor_type *const *t = executor_types; *t != NULL; t++)
        str_printf(&known, "%s%s", known.len > 0 ? ", " : "", (*t)->name);
    diag_set(reterr, DIAG_INVALID_ARGUMENT, "executor.type: '%s' is not one of: %s", name, known.p);
    str_release(&known);
    return -EINVAL;
}

int executor_check(json_t *executor, const struct executor_type **ret_type, struct diag *reterr)
{
    if (!json_is_object(executor))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "executor: must be an object");
    const char *name = json_string_value(json_object_get(executor, "type"));
    if (name == NULL)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "executor.type: is required and must be a string");
    const struct executor_type *type = executor_type_find(name);
    if (type == NULL)
        return refuse_type(name, reterr);
    if (type->check(executor, reterr) < 0)
        return -EINVAL;
    *ret_type = type;
    return 0;
}
