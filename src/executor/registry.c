/* The table of executors, made from the list in meson.build, and how a pipeline's JSON leads to a
 * row of it. */
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

/* ---- steps ---- */

/* The executor object that a step names or, by its argv, implies. A new reference, NULL with
 * *reterr. */
static json_t *step_executor(json_t *step, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, step, "steps[0]", reterr);
    json_take_string(&f, "name", JSON_OPTIONAL);
    json_t *executor = json_take_object(&f, "executor", JSON_OPTIONAL);
    json_t *argv = json_take_array(&f, "argv", JSON_OPTIONAL);
    if ((executor == NULL) == (argv == NULL))
        json_fields_fail(&f, "executor", "exactly one of executor and argv is required");
    if (json_fields_end(&f) < 0)
        return NULL;
    return executor != NULL ? json_incref(executor)
                            : json_pack("{s:s, s:O}", "type", "command", "argv", argv);
}

/* What a check said of `executor...`, in the place where the client wrote it. */
static int refuse_step(const struct diag *why, bool short_form, struct diag *reterr)
{
    const char *field = why->msg;
    if (short_form && strncmp(field, "executor.", 9) == 0)
        field += 9;
    return diag_set(reterr, why->code, "steps[0].%s", field);
}

static json_t *steps_executor(json_t *steps, const struct executor_type **ret_type,
                              struct diag *reterr)
{
    if (!json_is_array(steps) || json_array_size(steps) == 0) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "steps: must be an array with one step");
        return NULL;
    }
    if (json_array_size(steps) > 1) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "steps: %zu steps, but only one is supported",
                 json_array_size(steps));
        return NULL;
    }
    json_t *step = json_array_get(steps, 0);
    if (!json_is_object(step)) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT, "steps[0]: must be an object");
        return NULL;
    }
    struct diag why;
    json_t *executor = step_executor(step, reterr);
    if (executor != NULL && executor_check(executor, ret_type, &why) < 0) {
        refuse_step(&why, json_object_get(step, "argv") != NULL, reterr);
        json_decref(executor);
        return NULL;
    }
    return executor;
}

int steps_check(json_t *steps, const struct executor_type **ret_type, struct diag *reterr)
{
    json_t *executor = steps_executor(steps, ret_type, reterr);
    if (executor == NULL)
        return -EINVAL;
    json_decref(executor);
    return 0;
}

json_t *executor_of(json_t *pipeline, const struct executor_type **ret_type, struct diag *reterr)
{
    json_t *executor = json_object_get(pipeline, "executor");
    json_t *steps = json_object_get(pipeline, "steps");
    if ((executor == NULL) == (steps == NULL)) {
        diag_set(reterr, DIAG_INVALID_ARGUMENT,
                 "executor: exactly one of executor and steps is required");
        return NULL;
    }
    if (steps != NULL)
        return steps_executor(steps, ret_type, reterr);
    return executor_check(executor, ret_type, reterr) < 0 ? NULL : json_incref(executor);
}
