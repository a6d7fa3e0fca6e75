/* cron.c - cron and cron_dependency: pipelines that run when their time has come.
 *
 * The engine keeps the schedules and makes the events (core/timing.c). What it cannot see is that somebody sets the wall clock;
 * this source watches for that.
 */
#include "core/cron.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "core/rule.h"
#include "core/schedule.h"
#include "io/loop/clock_watch.h"
#include "io/tzdata/tzdata.h"
#include "pawl/source.h"
#include "source/closing.h"
#include "source/config.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPENDENCIES_MAX 100
#define MISFIRE_WINDOW_S_DEFAULT 86400
#define MISFIRE_WINDOW_S_MAX (10 * 366 * 86400)
#define JITTER_S_MAX 86400

struct source {
    struct host *host;
    struct clock_watch watch;
    struct closing closing;
};

/* ---- configs ---- */

/* The zones that schedules borrow. They live as long as the process: a definition may outlive its trigger. */
static struct tzdata *zones(void)
{
    static struct tzdata *z;
    if (z == NULL)
        z = tzdata_create(NULL);
    return z;
}

static void take_cron(struct json_fields *f, struct cron *ret)
{
    struct diag why;
    const char *expr = json_take_string(f, "cron_expr", JSON_REQUIRED);
    if (expr != NULL && cron_parse(expr, ret, &why) < 0)
        json_fields_fail(f, "cron_expr", "%s", why.msg);
}

static void take_timezone(struct json_fields *f, const struct tz **ret)
{
    struct diag why;
    const char *name = json_take_string(f, "timezone", JSON_OPTIONAL);
    if (name != NULL && tzdata_get(zones(), name, ret, &why) < 0)
        json_fields_fail(f, "timezone", "%s", why.msg);
}

static enum misfire take_misfire(struct json_fields *f)
{
    static const char *const names[] = {[MISFIRE_FIRE_ONCE] = "fire_once",
                                        [MISFIRE_SKIP] = "skip",
                                        [MISFIRE_FIRE_ALL] = "fire_all"};
    const char *name = json_take_string(f, "misfire", JSON_OPTIONAL);
    unsigned i = 0;
    while (name != NULL && i < ARRAY_SIZE(names) && strcmp(name, names[i]) != 0)
        i++;
    if (i < ARRAY_SIZE(names))
        return (enum misfire)i;
    json_fields_fail(f, "misfire", "'%.32s' is none of skip, fire_once, fire_all", name);
    return MISFIRE_FIRE_ONCE;
}

/* A path that is fit to be followed, and is not among those before it; NULL, and the reason given, when it is not. */
static const char *dependency(struct json_fields *f, const json_t *all, size_t i)
{
    const json_t *item = json_array_get(all, i);
    const char *path = json_string_value(item);
    char field[48];
    snprintf(field, sizeof(field), "dependencies[%zu]", i);
    if (path == NULL || !config_is_pipeline_path(slice_of(path))) {
        json_fields_fail(f, field, "must be the name of a pipeline: namespace.layer.pipeline");
        return NULL;
    }
    for (size_t k = 0; k < i; k++)
        if (json_equal(item, json_array_get(all, k))) {
            json_fields_fail(f, field, "%s is listed twice", path);
            return NULL;
        }
    return path;
}

static void take_dependencies(struct json_fields *f, struct rule *r)
{
    const json_t *all = json_take_array(f, "dependencies", JSON_REQUIRED);
    const size_t n = json_array_size(all);
    if (all != NULL && (n == 0 || n > DEPENDENCIES_MAX))
        json_fields_fail(f, "dependencies", "must hold 1 to %d pipelines", DEPENDENCIES_MAX);
    for (size_t i = 0; i < n && !f->failed; i++) {
        const char *path = dependency(f, all, i);
        if (path != NULL)
            rule_follow(r, path);
    }
    r->needs_upstreams = true;
    r->allows_cycle = config_take_allow_cycle(f);
}

static int make_rule(json_t *config, bool dependent, struct rule *ret, struct diag *reterr)
{
    struct json_fields f;
    struct schedule s = {.tz = NULL};
    struct rule r = {0};
    json_fields_begin(&f, config, "config", reterr);
    take_cron(&f, &s.cron);
    if (dependent)
        take_dependencies(&f, &r);
    take_timezone(&f, &s.tz);
    s.misfire = take_misfire(&f);
    s.misfire_window_s = (uint32_t)json_take_int(&f, "misfire_window_seconds",
                                                 MISFIRE_WINDOW_S_DEFAULT, 0, MISFIRE_WINDOW_S_MAX);
    s.jitter_s = (uint32_t)json_take_int(&f, "jitter_seconds", 0, 0, JITTER_S_MAX) & 0x3fffffff;
    r.trailing = config_take_trailing(&f);
    if (json_fields_end(&f) < 0) {
        rule_release(&r);
        return -EINVAL;
    }
    r.schedule = mem_alloc(sizeof(s));
    *r.schedule = s;
    *ret = r;
    return 0;
}

