#include "core/pipeline_spec.h"
#include "base/duration.h"
#include "base/json.h"
#include <errno.h>
#include <string.h>

static const struct retry_policy retry_default = {
    .max_attempts = 1,
    .backoff_ms = 1000,
    .backoff_factor = 2,
    .backoff_ms_max = 300 * 1000,
};

static int check_retry(json_t *retry, struct retry_policy *ret, struct diag *reterr)
{
    *ret = retry_default;
    if (retry == NULL)
        return 0;
    struct json_fields f;
    json_fields_begin(&f, retry, "retry", reterr);
    ret->max_attempts =
        (uint32_t)json_take_int(&f, "max_attempts", ret->max_attempts, 1, PIPELINE_ATTEMPTS_MAX);
    ret->backoff_ms =
        duration_ms_of(json_take_number(&f, "backoff_seconds", 1, 0, PIPELINE_BACKOFF_S_MAX));
    ret->backoff_factor = json_take_number(&f, "backoff_factor", 2, 1, 100);
    ret->backoff_ms_max =
        duration_ms_of(json_take_number(&f, "max_backoff_seconds", 300, 0, PIPELINE_BACKOFF_S_MAX));
    ret->jitter = json_take_number(&f, "jitter", 0, 0, 1);
    return json_fields_end(&f);
}

static int find_policy(struct json_fields *f, const char *name, enum concurrency_policy *ret)
{
    static const char *const names[] = {
        [CONCURRENCY_QUEUE] = "queue",
        [CONCURRENCY_SKIP] = "skip",
        [CONCURRENCY_REPLACE] = "replace",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum concurrency_policy)i;
            return 0;
        }
    }
    json_fields_fail(f, "policy", "'%.64s' is not a policy; there are: queue, skip, replace", name);
    return -EINVAL;
}

static int check_concurrency_object(json_t *object, struct pipeline_def *ret, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, object, "concurrency", reterr);
    ret->running_max = (uint32_t)json_take_int(&f, "max_runs", 0, 1, PIPELINE_RUNNING_MAX);
    ret->queue_max = (uint32_t)json_take_int(&f, "max_queue", 0, 1, PIPELINE_QUEUE_MAX);
    const char *policy = json_take_string(&f, "policy", JSON_OPTIONAL);
    if (policy != NULL && find_policy(&f, policy, &ret->policy) < 0)
        return -EINVAL;
    if (ret->policy != CONCURRENCY_QUEUE && ret->running_max == 0)
        json_fields_fail(&f, "max_runs", "is required: '%s' says what happens beyond it", policy);
    if (ret->policy != CONCURRENCY_QUEUE && ret->queue_max > 0)
        json_fields_fail(&f, "max_queue", "is for the policy 'queue': with '%s' nothing queues up",
                         policy);
    return json_fields_end(&f);
}

/* An integer is short for {"max_runs": n}. */
static int check_concurrency(json_t *v, struct pipeline_def *ret, struct diag *reterr)
{
    if (v == NULL)
        return 0;
    if (json_is_object(v))
        return check_concurrency_object(v, ret, reterr);
    if (!json_is_integer(v))
        return diag_set(reterr, DIAG_INVALID_ARGUMENT,
                        "concurrency: must be an integer or an object");
    const json_int_t n = json_integer_value(v);
    if (n < 1 || n > PIPELINE_RUNNING_MAX)
        return diag_set(reterr, DIAG_INVALID_ARGUMENT, "concurrency: must be from 1 to %d",
                        PIPELINE_RUNNING_MAX);
    ret->running_max = (uint32_t)n;
    return 0;
}

int pipeline_spec_check(json_t *spec, struct pipeline_def *ret, struct diag *reterr)
{
    static const char *const descriptive[] = {"description", "title",      "type",
                                              "source",      "unique_key", "owner"};
    struct retry_policy retry;
    struct pipeline_def limits = {0};
    struct json_fields f;

    json_fields_begin(&f, spec, "", reterr);
    json_take_object(&f, "executor", JSON_OPTIONAL);
    json_take_array(&f, "steps", JSON_OPTIONAL);
    json_take_object(&f, "options", JSON_OPTIONAL);
    json_t *concurrency = json_take_any(&f, "concurrency");
    json_t *retry_object = json_take_object(&f, "retry", JSON_OPTIONAL);
    const double timeout_s = json_take_number(&f, "timeout_seconds", 0, 0, PIPELINE_TIMEOUT_S_MAX);
    for (size_t i = 0; i < sizeof(descriptive) / sizeof(descriptive[0]); i++)
        json_take_any(&f, descriptive[i]);
    if (json_fields_end(&f) < 0 || check_concurrency(concurrency, &limits, reterr) < 0 ||
        check_retry(retry_object, &retry, reterr) < 0)
        return -EINVAL;
    ret->running_max = limits.running_max;
    ret->queue_max = limits.queue_max;
    ret->policy = limits.policy;
    ret->retry = retry;
    ret->timeout_ms = duration_ms_of(timeout_s);
    return 0;
}

int pipeline_spec_parse(struct slice text, struct pipeline_def *ret, json_t **ret_spec,
                        struct diag *reterr)
{
    json_t *spec = json_parse_object(text, reterr);
    if (spec == NULL)
        return -EINVAL;
    const int err = pipeline_spec_check(spec, ret, reterr);
    if (err == 0 && ret_spec != NULL)
        *ret_spec = json_incref(spec);
    json_decref(spec);
    return err;
}
