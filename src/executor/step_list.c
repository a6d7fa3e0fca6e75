/* step_list.c - what a pipeline's JSON says is to be carried out. */
#include "base/check.h"
#include "base/duration.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slug.h"
#include "pawl/executor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEP_TIMEOUT_S_MAX (30 * 86400)

/* ---- one step ---- */

/* What a check said of `executor...`, in the place where the client wrote it. */
static int refuse_executor(const struct diag *why, const char *path, bool short_form,
                           struct diag *reterr)
{
    const char *field = why->msg;
    if (short_form && strncmp(field, "executor.", 9) == 0)
        field += 9;
    return diag_set(reterr, why->code, "%s.%s", path, field);
}

static void take_name(struct json_fields *f, size_t number, struct step *ret)
{
    const char *given = json_take_string(f, "name", JSON_OPTIONAL);
    struct str name = {0};
    if (given == NULL)
        str_printf(&name, "step-%zu", number);
    else
        str_add_cstr(&name, given);
    ret->name = (struct slice){name.p, name.len};
    if (!slug_valid(ret->name))
        json_fields_fail(f, "name", SLUG_RULE);
}

static int read_step(json_t *object, const char *path, size_t number, struct step *ret,
                     struct diag *reterr)
{
    struct json_fields f;
    struct diag why;
    if (!json_is_object(object))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "%s: must be an object", path);
    json_fields_begin(&f, object, path, reterr);
    take_name(&f, number, ret);
    json_t *executor = json_take_object(&f, "executor", JSON_OPTIONAL);
    json_t *argv = json_take_array(&f, "argv", JSON_OPTIONAL);
    if ((executor == NULL) == (argv == NULL))
        json_fields_fail(&f, "executor", "exactly one of executor and argv is required");
    const double timeout_s = json_take_number(&f, "timeout_seconds", 0, 0, STEP_TIMEOUT_S_MAX);
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    ret->timeout_ms = duration_ms_of(timeout_s);
    ret->config = executor != NULL ? json_incref(executor)
                                   : json_pack("{s:s, s:O}", "type", "command", "argv", argv);
    if (executor_check(ret->config, &ret->type, &why) < 0)
        return refuse_executor(&why, path, argv != NULL, reterr);
    return 0;
}

/* ---- all of them ---- */

static int check_name_is_free(const struct step_list *l, size_t i, struct diag *reterr)
{
    for (size_t k = 0; k < i; k++)
        if (slice_eq(l->items[k].name, l->items[i].name))
            return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                            "steps[%zu].name: steps[%zu] has the name '%s' too", i, k,
                            l->items[i].name.p);
    return 0;
}

static int check_is_alone(const struct step_list *l, size_t i, struct diag *reterr)
{
    const struct executor_type *type = l->items[i].type;
    if (l->count > 1 && type->hands_over != NULL && type->hands_over(l->items[i].config))
        return diag_set(
            reterr, DIAG_INVALID_ARGUMENT,
            "steps[%zu].executor.callback: needs a pipeline with exactly one step, not %zu", i,
            l->count);
    if (!type->pull || l->count == 1)
        return 0;
    return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                    "steps[%zu].executor.type: a pipeline whose runs are taken by workers (%s) has "
                    "exactly one step, not %zu",
                    i, l->items[i].type->name, l->count);
}

static int read_steps(json_t *steps, struct step_list *ret, struct diag *reterr)
{
    const size_t count = json_is_array(steps) ? json_array_size(steps) : 0;
    if (count == 0 || count > STEPS_MAX)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "steps: must be an array of 1 to %d steps",
                        STEPS_MAX);
    ret->items = mem_zalloc(count * sizeof(ret->items[0]));
    ret->count = count;
    for (size_t i = 0; i < count; i++) {
        char path[32];
        snprintf(path, sizeof(path), "steps[%zu]", i);
        if (read_step(json_array_get(steps, i), path, i + 1, &ret->items[i], reterr) < 0 ||
            check_name_is_free(ret, i, reterr) < 0 || check_is_alone(ret, i, reterr) < 0)
            return -EINVAL;
    }
    return 0;
}

static int read_executor(json_t *executor, struct step_list *ret, struct diag *reterr)
{
    const struct executor_type *type;
    if (executor_check(executor, &type, reterr) < 0)
        return -EINVAL;
    ret->items = mem_zalloc(sizeof(ret->items[0]));
    ret->items[0].type = type;
    ret->items[0].config = json_incref(executor);
    ret->count = 1;
    return 0;
}

int steps_read(json_t *pipeline, struct step_list *ret, struct diag *reterr)
{
    json_t *executor = json_object_get(pipeline, "executor");
    json_t *steps = json_object_get(pipeline, "steps");
    *ret = (struct step_list){0};
    if ((executor == NULL) == (steps == NULL))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "executor: exactly one of executor and steps is required");
    const int err =
        steps != NULL ? read_steps(steps, ret, reterr) : read_executor(executor, ret, reterr);
    if (err < 0)
        steps_release(ret);
    return err;
}

void steps_release(struct step_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free((char *)l->items[i].name.p);
        json_decref(l->items[i].config);
    }
    free(l->items);
    *l = (struct step_list){0};
}

json_t *executor_of(json_t *pipeline, const struct executor_type **ret_type, struct diag *reterr)
{
    struct step_list steps;
    if (steps_read(pipeline, &steps, reterr) < 0)
        return NULL;
    json_t *executor = json_incref(steps.items[0].config);
    *ret_type = steps.items[0].type;
    steps_release(&steps);
    return executor;
}

/* A run is in one step at a time, so every step's workers may be busy with another run. */
uint32_t executor_capacity(json_t *pipeline)
{
    struct step_list steps;
    struct diag ignored;
    uint64_t sum = 0;
    bool bounded = steps_read(pipeline, &steps, &ignored) == 0;
    for (size_t i = 0; bounded && i < steps.count; i++) {
        bounded = steps.items[i].type->capacity != NULL;
        if (bounded)
            sum += steps.items[i].type->capacity(steps.items[i].config);
    }
    steps_release(&steps);
    return !bounded ? 0 : sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

bool executor_gets_ready(json_t *pipeline)
{
    struct step_list steps;
    struct diag ignored;
    bool ret = false;
    steps_read(pipeline, &steps, &ignored);
    for (size_t i = 0; i < steps.count; i++)
        ret = ret ||
              (steps.items[i].type->keeper != NULL && steps.items[i].type->keeper->provide != NULL);
    steps_release(&steps);
    return ret;
}