static int check_upstreams(struct host *h, const struct rule *r, struct diag *reterr)
{
    char field[48];
    for (size_t i = 0; i < r->upstream_count; i++) {
        snprintf(field, sizeof(field), "config.dependencies[%zu]", i);
        if (config_check_pipeline(h, r->upstreams[i].path, field, reterr) < 0)
            return -EINVAL;
    }
    return 0;
}

static int check_any(struct host *h, json_t *config, bool dependent, struct trigger_draft *ret,
                     struct diag *reterr)
{
    struct rule r;
    if (make_rule(config, dependent, &r, reterr) < 0)
        return -EINVAL;
    const int err = check_upstreams(h, &r, reterr);
    rule_release(&r);
    if (err == 0)
        config_keep(config, ret);
    return err;
}

static const char *expression(json_t *config)
{
    const char *expr = json_string_value(json_object_get(config, "cron_expr"));
    return expr != NULL ? expr : "?";
}

/* ---- cron ---- */

static int cron_check(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                      struct diag *reterr)
{
    return check_any(h, config, false, ret, reterr);
}

static int cron_rule(json_t *config, struct rule *ret, struct diag *reterr)
{
    return make_rule(config, false, ret, reterr);
}

static void cron_label(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    snprintf(ret, TRIGGER_LABEL_SIZE, "trigger:cron:%s", expression(config));
}

/* ---- cron_dependency ---- */

static int dependent_check(struct host *h, json_t *config, json_t *old, struct trigger_draft *ret,
                           struct diag *reterr)
{
    return check_any(h, config, true, ret, reterr);
}

static int dependent_rule(json_t *config, struct rule *ret, struct diag *reterr)
{
    return make_rule(config, true, ret, reterr);
}

static void dependent_label(json_t *config, char ret[TRIGGER_LABEL_SIZE])
{
    snprintf(ret, TRIGGER_LABEL_SIZE, "trigger:cron_dependency:%s", expression(config));
}

/* ---- the types ---- */

#define OPTION_CRON_EXPR                                                                           \
    {                                                                                              \
        "cron_expr", "string", true,                                                               \
            "five fields (minute, hour, day, month, weekday), six with the second first, or "      \
            "@hourly, @every 90s, ..."                                                             \
    }
#define OPTIONS_OF_TIME                                                                            \
    {"timezone", "string", false, "IANA name of the zone the fields mean; default UTC"},           \
        {"misfire", "string", false,                                                               \
         "what becomes of missed due times: fire_once (default), skip or fire_all"},               \
        {"misfire_window_seconds", "integer", false,                                               \
         "due times missed longer ago than this are forgotten; default 86400"},                    \
    {                                                                                              \
        "jitter_seconds", "integer", false, "puts each firing off by a random time up to this"     \
    }

static const struct option_doc cron_options[] = {
    OPTION_CRON_EXPR, OPTIONS_OF_TIME, OPTION_COOLDOWN_MODE, {NULL}};

static const struct option_doc dependent_options[] = {
    OPTION_CRON_EXPR,
    {"dependencies", "array", true,
     "pipelines (namespace.layer.pipeline) that must all have succeeded since the last firing"},
    OPTIONS_OF_TIME,
    OPTION_COOLDOWN_MODE,
    OPTION_ALLOW_CYCLE,
    {NULL}};

static const struct trigger_type trigger_types[] = {
    {
        .name = "cron",
        .help = "fires by a calendar schedule",
        .options = cron_options,
        .check = cron_check,
        .rule = cron_rule,
        .label = cron_label,
        .outlives_rule = true,
    },
    {
        .name = "cron_dependency",
        .help = "fires by a calendar schedule if other pipelines have succeeded since it last did",
        .options = dependent_options,
        .check = dependent_check,
        .rule = dependent_rule,
        .label = dependent_label,
        .outlives_rule = true,
    },
    {NULL},
};

/* ---- the source ---- */

static void gone(struct closing *c)
{
    free(container_of(c, struct source, closing));
}

static void stepped(struct clock_watch *w)
{
    struct host *h = container_of(w, struct source, watch)->host;
    h->clock_stepped(h);
}

static struct source *start(struct host *h, struct http_server *http, struct diag *reterr)
{
    struct source *s = mem_zalloc(sizeof(*s));
    s->host = h;
    s->closing.gone = gone;
    const int err = clock_watch_open(&s->watch, h->loop, stepped);
    if (err == 0)
        return s;
    diag_set(reterr, DIAG_UNAVAILABLE, "cannot watch the clock: %s", strerror(-err));
    free(s);
    return NULL;
}

static void watch_closed(struct clock_watch *w)
{
    closing_end(&container_of(w, struct source, watch)->closing);
}

static void stop(struct source *s, void (*closed)(void *arg), void *arg)
{
    closing_stop(&s->closing, closed, arg);
    clock_watch_close(&s->watch, watch_closed);
}

const struct source_type source_cron = {
    .name = "cron",
    .help = "schedules: due times, and steps of the clock they are told by",
    .trigger_types = trigger_types,
    .start = start,
    .stop = stop,
};
