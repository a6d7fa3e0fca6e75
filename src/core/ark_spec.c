#include "core/ark_spec.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/slug.h"
#include "core/template.h"
#include "pawl/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- names of teams ---- */

/* A team is the pipeline NAMESPACE.team.TEAM. */
static const char *take_team(struct fields *f, const char *name, const char *older)
{
    const char *given = fields_has(f, older) && !fields_has(f, name) ? older : name;
    const char *team = fields_string(f, name), *older_team = fields_string(f, older);
    if (fields_has(f, name) && fields_has(f, older))
        fields_fail(f, CAUSE_INVALID, older,
                    "Invalid value: it means the same as the other name; give one");
    if (team == NULL)
        team = older_team;
    if (team == NULL && !fields_has(f, given))
        fields_fail(f, CAUSE_REQUIRED, given, "Required value: the name of a team");
    if (team != NULL && !slug_valid(slice_of(team)))
        fields_refuse(f, CAUSE_INVALID, given, team, SLUG_RULE);
    return team;
}

/* ---- source ---- */

static const struct {
    const char *name;
    enum ark_source source;
} sources[] = {
    {"webhook", ARK_WEBHOOK},
    {"cron", ARK_CRON},
    {"team-output", ARK_TEAM_OUTPUT},
    {"pipeline-output", ARK_TEAM_OUTPUT},
};

static const char *source_name(enum ark_source s)
{
    return sources[s].name;
}

static bool take_type(struct fields *f, enum ark_source *ret)
{
    static const char values[] = "supported values: \"webhook\", \"cron\", \"team-output\"";
    const char *type = fields_string(f, "type");
    for (size_t i = 0; type != NULL && i < ARRAY_SIZE(sources); i++) {
        if (strcmp(type, sources[i].name) == 0) {
            *ret = sources[i].source;
            return true;
        }
    }
    if (type != NULL)
        fields_refuse(f, CAUSE_NOT_SUPPORTED, "type", type, values);
    else if (!fields_has(f, "type"))
        fields_fail(f, CAUSE_REQUIRED, "type", "Required value: webhook, cron or team-output");
    return false;
}

/* Five fields is what Kubernetes tools mean by a schedule; with six, the first would be the second. Macros (@daily) and an empty text
 * are for cron_parse(). */
static bool has_other_fields(const char *text)
{
    static const char blanks[] = " \t";
    unsigned fields = 0;
    text += strspn(text, blanks);
    if (*text == '@')
        return false;
    for (; *text != '\0'; text += strspn(text, blanks)) {
        text += strcspn(text, blanks);
        fields++;
    }
    return fields != 0 && fields != 5;
}

static void read_cron(struct fields *f, struct ark_spec *ret)
{
    struct diag why = {0};
    if (ret->cron_text == NULL) {
        if (!fields_has(f, "cron"))
            fields_fail(f, CAUSE_REQUIRED, "cron",
                        "Required value: a cron expression such as \"0 8 * * *\"");
        return;
    }
    if (has_other_fields(ret->cron_text))
        fields_refuse(f, CAUSE_INVALID, "cron", ret->cron_text,
                      "must have five fields: minute, hour, day of month, month, day of week");
    else if (cron_parse(ret->cron_text, &ret->cron, &why) < 0)
        fields_refuse(f, CAUSE_INVALID, "cron", ret->cron_text, why.msg);
}

static void read_phase(struct fields *f, struct ark_spec *ret)
{
    static const struct {
        const char *name;
        uint8_t ends;
    } phases[] = {
        {"Succeeded", 1 << RUN_SUCCESS},
        {"Failed", 1 << RUN_FAILED},
        {"*", 1 << RUN_SUCCESS | 1 << RUN_FAILED | 1 << RUN_CANCELLED},
    };
    const char *phase = fields_string(f, "onPhase");
    ret->ends = phases[0].ends;
    if (phase == NULL)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
        if (strcmp(phase, phases[i].name) == 0) {
            ret->ends = phases[i].ends;
            return;
        }
    }
    fields_refuse(f, CAUSE_NOT_SUPPORTED, "onPhase", phase,
                  "supported values: \"Succeeded\", \"Failed\", \"*\"");
}

