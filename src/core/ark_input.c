/* ark_input.c - what an ArkEvent's targets get as input, where they do not get the event's payload as it is. */
#include "base/check.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "core/engine_internal.h"
#include <string.h>

struct inputs {
    struct template_values values;
    struct json_members body;
    struct str output;
    char fired_at[RFC3339_LEN + 1];
    size_t bytes_left;
};

static bool wants_input(const struct rule_targets *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].input != NULL)
            return true;
    return false;
}

/* The payload of a completion (completion.c) is an object with the run's output, null when there was none. */
static void take_output(struct inputs *in, struct slice payload)
{
    const struct slice output = json_scan_member(payload, "output");
    if (output.p != NULL)
        template_add_json(output, &in->output);
    in->values.output = str_slice(&in->output);
}

static void find_values(struct inputs *in, struct now now, const struct trigger *t,
                        const struct event *ev)
{
    rfc3339_format(now.wall, in->fired_at);
    const char *path = ark_of(t)->path;
    in->values.name = slice_of(strchr(path, '/') + 1);
    in->values.fired_at = slice_of(in->fired_at);
    if (ev->payload.p == NULL)
        return;
    if (t->def->rule.ends != 0)
        take_output(in, ev->payload);
    else if (t->def->rule.key != NULL && json_members_open(&in->body, ev->payload))
        in->values.body = &in->body;
}

/* Appends an object of what the texts have become. */
static bool render(const struct inputs *in, json_t *texts, struct str *ret)
{
    const char *name;
    json_t *text;
    struct str value = {0};
    bool fits = true;
    str_add_char(ret, '{');
    json_object_foreach(texts, name, text)
    {
        const struct slice t = {json_string_value(text), json_string_length(text)};
        if (ret->len > 1)
            str_add_char(ret, ',');
        str_add_json(ret, slice_of(name));
        str_add_char(ret, ':');
        str_reset(&value);
        fits = template_render(t, &in->values, in->bytes_left, &value);
        if (!fits)
            break;
        str_add_json(ret, value.p != NULL ? str_slice(&value) : SLICE(""));
        fits = ret->len < in->bytes_left;
        if (!fits)
            break;
    }
    str_add_char(ret, '}');
    str_release(&value);
    return fits;
}

static bool make_one(struct engine *e, struct inputs *in, const struct rule_target *target,
                     struct slice *ret)
{
    struct str all = {0};
    json_t *texts = json_parse_object(slice_of(target->input), NULL);
    CHECK(texts != NULL); /* it was checked when it was applied */
    const bool fits = render(in, texts, &all);
    if (fits) {
        in->bytes_left -= all.len < in->bytes_left ? all.len : in->bytes_left;
        *ret = keep(e, str_slice(&all));
    }
    json_decref(texts);
    str_release(&all);
    return fits;
}

bool ark_inputs_make(struct engine *e, struct now now, const struct trigger *t,
                     const struct event *ev, struct slice **ret)
{
    const struct rule_targets *all = t->def->rule.targets;
    struct inputs in = {.bytes_left = ARK_INPUTS_BYTES_MAX};
    bool fits = true;
    *ret = arena_zalloc(&e->filling->arena, all->count * sizeof(**ret));
    if (!wants_input(all))
        return true;
    find_values(&in, now, t, ev);
    for (size_t i = 0; fits && i < all->count; i++)
        if (all->items[i].input != NULL)
            fits = make_one(e, &in, &all->items[i], &(*ret)[i]);
    json_members_close(&in.body);
    str_release(&in.output);
    return fits;
}
