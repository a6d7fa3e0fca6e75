/* ark_input.c - what an ArkEvent's targets get as input, where they do not get the event's payload as it is. */
#include "base/check.h"
#include "core/engine_internal.h"
#include <string.h>

static bool wants_input(const struct rule_targets *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].input != NULL)
            return true;
    return false;
}

/* The payload of a completion (completion.c) is an object with the run's output, null when there was none. */
static void take_output(struct ark_inputs *in)
{
    const json_t *output = json_object_get(in->body, "output");
    if (output == NULL || json_is_null(output))
        return;
    if (json_is_string(output))
        str_add(&in->output, json_string_value(output), json_string_length(output));
    else
        str_add_json_value(&in->output, output);
    in->values.output = str_slice(&in->output);
}

void ark_inputs_begin(struct ark_inputs *in, struct now now, const struct trigger *t,
                      const struct event *ev)
{
    struct diag ignored;
    *in = (struct ark_inputs){0};
    if (!wants_input(t->def->rule.targets))
        return;
    rfc3339_format(now.wall, in->fired_at);
    const char *path = ark_of(t)->path;
    in->values.name = slice_of(strchr(path, '/') + 1);
    in->values.fired_at = slice_of(in->fired_at);
    if (ev->payload.p == NULL)
        return;
    in->body = json_parse(ev->payload, &ignored);
    if (t->def->rule.ends != 0)
        take_output(in);
    else if (t->def->rule.key != NULL)
        in->values.body = in->body;
}

struct slice ark_inputs_make(struct engine *e, const struct ark_inputs *in,
                             const struct rule_target *target)
{
    const char *name;
    json_t *text;
    struct str value = {0}, all = {0};
    if (target->input == NULL)
        return SLICE_NONE;
    json_t *texts = json_parse_object(slice_of(target->input), NULL);
    CHECK(texts != NULL); /* it was checked when it was applied */
    str_add_char(&all, '{');
    json_object_foreach(texts, name, text)
    {
        const struct slice t = {json_string_value(text), json_string_length(text)};
        if (all.len > 1)
            str_add_char(&all, ',');
        str_add_json(&all, slice_of(name));
        str_add_char(&all, ':');
        str_reset(&value);
        template_render(t, &in->values, &value);
        str_add_json(&all, value.p != NULL ? str_slice(&value) : SLICE(""));
    }
    str_add_char(&all, '}');
    const struct slice ret = keep(e, str_slice(&all));
    json_decref(texts);
    str_release(&value);
    str_release(&all);
    return ret;
}

void ark_inputs_end(struct ark_inputs *in)
{
    json_decref(in->body);
    str_release(&in->output);
}