static void read_upstream(struct fields *source, json_t *v, const char *name, struct ark_spec *ret)
{
    struct fields f;
    char path[FIELD_PATH_MAX];
    if (v == NULL) {
        if (!fields_has(source, name))
            fields_fail(source, CAUSE_REQUIRED, name, "Required value: the team that is followed");
        return;
    }
    fields_path(source, name, path);
    fields_begin(&f, v, path, source->problems);
    ret->team = take_team(&f, "name", "pipeline");
    read_phase(&f, ret);
    fields_end(&f);
}

/* What belongs to another type than the source's would be without effect. */
static void refuse_others(struct fields *f, const struct ark_spec *s)
{
    static const struct {
        const char *name;
        enum ark_source source;
    } only[] = {
        {"cron", ARK_CRON},
        {"teamOutput", ARK_TEAM_OUTPUT},
        {"pipelineOutput", ARK_TEAM_OUTPUT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(only); i++)
        if (fields_has(f, only[i].name) && only[i].source != s->source)
            fields_refuse(f, CAUSE_INVALID, only[i].name, source_name(s->source),
                          "a source of this type has no such field");
}

static void read_source(struct fields *spec, struct ark_spec *ret)
{
    struct fields f;
    json_t *v = fields_take(spec, "source", JSON_OBJECT);
    if (v == NULL) {
        if (!fields_has(spec, "source"))
            fields_fail(spec, CAUSE_REQUIRED, "source",
                        "Required value: where the event comes from");
        return;
    }
    fields_begin(&f, v, "spec.source", spec->problems);
    const bool typed = take_type(&f, &ret->source);
    ret->cron_text = fields_string(&f, "cron");
    json_t *team = fields_take(&f, "teamOutput", JSON_OBJECT);
    json_t *older = fields_take(&f, "pipelineOutput", JSON_OBJECT);
    fields_end(&f);
    if (fields_has(&f, "teamOutput") && fields_has(&f, "pipelineOutput"))
        fields_fail(&f, CAUSE_INVALID, "pipelineOutput",
                    "Invalid value: it means the same as teamOutput; give one");
    if (!typed)
        return;
    refuse_others(&f, ret);
    if (ret->source == ARK_CRON)
        read_cron(&f, ret);
    else if (ret->source == ARK_TEAM_OUTPUT)
        read_upstream(&f, team != NULL ? team : older,
                      team == NULL && fields_has(&f, "pipelineOutput") ? "pipelineOutput"
                                                                       : "teamOutput",
                      ret);
}

/* ---- targets ---- */

static void read_text(struct fields *f, const char *name, json_t *v)
{
    struct diag why = {0};
    const struct slice text = {json_string_value(v), json_string_length(v)};
    if (!json_is_string(v)) {
        fields_wrong_type(f, name, v, "string");
    } else if (text.len > ARK_INPUT_BYTES_MAX) {
        fields_fail(f, CAUSE_TOO_MANY, name, "Too long: may not be more than 16384 bytes");
    } else if (template_check(text, &why) < 0) {
        fields_refuse(f, CAUSE_INVALID, name, text.p, why.msg);
    }
}

static void read_input(struct fields *target, json_t *input, struct ark_target *ret)
{
    struct fields f;
    char path[FIELD_PATH_MAX];
    const char *name;
    json_t *v;
    if (input == NULL)
        return;
    fields_path(target, "input", path);
    fields_begin(&f, input, path, target->problems);
    if (json_object_size(input) > ARK_INPUT_FIELDS_MAX)
        fields_fail(target, CAUSE_TOO_MANY, "input", "Too many: must have at most 64 fields");
    json_object_foreach(input, name, v) read_text(&f, name, v);
    ret->input = input;
}

static void read_target(json_t *v, size_t i, struct ark_target *ret, struct problems *p)
{
    struct fields f;
    char path[FIELD_PATH_MAX];
    snprintf(path, sizeof(path), "spec.targets[%zu]", i);
    fields_begin(&f, v, path, p);
    if (f.object == NULL) {
        if (json_is_null(v))
            problem_add(p, CAUSE_REQUIRED, path, "Required value: a target");
        return;
    }
    ret->team = take_team(&f, "team", "pipeline");
    read_input(&f, fields_take(&f, "input", JSON_OBJECT), ret);
    fields_end(&f);
}

/* The same team twice would run twice for one event: nobody means that. */
static void refuse_twins(const struct ark_spec *s, struct problems *p)
{
    json_t *seen = json_object();
    for (size_t i = 0; i < s->target_count; i++) {
        const char *team = s->targets[i].team;
        if (team == NULL)
            continue;
        char field[FIELD_PATH_MAX];
        snprintf(field, sizeof(field), "spec.targets[%zu].team", i);
        if (json_object_get(seen, team) != NULL)
            problem_add(p, CAUSE_DUPLICATE, field, "Duplicate value: \"%s\"", team);
        json_object_set_new(seen, team, json_true());
    }
    json_decref(seen);
}

static void read_targets(struct fields *spec, struct ark_spec *ret)
{
    json_t *list = fields_take(spec, "targets", JSON_ARRAY);
    const size_t n = json_array_size(list);
    if (n == 0) {
        if (list != NULL || !fields_has(spec, "targets"))
            fields_fail(spec, CAUSE_REQUIRED, "targets", "Required value: at least one team");
        return;
    }
    if (n > ARK_TARGETS_MAX) {
        fields_fail(spec, CAUSE_TOO_MANY, "targets", "Too many: must have at most 1000 items");
        return;
    }
    ret->targets = mem_zalloc(n * sizeof(*ret->targets));
    ret->target_count = n;
    for (size_t i = 0; i < n; i++)
        read_target(json_array_get(list, i), i, &ret->targets[i], spec->problems);
    refuse_twins(ret, spec->problems);
}

/* ---- the rest ---- */

static void read_policy(struct fields *f, struct ark_spec *ret)
{
    const char *policy = fields_string(f, "concurrencyPolicy");
    if (policy == NULL || strcmp(policy, "Allow") == 0)
        return;
    ret->forbid = strcmp(policy, "Forbid") == 0;
    if (!ret->forbid)
        fields_refuse(f, CAUSE_NOT_SUPPORTED, "concurrencyPolicy", policy,
                      "supported values: \"Allow\", \"Forbid\"");
}

static void read_cooldown(struct fields *f, struct ark_spec *ret)
{
    const json_t *v = fields_take(f, "cooldownSeconds", JSON_INTEGER);
    if (v == NULL)
        return;
    const json_int_t s = json_integer_value(v);
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)s);
    if (s < 0 || s > ARK_COOLDOWN_S_MAX)
        fields_refuse(f, CAUSE_INVALID, "cooldownSeconds", text, "must be from 0 to 31536000");
    else
        ret->cooldown_ms = (uint64_t)s * 1000;
}

int ark_spec_read(json_t *spec, struct ark_spec *ret, struct problems *p)
{
    struct fields f;
    struct ark_spec s = {0};
    struct problems found = {.prunes = p->prunes};
    if (spec == NULL || json_is_null(spec))
        problem_add(&found, CAUSE_REQUIRED, "spec", "Required value: source and targets");
    fields_begin(&f, spec, "spec", &found);
    if (f.object != NULL) {
        read_source(&f, &s);
        read_targets(&f, &s);
        s.suspended = json_is_true(fields_take(&f, "suspended", JSON_TRUE));
        read_policy(&f, &s);
        read_cooldown(&f, &s);
        fields_end(&f);
    }
    const bool fatal = found.fatal;
    problems_move(p, &found);
    if (fatal)
        ark_spec_release(&s);
    else
        *ret = s;
    return fatal ? -EINVAL : 0;
}

void ark_spec_release(struct ark_spec *s)
{
    free(s->targets);
    *s = (struct ark_spec){0};
}
