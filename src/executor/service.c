/* service.c - a run is one line for a worker process that lives on.
 *
 *     {"type": "service", "argv": ["/usr/local/bin/orders"], "min_instances": 0, "max_instances": 8,
 *      "idle_seconds": 60, "per_instance": 1}
 *
 * beside the other fields of a program (program.h). A worker reads one event a line on stdin: the document of event_doc.h, with the
 * run's id as `id` and the event's as `event_id`. It answers each with a line on stdout (answer.h), in any order. What it writes
 * to stderr, and lines of stdout that do not begin with `{`, are the log of the oldest run that it holds. Its environment has
 * PAWL_PIPELINE and PAWL_WORKER_ID. At the end of its stdin it ends.
 *
 * Processes, and which of them gets which run: pool.h. A run's time-out counts from when a worker has it. A worker in which a run
 * times out is ended as a group, and so is one that breaks the protocol; what else it held fails. A run that is cancelled ends with its
 * worker, if the worker has no other; else its answer is ignored.
 */
#include "base/check.h"
#include "base/mem.h"
#include "executor/dispatcher.h"
#include "executor/pool.h"
#include <stdlib.h>

extern const struct executor_type executor_service;

/* ---- the config ---- */

static const struct option_doc service_options[] = {
    PROGRAM_OPTION_ARGV,
    PROGRAM_OPTION_CWD,
    PROGRAM_OPTION_ENV,
    {"idle_seconds", "number", false,
     "a worker without work ends after this long; default 60, at most 86400"},
    PROGRAM_OPTION_KILL_GRACE,
    {"max_instances", "integer", false,
     "worker processes at the same time; default 8, at most 1000"},
    {"min_instances", "integer", false, "worker processes that are always there; default 0"},
    {"per_instance", "integer", false,
     "events that one worker is given at the same time; default 1, at most 1000"},
    {NULL},
};

static int service_check(json_t *config, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, config, "executor", reterr);
    json_take_string(&f, "type", JSON_REQUIRED);
    program_check(&f);
    json_take_number(&f, "idle_seconds", 0, 0, POOL_IDLE_SECONDS_MAX);
    const int64_t max = json_take_int(&f, "max_instances", POOL_MAX_DEFAULT, 1, POOL_INSTANCES_MAX);
    const int64_t min = json_take_int(&f, "min_instances", POOL_MIN_DEFAULT, 0, POOL_INSTANCES_MAX);
    json_take_int(&f, "per_instance", 1, 1, POOL_PER_INSTANCE_MAX);
    if (min > max)
        json_fields_fail(&f, "min_instances", "must be at most max_instances, which is %d",
                         (int)max);
    return json_fields_end(&f);
}

static uint32_t service_capacity(json_t *config)
{
    json_t *max = json_object_get(config, "max_instances");
    json_t *per = json_object_get(config, "per_instance");
    return (uint32_t)((max != NULL ? json_integer_value(max) : POOL_MAX_DEFAULT) *
                      (per != NULL ? json_integer_value(per) : 1));
}

/* ---- runs ---- */

static struct pool_key key_of(const struct run_start *s)
{
    return (struct pool_key){
        .pipeline = s->pipeline_key, .version = s->version, .step = s->step_number};
}

static struct execution *service_start(struct dispatcher *d, const struct run_start *s,
                                       json_t *config)
{
    struct pools *ps = dispatcher_kept(d, &executor_service);
    struct pool *p = pools_get(ps, key_of(s), s->pipeline, config);
    struct pool_run *r = mem_zalloc(sizeof(*r));
    execution_init(&r->x, &executor_service, d, s);
    r->start = s;
    pool_add(p, r);
    pool_serve(p);
    return &r->x;
}

static void service_cancel(struct execution *x, bool interrupted)
{
    pool_run_cancel(container_of(x, struct pool_run, x), interrupted);
}

/* ---- what lives on ---- */

static void *service_open(struct dispatcher *d, struct host *h)
{
    return pools_create(d, h);
}

/* Other versions have had their day. A pool that has something to keep ready begins with it. */
static void service_provide(void *kept, const struct run_start *s, json_t *config)
{
    if (json_integer_value(json_object_get(config, "min_instances")) > 0)
        pool_keep_ready(pools_get(kept, key_of(s), s->pipeline, config));
}

static void service_withdraw(void *kept, int64_t pipeline_key, uint32_t except_version)
{
    pools_retire(kept, pipeline_key, except_version);
}

static void service_kill(void *kept)
{
    pools_kill(kept);
}

static void service_close(void *kept, void (*closed)(void *arg), void *arg)
{
    pools_close(kept, closed, arg);
}

static const struct executor_keeper service_keeper = {
    .open = service_open,
    .provide = service_provide,
    .withdraw = service_withdraw,
    .kill = service_kill,
    .close = service_close,
};

const struct executor_type executor_service = {
    .name = "service",
    .help = "gives the event to a worker process that lives on",
    .options = service_options,
    .check = service_check,
    .capacity = service_capacity,
    .start = service_start,
    .cancel = service_cancel,
    .keeper = &service_keeper,
};
