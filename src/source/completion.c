/* completion.c - pipeline_success: a pipeline runs because another one has succeeded.
 *
 * The events are the engine's own (core/completion.c): a run's end is evaluated in the batch that records it. So there is
 * nothing to start and nothing to stop here; this is what the type's config means.
 */
#include "core/rule.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slug.h"
#include "pawl/run.h"
#include "pawl/source.h"
#include "source/config.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct config {
    char path[3 * (SLUG_LEN_MAX + 1)]; /* "namespace.layer.pipeline" */
    bool trailing, allows_cycle;
};

static const char *take_slug(struct json_fields *f, const char *name)
{
    const char *v = json_take_string(f, name, JSON_REQUIRED);
    if (v != NULL && !slug_valid(slice_of(v)))
        json_fields_fail(f, name, SLUG_RULE);
    return v;
}

static int parse(json_t *config, struct config *ret, struct diag *reterr)
{
    struct json_fields f;
    json_fields_begin(&f, config, "config", reterr);
    const char *ns = take_slug(&f, "namespace");
    const char *layer = take_slug(&f, "layer");
    const char *pipeline = take_slug(&f, "pipeline");
    ret->trailing = config_take_trailing(&f);
    ret->allows_cycle = config_take_allow_cycle(&f);
    if (json_fields_end(&f) < 0)
        return -EINVAL;
    snprintf(ret->path, sizeof(ret->path), "%s.%s.%s", ns, layer, pipeline);
    return 0;
}

static int check(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                 struct diag *reterr)
{
    struct config up;
    if (parse(config, &up, reterr) < 0 || config_check_pipeline(h, up.path, "config", reterr) < 0)
        return -EINVAL;
    config_keep(config, ret);
    return 0;
}

static int rule(json_t *config, struct rule *ret, struct diag *reterr)
{
    struct config up;
    if (parse(config, &up, reterr) < 0)
        return -EINVAL;
    *ret = (struct rule){
        .scope = mem_strdup(up.path),
        .ends = 1u << RUN_SUCCESS,
        .trailing = up.trailing,
        .allows_cycle = up.allows_cycle,
    };
    rule_set_key(ret, completion_key(slice_of(up.path)));
    rule_follow(ret, up.path);
    return 0;
}

static void label(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    struct config up = {.path = "?"};
    struct diag ignored;
    parse(config, &up, &ignored);
    snprintf(ret, TRIGGER_LABEL_SIZE, "trigger:pipeline_success:%s", up.path);
}

static const struct option_doc options[] = {
    {"namespace", "string", true, "namespace of the upstream pipeline"},
    {"layer", "string", true, "layer of the upstream pipeline"},
    {"pipeline", "string", true, "name of the upstream pipeline"},
    OPTION_COOLDOWN_MODE,
    OPTION_ALLOW_CYCLE,
    {NULL},
};

static const struct trigger_type trigger_types[] = {
    {
        .name = "pipeline_success",
        .help = "fires when a run of another pipeline has succeeded",
        .options = options,
        .check = check,
        .rule = rule,
        .label = label,
    },
    {NULL},
};

struct source {
    struct host *host;
};

static struct source *start(struct host *h, struct http_server *http, struct diag *reterr)
{
    struct source *s = mem_zalloc(sizeof(*s));
    s->host = h;
    return s;
}

static void stop(struct source *s, void (*closed)(void *arg), void *arg)
{
    free(s);
    closed(arg);
}

const struct source_type source_completion = {
    .name = "completion",
    .help = "ends of runs, for the pipelines that follow them",
    .trigger_types = trigger_types,
    .start = start,
    .stop = stop,
};
